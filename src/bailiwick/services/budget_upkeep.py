"""Tells of budgets that are nearly or wholly spent, and forgets windows that are over.

The settlement that reaches 50, 80 or 100 percent of a limit leaves a note, once a window; whoever takes the note writes
the audit log's entry, and what webhooks are to be told, in the same transaction: each is told exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from bailiwick.domain import ids
from bailiwick.domain.audit import UPKEEP
from bailiwick.domain.budget_terms import Subject, read_subject
from bailiwick.domain.budgets import BudgetScope
from bailiwick.domain.ids import TenantId
from bailiwick.domain.money import usd
from bailiwick.domain.times import written
from bailiwick.domain.webhooks import Event, Happened, event_body, event_id
from bailiwick.services.acts import Acts
from bailiwick.services.telling import tell
from bailiwick.storage.budget_upkeep import Reached, remove_ended, take_reached
from bailiwick.storage.scope import Database

_AT_ONCE: Final = 200
# A call may settle long after its window has ended, and a clock be behind.
_KEPT: Final = timedelta(days=2)
_REMOVED_AT_ONCE: Final = 5_000


async def tell_reached(database: Database, acts: Acts) -> None:
    """Write an entry for each share that was reached, and have webhooks told; raises `Unavailable`."""
    more = True
    while more:
        async with database.operating() as scope:
            # In the order of the tenants: who writes into several logs at once must not meet another who does.
            reached = sorted(await take_reached(scope, _AT_ONCE), key=lambda one: (one.tenant_id.int, one.note))
            for one in reached:
                target = ids.shown(ids.BUDGET, one.budget_id)
                await acts.record(scope, UPKEEP, "budget.warning", target, tenant_id=one.tenant_id, detail=_detail(one))
            tenants = [one.tenant_id for one in reached]
            await tell(scope, acts, Event.BUDGET_WARNING, tenants, partial(_happened, reached))
        more = len(reached) == _AT_ONCE


async def forget_ended(database: Database, acts: Acts) -> None:
    """Remove what was counted in windows that are long over; raises `Unavailable`."""
    removed = _REMOVED_AT_ONCE
    while removed == _REMOVED_AT_ONCE:
        async with database.operating() as scope:
            removed = await remove_ended(scope, acts.now() - _KEPT, _REMOVED_AT_ONCE)


def _detail(reached: Reached) -> dict[str, object]:
    amounts = {"limit": reached.limit, "used": reached.settled}
    told = amounts if reached.in_tokens else {name: usd(nano) for name, nano in amounts.items()}
    subject = read_subject(reached.scope, reached.subject)._asdict() if reached.subject else {}
    return {
        "percent": reached.share,
        "unit": "tokens" if reached.in_tokens else "usd",
        **told,
        "scope": reached.scope.value,
        **{name: value for name, value in subject.items() if value is not None},
        "at": written(reached.at),
    }


def _happened(reached: Sequence[Reached], tenant_id: TenantId) -> list[Happened]:
    """What webhooks of a tenant are told of it."""
    return [
        Happened(
            id=event_id(Event.BUDGET_WARNING, one.budget_id, one.note),
            tenant_id=tenant_id,
            event=Event.BUDGET_WARNING,
            body=event_body(Event.BUDGET_WARNING, one.at, _data(one)),
        )
        for one in reached
        if one.tenant_id == tenant_id
    ]


def _data(reached: Reached) -> dict[str, object]:
    scope = reached.scope
    subject = read_subject(scope, reached.subject) if reached.subject else Subject(reached.named or "")
    if subject.project is None and reached.project_id is not None:
        subject = subject._replace(project=ids.shown(ids.PROJECT, reached.project_id))
    # What the subject's id names is said by the scope.
    named = {scope: subject.id or None}
    # Project and user in this order: so `erasure.sql` finds them.
    return {
        "tenant_id": ids.shown(ids.TENANT, reached.tenant_id),
        "budget_id": ids.shown(ids.BUDGET, reached.budget_id),
        "percent": reached.share,
        "limit": _amount(reached, reached.limit),
        "used": _amount(reached, reached.settled),
        "scope": scope.value,
        "project_id": named.get(BudgetScope.PROJECT) or subject.project,
        "user_id": named.get(BudgetScope.USER) or subject.uid,
        "session_id": named.get(BudgetScope.SESSION),
        "key_id": named.get(BudgetScope.KEY),
    }


def _amount(reached: Reached, amount: int) -> dict[str, object]:
    return {"tokens": amount} if reached.in_tokens else {"usd": usd(amount)}
