"""`/admin/v1/signing-keys`: what signs the installation's tokens. A key is made, never changed, and goes by itself."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import Listed
from bailiwick.apps.admin.token_bodies import RotationBody
from bailiwick.apps.admin.token_shown import SigningKeyShown
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.merge_patch import Document
from bailiwick.services.documents import signing_key_document

_LIST: Final = "/admin/v1/signing-keys"

router = APIRouter(route_class=ControlRoute, tags=["signing-keys"])


@router.get(_LIST, response_model=Listed[SigningKeyShown], openapi_extra=needs(AdminPermission.SIGNING_KEYS_READ))
async def list_signing_keys(plane: Plane) -> Document:
    """List the keys that tokens are verified by, the first to sign first: always all of them."""
    data = [signing_key_document(standing) for standing in await plane.signing_keys.list()]
    return {"data": data, "has_more": False, "next": None}


@router.post(
    _LIST,
    status_code=201,
    response_model=SigningKeyShown,
    openapi_extra=needs(AdminPermission.SIGNING_KEYS_WRITE),
)
async def rotate_signing_keys(plane: Plane, actor: CurrentActor, body: RotationBody | None = None) -> Document:
    """Make the next key. It signs when whoever verifies tokens can know it, or at once."""
    at_once = body is not None and body.at_once
    return signing_key_document(await plane.signing_keys.rotate(actor, at_once=at_once))
