"""Old months of the ledger are removed, once they are counted, and nothing else is."""

from __future__ import annotations

from datetime import UTC, date, datetime

import psycopg
import pytest

from bailiwick.domain import ids
from bailiwick.storage import ledger_partitions
from bailiwick.storage.roll_up import RollUp
from bailiwick.storage.scope import Database, open_pool
from tests.database import TestDatabase
from tests.ledger import Call, settle

TODAY = date(2026, 11, 22)
A, B = (ids.uuid7(1_700_000_000_000, bytes([number]) * 10) for number in range(2))


def partitions(database: TestDatabase) -> list[str]:
    with database.connect() as superuser:
        rows = superuser.execute(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'bailiwick.ledger'::regclass"
            " ORDER BY 1"
        )
        return [str(name).removeprefix("bailiwick.") for (name,) in rows]


def kept(database: TestDatabase, months: int | None) -> list[str]:
    return ledger_partitions.tend(database.superuser_url, TODAY, months=months)


async def roll_up(database: TestDatabase) -> None:
    pool = open_pool(database.url("bailiwick_control"), name="tests", size=1)
    async with pool:
        follow = RollUp(Database(pool))
        while await follow.step():
            pass


@pytest.fixture
def old(scratch: TestDatabase) -> TestDatabase:
    """A ledger with rows of half a year."""
    for month in range(5, 11):
        ledger_partitions.tend(scratch.superuser_url, date(2026, month, 1), months=None)
    settle(scratch, A, B, [Call(opened_at=datetime(2026, month, 15, tzinfo=UTC)) for month in range(5, 12)])
    return scratch


async def test_months_beyond_those_that_are_kept_are_removed_and_what_they_came_to_stays(old: TestDatabase) -> None:
    before = partitions(old)
    assert "ledger_2026_05" in before
    await roll_up(old)
    assert kept(old, months=None) == []
    assert kept(old, months=3) == ["ledger_2026_05", "ledger_2026_06", "ledger_2026_07"]
    assert partitions(old) == [name for name in before if name not in {f"ledger_2026_0{month}" for month in (5, 6, 7)}]
    with old.connect() as superuser:
        row = superuser.execute("SELECT sum(requests) AS requests FROM bailiwick.usage_daily WHERE dimension = 'all'")
        assert row.fetchone() == (7,)
        assert superuser.execute("SELECT count(*) AS rows FROM bailiwick.ledger").fetchone() == (4,)


async def test_a_month_that_is_not_counted_whole_stays(old: TestDatabase) -> None:
    assert kept(old, months=1) == []
    await roll_up(old)
    settle(old, A, B, [Call(opened_at=datetime(2026, 6, 20, tzinfo=UTC))])
    assert "ledger_2026_06" not in kept(old, months=1)
    await roll_up(old)
    assert kept(old, months=1) == ["ledger_2026_06"]


async def test_a_month_that_somebody_reads_stays_until_they_have(
    old: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await roll_up(old)
    monkeypatch.setattr(ledger_partitions, "_PATIENCE", "100ms")
    with psycopg.connect(old.superuser_url) as reader:
        reader.execute("SELECT count(*) FROM bailiwick.ledger")
        assert kept(old, months=5) == []
    assert kept(old, months=5) == ["ledger_2026_05"]


async def test_who_sees_which_row_is_the_same_after_a_month_was_not_removed(old: TestDatabase) -> None:
    assert kept(old, months=1) == []
    with old.connect() as superuser:
        loose = superuser.execute(
            "SELECT relname FROM pg_class JOIN pg_inherits ON inhrelid = oid"
            " WHERE inhparent = 'bailiwick.ledger'::regclass AND NOT relforcerowsecurity"
        )
        assert loose.fetchall() == []
