"""Budgets for tests, and how they stand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from tests.serving import Caller, until, uuid_of

Stands = tuple[int, int]


def a_budget(caller: Caller, amount: int, **fields: Any) -> str:
    """A budget of money of the caller's project, of all time unless `fields` say otherwise; its id.

    To be made before the project's first call: it is in effect at once then.
    """
    given: dict[str, Any] = {
        "id": uuid4(),
        "tenant_id": uuid_of("ten", caller.project["tenant_id"]),
        "project_id": uuid_of("prj", caller.id),
        "scope": "project",
        "subject": None,
        "unit": "usd",
        "amount": amount,
        "period": "total",
        "timezone": "UTC",
        "on_exceed": "cap",
        "max_wait_ms": 2000,
        "on_lost": "estimate",
        "models": None,
    }
    given |= fields
    names = ", ".join(given)
    places = ", ".join(["%s"] * len(given))
    caller.site.database.execute(
        f"INSERT INTO bailiwick.budgets ({names}, created_at, created_by) VALUES ({places}, now(), 'test')".encode(),  # noqa: S608
        list(given.values()),
    )
    return str(given["id"])


def stands(caller: Caller, budget: str) -> Stands:
    """What is settled and what is held of a budget, over all its subjects and windows, once nothing is open."""
    until(lambda: not caller.site.open_calls(caller.id))
    row = caller.site.database.execute(
        "SELECT coalesce(sum(settled), 0)::bigint AS settled, coalesce(sum(reserved), 0)::bigint AS reserved"
        " FROM bailiwick.budget_slices WHERE budget_id = %s",
        (budget,),
    ).fetchone()
    assert row is not None
    return int(row["settled"]), int(row["reserved"])


@contextmanager
def held(caller: Caller, budget: str, amount: int) -> Iterator[None]:
    """Have so much of a budget held meanwhile, as calls in flight hold it; of one that met a call before."""
    hold = b"UPDATE bailiwick.budget_slices SET reserved = reserved + %s WHERE budget_id = %s RETURNING id"
    assert caller.site.database.execute(hold, (amount, budget)).fetchall()
    try:
        yield
    finally:
        caller.site.database.execute(hold, (-amount, budget))


def spent(caller: Caller) -> Stands:
    """What the ledger says of a project's calls: nano-dollars and tokens."""
    until(lambda: not caller.site.open_calls(caller.id))
    rows = caller.rows
    return sum(row["cost_nano"] or 0 for row in rows), sum(row["input_tokens"] + row["output_tokens"] for row in rows)
