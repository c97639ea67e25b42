"""Tool servers that speak the Model Context Protocol (MCP), as operators register them: each of one project.

A server's name is part of its address (`/p/{slug}/mcp/{name}`) and of the names of its tools in rules (`name/tool`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from bailiwick.domain.fields import Findings, invalid
from bailiwick.domain.ids import McpServerId, ProjectId, TenantId
from bailiwick.domain.tools import ToolRules, tool_rules

MAX_MCP_SERVERS: Final = 100
DEFAULT_HEADER: Final = "authorization"
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_HEADER: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
# What can stand in a header of ours, so that no secret can add one.
_CREDENTIAL: Final = re.compile(r"[!-~](?:[ -~]{0,4094}[!-~])?")
# What a request is framed and routed by is ours to say; so is what the protocol says in headers.
_OURS: Final = frozenset(
    {
        "accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect",
        "host", "keep-alive", "last-event-id", "origin", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
    }
)  # fmt: skip
_PROTOCOL: Final = ("mcp-", "proxy-")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class McpServerSpec:
    """What can be asked of a tool server, without its credential. `tools` None: says nothing of them."""

    name: str
    url: str
    credential_header: str
    enabled: bool
    tools: ToolRules | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """A tool server as it is, without its credential."""

    id: McpServerId
    tenant_id: TenantId
    project_id: ProjectId
    spec: McpServerSpec
    has_credential: bool
    created_at: datetime
    created_by: str


def mcp_server_spec(
    *,
    name: str,
    url: str,
    credential_header: str | None = None,
    enabled: bool = True,
    tools: Mapping[str, object] | None = None,
) -> McpServerSpec:
    """Check what is asked of a server; raises `Invalid`. Whether we would connect there is the guard's question."""
    findings = Findings()
    spec = McpServerSpec(
        name=findings.take(lambda: _read_name(name), ""),
        url=url,
        credential_header=findings.take(lambda: _read_header(credential_header or DEFAULT_HEADER), ""),
        enabled=enabled,
        tools=findings.take(lambda: tool_rules("tools", tools), None),
    )
    findings.or_raise()
    return spec


def read_credential(text: str) -> str:
    """Take the whole value of the header that a server knows us by; raises `Invalid`, without a trace of it."""
    if _CREDENTIAL.fullmatch(text) is None:
        raise invalid("credential", "must be 1 to 4096 visible ASCII characters, with spaces only between them")
    return text


def _read_name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise invalid("name", "must be 1 to 63 of a-z, 0-9 and '-', and neither begin nor end with '-'")
    return text


def _read_header(text: str) -> str:
    name = text.lower()
    if _HEADER.fullmatch(name) is None:
        raise invalid("credential_header", "must be a header's name of at most 64 letters, digits, '-' and '_'")
    if name in _OURS or name.startswith(_PROTOCOL):
        raise invalid("credential_header", "is a header that says something else")
    return name
