"""A project's agents: made, read, changed, removed. Each change is audited in its own transaction and makes a version.

The gateway knows of a change within a second (`storage/epoch.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from bailiwick.domain import ids
from bailiwick.domain.agents import MAX_AGENTS, Agent, AgentSpec, AgentVersion
from bailiwick.domain.audit import Actor, changes
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.ids import AgentId, AgentVersionId, ProjectId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.versions import WHATEVER, Expected
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.documents import agent_document
from bailiwick.storage.agents import AgentRows
from bailiwick.storage.projects import ProjectRows
from bailiwick.storage.scope import Database, Scope


@final
class Agents:
    """The agents of projects."""

    def __init__(self, database: Database, acts: Acts) -> None:
        """`database` is the control process's."""
        self._database = database
        self._acts = acts

    async def list(
        self, tenant_id: TenantId, project_id: ProjectId, page: PageRequest, *, is_there: bool = False
    ) -> Page[Agent]:
        """A page of a project's agents; raises `Refused` (404) unless whoever asks knows that the project is there."""
        async with self._database.reading(tenant_id) as scope:
            if not is_there:
                found(await ProjectRows(scope, tenant_id).find(project_id))
            return await AgentRows(scope, tenant_id, project_id).list(page)

    async def find(self, tenant_id: TenantId, project_id: ProjectId, agent_id: AgentId) -> Agent:
        """One agent; raises `Refused` (404)."""
        async with self._database.reading(tenant_id) as scope:
            return found(await AgentRows(scope, tenant_id, project_id).find(agent_id))

    async def versions(
        self,
        tenant_id: TenantId,
        project_id: ProjectId,
        agent_id: AgentId,
        page: PageRequest,
        *,
        is_there: bool = False,
    ) -> Page[AgentVersion]:
        """A page of an agent's versions, the oldest first.

        Raises `Refused` (404) unless whoever asks sees by an empty page that there is no such agent.
        """
        async with self._database.reading(tenant_id) as scope:
            rows = AgentRows(scope, tenant_id, project_id)
            if not is_there:
                found(await rows.find(agent_id))
            return await rows.versions(agent_id, page)

    async def create(self, actor: Actor, tenant_id: TenantId, project_id: ProjectId, spec: AgentSpec) -> Agent:
        """Make an agent; raises `Refused` (404; 409 if its name is taken or there are too many)."""
        async with self._database.acting(tenant_id) as scope:
            # Who counts holds the project, so that two at once count one another.
            found(await ProjectRows(scope, tenant_id).lock(project_id))
            rows = AgentRows(scope, tenant_id, project_id)
            if await rows.count() >= MAX_AGENTS:
                raise Refused(Code.CONFLICT, f"A project has at most {MAX_AGENTS} agents.")
            agent_id = AgentId(self._acts.new_id())
            await rows.add(agent_id, self._version_id(), spec, at=self._acts.now(), by=actor.name)
            agent = found(await rows.find(agent_id))
            await self._record(scope, actor, "create", agent, {"after": agent_document(agent)})
            return agent

    async def change(
        self,
        actor: Actor,
        place: tuple[TenantId, ProjectId],
        agent_id: AgentId,
        change: Callable[[Agent], AgentSpec],
        *,
        expected: Expected = WHATEVER,
    ) -> Agent:
        """Make an agent what `change` says of it, by a new version if it says anything new.

        Raises `Refused` (404, 409, 412) and `Invalid`.
        """
        async with self._database.acting(place[0]) as scope:
            rows = AgentRows(scope, *place)
            before = found(await rows.lock(agent_id))
            expected.check(agent_document(before))
            spec = change(before)
            if spec.says_the_same(before.spec):
                return before
            await rows.change(agent_id, self._version_id(), spec, at=self._acts.now(), by=actor.name)
            after = found(await rows.find(agent_id))
            await self._record(scope, actor, "change", after, changes(agent_document(before), agent_document(after)))
            return after

    async def remove(
        self, actor: Actor, place: tuple[TenantId, ProjectId], agent_id: AgentId, *, expected: Expected = WHATEVER
    ) -> None:
        """Remove an agent with its versions; raises `Refused` (404, 412)."""
        async with self._database.acting(place[0]) as scope:
            rows = AgentRows(scope, *place)
            before = found(await rows.lock(agent_id))
            expected.check(agent_document(before))
            await rows.remove(agent_id)
            await self._record(scope, actor, "remove", before, {"before": agent_document(before)})

    def _version_id(self) -> AgentVersionId:
        return AgentVersionId(self._acts.new_id())

    async def _record(self, scope: Scope, actor: Actor, verb: str, agent: Agent, detail: dict[str, object]) -> None:
        target = ids.shown(ids.AGENT, agent.id)
        await self._acts.record(scope, actor, f"agent.{verb}", target, tenant_id=agent.tenant_id, detail=detail)
