"""Trusted issuers of a project, and the platform's, from presets of known providers; a token that is pasted, judged.

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
from bailiwick.domain.providers import PLATFORM, Place
from bailiwick.domain.versions import etag
from bailiwick.services.documents import issuer_document
from bailiwick.services.issuer_tester import Verdict

_WRITE: Final = AdminPermission.ISSUERS_WRITE
_PLATFORM_WRITE: Final = AdminPermission.PLATFORM_ISSUERS_WRITE
_PROJECT: Final = "/projects/{project_id}/issuers"
_PLATFORM: Final = "/issuers"
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
    page = await visit.plane.issuers.list(visit.actor, _place(visit), visit.page(ids.ISSUER), is_there=True)
    values = {"page": page, "verdict": verdict, "accepted": _ACCEPTED}
    return visit.show("issuers/list.html", **await _frame(visit), **values)


async def _around(visit: Visit, issuer: Issuer | None) -> dict[str, Any]:
    """What the form shows besides its fields."""
    around: dict[str, Any] = {
        **await _frame(visit),
        "issuer": issuer,
        "presets": PRESETS,
        "algorithms": ALGORITHMS,
        "targets": [(target, _LABELS[target]) for target in TARGETS],
    }
    return around if issuer is None else {**around, "version": etag(issuer_document(issuer))}


async def _again(visit: Visit, refused: Refused, issuer: Issuer | None) -> Response:
    given: Mapping[str, Any] = issuer_form.sent(visit.form)
    if issuer is not None:
        given = {**given, "issuer": issuer.spec.issuer}
    return visit.again("issuers/form.html", refused, **await _around(visit, issuer), given=given, preset=None)


async def _frame(visit: Visit) -> dict[str, Any]:
    """What is around: the project's page, or none."""
    if visit.tenant is None:
        return {"layout": "base.html", "here": "/dashboard", "writes": visit.may(_PLATFORM_WRITE)}
    around = (await framed(visit, "issuers")).values
    return {"layout": "projects/frame.html", **around, "writes": visit.may(_WRITE)}


def _place(visit: Visit) -> Place:
    if visit.tenant is None:
        return PLATFORM
    tenant_id, project_id = visit.at
    return Place(tenant_id=tenant_id, project_id=project_id)


def _id(visit: Visit) -> IssuerId:
    return IssuerId(id_of(visit.request, "issuer_id", ids.ISSUER))


def _list(visit: Visit) -> str:
    return _PLATFORM if visit.tenant is None else _PROJECT.format(**visit.request.path_params)


def _pages(listed: str, read: AdminPermission, write: AdminPermission) -> tuple[Page, ...]:
    """The same addresses for a project's and the platform's."""
    one = f"{listed}/{{issuer_id}}"
    return (
        Page(path=listed, handler=list_issuers, needs=read),
        Page(path=f"{listed}/new", handler=new_issuer, needs=write),
        Page(path=f"{listed}/new", handler=create_issuer, needs=write, method="POST"),
        Page(path=one, handler=show_issuer, needs=read),
        Page(path=one, handler=change_issuer, needs=write, method="POST"),
        Page(path=f"{one}/remove", handler=remove_issuer, needs=write, method="POST"),
    )


PAGES: Final = (
    Page(path=f"{_PROJECT}/test", handler=test_token, needs=_WRITE, method="POST"),
    *_pages(_PROJECT, AdminPermission.ISSUERS_READ, _WRITE),
    *_pages(_PLATFORM, AdminPermission.PLATFORM_ISSUERS_READ, _PLATFORM_WRITE),
)
