"""The ledger's writing side on a real PostgreSQL: durable, in batches, exactly once, whatever breaks where."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from bailiwick.domain.errors import Unavailable
from bailiwick.domain.usage import NO_USAGE, Outcome, UsageSource
from bailiwick.storage import ledger_connection, roles
from bailiwick.storage.ledger import Ledger
from tests.database import TestDatabase
from tests.storage.ledger_calls import LOST, NOTHING, OPEN, SETTLED, look, new_call, settlement
from tests.storage.proxy import Break, Proxy, proxied


@pytest.fixture
def process() -> UUID:
    return uuid4()


@pytest.fixture
async def ledger(database: TestDatabase, process: UUID) -> AsyncIterator[Ledger]:
    """A process's ledger."""
    opened = Ledger(database.url(roles.LEDGER), process)
    await opened.beat()
    yield opened
    await opened.aclose()


@pytest.fixture
async def fragile(database: TestDatabase) -> AsyncIterator[tuple[Ledger, Proxy]]:
    """A process's ledger, and the way to its database."""
    async with proxied(database.url(roles.LEDGER)) as (proxy, url):
        opened = Ledger(url, uuid4())
        await opened.beat()
        yield opened, proxy
        await opened.aclose()


async def until(reached: Callable[[], object | Awaitable[object]], patience: float = 8) -> None:
    deadline = time.monotonic() + patience
    while True:
        found = reached()
        if await found if isinstance(found, Awaitable) else found:
            return
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


# When all is well.


async def test_an_opened_call_has_its_open_row(ledger: Ledger, database: TestDatabase) -> None:
    call = new_call()
    await ledger.open(call)
    assert look(database, call) == OPEN


async def test_an_open_row_holds_what_the_call_is(ledger: Ledger, database: TestDatabase, process: UUID) -> None:
    call = new_call(uid="Ünï\\\"'%", sid=None, key_id=None, cost_estimate_nano=None)
    await ledger.open(call)
    rows = database.rows(
        "SELECT tenant_id, project_id, key_id, process_id, (extract(epoch FROM opened_at) * 1000000)::bigint, uid, sid,"
        " provider, model, streamed, input_estimate, cost_estimate_nano FROM bailiwick.open_calls WHERE id = %s",
        UUID(hex=call.id),
    )
    assert rows == [
        (
            call.tenant_id, call.project_id, None, process, call.opened_us, "Ünï\\\"'%", None, "up", "gpt-4o", True, 40,
            None,
        )
    ]  # fmt: skip


async def test_a_settled_call_has_its_ledger_row_and_no_open_row(ledger: Ledger, database: TestDatabase) -> None:
    call = new_call()
    await ledger.open(call)
    await ledger.settle(settlement(call))
    assert look(database, call) == SETTLED


async def test_a_ledger_row_holds_what_the_call_used(ledger: Ledger, database: TestDatabase) -> None:
    call = new_call(uid=None)
    await ledger.open(call)
    await ledger.settle(settlement(call, outcome=Outcome.CLIENT_GONE, source=UsageSource.ESTIMATED))
    rows = database.rows(
        "SELECT tenant_id, project_id, key_id, (extract(epoch FROM opened_at) * 1000000)::bigint, uid, sid, provider,"
        " model, streamed, cost_nano, input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,"
        " audio_tokens, latency_ms, first_byte_ms, status, outcome, usage_source FROM bailiwick.ledger WHERE id = %s",
        UUID(hex=call.id),
    )
    assert rows == [
        (
            call.tenant_id, call.project_id, call.key_id, call.opened_us, None, "session", "up", "gpt-4o", True, 1234,
            11, 7, 3, 0, 2, 1, 56, 12, 200, 3, 1,
        )
    ]  # fmt: skip


async def test_a_call_without_price_answer_or_status_is_settled(ledger: Ledger, database: TestDatabase) -> None:
    call = new_call()
    await ledger.open(call)
    ended = settlement(
        call, outcome=Outcome.PROVIDER_TIMEOUT, usage=NO_USAGE, source=UsageSource.NOTHING, cost_nano=None,
        first_byte_ms=None, status=None,
    )  # fmt: skip
    await ledger.settle(ended)
    seen = look(database, call)
    assert (seen.ledger_rows, seen.outcome, seen.source, seen.cost_nano) == (1, 2, 2, None)


async def test_calls_that_come_together_are_committed_together(ledger: Ledger, database: TestDatabase) -> None:
    calls = [new_call() for _ in range(200)]
    await asyncio.gather(*(ledger.open(call) for call in calls))
    ids = [UUID(hex=call.id) for call in calls]
    query = "SELECT count(DISTINCT xmin::text), count(*) FROM bailiwick.{} WHERE id = ANY(%s)"
    assert database.rows(query.format("open_calls"), ids) == [(1, 200)]
    await asyncio.gather(*(ledger.settle(settlement(call)) for call in calls))
    assert database.rows(query.format("ledger"), ids) == [(1, 200)]
    assert database.rows(query.format("open_calls"), ids) == [(0, 0)]


async def test_what_was_told_is_durable_when_it_is_told(ledger: Ledger, database: TestDatabase) -> None:
    async def whole_call() -> None:
        call = new_call()
        await ledger.open(call)
        assert look(database, call) == OPEN
        await ledger.settle(settlement(call))
        assert look(database, call) == SETTLED

    await asyncio.gather(*(whole_call() for _ in range(20)))


# Rows that the database refuses.

BAD: list[dict[str, Any]] = [{"model": "nul\0"}, {"input_estimate": 2**31}, {"tenant_id": None}, {"opened_us": 2**63}]


@pytest.mark.parametrize("bad", BAD)
async def test_a_call_that_cannot_be_opened_hurts_no_other(
    ledger: Ledger, database: TestDatabase, bad: dict[str, Any]
) -> None:
    calls = [new_call(), new_call(**bad), new_call()]
    results = await asyncio.gather(*(ledger.open(call) for call in calls), return_exceptions=True)
    assert (results[0], results[2]) == (None, None)
    assert isinstance(results[1], Unavailable)
    assert [look(database, call) for call in calls] == [OPEN, NOTHING, OPEN]


@pytest.mark.parametrize("bad", [{"latency_ms": 2**31}, {"cost_nano": 2**63}, {"status": 10**6}])
async def test_a_settlement_that_the_database_refuses_hurts_no_other(
    ledger: Ledger, database: TestDatabase, bad: dict[str, Any]
) -> None:
    calls = [new_call() for _ in range(3)]
    await asyncio.gather(*(ledger.open(call) for call in calls))
    settlements = [settlement(calls[0]), settlement(calls[1], **bad), settlement(calls[2])]
    results = await asyncio.gather(*(ledger.settle(one) for one in settlements), return_exceptions=True)
    assert (results[0], results[2]) == (None, None)
    assert isinstance(results[1], psycopg.Error)
    assert [look(database, call) for call in calls] == [SETTLED, OPEN, SETTLED]


# Settled more than once.


async def test_a_call_that_is_settled_twice_has_one_row_and_the_first_one_counts(
    ledger: Ledger, database: TestDatabase
) -> None:
    call = new_call()
    await ledger.open(call)
    await ledger.settle(settlement(call))
    await ledger.settle(settlement(call, cost_nano=9, outcome=Outcome.OUR_FAILURE))
    assert look(database, call) == SETTLED


async def test_a_call_that_is_settled_twice_in_one_batch_has_one_row_and_the_first_one_counts(
    ledger: Ledger, database: TestDatabase
) -> None:
    call, other = new_call(), new_call()
    await asyncio.gather(ledger.open(call), ledger.open(other))
    twice = [settlement(call), settlement(call, cost_nano=9), settlement(other), settlement(call, cost_nano=8)]
    await asyncio.gather(*(ledger.settle(one) for one in twice))
    assert look(database, call) == SETTLED
    assert look(database, other) == SETTLED


async def test_a_call_that_two_processes_settle_at_once_has_one_row(ledger: Ledger, database: TestDatabase) -> None:
    second = Ledger(database.url(roles.LEDGER), uuid4())
    try:
        calls = [new_call() for _ in range(50)]
        await asyncio.gather(*(ledger.open(call) for call in calls))
        await asyncio.gather(
            *(ledger.settle(settlement(call)) for call in calls), *(second.settle(settlement(call)) for call in calls)
        )
        assert all(look(database, call) == SETTLED for call in calls)
    finally:
        await second.aclose()


async def test_a_call_that_was_never_opened_is_not_settled(ledger: Ledger, database: TestDatabase) -> None:
    call = new_call()
    await ledger.settle(settlement(call))
    assert look(database, call) == NOTHING


async def test_opening_a_call_again_changes_nothing(ledger: Ledger, database: TestDatabase) -> None:
    call = new_call()
    await asyncio.gather(ledger.open(call), ledger.open(call))
    await ledger.open(call)
    assert look(database, call) == OPEN


# Lost.


async def expire(database: TestDatabase, process: UUID) -> None:
    """Let a process's lease run out, as five seconds without a beat would."""
    database.run("UPDATE bailiwick.processes SET beat_at = now() - interval '6 seconds' WHERE id = %s", process)


async def test_what_a_dead_process_left_open_is_settled_by_its_estimate(ledger: Ledger, database: TestDatabase) -> None:
    dead_id = uuid4()
    dead = Ledger(database.url(roles.LEDGER), dead_id)
    await dead.beat()
    call, own = new_call(), new_call()
    await dead.open(call)
    await ledger.open(own)
    assert await ledger.beat() == 0
    await expire(database, dead_id)
    assert await ledger.beat() == 1
    assert look(database, call) == LOST
    assert look(database, own) == OPEN
    assert await ledger.beat() == 0
    await dead.aclose()


@pytest.mark.parametrize("opened_us", [0, -(2**40), 2**61])
async def test_a_clock_that_is_far_off_does_not_keep_lost_calls_from_being_settled(
    ledger: Ledger, database: TestDatabase, opened_us: int
) -> None:
    dead = Ledger(database.url(roles.LEDGER), uuid4())
    await dead.beat()
    call, other = new_call(opened_us=opened_us), new_call()
    await asyncio.gather(dead.open(call), dead.open(other))
    await dead.aclose()
    assert await ledger.beat() == 2
    assert [look(database, call), look(database, other)] == [LOST, LOST]
    query = "SELECT latency_ms >= 0 FROM bailiwick.ledger WHERE id = %s"
    assert database.rows(query, UUID(hex=call.id)) == [(True,)]


async def test_a_lost_call_is_corrected_once_if_the_truth_arrives(ledger: Ledger, database: TestDatabase) -> None:
    paused_id = uuid4()
    paused = Ledger(database.url(roles.LEDGER), paused_id)
    await paused.beat()
    call = new_call()
    await paused.open(call)
    await expire(database, paused_id)
    await ledger.beat()
    await paused.settle(settlement(call))
    assert look(database, call) == SETTLED
    await paused.settle(settlement(call, cost_nano=9, outcome=Outcome.OUR_FAILURE))
    assert look(database, call) == SETTLED
    await paused.aclose()


async def test_a_lost_call_of_many_in_a_batch_is_corrected_alone(ledger: Ledger, database: TestDatabase) -> None:
    paused_id = uuid4()
    paused = Ledger(database.url(roles.LEDGER), paused_id)
    await paused.beat()
    lost, kept = new_call(), new_call()
    await paused.open(lost)
    await expire(database, paused_id)
    await ledger.beat()
    await paused.beat()
    await paused.open(kept)
    await asyncio.gather(paused.settle(settlement(lost)), paused.settle(settlement(kept)))
    assert [look(database, lost), look(database, kept)] == [SETTLED, SETTLED]
    await paused.aclose()


async def test_a_process_that_leaves_leaves_its_open_calls_to_the_next(ledger: Ledger, database: TestDatabase) -> None:
    leaving = Ledger(database.url(roles.LEDGER), uuid4())
    await leaving.beat()
    call = new_call()
    await leaving.open(call)
    await leaving.aclose()
    assert await ledger.beat() == 1
    assert look(database, call) == LOST


async def test_a_process_whose_database_was_away_when_it_began_does_not_lose_its_calls(
    ledger: Ledger, database: TestDatabase
) -> None:
    late = Ledger(database.url(roles.LEDGER), uuid4())
    call = new_call()
    await late.open(call)
    await ledger.beat()
    assert look(database, call) == OPEN
    await late.aclose()


# Connections that break.


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
        with database.connect() as superuser:
            while True:
                superuser.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = 'bailiwick_ledger' AND datname = current_database()"
                )
                await asyncio.sleep(0.05)

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
    began = time.monotonic()
    await asyncio.gather(*(ledger.settle(settlement(call)) for call in calls))
    assert 0.3 <= time.monotonic() - began < 1.5
    assert [look(database, call) for call in calls] == [OPEN] * 3
    proxy.refusing = False
    await until(lambda: [look(database, call) for call in calls] == [SETTLED] * 3)


@pytest.mark.slow
async def test_a_database_that_says_nothing_any_more_is_given_up(
    fragile: tuple[Ledger, Proxy], database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_connection, "_STATEMENT_SECONDS", 1.0)
    ledger, proxy = fragile
    ledger._opening._patience = 0.5
    refused, call = new_call(), new_call()
    proxy.break_at(refused.id, Break.SILENCE)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await ledger.open(refused)
    assert time.monotonic() - began < 1.6
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
