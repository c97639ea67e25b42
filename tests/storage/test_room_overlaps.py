"""Openings of several processes that overlap in the middle, by a lock that a test holds and not by luck.

Each opens over connections of its own. While the test holds the table of open calls, whoever has looked at the room
and found some waits with their transaction open: the next one looks at the same room before the first has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from bailiwick.domain.metering import Need, NoRoom, OpenCall
from bailiwick.storage import ledger_connection, roles, room
from bailiwick.storage.ledger import Ledger
from tests.database import TestDatabase
from tests.faults.trial import eventually
from tests.storage.ledger_calls import NOTHING, OPEN, look
from tests.storage.room_calls import a_call, a_need, counters

# However slow the machine is: who waits for the test is not cut off.
PATIENCE = 60.0
WAITING = """
    SELECT count(*)::integer FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'bailiwick room open %%' AND wait_event_type = 'Lock'
"""


@pytest.fixture
async def ledgers(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Ledger]]:
    """Those of two processes, of which nobody loses patience."""
    monkeypatch.setattr(room, "OPEN_PATIENCE", PATIENCE)
    monkeypatch.setattr(ledger_connection, "_STATEMENT_SECONDS", PATIENCE)
    found = [Ledger(database.url(roles.LEDGER), uuid4()) for _ in range(2)]
    for ledger in found:
        await ledger.beat()
    yield found
    for ledger in found:
        await ledger.aclose()


@contextmanager
def held(database: TestDatabase) -> Iterator[None]:
    """Let nobody write an open row in the meantime."""
    with database.connect() as holding, holding.transaction():
        holding.execute("LOCK TABLE bailiwick.open_calls IN SHARE MODE")
        yield


async def waiting(database: TestDatabase, openers: int) -> None:
    """Wait until so many openers wait for a lock."""
    await eventually(lambda: database.rows(WAITING) == [(openers,)], 5.0, f"{openers} openers wait")


async def made(ledger: Ledger, *needs: Need) -> None:
    """Have the slices, and their gates: who makes them keeps others waiting, too."""
    for need in needs:
        assert await ledger.open_with_room(a_call(0), [need]) is None


async def overlapping(
    database: TestDatabase, ledgers: list[Ledger], asked: list[tuple[OpenCall, Need]]
) -> list[NoRoom | None]:
    """Have each process open a call, the next one while the transaction of the one before is not at its end."""
    tasks = []
    with held(database):
        for number, (ledger, (call, need)) in enumerate(zip(ledgers, asked, strict=True), 1):
            tasks.append(asyncio.create_task(ledger.open_with_room(call, [need])))
            await waiting(database, number)
    return list(await asyncio.gather(*tasks))


async def test_who_looks_at_a_room_while_another_takes_it_finds_it_taken(
    ledgers: list[Ledger], database: TestDatabase
) -> None:
    need = a_need(lim=100)
    await made(ledgers[0], need)
    found = await overlapping(database, ledgers, [(a_call(60), need), (a_call(60), need)])
    assert found == [None, NoRoom(need=0, settled=0, reserved=60)]
    assert counters(database, need) == [(0, 60)]


async def test_who_looks_at_a_rolling_window_while_another_takes_of_another_slice_of_it_finds_that_taken(
    ledgers: list[Ledger], database: TestDatabase
) -> None:
    first = a_need(lim=100, slice=3000, span=60)
    second = a_need(tenant_id=first.tenant_id, budget_id=first.budget_id, lim=100, slice=3001, span=60)
    await made(ledgers[0], first, second)
    found = await overlapping(database, ledgers, [(a_call(60), first), (a_call(60), second)])
    assert found == [None, NoRoom(need=0, settled=0, reserved=60)]
    assert counters(database, first, second) == [(0, 60), (0, 0)]


async def test_a_call_whose_client_goes_away_while_it_is_being_opened_gives_back_what_it_took(
    ledgers: list[Ledger], database: TestDatabase
) -> None:
    (ledger, _), need = ledgers, a_need()
    await made(ledger, need)
    gone, stays = a_call(10), a_call(20)
    with held(database):
        tasks = [asyncio.create_task(ledger.open_with_room(call, [need])) for call in (gone, stays)]
        await waiting(database, 1)
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
    assert await tasks[1] is None
    assert (look(database, gone), counters(database, need)) == (OPEN, [(0, 30)])
    await ledger.beat()
    assert (look(database, gone), look(database, stays)) == (NOTHING, OPEN)
    assert counters(database, need) == [(0, 20)]


@pytest.mark.parametrize("needs", [[a_need()], []], ids=["under budgets", "without"])
async def test_a_call_whose_client_goes_away_when_it_is_open_and_does_not_know_yet_gives_back_what_it_took(
    database: TestDatabase, needs: list[Need]
) -> None:
    opening: list[asyncio.Task[Any]] = []

    def hang_up(step: str, calls: int, seconds: float) -> None:
        """Between the commit and the moment in which the call goes on."""
        del step, calls, seconds
        asyncio.get_running_loop().call_soon(opening[0].cancel)

    ledger, call = Ledger(database.url(roles.LEDGER), uuid4(), wrote=hang_up), a_call(10)
    opening.append(asyncio.create_task(ledger.open_with_room(call, needs) if needs else ledger.open(call)))
    await asyncio.gather(*opening, return_exceptions=True)
    assert opening[0].cancelled()
    assert (look(database, call), counters(database, *needs)) == (OPEN, [(0, 10) for _ in needs])
    await ledger.beat()
    assert (look(database, call), counters(database, *needs)) == (NOTHING, [(0, 0) for _ in needs])
    await ledger.aclose()
