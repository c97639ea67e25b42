"""`/admin/v1/projects/{id}/revocations`: what was taken away; nothing of it is given back."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtProject, AtRevocation, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import Listed, listed
from bailiwick.apps.admin.token_bodies import RevocationBody, revocation_asked
from bailiwick.apps.admin.token_shown import RevocationShown
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.merge_patch import Document
from bailiwick.services.documents import revocation_document

_LIST: Final = "/admin/v1/projects/{project_id}/revocations"
_ITEM: Final = "/admin/v1/projects/{project_id}/revocations/{revocation_id}"
_READ: Final = needs(AdminPermission.REVOCATIONS_READ)
_WRITE: Final = needs(AdminPermission.REVOCATIONS_WRITE)

router = APIRouter(route_class=ControlRoute, tags=["revocations"])


@router.get(_LIST, response_model=Listed[RevocationShown], openapi_extra=_READ)
async def list_revocations(plane: Plane, at: AtProject, limit: Limit = None, after: After = None) -> Document:
    """List what a project took away."""
    page = await plane.revocations.list(*at, page_of(ids.REVOCATION, limit, after))
    return listed(page, revocation_document)


@router.post(_LIST, status_code=201, response_model=RevocationShown, openapi_extra=_WRITE)
async def create_revocation(
    request: Request, response: Response, plane: Plane, actor: CurrentActor, at: AtProject, body: RevocationBody
) -> Document:
    """Take away a token, a session with its tokens, or all tokens that a user was given by now."""
    document = revocation_document(await plane.revocations.create(actor, *at, revocation_asked(body)))
    response.headers["Location"] = f"{request.url.path}/{document['id']}"
    return document


@router.get(_ITEM, response_model=RevocationShown, openapi_extra=_READ)
async def read_revocation(plane: Plane, at: AtProject, revocation_id: AtRevocation) -> Document:
    """Read what was taken away."""
    return revocation_document(await plane.revocations.find(*at, revocation_id))
