"""The ledger's writing side on a real PostgreSQL: durable, in batches, exactly once, whatever breaks where."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from msgspec import structs

from bailiwick.domain.errors import Unavailable
from bailiwick.domain.models import ProviderKind
from bailiwick.domain.price_versions import Quote, version_of
from bailiwick.domain.pricing import Price, Rate
from bailiwick.domain.usage import NO_USAGE, Outcome, TokenUsage, UsageSource
from bailiwick.storage import roles
from bailiwick.storage.ledger import Ledger
from tests.database import TestDatabase
from tests.storage.ledger_calls import LOST, NOTHING, OPEN, SETTLED, expire, look, new_call, settlement

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
    call = new_call(uid=None, price=7)
    await ledger.open(call)
    await ledger.settle(settlement(call, outcome=Outcome.CLIENT_GONE, source=UsageSource.ESTIMATED))
    rows = database.rows(
        "SELECT tenant_id, project_id, key_id, (extract(epoch FROM opened_at) * 1000000)::bigint, uid, sid, provider,"
        " model, streamed, cost_nano, input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,"
        " input_audio_tokens, latency_ms, first_byte_ms, status, outcome, usage_source, price FROM bailiwick.ledger"
        " WHERE id = %s",
        UUID(hex=call.id),
    )
    assert rows == [
        (
            call.tenant_id, call.project_id, call.key_id, call.opened_us, None, "session", "up", "gpt-4o", True, 1234,
            11, 7, 3, 0, 2, 1, 56, 12, 200, 3, 1, 7,
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


async def test_a_lost_call_names_the_price_of_its_estimate_and_then_that_of_the_truth(
    ledger: Ledger, database: TestDatabase
) -> None:
    paused_id = uuid4()
    paused = Ledger(database.url(roles.LEDGER), paused_id)
    await paused.beat()
    call = new_call(price=7, asked="fast")
    await paused.open(call)
    await expire(database, paused_id)
    await ledger.beat()
    said = "SELECT price, asked, output_audio_tokens, cache_write_1h_tokens FROM bailiwick.ledger WHERE id = %s"
    assert database.rows(said, UUID(hex=call.id)) == [(7, "fast", None, None)]
    truth = TokenUsage(9, 5, output_audio_tokens=4, cache_write_tokens=3, cache_write_1h_tokens=2)
    await paused.settle(settlement(call.moved_to("up", "other", 8), usage=truth))
    assert database.rows(said, UUID(hex=call.id)) == [(8, "fast", 4, 2)]
    await paused.aclose()


async def test_versions_of_prices_are_there_before_the_call_that_may_be_charged_by_them(
    ledger: Ledger, database: TestDatabase
) -> None:
    call = new_call()
    price = Price(input=Rate(base=1), output=Rate(base=2, steps=((3, 4),)))
    quote = Quote(kind=ProviderKind.OPENAI, model="m", source="override", price=price)
    version = version_of(call.tenant_id, quote)
    for _ in range(2):
        ledger.prices.note(version)
        await ledger.open(structs.replace(call, price=version.id))
    kept = "SELECT id, kind, model, source, rates, since <= now() FROM bailiwick.price_versions WHERE tenant_id = %s"
    rates = {"input": {"base": 1, "steps": []}, "output": {"base": 2, "steps": [[3, 4]]}}
    assert database.rows(kept, call.tenant_id) == [(version.id, "openai", "m", "override", rates, True)]


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
