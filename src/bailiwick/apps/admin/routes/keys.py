"""`/admin/v1/projects/{id}/keys`, and each key at `/admin/v1/keys/{id}` as well."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtKey, AtProject, IfMatch, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import IssuedKeyShown, KeyShown, Listed, listed
from bailiwick.apps.admin.wire import (
    EmptyBody,
    KeyBody,
    PatchOf,
    RotateBody,
    key_asked,
    key_body,
    read_patched,
)
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.credentials import ApiKey, KeySpec
from bailiwick.domain.merge_patch import Document
from bailiwick.services.credentials import IssuedKey
from bailiwick.services.documents import key_document

_LIST: Final = "/admin/v1/projects/{project_id}/keys"
_ITEM: Final = "/admin/v1/projects/{project_id}/keys/{key_id}"
_OWN: Final = "/admin/v1/keys/{key_id}"

router = APIRouter(route_class=ControlRoute, tags=["keys"])

KeyPatch = Annotated[dict[str, Any], Body(), PatchOf(KeyBody)]


@router.get(_LIST, response_model=Listed[KeyShown], openapi_extra=needs(AdminPermission.KEYS_READ))
async def list_keys(plane: Plane, at: AtProject, limit: Limit = None, after: After = None) -> Document:
    """List the keys of a project."""
    page = await plane.credentials.list(*at, page_of(ids.KEY, limit, after))
    return listed(page, lambda one: key_document(one.key, plane.acts.now()))


@router.post(_LIST, status_code=201, response_model=IssuedKeyShown, openapi_extra=needs(AdminPermission.KEYS_WRITE))
async def create_key(
    request: Request, response: Response, plane: Plane, actor: CurrentActor, at: AtProject, body: KeyBody
) -> Document:
    """Make a key. Its text is in this answer and nowhere else, ever."""
    issued = await plane.credentials.create(actor, *at, key_asked(body, plane.acts))
    document = _issued(issued, plane)
    response.headers["Location"] = f"{request.url.path}/{document['id']}"
    return document


@router.get(_OWN, response_model=KeyShown, openapi_extra=needs(AdminPermission.KEYS_READ))
@router.get(_ITEM, response_model=KeyShown, openapi_extra=needs(AdminPermission.KEYS_READ))
async def read_key(plane: Plane, at: AtKey) -> Document:
    """Read a key, without its text."""
    return key_document(await plane.credentials.find(*at), plane.acts.now())


@router.patch(_OWN, response_model=KeyShown, openapi_extra=needs(AdminPermission.KEYS_WRITE))
@router.patch(_ITEM, response_model=KeyShown, openapi_extra=needs(AdminPermission.KEYS_WRITE))
async def change_key(plane: Plane, actor: CurrentActor, at: AtKey, patch: KeyPatch, expected: IfMatch) -> Document:
    """Change what a key may do."""

    def change(key: ApiKey) -> KeySpec:
        return key_asked(read_patched(KeyBody, key_body(key), patch), plane.acts, key)

    return key_document(await plane.credentials.change(actor, *at, change, expected=expected), plane.acts.now())


@router.delete(_OWN, status_code=204, openapi_extra=needs(AdminPermission.KEYS_WRITE))
@router.delete(_ITEM, status_code=204, openapi_extra=needs(AdminPermission.KEYS_WRITE))
async def remove_key(plane: Plane, actor: CurrentActor, at: AtKey, expected: IfMatch) -> None:
    """Remove a key: from then on it is unknown, where a revoked one is known to be revoked."""
    await plane.credentials.remove(actor, *at, expected=expected)


@router.post(
    f"{_OWN}/rotate", status_code=201, response_model=IssuedKeyShown, openapi_extra=needs(AdminPermission.KEYS_WRITE)
)
@router.post(
    f"{_ITEM}/rotate", status_code=201, response_model=IssuedKeyShown, openapi_extra=needs(AdminPermission.KEYS_WRITE)
)
async def rotate_key(
    request: Request,
    response: Response,
    plane: Plane,
    actor: CurrentActor,
    at: AtKey,
    expected: IfMatch,
    body: RotateBody | None = None,
) -> Document:
    """Give a key another text under the same id; the one before stays good for `grace_seconds`."""
    grace_seconds = 0 if body is None else body.grace_seconds
    issued = await plane.credentials.rotate(actor, *at, grace_seconds=grace_seconds, expected=expected)
    response.headers["Location"] = request.url.path.removesuffix("/rotate")
    return _issued(issued, plane)


@router.post(f"{_OWN}/revoke", response_model=KeyShown, openapi_extra=needs(AdminPermission.KEYS_WRITE))
@router.post(f"{_ITEM}/revoke", response_model=KeyShown, openapi_extra=needs(AdminPermission.KEYS_WRITE))
async def revoke_key(
    plane: Plane, actor: CurrentActor, at: AtKey, expected: IfMatch, _body: EmptyBody | None = None
) -> Document:
    """End a key with all its texts, for good."""
    return key_document(await plane.credentials.revoke(actor, *at, expected=expected), plane.acts.now())


def _issued(issued: IssuedKey, plane: Plane) -> Document:
    return {**key_document(issued.key, plane.acts.now()), "key": issued.text}
