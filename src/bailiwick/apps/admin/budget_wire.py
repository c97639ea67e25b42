"""What operators send and are shown of budgets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from bailiwick.apps.admin.shown import CreatedBy, ItemShown
from bailiwick.apps.admin.wire import StrictBody
from bailiwick.domain.budget_use import UNVERSIONED
from bailiwick.domain.budgets import Budget, BudgetHolder, BudgetSpec, budget_spec
from bailiwick.domain.merge_patch import Document

Scope = Literal["tenant", "project", "user", "session", "key"]


class CapBody(StrictBody):
    """How much over which window: of a budget, and of what a tier gives each of its users."""

    limit: dict[str, Any] = Field(
        examples=[{"usd": "25.00"}, {"tokens": 500000}],
        description='Either {"usd": "25.00"}, a decimal text, or {"tokens": 500000}.',
    )
    window: str = Field(
        examples=["month", "24h"], description="day, week, month, total, or a length that rolls, 1m to 366d."
    )
    timezone: str | None = Field(None, description="Where days begin, as IANA names it; UTC by default.")
    on_exceed: Literal["cap", "reject"] | None = None
    max_wait: str | None = Field(None, description="How long a call waits for room, 0s to 1m; 2s by default.")
    on_lost: Literal["estimate", "ceiling", "release"] | None = None
    models: list[str] | None = Field(None, description="Glob patterns of the models that it counts; any by default.")


class BudgetBody(CapBody):
    """A budget. `subject` is `*` for each of the scope a budget of its own, or the id of one."""

    scope: Scope
    subject: str | None = None


Amount = Annotated[dict[str, Any] | None, Field(description="As `limit`; null of a budget of each.")]
EndsAt = Annotated[
    str | None,
    Field(description="When the window ends; of a rolling one, when the first of what was spent comes back."),
]


class BudgetShown(ItemShown):
    """A budget, with every default, and what of it is used."""

    unversioned = UNVERSIONED

    id: str
    tenant_id: str
    project_id: str | None = Field(description="Null for one of the tenant's own.")
    scope: Scope
    subject: str | None
    limit: dict[str, Any]
    window: str
    timezone: str
    on_exceed: Literal["cap", "reject"]
    max_wait: str
    on_lost: Literal["estimate", "ceiling", "release"]
    models: list[str] | None
    created_at: str
    created_by: CreatedBy
    used: Amount
    in_flight: Amount
    remaining: Amount
    window_ends_at: EndsAt


class SubjectShown(BaseModel):
    """What one of those has spent whom a budget of each counts."""

    subject: str = Field(description="Whom it counts: the id of a user, a session, a key or a project.")
    project_id: str | None = Field(description="Of which project the user or the session is.")
    user_id: str | None = Field(description="Of which user the session is.")
    used: dict[str, Any]
    in_flight: dict[str, Any]
    remaining: dict[str, Any]
    window_ends_at: EndsAt


class SubjectsShown(BaseModel):
    """A page of those."""

    data: list[SubjectShown]
    has_more: bool
    next: str | None


def budget_body(budget: Budget) -> Document:
    """The body of a budget as it is."""
    return budget.spec.document()


def budget_asked(body: BudgetBody, holder: BudgetHolder) -> BudgetSpec:
    """The budget that a body asks for; raises `Invalid`."""
    return budget_spec(body.model_dump(exclude_none=True), holder=holder)
