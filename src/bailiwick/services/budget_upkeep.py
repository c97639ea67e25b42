"""Tells of budgets that are nearly or wholly spent, and forgets windows that are over.

The settlement that reaches 50, 80 or 100 percent of a limit leaves a note, once a window; whoever takes the note writes
the audit log's entry in the same transaction, so that each is told exactly once.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from bailiwick.domain import ids
from bailiwick.domain.audit import UPKEEP
from bailiwick.domain.budget_terms import read_subject
from bailiwick.domain.money import usd
from bailiwick.domain.times import written
from bailiwick.services.acts import Acts
from bailiwick.storage.budget_upkeep import Reached, remove_ended, take_reached
from bailiwick.storage.scope import Database

_AT_ONCE: Final = 200
# A call may settle long after its window has ended, and a clock be behind.
_KEPT: Final = timedelta(days=2)
_REMOVED_AT_ONCE: Final = 5_000


async def tell_reached(database: Database, acts: Acts) -> None:
    """Write an entry for each share that was reached; raises `Unavailable`."""
    more = True
    while more:
        async with database.operating() as scope:
            reached = await take_reached(scope, _AT_ONCE)
            # In the order of the tenants: who writes into several logs at once must not meet another who does.
            for one in sorted(reached, key=lambda one: (one.tenant_id.int, one.at)):
                target = ids.shown(ids.BUDGET, one.budget_id)
                await acts.record(scope, UPKEEP, "budget.warning", target, tenant_id=one.tenant_id, detail=_detail(one))
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
