"""A project's keys: made, rotated, revoked. A key's text is on the page that answers the making, and on no other."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from starlette.responses import Response

from bailiwick.apps.admin.address import id_of
from bailiwick.apps.admin.wire import KeyBody, key_asked, key_body, read_body_as
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.choices import GRACES, LIFETIMES
from bailiwick.apps.dashboard.pages.projects import base_url, framed
from bailiwick.apps.dashboard.pages.tool_fields import (
    TOOL_FIELDS,
    tool_rules_given,
    tool_rules_sent,
    tool_rules_shown,
)
from bailiwick.apps.dashboard.snippets import snippets
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.credentials import ApiKey, KeySpec
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import KeyId
from bailiwick.domain.merge_patch import Document, merged
from bailiwick.domain.permissions import Permission
from bailiwick.domain.times import written
from bailiwick.services.credentials import IssuedKey, KeyPlace
from bailiwick.services.documents import key_document

_READ: Final = AdminPermission.KEYS_READ
_WRITE: Final = AdminPermission.KEYS_WRITE
_FIELDS: Final = ("name", "scopes", "all_scopes", "models", "agents", "tier", "ip_allow", "lifetime", *TOOL_FIELDS)
_SCOPES: Final = tuple(permission.value for permission in Permission)


async def list_keys(visit: Visit) -> Response:
    """Every key of a project."""
    frame = await framed(visit, "keys")
    page = await visit.plane.credentials.list(*visit.at, visit.page(ids.KEY), is_there=True)
    keys = [key_document(one.key, visit.plane.acts.now()) for one in page.items]
    return visit.show("keys/list.html", **frame.values, page=page, keys=keys, graces=GRACES, scope_count=len(_SCOPES))


async def new_key(visit: Visit) -> Response:
    """The form for a new one."""
    return visit.show("keys/form.html", **(await framed(visit, "keys")).values, key=None, given=_all(), **_choices())


async def create_key(visit: Visit) -> Response:
    """Make one, and show its text."""
    try:
        asked = key_asked(read_body_as(KeyBody, _body(visit)), visit.plane.acts)
        issued = await visit.plane.credentials.create(visit.actor, *visit.at, asked)
    except Refused as refused:
        frame = await framed(visit, "keys")
        return visit.again("keys/form.html", refused, **frame.values, key=None, given=_given(visit), **_choices())
    return await _issued(visit, issued, rotated=False)


async def show_key(visit: Visit) -> Response:
    """What a key may do, to be changed."""
    frame = await framed(visit, "keys")
    key = await visit.plane.credentials.find(*_place(visit))
    given = {**key_body(key), **tool_rules_shown(key.spec.tools)}
    return visit.show("keys/form.html", **frame.values, key=_shown(visit, key), given=given, **_choices())


async def change_key(visit: Visit) -> Response:
    """Change what a key may do."""
    body = {**_body(visit), "act_as": None}

    def change(key: ApiKey) -> KeySpec:
        before = key_body(key)
        kept = {"expires_at": before.get("expires_at")} if visit.form.text("lifetime") == "keep" else {}
        document = merged(before, {**body, **kept})
        return key_asked(read_body_as(KeyBody, document), visit.plane.acts, key)

    try:
        await visit.plane.credentials.change(visit.actor, *_place(visit), change)
    except Refused as refused:
        frame = await framed(visit, "keys")
        key = await visit.plane.credentials.find(*_place(visit))
        values = {"key": _shown(visit, key), "given": _given(visit), **_choices()}
        return visit.again("keys/form.html", refused, **frame.values, **values)
    return visit.go(f"{_keys(visit)}", "saved")


async def rotate_key(visit: Visit) -> Response:
    """Give a key another text, and show it."""
    grace = visit.form.known("grace").text("grace")
    if grace not in {str(seconds) for seconds, _ in GRACES}:
        raise invalid("grace", "must be one of those offered")
    place, key_id = _place(visit)
    issued = await visit.plane.credentials.rotate(visit.actor, place, key_id, grace_seconds=int(grace))
    return await _issued(visit, issued, rotated=True)


async def revoke_key(visit: Visit) -> Response:
    """End a key for good."""
    visit.form.known()
    await visit.plane.credentials.revoke(visit.actor, *_place(visit))
    return visit.go(_keys(visit), "revoked")


async def _issued(visit: Visit, issued: IssuedKey, *, rotated: bool) -> Response:
    frame = await framed(visit, "keys")
    address = base_url(visit, frame.project)
    return visit.show(
        "keys/issued.html",
        **frame.values,
        key=_shown(visit, issued.key),
        text=issued.text,
        rotated=rotated,
        base_url=address,
        snippets=snippets(address, issued.text),
    )


def _body(visit: Visit) -> Document:
    """The form as the API's body; raises `Refused`."""
    form = visit.form.known(*_FIELDS)
    lifetime = form.text("lifetime")
    expires_at = None
    if lifetime.isascii() and lifetime.isdigit() and lifetime in dict(LIFETIMES):
        expires_at = written(visit.plane.acts.now() + timedelta(days=int(lifetime)))
    elif lifetime not in {"", "keep"}:
        raise invalid("lifetime", "must be one of those offered")
    return {
        "name": form.text("name").strip(),
        "scopes": None if form.checked("all_scopes") else form.chosen("scopes"),
        "models": form.lines("models") or None,
        "agents": form.lines("agents") or None,
        "tools": tool_rules_given(form),
        "tier": form.optional("tier"),
        "ip_allow": form.lines("ip_allow") or None,
        "expires_at": expires_at,
    }


def _given(visit: Visit) -> Document:
    """The form as it was sent, for the fields of the form that is shown again."""
    form = visit.form
    scopes = list(_SCOPES) if form.checked("all_scopes") else form.chosen("scopes")
    return {
        "name": form.text("name"),
        "scopes": scopes,
        "models": form.lines("models"),
        "agents": form.lines("agents"),
        **tool_rules_sent(form),
        "tier": form.text("tier"),
        "ip_allow": form.lines("ip_allow"),
    }


def _all() -> Document:
    return {"name": "", "scopes": list(_SCOPES), "models": None, **tool_rules_shown(None)}


def _choices() -> dict[str, object]:
    return {"scopes": _SCOPES, "lifetimes": LIFETIMES}


def _shown(visit: Visit, key: ApiKey) -> Document:
    return key_document(key, visit.plane.acts.now())


def _place(visit: Visit) -> tuple[KeyPlace, KeyId]:
    tenant_id, project_id = visit.at
    return KeyPlace(tenant_id=tenant_id, project_id=project_id), KeyId(id_of(visit.request, "key_id", ids.KEY))


def _keys(visit: Visit) -> str:
    return f"/projects/{visit.request.path_params['project_id']}/keys"


PAGES: Final = (
    Page(path="/projects/{project_id}/keys", handler=list_keys, needs=_READ),
    Page(path="/projects/{project_id}/keys/new", handler=new_key, needs=_WRITE),
    Page(path="/projects/{project_id}/keys/new", handler=create_key, needs=_WRITE, method="POST"),
    Page(path="/projects/{project_id}/keys/{key_id}", handler=show_key, needs=_READ),
    Page(path="/projects/{project_id}/keys/{key_id}", handler=change_key, needs=_WRITE, method="POST"),
    Page(path="/projects/{project_id}/keys/{key_id}/rotate", handler=rotate_key, needs=_WRITE, method="POST"),
    Page(path="/projects/{project_id}/keys/{key_id}/revoke", handler=revoke_key, needs=_WRITE, method="POST"),
)
