"""What operators send, and are shown, of tool servers."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from bailiwick.apps.admin.shown import CreatedBy, ItemShown
from bailiwick.apps.admin.wire import StrictBody, present
from bailiwick.domain.mcp_servers import McpServer, McpServerSpec, mcp_server_spec, read_credential
from bailiwick.domain.merge_patch import Document


class McpServerBody(StrictBody):
    """A tool server that speaks MCP over streamable HTTP. Its name is part of its address."""

    name: str
    url: str
    credential_header: str | None = Field(None, description="`authorization` by default.")
    credential: str | None = Field(
        None,
        repr=False,
        description="The whole value of that header. Sealed, and never shown again.",
        examples=["Bearer t-123"],
    )
    enabled: bool | None = None
    tools: dict[str, Any] | None = Field(None, examples=[{"allow": ["search_*"], "deny": ["*_delete"]}])


class McpServerShown(ItemShown):
    """A tool server of a project."""

    id: str
    tenant_id: str
    project_id: str
    name: str
    url: str
    credential_header: str
    has_credential: bool
    enabled: bool
    tools: dict[str, Any] | None
    created_at: str
    created_by: CreatedBy


def mcp_server_body(server: McpServer) -> Document:
    """The body of a server as it is, without its credential."""
    spec = server.spec
    return present(
        name=spec.name,
        url=spec.url,
        credential_header=spec.credential_header,
        enabled=spec.enabled,
        tools=None if spec.tools is None else spec.tools.document(),
    )


def mcp_server_asked(body: McpServerBody) -> McpServerSpec:
    """The server that a body asks for; raises `Invalid`."""
    if body.credential is not None:
        read_credential(body.credential)
    return mcp_server_spec(
        name=body.name,
        url=body.url,
        credential_header=body.credential_header,
        enabled=body.enabled is not False,
        tools=body.tools,
    )
