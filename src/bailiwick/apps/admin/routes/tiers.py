"""`/admin/v1/projects/{id}/tiers`."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtProject, AtTier, IfMatch, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import Listed, listed
from bailiwick.apps.admin.token_bodies import TierBody, tier_asked, tier_body
from bailiwick.apps.admin.token_shown import TierShown
from bailiwick.apps.admin.wire import PatchOf, read_patched
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.tiers import Tier, TierSpec
from bailiwick.services.documents import tier_document

_LIST: Final = "/admin/v1/projects/{project_id}/tiers"
_ITEM: Final = "/admin/v1/projects/{project_id}/tiers/{tier_id}"
_READ: Final = needs(AdminPermission.TIERS_READ)
_WRITE: Final = needs(AdminPermission.TIERS_WRITE)

router = APIRouter(route_class=ControlRoute, tags=["tiers"])

TierPatch = Annotated[dict[str, Any], Body(), PatchOf(TierBody)]


@router.get(_LIST, response_model=Listed[TierShown], openapi_extra=_READ)
async def list_tiers(plane: Plane, at: AtProject, limit: Limit = None, after: After = None) -> Document:
    """List the tiers of a project."""
    return listed(await plane.tiers.list(*at, page_of(ids.TIER, limit, after)), tier_document)


@router.post(_LIST, status_code=201, response_model=TierShown, openapi_extra=_WRITE)
async def create_tier(
    request: Request, response: Response, plane: Plane, actor: CurrentActor, at: AtProject, body: TierBody
) -> Document:
    """Make a tier."""
    document = tier_document(await plane.tiers.create(actor, *at, tier_asked(body)))
    response.headers["Location"] = f"{request.url.path}/{document['id']}"
    return document


@router.get(_ITEM, response_model=TierShown, openapi_extra=_READ)
async def read_tier(plane: Plane, at: AtProject, tier_id: AtTier) -> Document:
    """Read a tier."""
    return tier_document(await plane.tiers.find(*at, tier_id))


@router.patch(_ITEM, response_model=TierShown, openapi_extra=_WRITE)
async def change_tier(
    plane: Plane, actor: CurrentActor, at: AtProject, tier_id: AtTier, patch: TierPatch, expected: IfMatch
) -> Document:
    """Change a tier, for tokens that are out already too."""

    def change(tier: Tier) -> TierSpec:
        return tier_asked(read_patched(TierBody, tier_body(tier), patch))

    return tier_document(await plane.tiers.change(actor, at, tier_id, change, expected=expected))


@router.delete(_ITEM, status_code=204, openapi_extra=_WRITE)
async def remove_tier(plane: Plane, actor: CurrentActor, at: AtProject, tier_id: AtTier, expected: IfMatch) -> None:
    """Remove a tier: whoever has it is then under the project's `default_tier`."""
    await plane.tiers.remove(actor, at, tier_id, expected=expected)
