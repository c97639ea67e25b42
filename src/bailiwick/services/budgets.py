"""The budgets of tenants and projects: made, read, changed, removed. Each change is audited in its own transaction.

The gateway knows of a change within a second (`storage/epoch.py`). A lower limit stops what comes after it, and no call
that is open. Whom a budget counts, and in what, stays: else what was spent of one would be held against another. What
was spent is read together with the budgets that cap it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from bailiwick.domain import ids
from bailiwick.domain.audit import Actor, changes
from bailiwick.domain.budget_use import UNVERSIONED, Counter, SubjectUse, UsedBudget
from bailiwick.domain.budgets import EACH, MAX_BUDGETS, Budget, BudgetPlace, BudgetScope, BudgetSpec
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import Findings, invalid
from bailiwick.domain.ids import BudgetId, KeyId, ProjectId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.times import unix_us
from bailiwick.domain.versions import WHATEVER, Expected
from bailiwick.domain.windows import Span
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.budget_documents import budget_document, used_budget_document
from bailiwick.storage.budget_use import BudgetUseRows
from bailiwick.storage.budgets import BudgetRows
from bailiwick.storage.keys import KeyRows
from bailiwick.storage.projects import ProjectRows
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.tenants import TenantRows


@final
class BudgetBook:
    """The budgets of tenants and projects."""

    def __init__(self, database: Database, acts: Acts) -> None:
        """`database` is the control process's."""
        self._database = database
        self._acts = acts

    async def list(self, place: BudgetPlace, page: PageRequest, *, is_there: bool = False) -> Page[UsedBudget]:
        """A page of a place's own budgets; raises `Refused` (404) unless whoever asks knows that it is there."""
        async with self._database.reading(place.tenant_id) as scope:
            if not is_there:
                await _check_there(scope, place)
            return await BudgetRows(scope, place).list(page, self._acts.now())

    async def find(self, place: BudgetPlace, budget_id: BudgetId) -> UsedBudget:
        """One budget; raises `Refused` (404)."""
        async with self._database.reading(place.tenant_id) as scope:
            return await self._find(scope, place, budget_id)

    async def subjects(
        self, place: BudgetPlace, budget_id: BudgetId, *, after: str, limit: int
    ) -> tuple[Budget, Span, Page[SubjectUse]]:
        """A page of those who have spent of a budget of each, by the texts that it counts them by, after `after`.

        Of another budget there are none. Raises `Refused` (404).
        """
        async with self._database.reading(place.tenant_id) as scope:
            budget = found(await BudgetRows(scope, place).find(budget_id))
            counter = self._counter(budget)._replace(subject=after)
            rows = BudgetUseRows(scope, place.tenant_id)
            subjects = await rows.subjects(counter, limit + 1) if budget.spec.subject == EACH else []
            return budget, counter.span, Page.of(subjects, limit)

    async def largest(
        self, place: BudgetPlace, budget_id: BudgetId, limit: int
    ) -> tuple[Budget, Span, Sequence[SubjectUse]]:
        """A budget of each, and who has spent the most of it; raises `Refused` (404)."""
        async with self._database.reading(place.tenant_id) as scope:
            budget = found(await BudgetRows(scope, place).find(budget_id))
            counter = self._counter(budget)
            return budget, counter.span, await BudgetUseRows(scope, place.tenant_id).largest(counter, limit)

    async def create(self, actor: Actor, place: BudgetPlace, spec: BudgetSpec) -> UsedBudget:
        """Make a budget; raises `Refused` (404; 409 if there are too many) and `Invalid`."""
        async with self._database.acting(place.tenant_id) as scope:
            # Who counts holds the place, so that two at once count one another.
            await _lock(scope, place)
            await _check_subject(scope, place, spec)
            rows = BudgetRows(scope, place)
            if await rows.count() >= MAX_BUDGETS:
                raise Refused(Code.CONFLICT, f"A {place.holder} has at most {MAX_BUDGETS} budgets of its own.")
            budget_id = BudgetId(self._acts.new_id())
            budget = found(await rows.add(budget_id, spec, created_at=self._acts.now(), created_by=actor.name))
            await self._record(scope, actor, "create", budget, {"after": budget_document(budget)})
            return await self._find(scope, place, budget_id)

    async def change(
        self,
        actor: Actor,
        place: BudgetPlace,
        budget_id: BudgetId,
        change: Callable[[Budget], BudgetSpec],
        *,
        expected: Expected = WHATEVER,
    ) -> UsedBudget:
        """Make a budget what `change` says of it; raises `Refused` (404, 412) and `Invalid`."""
        async with self._database.acting(place.tenant_id) as scope:
            rows = BudgetRows(scope, place)
            before = found(await rows.lock(budget_id))
            expected.check(used_budget_document(await self._find(scope, place, budget_id)), UNVERSIONED)
            spec = change(before)
            _check_same(before.spec, spec)
            after = found(await rows.change(budget_id, spec.cap))
            await self._record(scope, actor, "change", after, changes(budget_document(before), budget_document(after)))
            return await self._find(scope, place, budget_id)

    async def remove(
        self, actor: Actor, place: BudgetPlace, budget_id: BudgetId, *, expected: Expected = WHATEVER
    ) -> None:
        """Remove a budget; raises `Refused` (404, 412)."""
        async with self._database.acting(place.tenant_id) as scope:
            rows = BudgetRows(scope, place)
            before = found(await rows.lock(budget_id))
            expected.check(used_budget_document(await self._find(scope, place, budget_id)), UNVERSIONED)
            await rows.remove(budget_id)
            await self._record(scope, actor, "remove", before, {"before": budget_document(before)})

    async def _find(self, scope: Scope, place: BudgetPlace, budget_id: BudgetId) -> UsedBudget:
        return found(await BudgetRows(scope, place).find_used(budget_id, self._acts.now()))

    def _counter(self, budget: Budget) -> Counter:
        cap = budget.spec.cap
        span = cap.window.slices(unix_us(self._acts.now()))
        return Counter(budget_id=budget.id, counted=cap.counted, subject="", span=span)

    async def _record(self, scope: Scope, actor: Actor, verb: str, budget: Budget, detail: dict[str, object]) -> None:
        target = ids.shown(ids.BUDGET, budget.id)
        await self._acts.record(scope, actor, f"budget.{verb}", target, tenant_id=budget.tenant_id, detail=detail)


async def _check_there(scope: Scope, place: BudgetPlace) -> None:
    if place.project_id is None:
        found(await TenantRows(scope, place.tenant_id).find())
    else:
        found(await ProjectRows(scope, place.tenant_id).find(place.project_id))


async def _lock(scope: Scope, place: BudgetPlace) -> None:
    if place.project_id is None:
        found(await TenantRows(scope, place.tenant_id).lock())
    else:
        found(await ProjectRows(scope, place.tenant_id).lock(place.project_id))


async def _check_subject(scope: Scope, place: BudgetPlace, spec: BudgetSpec) -> None:
    """A key and a project are of this place; of a user or a session nothing need be known."""
    if spec.subject is None or spec.subject == EACH:
        return
    holder = place.holder
    if spec.scope is BudgetScope.KEY:
        key = ids.parsed(ids.KEY, spec.subject)
        if key is None or await KeyRows(scope, place.tenant_id, place.project_id).find(KeyId(key)) is None:
            raise invalid("subject", f'must be "*" or a key of this {holder}')
    if spec.scope is BudgetScope.PROJECT:
        project = ids.parsed(ids.PROJECT, spec.subject)
        if project is None or await ProjectRows(scope, place.tenant_id).find(ProjectId(project)) is None:
            raise invalid("subject", f'must be "*" or a project of this {holder}')


def _check_same(before: BudgetSpec, after: BudgetSpec) -> None:
    """Raise `Invalid` where a change would count what was spent of one thing against another."""
    findings = Findings()
    for field, was, becomes in (
        ("scope", before.scope, after.scope),
        ("subject", before.subject, after.subject),
        ("limit", before.cap.unit, after.cap.unit),
    ):
        if was != becomes:
            findings.add(field, "cannot count something else: make another budget")
    findings.or_raise()
