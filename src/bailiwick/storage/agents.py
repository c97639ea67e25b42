"""The agents of one project in the database, with their versions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, final

from psycopg.errors import UniqueViolation
from psycopg.types.json import Json

from bailiwick.domain.agents import Agent, AgentSpec, AgentVersion, agent_spec
from bailiwick.domain.ids import AgentId, AgentVersionId, ProjectId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.storage.conflicts import agent_name_taken
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("agents")


@final
class AgentRows:
    """The agents of a project of the tenant in scope; every query also says whose."""

    def __init__(self, scope: Scope, tenant_id: TenantId, project_id: ProjectId) -> None:
        self._scope = scope
        self._place = {"tenant": tenant_id, "project": project_id}

    async def find(self, agent_id: AgentId) -> Agent | None:
        """One agent; None if the project has none of this id."""
        row = await self._one("find_agent", {"agent": agent_id})
        return None if row is None else _agent(row)

    async def lock(self, agent_id: AgentId) -> Agent | None:
        """One agent as it is and stays until the end of the transaction."""
        # Held first: what is then read is the version that the one before left.
        held = await self._one("hold_agent", {"agent": agent_id})
        return None if held is None else await self.find(agent_id)

    async def list(self, page: PageRequest) -> Page[Agent]:
        """A page of the project's agents."""
        values = {**self._place, "after": page.after, "limit": page.limit + 1}
        return Page.of([_agent(row) for row in await self._scope.fetch_all(_SQL["list_agents"], values)], page.limit)

    async def versions(self, agent_id: AgentId, page: PageRequest) -> Page[AgentVersion]:
        """A page of an agent's versions, the oldest first."""
        values = {**self._place, "agent": agent_id, "after": page.after, "limit": page.limit + 1}
        rows = await self._scope.fetch_all(_SQL["list_versions"], values)
        return Page.of([_version(row) for row in rows], page.limit)

    async def count(self) -> int:
        """How many agents the project has."""
        row = await self._one("count_agents", {})
        return 0 if row is None else int(row["agents"])

    async def add(
        self, agent_id: AgentId, version_id: AgentVersionId, spec: AgentSpec, *, at: datetime, by: str
    ) -> None:
        """Add an agent with its first version; raises `Refused` (409) if its name is taken."""
        if await self._one("add_agent", {"agent": agent_id, **_settable(spec), "at": at, "by": by}) is None:
            raise agent_name_taken()
        await self._keep(agent_id, version_id, 1, spec, at, by)

    async def change(
        self, agent_id: AgentId, version_id: AgentVersionId, spec: AgentSpec, *, at: datetime, by: str
    ) -> None:
        """Give a locked agent its next version; raises `Refused` (409) if its name is taken."""
        try:
            row = await self._one("change_agent", {"agent": agent_id, **_settable(spec)})
        except UniqueViolation:
            raise agent_name_taken() from None
        if row is None:
            raise RuntimeError("a locked agent is gone")
        await self._keep(agent_id, version_id, row["version"], spec, at, by)

    async def remove(self, agent_id: AgentId) -> None:
        """Remove an agent with its versions."""
        await self._scope.execute(_SQL["remove_agent"], {**self._place, "agent": agent_id})

    async def _keep(
        self, agent_id: AgentId, version_id: AgentVersionId, version: int, spec: AgentSpec, at: datetime, by: str
    ) -> None:
        values = {"id": version_id, "agent": agent_id, "version": version, "spec": Json(spec.written())}
        await self._scope.execute(_SQL["add_version"], {**self._place, **values, "at": at, "by": by})

    async def _one(self, query: str, values: Mapping[str, object]) -> Row | None:
        return await self._scope.fetch_one(_SQL[query], {**self._place, **values})


def _settable(spec: AgentSpec) -> dict[str, object]:
    return {"name": spec.name, "model": spec.model, "enabled": spec.enabled}


def _agent(row: Row) -> Agent:
    return Agent(
        id=AgentId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        project_id=ProjectId(row["project_id"]),
        version=row["version"],
        spec=agent_spec(**row["spec"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
        changed_at=row["changed_at"],
        changed_by=row["changed_by"],
    )


def _version(row: Row) -> AgentVersion:
    return AgentVersion(
        id=AgentVersionId(row["id"]),
        version=row["version"],
        spec=agent_spec(**row["spec"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
