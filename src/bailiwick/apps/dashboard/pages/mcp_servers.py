"""A project's tool servers: registered, changed, removed, and the address that clients are given.

A credential goes in and never comes out: what is there can only be replaced or forgotten.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from bailiwick.apps.admin.address import id_of
from bailiwick.apps.admin.mcp_wire import McpServerBody, mcp_server_asked, mcp_server_body
from bailiwick.apps.admin.wire import read_body_as
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.changes import expected
from bailiwick.apps.dashboard.pages.projects import framed
from bailiwick.apps.dashboard.pages.tool_fields import TOOL_FIELDS, tool_rules_given, tool_rules_sent, tool_rules_shown
from bailiwick.apps.dashboard.snippets import mcp_snippets
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.ids import McpServerId
from bailiwick.domain.mcp_servers import McpServer, McpServerSpec
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.paging import MAX_LIMIT, PageRequest
from bailiwick.domain.versions import etag
from bailiwick.services.documents import mcp_server_document
from bailiwick.services.provider_accounts import SecretChange

_READ: Final = AdminPermission.MCP_SERVERS_READ
_WRITE: Final = AdminPermission.MCP_SERVERS_WRITE
_TEXTS: Final = ("name", "url", "credential_header")
_FIELDS: Final = (*_TEXTS, "credential", "forget", "enabled", *TOOL_FIELDS)
_NOTHING: Final[Document] = {"name": "", "url": "", "credential_header": "", "enabled": True}


async def list_servers(visit: Visit) -> Response:
    """Every server of a project, with its address."""
    frame = await framed(visit, "mcp")
    page = await visit.plane.mcp_servers.list(*visit.at, PageRequest(limit=MAX_LIMIT), is_there=True)
    return visit.show("mcp_servers/list.html", **frame.values, servers=page.items, writes=visit.may(_WRITE))


async def new_server(visit: Visit) -> Response:
    """The form for another one."""
    given = {**_NOTHING, **tool_rules_shown(None)}
    return visit.show("mcp_servers/form.html", **await _around(visit, None), given=given)


async def create_server(visit: Visit) -> Response:
    """Register one; its credential is sealed, and never shown again."""
    try:
        body = _body(visit)
        await visit.plane.mcp_servers.create(visit.actor, visit.at, mcp_server_asked(body), body.credential)
    except Refused as refused:
        return await _again(visit, refused, None)
    return visit.go(_list(visit), "created")


async def show_server(visit: Visit) -> Response:
    """One server: its address for clients, and the form that changes it."""
    server = await visit.plane.mcp_servers.find(*visit.at, _id(visit))
    given = {**mcp_server_body(server), **tool_rules_shown(server.spec.tools)}
    return visit.show("mcp_servers/form.html", **await _around(visit, server), given=given)


async def change_server(visit: Visit) -> Response:
    """Change one; an empty credential stays what it is."""

    def change(_: McpServer) -> tuple[McpServerSpec, SecretChange | None]:
        body = _body(visit)
        changes = body.credential is not None or visit.form.checked("forget")
        return mcp_server_asked(body), SecretChange(secret=body.credential) if changes else None

    try:
        await visit.plane.mcp_servers.change(visit.actor, visit.at, _id(visit), change, expected=expected(visit))
    except Refused as refused:
        return await _again(visit, refused, await visit.plane.mcp_servers.find(*visit.at, _id(visit)))
    return visit.go(_list(visit), "saved")


async def remove_server(visit: Visit) -> Response:
    """Remove one with its credential."""
    visit.form.known()
    await visit.plane.mcp_servers.remove(visit.actor, visit.at, _id(visit))
    return visit.go(_list(visit), "removed")


def _body(visit: Visit) -> McpServerBody:
    """The form as the API's body; raises `Refused`."""
    form = visit.form.known(*_FIELDS)
    document: Document = {
        "name": form.text("name").strip(),
        "url": form.text("url").strip(),
        "credential_header": form.optional("credential_header"),
        "credential": form.optional("credential"),
        "enabled": form.checked("enabled"),
        "tools": tool_rules_given(form),
    }
    return read_body_as(McpServerBody, document)


async def _around(visit: Visit, server: McpServer | None) -> dict[str, object]:
    """What the form shows besides its fields."""
    frame = await framed(visit, "mcp")
    around: dict[str, object] = {**frame.values, "server": None, "writes": visit.may(_WRITE)}
    if server is not None:
        document = mcp_server_document(server)
        address = f"{visit.site.public_url}/p/{frame.project.slug}/mcp/{server.spec.name}"
        around |= {"server": document, "version": etag(document)}
        around |= {"address": address, "snippets": mcp_snippets(address, server.spec.name)}
    return around


async def _again(visit: Visit, refused: Refused, server: McpServer | None) -> Response:
    form = visit.form
    given: Document = {**{name: form.text(name) for name in _TEXTS}, **tool_rules_sent(form)}
    given["enabled"] = form.checked("enabled")
    return visit.again("mcp_servers/form.html", refused, **await _around(visit, server), given=given)


def _id(visit: Visit) -> McpServerId:
    return McpServerId(id_of(visit.request, "server_id", ids.MCP_SERVER))


def _list(visit: Visit) -> str:
    return f"/projects/{visit.request.path_params['project_id']}/mcp-servers"


_LIST: Final = "/projects/{project_id}/mcp-servers"
_ONE: Final = f"{_LIST}/{{server_id}}"

PAGES: Final = (
    Page(path=_LIST, handler=list_servers, needs=_READ),
    Page(path=f"{_LIST}/new", handler=new_server, needs=_WRITE),
    Page(path=f"{_LIST}/new", handler=create_server, needs=_WRITE, method="POST"),
    Page(path=_ONE, handler=show_server, needs=_READ),
    Page(path=_ONE, handler=change_server, needs=_WRITE, method="POST"),
    Page(path=f"{_ONE}/remove", handler=remove_server, needs=_WRITE, method="POST"),
)
