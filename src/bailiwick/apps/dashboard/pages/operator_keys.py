"""Operator keys: for scripts that administer. A key's text is on the page that answers the making, and on no other."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from starlette.responses import Response

from bailiwick.apps.admin.address import id_of
from bailiwick.apps.admin.operator_bodies import OperatorKeyBody, operator_key_asked
from bailiwick.apps.admin.wire import read_body_as
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.choices import GRACES, LIFETIMES, roles_within, tenants_within
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import OperatorKeyId
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.times import written
from bailiwick.services.documents import operator_key_document
from bailiwick.services.operator_keys import IssuedOperatorKey

_READ: Final = AdminPermission.OPERATOR_KEYS_READ
_WRITE: Final = AdminPermission.OPERATOR_KEYS_WRITE


async def list_keys(visit: Visit) -> Response:
    """Every operator key within reach."""
    page = await visit.plane.operator_keys.list(visit.actor, visit.page(ids.OPERATOR_KEY))
    keys = [operator_key_document(key, visit.plane.acts.now()) for key in page.items]
    return visit.show("operators/keys.html", page=page, keys=keys, graces=GRACES)


async def new_key(visit: Visit) -> Response:
    """The form for a new one."""
    return visit.show("operators/new_key.html", **await _choices(visit))


async def create_key(visit: Visit) -> Response:
    """Make one, and show its text."""
    try:
        asked = operator_key_asked(read_body_as(OperatorKeyBody, _body(visit)), visit.operator, visit.plane.acts)
        issued = await visit.plane.operator_keys.create(visit.actor, asked)
    except Refused as refused:
        return visit.again("operators/new_key.html", refused, **await _choices(visit))
    return _issued(visit, issued)


async def rotate_key(visit: Visit) -> Response:
    """Give a key another text, and show it."""
    grace = visit.form.known("grace").text("grace")
    if grace not in {str(seconds) for seconds, _ in GRACES}:
        raise invalid("grace", "must be one of those offered")
    issued = await visit.plane.operator_keys.rotate(visit.actor, _id(visit), grace_seconds=int(grace))
    return _issued(visit, issued)


async def revoke_key(visit: Visit) -> Response:
    """End a key for good."""
    visit.form.known()
    await visit.plane.operator_keys.revoke(visit.actor, _id(visit))
    return visit.go("/operator-keys", "revoked")


def _issued(visit: Visit, issued: IssuedOperatorKey) -> Response:
    document = operator_key_document(issued.key, visit.plane.acts.now())
    return visit.show("operators/issued_key.html", key=document, text=issued.text)


def _body(visit: Visit) -> Document:
    """The form as the API's body; raises `Refused`."""
    form = visit.form.known("name", "role", "tenant_id", "lifetime")
    lifetime = form.text("lifetime")
    if lifetime not in dict(LIFETIMES):
        raise invalid("lifetime", "must be one of those offered")
    expires_at = written(visit.plane.acts.now() + timedelta(days=int(lifetime))) if lifetime else None
    return {
        "name": form.text("name").strip(),
        "role": form.optional("role"),
        "tenant_id": form.optional("tenant_id"),
        "expires_at": expires_at,
    }


async def _choices(visit: Visit) -> dict[str, object]:
    return {"roles": roles_within(visit), "tenants": await tenants_within(visit), "lifetimes": LIFETIMES}


def _id(visit: Visit) -> OperatorKeyId:
    return OperatorKeyId(id_of(visit.request, "operator_key_id", ids.OPERATOR_KEY))


_ONE: Final = "/operator-keys/{operator_key_id}"

PAGES: Final = (
    Page(path="/operator-keys", handler=list_keys, needs=_READ, confined=True),
    Page(path="/operator-keys/new", handler=new_key, needs=_WRITE, confined=True),
    Page(path="/operator-keys/new", handler=create_key, needs=_WRITE, confined=True, method="POST"),
    Page(path=f"{_ONE}/rotate", handler=rotate_key, needs=_WRITE, confined=True, method="POST"),
    Page(path=f"{_ONE}/revoke", handler=revoke_key, needs=_WRITE, confined=True, method="POST"),
)
