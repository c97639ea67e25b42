"""A project's tool servers in the database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, final

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from bailiwick.domain.ids import McpServerId, ProjectId, TenantId
from bailiwick.domain.mcp_servers import McpServer, McpServerSpec, mcp_server_spec
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.storage.conflicts import mcp_server_name_taken
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("mcp_servers")


@final
class McpServerRows:
    """The tool servers of one project; every query also says whose."""

    def __init__(self, scope: Scope, tenant_id: TenantId, project_id: ProjectId) -> None:
        """`scope` is the tenant's."""
        self._scope = scope
        self._place = {"tenant": tenant_id, "project": project_id}

    async def find(self, server_id: McpServerId) -> McpServer | None:
        """One server; None if the project has none of this id."""
        return await self._one("find_mcp_server", {"server": server_id})

    async def lock(self, server_id: McpServerId) -> tuple[McpServer, bytes | None] | None:
        """One server with its sealed credential, as it is and stays until the end of the transaction."""
        row = await self._scope.fetch_one(_SQL["lock_mcp_server"], {**self._place, "server": server_id})
        return None if row is None else (_server(row), None if row["credential"] is None else bytes(row["credential"]))

    async def list(self, page: PageRequest) -> Page[McpServer]:
        """A page of the project's servers."""
        values = {**self._place, "after": page.after, "limit": page.limit + 1}
        rows = await self._scope.fetch_all(_SQL["list_mcp_servers"], values)
        return Page.of([_server(row) for row in rows], page.limit)

    async def count(self) -> int:
        """How many servers the project has."""
        row = await self._scope.fetch_one(_SQL["count_mcp_servers"], self._place)
        return 0 if row is None else int(row["servers"])

    async def add(
        self,
        server_id: McpServerId,
        spec: McpServerSpec,
        sealed: bytes | None,
        *,
        created_at: datetime,
        created_by: str,
    ) -> McpServer:
        """Add a server; raises `Refused` (409) if its name is taken."""
        values = {
            **_settable(spec), "server": server_id, "credential": sealed, "created_at": created_at,
            "created_by": created_by,
        }  # fmt: skip
        added = await self._one("add_mcp_server", values)
        if added is None:
            raise mcp_server_name_taken()
        return added

    async def change(self, server_id: McpServerId, spec: McpServerSpec, sealed: bytes | None) -> McpServer | None:
        """Make a server what `spec` says, with this credential; raises `Refused` (409) if its name is taken."""
        try:
            return await self._one("change_mcp_server", {"server": server_id, "credential": sealed, **_settable(spec)})
        except UniqueViolation:
            raise mcp_server_name_taken() from None

    async def remove(self, server_id: McpServerId) -> bool:
        """Remove a server; False if there was none."""
        return await self._scope.execute(_SQL["remove_mcp_server"], {**self._place, "server": server_id}) > 0

    async def _one(self, query: str, values: Mapping[str, object]) -> McpServer | None:
        row = await self._scope.fetch_one(_SQL[query], {**self._place, **values})
        return None if row is None else _server(row)


def _settable(spec: McpServerSpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "url": spec.url,
        "credential_header": spec.credential_header,
        "enabled": spec.enabled,
        "tools": None if spec.tools is None else Jsonb(spec.tools.document()),
    }


def _server(row: Row) -> McpServer:
    return McpServer(
        id=McpServerId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        project_id=ProjectId(row["project_id"]),
        spec=mcp_server_spec(
            name=row["name"],
            url=row["url"],
            credential_header=row["credential_header"],
            enabled=row["enabled"],
            tools=row["tools"],
        ),
        has_credential=row["has_credential"],
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
