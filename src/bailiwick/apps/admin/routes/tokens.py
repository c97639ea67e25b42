"""`/admin/v1/auth/mint`: what `POST /v1/auth/mint` is for operator keys; the gateway asks for it here."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.token_bodies import MintBody, mint_asked
from bailiwick.apps.admin.token_shown import MintedShown
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.merge_patch import Document

router = APIRouter(route_class=ControlRoute, tags=["tokens"])


@router.post(
    "/admin/v1/auth/mint",
    response_model=MintedShown,
    openapi_extra=needs(AdminPermission.TOKENS_MINT, confined=True),
)
async def mint_token(plane: Plane, actor: CurrentActor, body: MintBody) -> Document:
    """Mint a token for one end user of a project that the operator key administers. It ends with that key."""
    minted = await plane.operator_minting.mint(actor, body.project_id, mint_asked(body), body.orgs or ())
    return msgspec.structs.asdict(minted)
