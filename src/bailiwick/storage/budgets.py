"""The budgets of tenants and projects in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, final
from uuid import UUID

from bailiwick.domain.budget_use import Use, UsedBudget
from bailiwick.domain.budgets import (
    EACH,
    Budget,
    BudgetHolder,
    BudgetPlace,
    BudgetScope,
    BudgetSpec,
    BudgetTerms,
    Cap,
    OnExceed,
    OnLost,
    Unit,
)
from bailiwick.domain.durations import MILLISECOND
from bailiwick.domain.globs import Globs
from bailiwick.domain.ids import BudgetId, ProjectId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.times import unix_us
from bailiwick.domain.windows import parse_window
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("budgets")


@final
class BudgetRows:
    """The budgets of one place within the tenant in scope; every query also says whose."""

    def __init__(self, scope: Scope, place: BudgetPlace) -> None:
        self._scope = scope
        self._place = {"tenant": place.tenant_id, "project": place.project_id}

    async def find(self, budget_id: BudgetId) -> Budget | None:
        """One budget; None if there is none of this id in this place."""
        return await self._one("find_budget", {"budget": budget_id})

    async def lock(self, budget_id: BudgetId) -> Budget | None:
        """One budget as it is and stays until the end of the transaction."""
        return await self._one("lock_budget", {"budget": budget_id})

    async def find_used(self, budget_id: BudgetId, now: datetime) -> UsedBudget | None:
        """One budget, and what is used of it; None if there is none of this id in this place."""
        found = await self._used(now, budget=budget_id, limit=1)
        return found[0] if found else None

    async def list(self, page: PageRequest, now: datetime) -> Page[UsedBudget]:
        """A page of the place's budgets, and what is used of each."""
        return Page.of(await self._used(now, after=page.after, limit=page.limit + 1), page.limit)

    async def _used(self, now: datetime, *, limit: int, **which: UUID | None) -> Sequence[UsedBudget]:
        values = {**self._place, "now": now, "limit": limit, "after": None, "budget": None, **which}
        return [_used(row, now) for row in await self._scope.fetch_all(_SQL["list_budgets"], values)]

    async def count(self) -> int:
        """How many budgets the place has."""
        row = await self._scope.fetch_one(_SQL["count_budgets"], self._place)
        return 0 if row is None else int(row["budgets"])

    async def add(
        self, budget_id: BudgetId, spec: BudgetSpec, *, created_at: datetime, created_by: str
    ) -> Budget | None:
        """Add a budget."""
        whom = {"scope": spec.scope.value, "subject": spec.subject, "unit": spec.cap.unit.value}
        made = {"budget": budget_id, "created_at": created_at, "created_by": created_by}
        return await self._one("add_budget", {**whom, **_settable(spec.cap), **made})

    async def change(self, budget_id: BudgetId, cap: Cap) -> Budget | None:
        """Make a budget what `cap` says, in the unit that it has."""
        return await self._one("change_budget", {"budget": budget_id, **_settable(cap)})

    async def remove(self, budget_id: BudgetId) -> bool:
        """Remove a budget; False if there was none."""
        return await self._scope.execute(_SQL["remove_budget"], {**self._place, "budget": budget_id}) > 0

    async def _one(self, query: str, values: Mapping[str, object]) -> Budget | None:
        row = await self._scope.fetch_one(_SQL[query], {**self._place, **values})
        return None if row is None else _budget(row)


def budget_terms(said: Mapping[str, Any]) -> BudgetTerms:
    """Read a budget as `project_terms` in `0022_budgets.sql` tells it."""
    return BudgetTerms(
        id=BudgetId(UUID(said["id"])),
        holder=BudgetHolder.TENANT if said["of_tenant"] else BudgetHolder.PROJECT,
        scope=BudgetScope(said["scope"]),
        subject=said["subject"],
        cap=cap_of(said),
    )


def _budget(row: Row) -> Budget:
    return Budget(
        id=BudgetId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        project_id=None if row["project_id"] is None else ProjectId(row["project_id"]),
        spec=BudgetSpec(scope=BudgetScope(row["scope"]), subject=row["subject"], cap=cap_of(row)),
        created_at=row["created_at"],
        created_by=row["created_by"],
    )


def _used(row: Row, now: datetime) -> UsedBudget:
    """What counts at `now`; of a budget of each nobody spends, but each of them."""
    budget = _budget(row)
    cap = budget.spec.cap
    settled, reserved, oldest = (row["used"] or {}).get(cap.counted, (0, 0, None))
    use = None if budget.spec.subject == EACH else Use(settled=settled, reserved=reserved, oldest=oldest)
    return UsedBudget(budget=budget, span=cap.window.slices(unix_us(now)), use=use)


def _settable(cap: Cap) -> dict[str, object]:
    return {
        "amount": cap.amount,
        "period": cap.window.said,
        "timezone": cap.window.timezone,
        "on_exceed": cap.on_exceed.value,
        "max_wait_ms": cap.max_wait_ns // MILLISECOND,
        "on_lost": cap.on_lost.value,
        "models": None if cap.models is None else list(cap.models.patterns),
    }


def cap_of(said: Mapping[str, Any]) -> Cap:
    """Read a budget's cap, from its row or from that as JSON."""
    return Cap(
        unit=Unit(said["unit"]),
        amount=said["amount"],
        window=parse_window(said["period"], said["timezone"]),
        on_exceed=OnExceed(said["on_exceed"]),
        max_wait_ns=said["max_wait_ms"] * MILLISECOND,
        on_lost=OnLost(said["on_lost"]),
        models=None if said["models"] is None else Globs(tuple(said["models"])),
    )
