"""The budgets of tenants and projects in the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from bailiwick.domain.budgets import BudgetHolder, BudgetScope, BudgetTerms, Cap, OnExceed, OnLost, Unit
from bailiwick.domain.durations import MILLISECOND
from bailiwick.domain.globs import Globs
from bailiwick.domain.ids import BudgetId
from bailiwick.domain.windows import parse_window


def budget_terms(said: Mapping[str, Any]) -> BudgetTerms:
    """Read a budget as `project_terms` in `0022_budgets.sql` tells it."""
    return BudgetTerms(
        id=BudgetId(UUID(said["id"])),
        holder=BudgetHolder.TENANT if said["of_tenant"] else BudgetHolder.PROJECT,
        scope=BudgetScope(said["scope"]),
        subject=said["subject"],
        cap=_cap(said),
    )


def _cap(said: Mapping[str, Any]) -> Cap:
    return Cap(
        unit=Unit(said["unit"]),
        amount=said["amount"],
        window=parse_window(said["period"], said["timezone"]),
        on_exceed=OnExceed(said["on_exceed"]),
        max_wait_ns=said["max_wait_ms"] * MILLISECOND,
        on_lost=OnLost(said["on_lost"]),
        models=None if said["models"] is None else Globs(tuple(said["models"])),
    )
