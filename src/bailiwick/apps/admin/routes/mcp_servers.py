"""`/admin/v1/projects/{id}/mcp-servers`."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response

from bailiwick.apps.admin.mcp_wire import McpServerBody, McpServerShown, mcp_server_asked, mcp_server_body
from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtMcpServer, AtProject, IfMatch, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import Listed, listed
from bailiwick.apps.admin.wire import PatchOf, read_patched
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.mcp_servers import McpServer, McpServerSpec
from bailiwick.domain.merge_patch import Document
from bailiwick.services.documents import mcp_server_document
from bailiwick.services.provider_accounts import SecretChange

_LIST: Final = "/admin/v1/projects/{project_id}/mcp-servers"
_ITEM: Final = "/admin/v1/projects/{project_id}/mcp-servers/{mcp_server_id}"
_READ: Final = needs(AdminPermission.MCP_SERVERS_READ)
_WRITE: Final = needs(AdminPermission.MCP_SERVERS_WRITE)

router = APIRouter(route_class=ControlRoute, tags=["mcp-servers"])

McpServerPatch = Annotated[dict[str, Any], Body(), PatchOf(McpServerBody)]


@router.get(_LIST, response_model=Listed[McpServerShown], openapi_extra=_READ)
async def list_mcp_servers(plane: Plane, at: AtProject, limit: Limit = None, after: After = None) -> Document:
    """List the tool servers of a project."""
    return listed(await plane.mcp_servers.list(*at, page_of(ids.MCP_SERVER, limit, after)), mcp_server_document)


@router.post(_LIST, status_code=201, response_model=McpServerShown, openapi_extra=_WRITE)
async def create_mcp_server(
    request: Request, response: Response, plane: Plane, actor: CurrentActor, at: AtProject, body: McpServerBody
) -> Document:
    """Register a tool server. It is not asked for anything yet. Its credential is sealed, and never shown again."""
    server = await plane.mcp_servers.create(actor, at, mcp_server_asked(body), body.credential)
    document = mcp_server_document(server)
    response.headers["Location"] = f"{request.url.path}/{document['id']}"
    return document


@router.get(_ITEM, response_model=McpServerShown, openapi_extra=_READ)
async def read_mcp_server(plane: Plane, at: AtProject, server_id: AtMcpServer) -> Document:
    """Read a tool server; of its credential only whether there is one."""
    return mcp_server_document(await plane.mcp_servers.find(*at, server_id))


@router.patch(_ITEM, response_model=McpServerShown, openapi_extra=_WRITE)
async def change_mcp_server(
    plane: Plane, actor: CurrentActor, at: AtProject, server_id: AtMcpServer, patch: McpServerPatch, expected: IfMatch
) -> Document:
    """Change a tool server. Another `url` or header needs the credential again: it only goes where it was given for."""

    def change(server: McpServer) -> tuple[McpServerSpec, SecretChange | None]:
        body = read_patched(McpServerBody, mcp_server_body(server), patch)
        return mcp_server_asked(body), SecretChange(secret=body.credential) if "credential" in patch else None

    return mcp_server_document(await plane.mcp_servers.change(actor, at, server_id, change, expected=expected))


@router.delete(_ITEM, status_code=204, openapi_extra=_WRITE)
async def remove_mcp_server(
    plane: Plane, actor: CurrentActor, at: AtProject, server_id: AtMcpServer, expected: IfMatch
) -> None:
    """Remove a tool server: its address is that of nothing."""
    await plane.mcp_servers.remove(actor, at, server_id, expected=expected)
