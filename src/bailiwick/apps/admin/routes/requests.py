"""`/admin/v1/requests/{id}`: the decisions that a call met, by the `x-request-id` of its answer."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import AtRequest
from bailiwick.apps.admin.route import ControlRoute, Plane
from bailiwick.apps.admin.shown import RequestShown
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.explanation import explained
from bailiwick.domain.merge_patch import Document

_ITEM: Final = "/admin/v1/requests/{request_id}"

router = APIRouter(route_class=ControlRoute, tags=["requests"])


@router.get(_ITEM, response_model=RequestShown, openapi_extra=needs(AdminPermission.USAGE_READ))
async def explain_request(plane: Plane, at: AtRequest) -> Document:
    """Explain a call: each decision that it met, in order, with its reason. Refused calls are kept for a while."""
    return explained(await plane.explaining.find(*at))
