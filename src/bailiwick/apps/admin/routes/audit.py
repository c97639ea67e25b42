"""`/admin/v1/tenants/{id}/audit`, and the installation's own at `/admin/v1/audit`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query
from starlette.responses import StreamingResponse

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtTenant, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import EntryShown, Listed, listed
from bailiwick.bootstrap.control import ControlPlane
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.audit import Actor, Search, read_search
from bailiwick.domain.audit_chain import Chain
from bailiwick.domain.merge_patch import Document
from bailiwick.services.documents import entry_document

_OF_TENANT: Final = "/admin/v1/tenants/{tenant_id}/audit"
_OF_INSTALLATION: Final = "/admin/v1/audit"
_LINES: Final = "application/x-ndjson"
_READ: Final = needs(AdminPermission.AUDIT_READ)
_EXPORTED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {_LINES: {"schema": {"type": "string"}}}, "description": "An entry a line."}
}

router = APIRouter(route_class=ControlRoute, tags=["audit"])


def _search(
    actor: Annotated[str | None, Query(description="`opk_…`, `opr_…`, `bootstrap` or `environment`.")] = None,
    action: Annotated[str | None, Query(description="`key.revoke`, or `key` for all that happened to keys.")] = None,
    target: Annotated[str | None, Query(description="The id of what was acted on.")] = None,
    since: Annotated[str | None, Query(alias="from", description="RFC 3339; that moment counts.")] = None,
    until: Annotated[str | None, Query(alias="to", description="RFC 3339, not counted.")] = None,
) -> Search:
    return read_search(actor=actor, action=action, target=target, since=since, until=until)


Asked = Annotated[Search, Depends(_search)]


@router.get(_OF_TENANT, response_model=Listed[EntryShown], openapi_extra=_READ)
async def list_entries(
    plane: Plane, actor: CurrentActor, tenant_id: AtTenant, asked: Asked, limit: Limit = None, after: After = None
) -> Document:
    """List what was done in a tenant, the newest first."""
    return await _listed(plane, actor, tenant_id, asked, limit, after)


@router.get(_OF_INSTALLATION, response_model=Listed[EntryShown], openapi_extra=_READ)
async def list_entries_of_installation(
    plane: Plane, actor: CurrentActor, asked: Asked, limit: Limit = None, after: After = None
) -> Document:
    """List what was done to the installation, the newest first."""
    return await _listed(plane, actor, None, asked, limit, after)


@router.get(f"{_OF_TENANT}/export", response_class=StreamingResponse, responses=_EXPORTED, openapi_extra=_READ)
async def export_entries(plane: Plane, actor: CurrentActor, tenant_id: AtTenant) -> StreamingResponse:
    """Export all that was done in a tenant, the oldest first, as JSON lines."""
    return await _exported(plane, actor, tenant_id)


@router.get(f"{_OF_INSTALLATION}/export", response_class=StreamingResponse, responses=_EXPORTED, openapi_extra=_READ)
async def export_entries_of_installation(plane: Plane, actor: CurrentActor) -> StreamingResponse:
    """Export all that was done to the installation, the oldest first, as JSON lines."""
    return await _exported(plane, actor, None)


async def _listed(
    plane: ControlPlane, actor: Actor, chain: Chain, asked: Search, limit: str | None, after: str | None
) -> Document:
    page = await plane.audit.search(chain, actor, asked, page_of(ids.AUDIT_ENTRY, limit, after))
    return listed(page, lambda link: entry_document(chain, link))


async def _exported(plane: ControlPlane, actor: Actor, chain: Chain) -> StreamingResponse:
    pages = await plane.audit.export(chain, actor)

    async def lines() -> AsyncIterator[bytes]:
        async for links in pages:
            yield b"".join(msgspec.json.encode(entry_document(chain, link)) + b"\n" for link in links)

    return StreamingResponse(lines(), media_type=_LINES)
