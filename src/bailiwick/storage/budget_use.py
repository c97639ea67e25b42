"""What was spent of budgets, and what calls on their way hold of them, as the ledger's role counts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from bailiwick.domain.budget_use import Counter, SubjectUse, Use
from bailiwick.domain.ids import TenantId
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("budget_use")


@final
class BudgetUseRows:
    """What the tenant in scope has spent; every query also says whose."""

    def __init__(self, scope: Scope, tenant_id: TenantId) -> None:
        self._scope = scope
        self._tenant = {"tenant": tenant_id}

    async def read(self, counters: Sequence[Counter]) -> list[Use]:
        """What each of these says, in their order."""
        if not counters:
            return []
        values = {
            **self._tenant,
            "budgets": [one.budget_id for one in counters],
            "counted": [one.counted for one in counters],
            "subjects": [one.subject for one in counters],
            "firsts": [one.span.first for one in counters],
            "lasts": [one.span.slice for one in counters],
        }
        return [_use(row) for row in await self._scope.fetch_all(_SQL["read_use"], values)]

    async def subjects(self, counter: Counter, limit: int) -> list[SubjectUse]:
        """Those whom a budget of each counts, in the order of their texts, after that of `counter`."""
        return await self._subjects("list_subjects", counter, {"after": counter.subject, "limit": limit})

    async def largest(self, counter: Counter, limit: int) -> list[SubjectUse]:
        """Those of them who have spent the most."""
        return await self._subjects("largest_subjects", counter, {"limit": limit})

    async def _subjects(self, query: str, counter: Counter, more: dict[str, object]) -> list[SubjectUse]:
        values = {
            **self._tenant,
            "budget": counter.budget_id,
            "counted": counter.counted,
            "first": counter.span.first,
            "last": counter.span.slice,
            **more,
        }
        rows = await self._scope.fetch_all(_SQL[query], values)
        return [SubjectUse(subject=row["subject"], use=_use(row)) for row in rows]


def _use(row: Row) -> Use:
    return Use(settled=row["settled"], reserved=row["reserved"], oldest=row["oldest"])
