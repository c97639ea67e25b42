"""The room in budgets on a real PostgreSQL: taken by all that fit and by no more, given back, equal to the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import cycle
from uuid import UUID, uuid4

import pytest

from bailiwick.domain.metering import Need, NoRoom, OpenCall, SpentIfLost
from bailiwick.domain.usage import TokenUsage
from bailiwick.storage import roles
from bailiwick.storage.ledger import Ledger
from tests.database import TestDatabase
from tests.storage.ledger_calls import LOST, NOTHING, OPEN, SETTLED, Seen, expire, look, settlement
from tests.storage.room_calls import a_call, a_need, counters, spent

PROCESSES = 4


@pytest.fixture
async def ledgers(database: TestDatabase) -> AsyncIterator[list[Ledger]]:
    """Those of several processes, each with connections of its own."""
    found = [Ledger(database.url(roles.LEDGER), uuid4()) for _ in range(PROCESSES)]
    for ledger in found:
        await ledger.beat()
    yield found
    for ledger in found:
        await ledger.aclose()


# Taken.


async def test_a_call_that_fits_has_its_open_row_and_holds_its_ceiling(ledger: Ledger, database: TestDatabase) -> None:
    call, need = a_call(30), a_need()
    assert await ledger.open_with_room(call, [need]) is None
    assert look(database, call) == OPEN
    assert counters(database, need) == [(0, 30)]


async def test_a_call_that_fits_exactly_fits(ledger: Ledger, database: TestDatabase) -> None:
    call, need = a_call(100), a_need()
    assert await ledger.open_with_room(call, [need]) is None
    assert counters(database, need) == [(0, 100)]


async def test_a_call_that_is_one_too_large_is_refused_and_leaves_nothing(
    ledger: Ledger, database: TestDatabase
) -> None:
    call, need = a_call(101), a_need()
    assert await ledger.open_with_room(call, [need]) == NoRoom(need=0, settled=0, reserved=0)
    assert look(database, call) == NOTHING
    assert counters(database, need) == [(0, 0)]


async def test_what_a_call_costs_counts_in_budgets_of_money_and_its_tokens_in_those_of_tokens(
    ledger: Ledger, database: TestDatabase
) -> None:
    call, needs = a_call(30, ceiling_tokens=50), [a_need(), a_need(in_tokens=True)]
    assert await ledger.open_with_room(call, needs) is None
    assert counters(database, *needs) == [(0, 30), (0, 50)]
    await ledger.settle(settlement(call, cost_nano=12, usage=TokenUsage(20, 5)))
    assert counters(database, *needs) == [(12, 0), (25, 0)]


async def test_a_budget_of_nothing_lets_only_through_what_is_free(ledger: Ledger) -> None:
    need = a_need(lim=0)
    assert await ledger.open_with_room(a_call(1), [need]) is not None
    assert await ledger.open_with_room(a_call(0), [need]) is None


async def test_a_call_takes_from_all_of_its_budgets_or_from_none(ledger: Ledger, database: TestDatabase) -> None:
    wide, narrow = a_need(lim=100), a_need(lim=25)
    refusals = await asyncio.gather(*(ledger.open_with_room(a_call(10), [wide, narrow]) for _ in range(5)))
    assert [refusal is None for refusal in refusals] == [True, True, False, False, False]
    assert counters(database, wide, narrow) == [(0, 20), (0, 20)]


async def test_calls_that_come_together_fit_in_the_order_in_which_they_came(ledger: Ledger) -> None:
    need = a_need(lim=10)
    refusals = await asyncio.gather(*(ledger.open_with_room(a_call(size), [need]) for size in (6, 5, 4, 1)))
    assert [refusal is None for refusal in refusals] == [True, False, True, False]


async def test_a_budget_that_is_spent_is_told_before_one_that_is_only_held(ledger: Ledger) -> None:
    held, gone = a_need(lim=10), a_need(lim=10)
    assert await ledger.open_with_room(a_call(10), [held]) is None
    spender = a_call(10)
    assert await ledger.open_with_room(spender, [gone]) is None
    await ledger.settle(settlement(spender, cost_nano=4))
    assert await ledger.open_with_room(a_call(7), [held, gone]) == NoRoom(need=1, settled=4, reserved=0)
    assert await ledger.open_with_room(a_call(6), [held, gone]) == NoRoom(need=0, settled=0, reserved=10)


async def test_each_subject_and_each_window_has_room_of_its_own(ledger: Ledger, database: TestDatabase) -> None:
    need = a_need(lim=10)
    others = [a_need(budget_id=need.budget_id, lim=10, subject=subject, slice=slice_) for subject, slice_ in (
        ("someone", 1), ("somebody", 0), ("", 0), ("Someone", 0), ("%", 0), ("some\u00f6ne", 0), ("someo\u0308ne", 0),
    )]  # fmt: skip
    for other in (need, *others):
        assert await ledger.open_with_room(a_call(10), [other]) is None
    assert counters(database, need, *others) == [(0, 10)] * 8


async def test_a_budget_that_is_changed_to_count_something_else_begins_anew(
    ledger: Ledger, database: TestDatabase
) -> None:
    need = a_need(lim=10)
    others = [a_need(budget_id=need.budget_id, lim=10, counted=counted) for counted in ("usd month", "tokens total")]
    for other in (need, *others):
        assert await ledger.open_with_room(a_call(10), [other]) is None
    assert counters(database, need, *others) == [(0, 10)] * 3


async def test_a_limit_counts_as_it_is_when_a_call_opens(ledger: Ledger, database: TestDatabase) -> None:
    need = a_need(lim=10)
    first, second = a_call(10), a_call(10)
    assert await ledger.open_with_room(first, [need]) is None
    lowered = a_need(budget_id=need.budget_id, tenant_id=need.tenant_id, lim=5)
    raised = a_need(budget_id=need.budget_id, tenant_id=need.tenant_id, lim=20)
    assert await ledger.open_with_room(second, [lowered]) is not None
    assert await ledger.open_with_room(second, [raised]) is None
    await ledger.settle(settlement(first, cost_nano=10))
    assert counters(database, need) == [(10, 10)]
    assert await ledger.open_with_room(a_call(1), [lowered]) == NoRoom(need=0, settled=10, reserved=10)


# Rolling windows.


async def test_a_rolling_window_is_the_sum_of_its_slices(ledger: Ledger) -> None:
    budget, tenant = uuid4(), uuid4()
    refusals = [
        await ledger.open_with_room(
            a_call(4), [a_need(tenant_id=tenant, budget_id=budget, slice=slice_, span=60, lim=10)]
        )
        for slice_ in (1000, 1030, 1060, 1061, 1062)
    ]
    assert refusals == [None, None, NoRoom(need=0, settled=0, reserved=8), None, NoRoom(need=0, settled=0, reserved=8)]


async def test_processes_whose_clocks_are_slices_of_a_rolling_window_apart_do_not_overspend_it(
    ledgers: list[Ledger], database: TestDatabase
) -> None:
    budget, tenant = uuid4(), uuid4()
    needs = [a_need(tenant_id=tenant, budget_id=budget, slice=2000 + n, span=60, lim=100) for n in range(PROCESSES)]
    found = await asyncio.gather(*(
        ledger.open_with_room(a_call(10), [need])
        for _ in range(30)
        for ledger, need in zip(ledgers, needs, strict=True)
    ))  # fmt: skip
    assert found.count(None) == 10
    assert sum(held for _, held in counters(database, *needs)) == 100


# Many at once.


async def test_of_many_calls_of_many_processes_exactly_so_many_get_in_as_fit(
    ledgers: list[Ledger], database: TestDatabase
) -> None:
    need, calls = a_need(lim=137 * 7 + 3), [a_call(7) for _ in range(1000)]
    found = await asyncio.gather(*(
        ledger.open_with_room(call, [need]) for ledger, call in zip(cycle(ledgers), calls, strict=False)
    ))  # fmt: skip
    assert found.count(None) == 137
    assert counters(database, need) == [(0, 137 * 7)]


async def test_of_many_calls_with_different_budgets_all_that_is_held_is_what_was_let_in(
    ledgers: list[Ledger], database: TestDatabase
) -> None:
    needs = [a_need(lim=limit) for limit in (200, 150, 170, 90)]
    asked = [
        (a_call(1 + n % 9), [needs[n % 4], needs[(n * 7 + 1) % 4]][: 1 + (n % 4 != (n * 7 + 1) % 4)])
        for n in range(600)
    ]
    found = await asyncio.gather(*(
        ledger.open_with_room(call, wanted) for ledger, (call, wanted) in zip(cycle(ledgers), asked, strict=False)
    ))  # fmt: skip
    held = dict.fromkeys((need.budget_id for need in needs), 0)
    for (call, wanted), refusal in zip(asked, found, strict=True):
        for need in wanted if refusal is None else ():
            held[need.budget_id] += call.ceiling_nano or 0
    assert counters(database, *needs) == [(0, held[need.budget_id]) for need in needs]
    assert all(held[need.budget_id] <= need.lim for need in needs)
    # Nobody was refused who fits: one who asks for a single one now gets it where there is one, and not where not.
    for need in needs:
        assert (await ledgers[0].open_with_room(a_call(1), [need]) is None) == (held[need.budget_id] < need.lim)


# Given back.


async def test_what_is_settled_takes_the_place_of_what_was_held(ledger: Ledger, database: TestDatabase) -> None:
    call, need = a_call(30), a_need()
    await ledger.open_with_room(call, [need])
    await ledger.settle(settlement(call))
    assert look(database, call) == SETTLED
    assert counters(database, need) == [(1234, 0)]


async def test_a_settlement_over_the_ceiling_and_over_the_limit_is_settled_and_stops_the_next_call(
    ledger: Ledger, database: TestDatabase
) -> None:
    call, need = a_call(100), a_need()
    await ledger.open_with_room(call, [need])
    await ledger.settle(settlement(call, cost_nano=5000))
    assert counters(database, need) == [(5000, 0)]
    assert await ledger.open_with_room(a_call(0), [need]) == NoRoom(need=0, settled=5000, reserved=0)


async def test_sums_that_are_beyond_all_measure_fail_no_settlement(ledger: Ledger, database: TestDatabase) -> None:
    calls, need = [a_call(1) for _ in range(3)], a_need()
    for call in calls:
        await ledger.open_with_room(call, [need])
    await asyncio.gather(*(ledger.settle(settlement(call, cost_nano=2**62)) for call in calls))
    assert counters(database, need) == [(2**62, 0)]
    assert await ledger.open_with_room(a_call(1), [need]) == NoRoom(need=0, settled=2**62, reserved=0)


async def test_settling_twice_counts_once(ledgers: list[Ledger], database: TestDatabase) -> None:
    calls, need = [a_call(10) for _ in range(10)], a_need()
    for call in calls:
        await ledgers[0].open_with_room(call, [need])
    await asyncio.gather(*(ledger.settle(settlement(call, cost_nano=7)) for ledger in ledgers[:2] for call in calls))
    assert counters(database, need) == [(70, 0)]


async def test_a_call_without_a_price_settles_in_a_budget_of_tokens(ledger: Ledger, database: TestDatabase) -> None:
    call, need = a_call(10, ceiling_nano=None, cost_estimate_nano=None), a_need(in_tokens=True)
    await ledger.open_with_room(call, [need])
    await ledger.settle(settlement(call, cost_nano=None, usage=TokenUsage(4, 3)))
    assert counters(database, need) == [(7, 0)]


async def test_a_call_whose_client_is_gone_when_it_is_open_gives_back_what_it_took(
    ledger: Ledger, database: TestDatabase
) -> None:
    calls, need = [a_call(10) for _ in range(10)], a_need(lim=1000)
    tasks = [asyncio.create_task(ledger.open_with_room(call, [need])) for call in calls]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await ledger.beat()
    assert counters(database, need) == [(0, 50)]
    assert [look(database, call) for call in calls] == [NOTHING, OPEN] * 5


# Lost.


@pytest.mark.parametrize(
    ("on_lost", "nano", "tokens"),
    [(SpentIfLost.ESTIMATE, 1, 1), (SpentIfLost.CEILING, 30, 40), (SpentIfLost.NOTHING, 0, 0)],
)
async def test_what_a_lost_call_has_spent_is_what_its_budgets_say(
    ledgers: list[Ledger], database: TestDatabase, on_lost: SpentIfLost, nano: int, tokens: int
) -> None:
    process = uuid4()
    dead = Ledger(database.url(roles.LEDGER), process)
    call, needs = a_call(30, ceiling_tokens=40, on_lost=on_lost, price=7), [a_need(), a_need(in_tokens=True)]
    assert await dead.open_with_room(call, needs) is None
    await expire(database, process)
    await ledgers[0].beat()
    assert look(database, call) == Seen(open_rows=0, ledger_rows=1, outcome=5, source=3, cost_nano=nano)
    assert spent(database, [call]) == (nano, tokens)
    # A ceiling is no sum of tokens at their rates.
    price = None if on_lost is SpentIfLost.CEILING else 7
    assert database.rows("SELECT price FROM bailiwick.ledger WHERE id = %s", UUID(hex=call.id)) == [(price,)]
    assert counters(database, *needs) == [(nano, 0), (tokens, 0)]
    # The truth arrives: once.
    for cost in (12, 13):
        await dead.settle(settlement(call, cost_nano=cost, usage=TokenUsage(6, 3)))
    assert counters(database, *needs) == [(12, 0), (9, 0)]
    row = database.rows("SELECT slices, price FROM bailiwick.ledger WHERE id = %s", UUID(hex=call.id))
    assert row == [(None, 7)]
    await dead.aclose()


async def test_a_call_without_budgets_is_lost_as_ever(ledgers: list[Ledger], database: TestDatabase) -> None:
    process = uuid4()
    dead = Ledger(database.url(roles.LEDGER), process)
    call = a_call(ceiling_nano=None, ceiling_tokens=None, cost_estimate_nano=6000)
    await dead.open(call)
    await expire(database, process)
    await ledgers[0].beat()
    assert look(database, call) == LOST
    await dead.aclose()


# Moved.


def moved(call: OpenCall, **fields: int | str) -> OpenCall:
    """The call as another model is asked for it."""
    given = {name: getattr(call, name) for name in call.__struct_fields__}
    return OpenCall(**{**given, "model": "other", **fields})


async def test_a_call_that_moves_to_another_model_holds_what_that_needs(ledger: Ledger, database: TestDatabase) -> None:
    call, needs = a_call(30), [a_need() for _ in range(3)]
    await ledger.open_with_room(call, needs[:2])
    after = moved(call, ceiling_nano=50, cost_estimate_nano=8)
    assert await ledger.move_room(after, needs[1:])
    assert counters(database, *needs) == [(0, 0), (0, 50), (0, 50)]
    rows = database.rows("SELECT model, cost_estimate_nano FROM bailiwick.open_calls WHERE id = %s", UUID(hex=call.id))
    assert rows == [("other", 8)]
    await ledger.settle(settlement(after, cost_nano=40))
    assert counters(database, *needs) == [(0, 0), (40, 0), (40, 0)]


async def test_what_a_call_holds_itself_is_room_for_its_move(ledger: Ledger, database: TestDatabase) -> None:
    call, need = a_call(100), a_need()
    await ledger.open_with_room(call, [need])
    assert await ledger.move_room(moved(call, ceiling_nano=90), [need])
    assert counters(database, need) == [(0, 90)]


async def test_a_call_that_cannot_move_holds_what_it_held(ledger: Ledger, database: TestDatabase) -> None:
    call, old, full = a_call(30), a_need(), a_need(lim=40)
    await ledger.open_with_room(call, [old])
    assert not await ledger.move_room(moved(call, ceiling_nano=50), [old, full])
    assert counters(database, old, full) == [(0, 30), (0, 0)]
    assert database.rows("SELECT model FROM bailiwick.open_calls WHERE id = %s", UUID(hex=call.id)) == [("gpt-4o",)]


async def test_a_call_that_was_settled_moves_nowhere(ledger: Ledger, database: TestDatabase) -> None:
    call, need = a_call(30), a_need()
    await ledger.open_with_room(call, [need])
    await ledger.settle(settlement(call, cost_nano=7))
    assert not await ledger.move_room(moved(call), [need])
    assert counters(database, need) == [(7, 0)]
    assert look(database, call).open_rows == 0


# Told of.


def told(database: TestDatabase, need: Need) -> list[tuple[int, int]]:
    """What was told of a budget: which percentage was reached, and with how much."""
    rows = database.rows(
        "SELECT share, settled FROM bailiwick.budget_events WHERE budget_id = %s ORDER BY id", need.budget_id
    )
    return [(share, settled) for share, settled in rows]


async def spend(ledger: Ledger, need: Need, *costs: int) -> None:
    """Have calls settled, one after the other, that hold nothing."""
    for cost in costs:
        call = a_call(0)
        assert await ledger.open_with_room(call, [need]) is None
        await ledger.settle(settlement(call, cost_nano=cost))


async def test_what_reaches_half_and_four_fifths_and_all_of_a_limit_is_told_once_each(
    ledger: Ledger, database: TestDatabase
) -> None:
    need = a_need()
    await spend(ledger, need, 49)
    assert told(database, need) == []
    await spend(ledger, need, 1, 10, 19)
    assert told(database, need) == [(50, 50)]
    await spend(ledger, need, 1, 10)
    assert told(database, need) == [(50, 50), (80, 80)]
    await spend(ledger, need, 10)
    assert told(database, need) == [(50, 50), (80, 80), (100, 100)]


async def test_what_is_passed_at_once_is_told_at_once_and_anew_in_the_next_window(
    ledger: Ledger, database: TestDatabase
) -> None:
    need = a_need()
    await spend(ledger, need, 120)
    assert told(database, need) == [(50, 120), (80, 120), (100, 120)]
    following = a_need(tenant_id=need.tenant_id, budget_id=need.budget_id, slice=1)
    await spend(ledger, following, 60)
    assert told(database, need)[3:] == [(50, 60)]


async def test_a_rolling_window_tells_once_in_its_length(ledger: Ledger, database: TestDatabase) -> None:
    tenant, budget = uuid4(), uuid4()
    needs = [a_need(tenant_id=tenant, budget_id=budget, slice=slice_, span=60) for slice_ in (500, 520, 561, 570)]
    for need in needs:
        await spend(ledger, need, 30)
    # 30 and 30; then 30 that are past give way to 30; at 570 none of the first 30, but 520, 561 and 570: 90.
    assert told(database, needs[0]) == [(50, 60), (80, 90)]


async def test_a_settlement_of_nothing_tells_nothing_of_a_budget_of_nothing(
    ledger: Ledger, database: TestDatabase
) -> None:
    need = a_need(lim=0)
    await spend(ledger, need, 0)
    assert told(database, need) == []
