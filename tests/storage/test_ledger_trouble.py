"""The ledger's writing side when connections break, databases are away and callers leave: still exactly once."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import UUID, uuid4

import pytest

from bailiwick.domain.errors import Unavailable
from bailiwick.storage import ledger_connection, roles
from bailiwick.storage.ledger import Ledger
from tests.database import TestDatabase
from tests.patience import loop_lag
from tests.storage.ledger_calls import LOST, NOTHING, OPEN, SETTLED, expire, look, new_call, settlement
from tests.storage.proxy import Break, Proxy


async def until(reached: Callable[[], object | Awaitable[object]], patience: float = 8) -> None:
    deadline = time.monotonic() + patience
    while True:
        found = reached()
        if await found if isinstance(found, Awaitable) else found:
            return
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


# Connections that break.


async def test_a_connection_that_broke_takes_nothing_from_the_next_one_of_its_number(
    fragile: tuple[Ledger, Proxy],
) -> None:
    """The system gives a closed descriptor's number to the next connection that is made, maybe in the same moment."""
    ledger, proxy = fragile
    await ledger.open(new_call())
    loop = asyncio.get_running_loop()
    opener = ledger._opener._connection
    assert opener is not None
    number, heard = opener.fileno(), asyncio.Event()
    mine, other = socket.socketpair()

    def take_the_number() -> None:
        try:
            os.fstat(number)
            loop.call_soon(take_the_number)
        except OSError:
            os.dup2(mine.fileno(), number)
            loop.add_reader(number, heard.set)

    call = new_call()
    proxy.break_at(call.id, Break.AFTER)
    take_the_number()
    await ledger.open(call)
    other.send(b"x")
    async with asyncio.timeout(2):
        await heard.wait()
    loop.remove_reader(number)
    os.close(number)
    mine.close()
    other.close()


async def test_an_end_that_the_event_loop_does_not_tell_of_is_noticed(
    fragile: tuple[Ledger, Proxy], database: TestDatabase
) -> None:
    ledger, proxy = fragile
    await ledger.open(new_call())
    opener = ledger._opener._connection
    assert opener is not None
    call = new_call()
    proxy.break_at(call.id, Break.SILENCE)
    opening = asyncio.ensure_future(ledger.open(call))
    await until(lambda: proxy.broken)
    assert asyncio.get_running_loop().remove_reader(opener.fileno())
    proxy.cut()
    async with asyncio.timeout(2):
        await opening
    assert look(database, call) == OPEN


async def beaten(ledger: Ledger) -> bool:
    """Whether a beat went through; over a connection that was killed unnoticed it does not."""
    with suppress(Unavailable):
        await ledger.beat()
        return True
    return False


@pytest.mark.parametrize("way", [Break.BEFORE, Break.AFTER])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_connection_that_breaks_while_a_call_is_opened_leaves_one_open_row(
    fragile: tuple[Ledger, Proxy], database: TestDatabase, way: Break, times: int
) -> None:
    ledger, proxy = fragile
    call = new_call()
    proxy.break_at(call.id, *[way] * times)
    await ledger.open(call)
    assert proxy.broken
    assert look(database, call) == OPEN


@pytest.mark.parametrize("way", [Break.BEFORE, Break.AFTER])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_connection_that_breaks_while_a_call_is_settled_leaves_one_row(
    fragile: tuple[Ledger, Proxy], database: TestDatabase, way: Break, times: int
) -> None:
    ledger, proxy = fragile
    call = new_call()
    await ledger.open(call)
    proxy.break_at(call.id, *[way] * times)
    await ledger.settle(settlement(call))
    assert proxy.broken
    assert look(database, call) == SETTLED


async def test_an_opening_whose_answer_was_lost_and_that_was_then_lost_itself_is_not_opened_again(
    fragile: tuple[Ledger, Proxy], ledger: Ledger, database: TestDatabase
) -> None:
    cut_off, proxy = fragile
    call = new_call()
    proxy.break_at(call.id, Break.AFTER)
    opening = asyncio.ensure_future(cut_off.open(call))
    await until(lambda: proxy.broken)
    proxy.refusing = True
    await until(lambda: look(database, call) == OPEN)
    # While it cannot reach its database, its lease runs out and another process settles what it had opened.
    await expire(database, UUID(cut_off._process))
    assert await ledger.beat() == 1
    proxy.refusing = False
    await opening
    assert look(database, call) == LOST
    await cut_off.settle(settlement(call))
    assert look(database, call) == SETTLED
    await cut_off.beat()
    await ledger.beat()
    assert look(database, call) == SETTLED


async def test_backends_that_are_killed_in_the_middle_of_everything_lose_nothing_and_double_nothing(
    ledger: Ledger, database: TestDatabase
) -> None:
    calls = [new_call() for _ in range(200)]

    async def whole_call(number: int) -> bool:
        await asyncio.sleep(number * 0.003)
        try:
            await ledger.open(calls[number])
        except Unavailable:
            return False
        await asyncio.sleep(0.05)
        await ledger.settle(settlement(calls[number]))
        return True

    async def kill() -> None:
        pause = 0.05
        with database.connect() as superuser:
            while True:
                superuser.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = 'bailiwick_ledger' AND datname = current_database()"
                )
                await asyncio.sleep(pause)
                pause *= 1.2  # However slow the machine, some are served in between.

    killing = asyncio.ensure_future(kill())
    served = await asyncio.gather(*(whole_call(number) for number in range(len(calls))))
    killing.cancel()
    await asyncio.gather(killing, return_exceptions=True)
    await ledger._settling.drain()
    await until(lambda: beaten(ledger))
    for call, was_served in zip(calls, served, strict=True):
        assert look(database, call) == (SETTLED if was_served else NOTHING)
    assert any(served)


# The database is away.


async def test_without_a_database_a_call_is_refused_and_nothing_of_it_is_left_when_it_returns(
    fragile: tuple[Ledger, Proxy], database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, proxy = fragile
    ledger._opening._patience = 0.5
    calls = [new_call(), new_call()]
    # One never reached the server; the other was written, and nobody heard of it.
    proxy.break_at(calls[1].id, Break.AFTER)
    opening = asyncio.ensure_future(ledger.open(calls[1]))
    await until(lambda: proxy.broken)
    proxy.refusing = True
    with pytest.raises(Unavailable):
        await opening
    with pytest.raises(Unavailable):
        await ledger.open(calls[0])
    with pytest.raises(Unavailable):
        await ledger.beat()
    proxy.refusing = False
    await ledger.beat()
    assert [look(database, call) for call in calls] == [NOTHING, NOTHING]
    await ledger.open(calls[0])
    assert look(database, calls[0]) == OPEN


async def test_a_refused_call_that_was_settled_as_lost_before_it_could_be_taken_back_costs_nothing(
    fragile: tuple[Ledger, Proxy], ledger: Ledger, database: TestDatabase
) -> None:
    cut_off, proxy = fragile
    cut_off._opening._patience = 0.3
    call = new_call()
    proxy.break_at(call.id, Break.AFTER)
    opening = asyncio.ensure_future(cut_off.open(call))
    await until(lambda: proxy.broken)
    proxy.refusing = True
    with pytest.raises(Unavailable):
        await opening
    await expire(database, UUID(cut_off._process))
    assert await ledger.beat() == 1
    assert look(database, call) == LOST
    proxy.refusing = False
    await cut_off.beat()
    seen = look(database, call)
    assert (seen.open_rows, seen.ledger_rows, seen.outcome, seen.source, seen.cost_nano) == (0, 1, 4, 2, 0)


async def test_a_call_waits_for_a_database_that_is_soon_back(
    fragile: tuple[Ledger, Proxy], database: TestDatabase
) -> None:
    ledger, proxy = fragile
    proxy.refusing = True
    proxy.cut()
    call = new_call()
    opening = asyncio.ensure_future(ledger.open(call))
    await asyncio.sleep(0.3)
    proxy.refusing = False
    await opening
    assert look(database, call) == OPEN


async def test_without_a_database_a_settlement_is_waited_for_no_longer_than_its_patience_and_written_later(
    fragile: tuple[Ledger, Proxy], database: TestDatabase
) -> None:
    ledger, proxy = fragile
    ledger._settling._patience = 0.3
    calls = [new_call() for _ in range(3)]
    await asyncio.gather(*(ledger.open(call) for call in calls))
    proxy.refusing = True
    proxy.cut()
    async with loop_lag() as lag:
        began = time.monotonic()
        await asyncio.gather(*(ledger.settle(settlement(call)) for call in calls))
        assert 0.3 <= time.monotonic() - began < 1.5 + lag.seconds
    assert [look(database, call) for call in calls] == [OPEN] * 3
    proxy.refusing = False
    await until(lambda: [look(database, call) for call in calls] == [SETTLED] * 3)


@pytest.mark.parametrize(
    ("trouble", "mended"),
    [
        (
            b"ALTER ROLE bailiwick_ledger SET default_transaction_read_only = on",
            b"ALTER ROLE bailiwick_ledger RESET default_transaction_read_only",
        ),
        (
            b"REVOKE INSERT ON bailiwick.ledger FROM bailiwick_ledger",
            b"GRANT INSERT ON bailiwick.ledger TO bailiwick_ledger",
        ),
    ],
    ids=["read only", "not granted"],
)
async def test_a_settlement_that_the_database_does_not_let_through_is_tried_until_it_does(
    ledger: Ledger, database: TestDatabase, trouble: bytes, mended: bytes
) -> None:
    call = new_call()
    await ledger.open(call)
    ledger._settling._patience = 0.3
    with database.connect() as superuser:
        superuser.execute(trouble)
        try:
            await ledger.settle(settlement(call))
            assert look(database, call) == OPEN
        finally:
            superuser.execute(mended)
    await until(lambda: look(database, call) == SETTLED)


@pytest.mark.slow
async def test_a_database_that_says_nothing_any_more_is_given_up(
    fragile: tuple[Ledger, Proxy], database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_connection, "_STATEMENT_SECONDS", 1.0)
    ledger, proxy = fragile
    ledger._opening._patience = 0.5
    refused, call = new_call(), new_call()
    proxy.break_at(refused.id, Break.SILENCE)
    async with loop_lag() as lag:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await ledger.open(refused)
        assert time.monotonic() - began < 1.6 + lag.seconds
    ledger._opening._patience = 3
    await ledger.open(call)
    assert look(database, refused) == NOTHING
    proxy.break_at(call.id, Break.SILENCE)
    await ledger.settle(settlement(call))
    assert look(database, call) == SETTLED


@pytest.mark.slow
async def test_an_opening_that_a_frozen_server_carries_out_after_its_call_was_refused_is_taken_back(
    ledger: Ledger, database: TestDatabase, process: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_connection, "_STATEMENT_SECONDS", 0.5)
    ledger._opening._patience = 0.5
    await ledger.open(new_call())
    ((pid,),) = database.rows(
        "SELECT pid FROM pg_stat_activity WHERE application_name = %s",
        f"bailiwick ledger open {process}",
    )
    call = new_call()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable):
            await ledger.open(call)
        with suppress(Unavailable):
            await ledger.beat()
    finally:
        os.kill(pid, signal.SIGCONT)
    await until(lambda: database.rows("SELECT FROM pg_stat_activity WHERE pid = %s", pid) == [])
    await ledger.beat()
    assert look(database, call) == NOTHING


# Callers that go away.


async def test_a_caller_that_goes_away_while_its_call_is_opened_leaves_no_open_row(
    ledger: Ledger, database: TestDatabase
) -> None:
    calls = [new_call() for _ in range(60)]

    async def give_up(number: int) -> None:
        task = asyncio.ensure_future(ledger.open(calls[number]))
        for _ in range(number % 12):
            await asyncio.sleep(0)
        await asyncio.sleep((number // 12) * 0.0007)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
            opened.append(number)

    opened: list[int] = []
    for number in range(len(calls)):
        await give_up(number)
    await ledger._opening.drain()
    await ledger.beat()
    for number, call in enumerate(calls):
        assert look(database, call) == (OPEN if number in opened else NOTHING)


async def test_a_caller_that_goes_away_while_its_call_is_settled_does_not_stop_it(
    ledger: Ledger, database: TestDatabase
) -> None:
    call = new_call()
    await ledger.open(call)
    settling = asyncio.ensure_future(ledger.settle(settlement(call)))
    await asyncio.sleep(0)
    settling.cancel()
    await asyncio.gather(settling, return_exceptions=True)
    await until(lambda: look(database, call) == SETTLED)


async def test_closing_writes_what_is_left(database: TestDatabase) -> None:
    ledger = Ledger(database.url(roles.LEDGER), uuid4())
    await ledger.beat()
    call = new_call()
    await ledger.open(call)
    settling = asyncio.ensure_future(ledger.settle(settlement(call)))
    await asyncio.sleep(0)
    await ledger.aclose()
    assert look(database, call) == SETTLED
    await settling
    assert database.rows("SELECT FROM bailiwick.processes WHERE id = %s", UUID(ledger._process)) == []
