"""The tiers of one project in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, final

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from bailiwick.domain.budgets import Cap, tier_caps
from bailiwick.domain.ids import ProjectId, TenantId, TierId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.tiers import Tier, TierSpec
from bailiwick.domain.tools import tool_rules
from bailiwick.storage.budgets import cap_of
from bailiwick.storage.conflicts import tier_name_taken
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("tiers")


@final
class TierRows:
    """The tiers of a project of the tenant in scope; every query also says whose."""

    def __init__(self, scope: Scope, tenant_id: TenantId, project_id: ProjectId) -> None:
        self._scope = scope
        self._place = {"tenant": tenant_id, "project": project_id}

    async def find(self, tier_id: TierId) -> Tier | None:
        """One tier; None if the project has none of this id."""
        return await self._one("find_tier", {"tier": tier_id})

    async def lock(self, tier_id: TierId) -> Tier | None:
        """One tier as it is and stays until the end of the transaction."""
        return await self._one("lock_tier", {"tier": tier_id})

    async def list(self, page: PageRequest) -> Page[Tier]:
        """A page of the project's tiers."""
        values = {**self._place, "after": page.after, "limit": page.limit + 1}
        rows = await self._scope.fetch_all(_SQL["list_tiers"], values)
        return Page.of([_tier(row) for row in rows], page.limit)

    async def list_beside_budgets(self) -> tuple[Sequence[Tier], Sequence[Cap]]:
        """Every tier of the project, and what the project itself lets each user spend; of no tiers, nothing."""
        rows = await self._scope.fetch_all(_SQL["list_tiers_beside_budgets"], self._place)
        return [_tier(row) for row in rows], [cap_of(said) for row in rows[:1] for said in row["of_each_user"] or ()]

    async def count(self) -> int:
        """How many tiers the project has."""
        row = await self._scope.fetch_one(_SQL["count_tiers"], self._place)
        return 0 if row is None else int(row["tiers"])

    async def add(self, tier_id: TierId, spec: TierSpec, *, created_at: datetime, created_by: str) -> Tier:
        """Add a tier; raises `Refused` (409) if its name is taken."""
        values = {**_settable(spec), "tier": tier_id, "created_at": created_at, "created_by": created_by}
        added = await self._one("add_tier", values)
        if added is None:
            raise tier_name_taken()
        return added

    async def change(self, tier_id: TierId, spec: TierSpec) -> Tier | None:
        """Make a tier what `spec` says; raises `Refused` (409) if its name is taken."""
        try:
            return await self._one("change_tier", {"tier": tier_id, **_settable(spec)})
        except UniqueViolation:
            raise tier_name_taken() from None

    async def remove(self, tier_id: TierId) -> bool:
        """Remove a tier; False if there was none."""
        return await self._scope.execute(_SQL["remove_tier"], {**self._place, "tier": tier_id}) > 0

    async def _one(self, query: str, values: Mapping[str, object]) -> Tier | None:
        row = await self._scope.fetch_one(_SQL[query], {**self._place, **values})
        return None if row is None else _tier(row)


def _settable(spec: TierSpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "limits": Jsonb(spec.limits),
        "models": None if spec.models is None else list(spec.models),
        "agents": None if spec.agents is None else list(spec.agents),
        "tools": None if spec.tools is None else Jsonb(spec.tools.document()),
        "max_output_tokens": spec.max_output_tokens,
        "budgets": Jsonb([cap.document() for cap in spec.budgets]),
    }


def _tier(row: Row) -> Tier:
    return Tier(
        id=TierId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        project_id=ProjectId(row["project_id"]),
        spec=TierSpec(
            name=row["name"],
            limits=row["limits"],
            models=None if row["models"] is None else tuple(row["models"]),
            agents=None if row["agents"] is None else tuple(row["agents"]),
            tools=tool_rules("tools", row["tools"]),
            max_output_tokens=row["max_output_tokens"],
            budgets=tier_caps("budgets", row["budgets"]),
        ),
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
