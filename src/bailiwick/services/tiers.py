"""A project's tiers: made, read, changed, removed. Each change is audited in its own transaction.

The gateway knows of a change within a second (`storage/epoch.py`), for keys and for tokens that are out already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from bailiwick.domain import ids
from bailiwick.domain.audit import Actor, changes
from bailiwick.domain.budgets import Cap
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.ids import ProjectId, TenantId, TierId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.tiers import MAX_TIERS, Tier, TierSpec
from bailiwick.domain.versions import WHATEVER, Expected
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.documents import tier_document
from bailiwick.storage.projects import ProjectRows
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.tiers import TierRows


@final
class Tiers:
    """The tiers of projects."""

    def __init__(self, database: Database, acts: Acts) -> None:
        """`database` is the control process's."""
        self._database = database
        self._acts = acts

    async def list(self, tenant_id: TenantId, project_id: ProjectId, page: PageRequest) -> Page[Tier]:
        """A page of a project's tiers; raises `Refused` (404)."""
        async with self._database.reading(tenant_id) as scope:
            found(await ProjectRows(scope, tenant_id).find(project_id))
            return await TierRows(scope, tenant_id, project_id).list(page)

    async def list_beside_budgets(
        self, tenant_id: TenantId, project_id: ProjectId
    ) -> tuple[Sequence[Tier], Sequence[Cap]]:
        """Every tier of a project that is there, and what the project itself lets each user spend."""
        async with self._database.reading(tenant_id) as scope:
            return await TierRows(scope, tenant_id, project_id).list_beside_budgets()

    async def find(self, tenant_id: TenantId, project_id: ProjectId, tier_id: TierId) -> Tier:
        """One tier; raises `Refused` (404)."""
        async with self._database.reading(tenant_id) as scope:
            return found(await TierRows(scope, tenant_id, project_id).find(tier_id))

    async def create(self, actor: Actor, tenant_id: TenantId, project_id: ProjectId, spec: TierSpec) -> Tier:
        """Make a tier; raises `Refused` (404; 409 if its name is taken or there are too many)."""
        async with self._database.acting(tenant_id) as scope:
            # Who counts holds the project, so that two at once count one another.
            found(await ProjectRows(scope, tenant_id).lock(project_id))
            rows = TierRows(scope, tenant_id, project_id)
            if await rows.count() >= MAX_TIERS:
                raise Refused(Code.CONFLICT, f"A project has at most {MAX_TIERS} tiers.")
            tier_id = TierId(self._acts.new_id())
            tier = await rows.add(tier_id, spec, created_at=self._acts.now(), created_by=actor.name)
            await self._record(scope, actor, "create", tier, {"after": tier_document(tier)})
            return tier

    async def change(
        self,
        actor: Actor,
        place: tuple[TenantId, ProjectId],
        tier_id: TierId,
        change: Callable[[Tier], TierSpec],
        *,
        expected: Expected = WHATEVER,
    ) -> Tier:
        """Make a tier what `change` says of it; raises `Refused` (404, 409, 412) and `Invalid`."""
        async with self._database.acting(place[0]) as scope:
            rows = TierRows(scope, *place)
            before = found(await rows.lock(tier_id))
            expected.check(tier_document(before))
            after = found(await rows.change(tier_id, change(before)))
            await self._record(scope, actor, "change", after, changes(tier_document(before), tier_document(after)))
            return after

    async def remove(
        self, actor: Actor, place: tuple[TenantId, ProjectId], tier_id: TierId, *, expected: Expected = WHATEVER
    ) -> None:
        """Remove a tier; raises `Refused` (404, 412)."""
        async with self._database.acting(place[0]) as scope:
            rows = TierRows(scope, *place)
            before = found(await rows.lock(tier_id))
            expected.check(tier_document(before))
            await rows.remove(tier_id)
            await self._record(scope, actor, "remove", before, {"before": tier_document(before)})

    async def _record(self, scope: Scope, actor: Actor, verb: str, tier: Tier, detail: dict[str, object]) -> None:
        target = ids.shown(ids.TIER, tier.id)
        await self._acts.record(scope, actor, f"tier.{verb}", target, tenant_id=tier.tenant_id, detail=detail)
