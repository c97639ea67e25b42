"""`/admin/v1/operator-keys`: the keys of those who administer."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.operator_bodies import (
    OperatorKeyBody,
    OperatorKeyName,
    operator_key_asked,
    operator_key_body,
)
from bailiwick.apps.admin.places import After, AtOperatorKey, IfMatch, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import IssuedOperatorKeyShown, Listed, OperatorKeyShown, listed
from bailiwick.apps.admin.wire import EmptyBody, PatchOf, RotateBody, read_patched
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.fields import read_name
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.operators import OperatorKey
from bailiwick.services.documents import operator_key_document
from bailiwick.services.operator_keys import IssuedOperatorKey

_LIST: Final = "/admin/v1/operator-keys"
_ITEM: Final = "/admin/v1/operator-keys/{operator_key_id}"
_READ: Final = needs(AdminPermission.OPERATOR_KEYS_READ, confined=True)
_WRITE: Final = needs(AdminPermission.OPERATOR_KEYS_WRITE, confined=True)

router = APIRouter(route_class=ControlRoute, tags=["operator keys"])

OperatorKeyPatch = Annotated[dict[str, Any], Body(), PatchOf(OperatorKeyName)]


@router.get(_LIST, response_model=Listed[OperatorKeyShown], openapi_extra=_READ)
async def list_operator_keys(plane: Plane, actor: CurrentActor, limit: Limit = None, after: After = None) -> Document:
    """List the operator keys within reach."""
    page = await plane.operator_keys.list(actor, page_of(ids.OPERATOR_KEY, limit, after))
    return listed(page, lambda key: operator_key_document(key, plane.acts.now()))


@router.post(_LIST, status_code=201, response_model=IssuedOperatorKeyShown, openapi_extra=_WRITE)
async def create_operator_key(
    request: Request, response: Response, plane: Plane, actor: CurrentActor, body: OperatorKeyBody
) -> Document:
    """Make an operator key. Its text is in this answer and nowhere else, ever."""
    issued = await plane.operator_keys.create(actor, operator_key_asked(body, actor.authority, plane.acts))
    document = _issued(issued, plane)
    response.headers["Location"] = f"{request.url.path}/{document['id']}"
    return document


@router.get(_ITEM, response_model=OperatorKeyShown, openapi_extra=_READ)
async def read_operator_key(plane: Plane, actor: CurrentActor, at: AtOperatorKey) -> Document:
    """Read an operator key, without its text."""
    return operator_key_document(await plane.operator_keys.find(actor, at), plane.acts.now())


@router.patch(_ITEM, response_model=OperatorKeyShown, openapi_extra=_WRITE)
async def rename_operator_key(
    plane: Plane, actor: CurrentActor, at: AtOperatorKey, patch: OperatorKeyPatch, expected: IfMatch
) -> Document:
    """Give an operator key another name. Its role and reach stay what they are."""

    def rename(key: OperatorKey) -> str:
        return read_name("name", read_patched(OperatorKeyName, operator_key_body(key), patch).name)

    return operator_key_document(
        await plane.operator_keys.rename(actor, at, rename, expected=expected), plane.acts.now()
    )


@router.delete(_ITEM, status_code=204, openapi_extra=_WRITE)
async def remove_operator_key(plane: Plane, actor: CurrentActor, at: AtOperatorKey, expected: IfMatch) -> None:
    """Remove an operator key: from then on it is unknown."""
    await plane.operator_keys.remove(actor, at, expected=expected)


@router.post(f"{_ITEM}/rotate", status_code=201, response_model=IssuedOperatorKeyShown, openapi_extra=_WRITE)
async def rotate_operator_key(
    request: Request,
    response: Response,
    plane: Plane,
    actor: CurrentActor,
    at: AtOperatorKey,
    expected: IfMatch,
    body: RotateBody | None = None,
) -> Document:
    """Give an operator key another text under the same id; the one before stays good for `grace_seconds`."""
    grace_seconds = 0 if body is None else body.grace_seconds
    issued = await plane.operator_keys.rotate(actor, at, grace_seconds=grace_seconds, expected=expected)
    response.headers["Location"] = request.url.path.removesuffix("/rotate")
    return _issued(issued, plane)


@router.post(f"{_ITEM}/revoke", response_model=OperatorKeyShown, openapi_extra=_WRITE)
async def revoke_operator_key(
    plane: Plane, actor: CurrentActor, at: AtOperatorKey, expected: IfMatch, _body: EmptyBody | None = None
) -> Document:
    """End an operator key with all its texts, for good."""
    return operator_key_document(await plane.operator_keys.revoke(actor, at, expected=expected), plane.acts.now())


def _issued(issued: IssuedOperatorKey, plane: Plane) -> Document:
    return {**operator_key_document(issued.key, plane.acts.now()), "key": issued.text}
