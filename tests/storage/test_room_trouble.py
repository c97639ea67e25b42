"""Room when the database breaks, deadlocks or refuses in the middle: taken once, given back once."""

from __future__ import annotations

import asyncio
import random
from uuid import uuid4

import pytest

from bailiwick.domain.errors import Unavailable
from bailiwick.domain.metering import Need, OpenCall, SpentIfLost
from bailiwick.domain.usage import TokenUsage
from bailiwick.storage import batches, roles
from bailiwick.storage.ledger import Ledger
from tests.database import TestDatabase
from tests.faults.trial import eventually, times
from tests.storage.ledger_calls import NOTHING, OPEN, expire, look, settlement
from tests.storage.proxy import Break, Proxy
from tests.storage.room_calls import a_call, a_need, counters, spent

# Raises what PostgreSQL raises of two transactions that wait for one another, or that cannot be put in an order.
INJECT = """
CREATE FUNCTION bailiwick.trouble() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF random() < 0.1 THEN
        RAISE EXCEPTION 'injected' USING ERRCODE = (ARRAY['40P01', '40001'])[1 + floor(random() * 2)::integer];
    END IF;
    RETURN NULL;
END
$$;
GRANT EXECUTE ON FUNCTION bailiwick.trouble() TO PUBLIC;
CREATE TRIGGER trouble AFTER INSERT OR UPDATE OR DELETE ON bailiwick.open_calls
    FOR EACH STATEMENT EXECUTE FUNCTION bailiwick.trouble();
CREATE TRIGGER trouble AFTER INSERT OR UPDATE ON bailiwick.budget_slices
    FOR EACH STATEMENT EXECUTE FUNCTION bailiwick.trouble();
"""
NO_MORE = """
DROP TRIGGER trouble ON bailiwick.open_calls;
DROP TRIGGER trouble ON bailiwick.budget_slices;
DROP FUNCTION bailiwick.trouble();
"""


@pytest.mark.parametrize("way", [Break.BEFORE, Break.AFTER])
async def test_a_connection_that_breaks_over_an_opening_takes_room_once(
    fragile: tuple[Ledger, Proxy], database: TestDatabase, way: Break
) -> None:
    ledger, proxy = fragile
    calls, need = [a_call(10) for _ in range(3)], a_need(lim=25)
    proxy.break_at(calls[1].id, way)
    found = await asyncio.gather(*(ledger.open_with_room(call, [need]) for call in calls))
    assert proxy.broken
    assert [refusal is None for refusal in found] == [True, True, False]
    assert counters(database, need) == [(0, 20)]


async def test_an_opening_that_broke_and_was_lost_before_its_second_try_stays_lost(
    fragile: tuple[Ledger, Proxy], database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_RETRY_SECONDS", 1.0)
    ledger, proxy = fragile
    call, need = a_call(10), a_need()
    proxy.break_at(call.id, Break.AFTER)
    opening = asyncio.create_task(ledger.open_with_room(call, [need]))
    await eventually(lambda: look(database, call) == OPEN, 5.0, "the row is written")
    other = Ledger(database.url(roles.LEDGER), uuid4())
    ((process,),) = database.rows("SELECT process_id FROM bailiwick.open_calls WHERE id = %s::uuid", call.id)
    await expire(database, process)
    await other.beat()
    await other.aclose()
    assert await opening is None
    assert counters(database, need) == [(1, 0)]
    await ledger.settle(settlement(call, cost_nano=9))
    assert counters(database, need) == [(9, 0)]


@pytest.mark.parametrize("way", [Break.BEFORE, Break.AFTER])
async def test_a_connection_that_breaks_over_a_settlement_counts_it_once(
    fragile: tuple[Ledger, Proxy], database: TestDatabase, way: Break
) -> None:
    ledger, proxy = fragile
    call, need = a_call(10), a_need()
    await ledger.open_with_room(call, [need])
    proxy.break_at(call.id, way)
    await ledger.settle(settlement(call, cost_nano=7))
    assert counters(database, need) == [(7, 0)]


async def test_a_call_that_was_refused_for_want_of_an_answer_gives_back_its_room(
    fragile: tuple[Ledger, Proxy], database: TestDatabase
) -> None:
    ledger, proxy = fragile
    call, need = a_call(10), a_need()
    proxy.break_at(call.id, Break.SILENCE)
    with pytest.raises(Unavailable):
        await ledger.open_with_room(call, [need])
    # The connection that is silent is given up, and what it may have written taken back, before anything else is open.
    assert await ledger.open_with_room(a_call(100), [need]) is None
    assert look(database, call) == NOTHING
    assert counters(database, need) == [(0, 100)]


async def test_a_call_that_the_database_refuses_takes_no_room_and_hurts_no_other(
    ledger: Ledger, database: TestDatabase
) -> None:
    calls, need = [a_call(10), a_call(10, model="nul\0"), a_call(10)], a_need()
    found = await asyncio.gather(*(ledger.open_with_room(call, [need]) for call in calls), return_exceptions=True)
    assert (found[0], found[2]) == (None, None)
    assert isinstance(found[1], Unavailable)
    assert counters(database, need) == [(0, 20)]


@pytest.mark.proof
async def test_with_deadlocks_on_a_tenth_of_all_writes_the_counters_equal_the_ledger(
    scratch: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_RETRY_SECONDS", 0.005)
    scratch.run(INJECT)
    choice = random.Random(7)
    processes = [uuid4() for _ in range(4)]
    ledgers = [Ledger(scratch.url(roles.LEDGER), process) for process in processes]
    needs = [a_need(lim=3000, in_tokens=n % 2 == 1, span=60 * (n // 2), slice=100 * (n // 2)) for n in range(4)]
    asked: list[tuple[OpenCall, list[Need]]] = []
    left_open = 0

    async def whole_call(ledger: Ledger) -> None:
        nonlocal left_open
        call = a_call(choice.randint(1, 40), on_lost=choice.choice(list(SpentIfLost)))
        wanted = choice.sample(needs, choice.randint(1, 4))
        asked.append((call, wanted))
        opening = asyncio.create_task(ledger.open_with_room(call, wanted))
        if choice.random() < 0.1:
            await asyncio.sleep(choice.random() * 0.02)
            opening.cancel()
        try:
            refusal = await opening
        except asyncio.CancelledError:
            return
        if refusal is not None:
            return
        if ledger is ledgers[0] and choice.random() < 0.2:
            left_open += 1
            return
        usage = TokenUsage(1, choice.randint(0, 40))
        await ledger.settle(settlement(call, cost_nano=choice.randint(0, 50), usage=usage))

    async def some(ledger: Ledger, count: int) -> None:
        for _ in range(count):
            await whole_call(ledger)

    await asyncio.gather(*(some(ledger, times(50, 5)) for ledger in ledgers for _ in range(16)))
    scratch.run(NO_MORE)
    for ledger in ledgers:
        await ledger.aclose()
    assert left_open
    assert scratch.rows("SELECT count(*) FROM bailiwick.open_calls") == [(left_open,)]
    # The first process is gone with calls that nobody settled.
    last = Ledger(scratch.url(roles.LEDGER), uuid4())
    await last.beat()
    await last.aclose()
    assert scratch.rows("SELECT count(*) FROM bailiwick.open_calls") == [(0,)]
    for need in needs:
        by_ledger = spent(scratch, [call for call, wanted in asked if need in wanted])[need.in_tokens]
        assert counters(scratch, need) == [(by_ledger, 0)]
        assert by_ledger > need.lim / 2
