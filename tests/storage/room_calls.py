"""Calls under budgets for tests of the room in them, and a look at what the database holds of these."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from bailiwick.domain.metering import Need, OpenCall
from tests.database import TestDatabase
from tests.storage.ledger_calls import new_call

Counters = tuple[int, int]
"""What is settled and what is reserved."""


def a_need(**fields: Any) -> Need:
    """Of a budget of money of its own, with room for 100, unless `fields` say otherwise."""
    given: dict[str, Any] = {
        "tenant_id": uuid4(),
        "budget_id": uuid4(),
        "counted": "usd total",
        "subject": "someone",
        "slice": 0,
        "span": 0,
        "in_tokens": False,
        "lim": 100,
        "ends_us": None,
    }
    return Need(**{**given, **fields})


def a_call(ceiling: int = 10, **fields: Any) -> OpenCall:
    """A call that holds so many nano-dollars, and as many tokens, and would have cost one if it were lost."""
    given: dict[str, Any] = {
        "ceiling_nano": ceiling, "ceiling_tokens": ceiling, "cost_estimate_nano": 1, "input_estimate": 1,
    }  # fmt: skip
    return new_call(**{**given, **fields})


def counters(database: TestDatabase, *needs: Need) -> list[Counters]:
    """What stands in the slices of `needs`; nothing of those that there are not."""
    found: list[Counters] = []
    for need in needs:
        rows = database.rows(
            "SELECT settled, reserved FROM bailiwick.budget_slices"
            " WHERE budget_id = %s AND counted = %s AND subject = %s AND slice = %s",
            need.budget_id, need.counted, need.subject, need.slice,
        )  # fmt: skip
        found += [(settled, reserved) for settled, reserved in rows] or [(0, 0)]
    return found


def spent(database: TestDatabase, calls: list[OpenCall]) -> tuple[int, int]:
    """What the ledger says of these calls: nano-dollars and tokens."""
    ids = [UUID(hex=call.id) for call in calls]
    ((nano, tokens),) = database.rows(
        "SELECT coalesce(sum(cost_nano), 0)::bigint, coalesce(sum(input_tokens::bigint + output_tokens), 0)::bigint"
        " FROM bailiwick.ledger WHERE id = ANY(%s)",
        ids,
    )
    return nano, tokens
