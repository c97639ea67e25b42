"""Takes out of the tables of budgets what was told of, and what is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, final
from uuid import UUID

from bailiwick.domain.budgets import BudgetScope
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.storage.scope import Scope
from bailiwick.storage.sql import load

_SQL: Final = load("budget_upkeep")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A share of a budget, in percent, that was reached; `limit` and `settled` in nano-dollars, or tokens.

    `note` is a number that no other has. `subject` is the text of whom a budget of each counts (a tier's counts each
    user), `named` whom any other does; `project_id` is whose the budget is, None for a tenant's.
    """

    note: int
    tenant_id: TenantId
    budget_id: UUID
    scope: BudgetScope
    project_id: ProjectId | None
    subject: str
    named: str | None
    share: int
    in_tokens: bool
    limit: int
    settled: int
    at: datetime


async def take_reached(scope: Scope, most: int) -> list[Reached]:
    """Take out the oldest that nobody told of; `scope` is an operating one, whose end makes it so."""
    rows = await scope.fetch_all(_SQL["take_events"], {"most": most})
    return [
        Reached(
            note=row["id"],
            tenant_id=TenantId(row["tenant_id"]),
            budget_id=row["budget_id"],
            scope=BudgetScope(row["scope"] or BudgetScope.USER),
            project_id=None if row["project_id"] is None else ProjectId(row["project_id"]),
            subject=row["subject"],
            named=row["named"],
            share=row["share"],
            in_tokens=row["in_tokens"],
            limit=row["lim"],
            settled=row["settled"],
            at=row["at"],
        )
        for row in rows
    ]


async def remove_ended(scope: Scope, before: datetime, most: int) -> int:
    """Remove counts of windows that ended before a moment; returns how many."""
    return await scope.execute(_SQL["remove_ended"], {"before": before, "most": most})
