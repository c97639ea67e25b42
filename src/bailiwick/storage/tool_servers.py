"""Reads, as a tenant, the tool servers of one of its projects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from bailiwick.domain.ids import McpServerId, ProjectId, TenantId
from bailiwick.domain.tools import ToolRules, tool_rules
from bailiwick.storage.scope import Database
from bailiwick.storage.sql import load

_SQL: Final = load("mcp_servers")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMcpServer:
    """A tool server as stored. `credential` is sealed for its row."""

    id: McpServerId
    name: str
    url: str
    credential_header: str
    credential: bytes | None
    enabled: bool
    tools: ToolRules | None


@final
class McpServerLookup:
    """Reads as the gateway's role, within one tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, tenant_id: TenantId, project_id: ProjectId) -> list[StoredMcpServer]:
        """A project's tool servers. Raises `Unavailable`."""
        async with self._database.reading(tenant_id) as scope:
            rows = await scope.fetch_all(_SQL["serving_mcp_servers"], {"tenant": tenant_id, "project": project_id})
        return [
            StoredMcpServer(
                id=McpServerId(row["id"]),
                name=row["name"],
                url=row["url"],
                credential_header=row["credential_header"],
                credential=None if row["credential"] is None else bytes(row["credential"]),
                enabled=row["enabled"],
                tools=tool_rules("tools", row["tools"]),
            )
            for row in rows
        ]
