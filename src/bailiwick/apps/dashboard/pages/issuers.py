"""A project's trusted issuers, from presets of known providers; and a token that is pasted, judged thing by thing.

A token that is pasted is on no page ever after.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from bailiwick.apps.admin.address import id_of
from bailiwick.apps.admin.issuer_wire import IssuerBody, issuer_asked, issuer_body
from bailiwick.apps.admin.wire import read_body_as
from bailiwick.apps.dashboard import issuer_form
from bailiwick.apps.dashboard.issuer_presets import PRESETS
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.changes import expected
from bailiwick.apps.dashboard.pages.projects import framed
from bailiwick.domain import ids
from bailiwick.domain.access_tokens import ALGORITHMS
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.ids import IssuerId
from bailiwick.domain.issuers import TARGETS, Issuer, IssuerSpec
from bailiwick.domain.providers import Place
from bailiwick.domain.versions import etag
from bailiwick.services.documents import issuer_document
from bailiwick.services.issuer_tester import Verdict

_READ: Final = AdminPermission.ISSUERS_READ
_WRITE: Final = AdminPermission.ISSUERS_WRITE
_LIST: Final = "/projects/{project_id}/issuers"
_ONE: Final = f"{_LIST}/{{issuer_id}}"
_LABELS: Final = {
    "user": "User", "session": "Session", "tier": "Tier", "role": "Role", "scopes": "Scopes",
    "orgs": "Organizations", "tenant": "Tenant", "project": "Project",
}  # fmt: skip
# What it means that a thing about a token is accepted.
_ACCEPTED: Final = {
    "form": ("Form", "It is a signed token, and safe to read."),
    "issuer": ("Issuer", "It is of an issuer that is trusted here."),
    "algorithm": ("Algorithm", "It is signed as the issuer is said to sign."),
    "kind": ("Kind", "It is an access token, and no ID, refresh or logout token."),
    "audience": ("Audience", "It is meant for this API."),
    "time": ("Time", "It is good now, and not for too long."),
    "required": ("Required claims", "It holds what is required."),
    "subject": ("Subject", "It says who it is about."),
    "user": ("User", "It says which user that is here."),
    "session": ("Session", "Its session can be read, if it has one."),
    "project": ("Project", "It is not of another project."),
    "tenant": ("Tenant", "It is not of another tenant."),
    "tier": ("Tier", "Its tier can be read, if it is mapped."),
    "role": ("Role", "Its role can be read, if it is mapped."),
    "scopes": ("Scopes", "Its scopes can be read, if they are mapped."),
    "orgs": ("Organizations", "Its organizations can be read, if they are mapped."),
    "token": ("Token id", "Its jti can be read, if it has one."),
    "signature": ("Signature", "It was signed with a key of the issuer."),
    "standing": ("Standing", "Nothing of it was revoked, and nobody is blocked or suspended."),
}  # fmt: skip


async def list_issuers(visit: Visit) -> Response:
    """Every issuer of the project, and where to paste a token."""
    return await _listed(visit, None)


async def test_token(visit: Visit) -> Response:
    """Judge the token that was pasted."""
    # Whoever copies a token copies what is around it as well.
    text = visit.form.known("token").text("token").strip().removeprefix("Bearer ").strip()
    return await _listed(visit, await visit.plane.issuer_tester.test(*visit.at, text))


async def new_issuer(visit: Visit) -> Response:
    """The form for a new one, filled in as the preset says that the address names."""
    chosen = next((preset for preset in PRESETS if preset.name == visit.asked("preset")), None)
    given = issuer_form.shown(chosen.asked if chosen else {})
    return visit.show("issuers/form.html", **await _around(visit, None), given=given, preset=chosen)


async def create_issuer(visit: Visit) -> Response:
    """Trust one."""
    try:
        body = read_body_as(IssuerBody, issuer_form.body(visit.form))
        await visit.plane.issuers.create(visit.actor, _place(visit), lambda reserved: issuer_asked(body, reserved))
    except Refused as refused:
        return await _again(visit, refused, None)
    return visit.go(_list(visit), "created")


async def show_issuer(visit: Visit) -> Response:
    """One issuer, to be changed."""
    issuer = await visit.plane.issuers.find(visit.actor, _place(visit), _id(visit))
    given = issuer_form.shown(issuer_body(issuer))
    return visit.show("issuers/form.html", **await _around(visit, issuer), given=given, preset=None)


async def change_issuer(visit: Visit) -> Response:
    """Change one; its name stays."""

    def change(issuer: Issuer) -> IssuerSpec:
        asked = {**issuer_form.body(visit.form), "issuer": issuer.spec.issuer}
        return issuer_asked(read_body_as(IssuerBody, asked))

    at = (_place(visit), _id(visit))
    try:
        await visit.plane.issuers.change(visit.actor, *at, change, expected=expected(visit))
    except Refused as refused:
        return await _again(visit, refused, await visit.plane.issuers.find(visit.actor, *at))
    return visit.go(_list(visit), "saved")


async def remove_issuer(visit: Visit) -> Response:
    """Trust one no more."""
    visit.form.known()
    await visit.plane.issuers.remove(visit.actor, _place(visit), _id(visit))
    return visit.go(_list(visit), "removed")


async def _listed(visit: Visit, verdict: Verdict | None) -> Response:
    around = (await framed(visit, "issuers")).values
    page = await visit.plane.issuers.list(visit.actor, _place(visit), visit.page(ids.ISSUER), is_there=True)
    values = {"page": page, "verdict": verdict, "accepted": _ACCEPTED, "writes": visit.may(_WRITE)}
    return visit.show("issuers/list.html", **around, **values)


async def _around(visit: Visit, issuer: Issuer | None) -> dict[str, Any]:
    """What the form shows besides its fields."""
    around: dict[str, Any] = {
        **(await framed(visit, "issuers")).values,
        "issuer": issuer,
        "presets": PRESETS,
        "algorithms": ALGORITHMS,
        "targets": [(target, _LABELS[target]) for target in TARGETS],
        "writes": visit.may(_WRITE),
    }
    return around if issuer is None else {**around, "version": etag(issuer_document(issuer))}


async def _again(visit: Visit, refused: Refused, issuer: Issuer | None) -> Response:
    given: Mapping[str, Any] = issuer_form.sent(visit.form)
    if issuer is not None:
        given = {**given, "issuer": issuer.spec.issuer}
    return visit.again("issuers/form.html", refused, **await _around(visit, issuer), given=given, preset=None)


def _place(visit: Visit) -> Place:
    tenant_id, project_id = visit.at
    return Place(tenant_id=tenant_id, project_id=project_id)


def _id(visit: Visit) -> IssuerId:
    return IssuerId(id_of(visit.request, "issuer_id", ids.ISSUER))


def _list(visit: Visit) -> str:
    return _LIST.format(project_id=visit.request.path_params["project_id"])


PAGES: Final = (
    Page(path=_LIST, handler=list_issuers, needs=_READ),
    Page(path=f"{_LIST}/new", handler=new_issuer, needs=_WRITE),
    Page(path=f"{_LIST}/new", handler=create_issuer, needs=_WRITE, method="POST"),
    Page(path=f"{_LIST}/test", handler=test_token, needs=_WRITE, method="POST"),
    Page(path=_ONE, handler=show_issuer, needs=_READ),
    Page(path=_ONE, handler=change_issuer, needs=_WRITE, method="POST"),
    Page(path=f"{_ONE}/remove", handler=remove_issuer, needs=_WRITE, method="POST"),
)
