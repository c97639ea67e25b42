"""Lines for room in budgets: first come, first to try; nobody waits longer than they may, or stays when gone."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from bailiwick.domain.durations import MILLISECOND, SECOND
from bailiwick.domain.metering import Need
from bailiwick.services.lines import Lines
from tests.storage.room_calls import a_need


async def waits(
    lines: Lines, need: Need, tries: list[int], number: int, *, max_wait: int = SECOND, last: int = 1
) -> bool:
    """Wait until it was woken `last` times; whether it could each time."""
    with lines.turn() as turn:
        for _ in range(last):
            if not await turn.wait(need, max_wait):
                return False
            tries.append(number)
        return True


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_each_that_is_freed_lets_one_try_in_the_order_in_which_they_came() -> None:
    lines, need, tries = Lines(), a_need(), list[int]()
    tasks = [asyncio.create_task(waits(lines, need, tries, number, last=2)) for number in range(3)]
    await settled()
    assert (lines.waiting, lines.first_waited_for([a_need(), need])) == (3, 1)
    lines.freed([need])
    await settled()
    assert tries == [0]
    lines.freed([a_need(), need])
    await settled()
    assert tries == [0, 0, 1]  # The first had room at its second try, and lets the next one try.
    assert await asyncio.gather(*tasks) == [True, True, True]
    assert lines.waiting == 0
    assert lines.first_waited_for([need]) is None


async def test_who_is_cancelled_leaves_and_lets_the_next_one_try() -> None:
    lines, need, tries = Lines(), a_need(), list[int]()
    tasks = [asyncio.create_task(waits(lines, need, tries, number)) for number in range(2)]
    await settled()
    tasks[0].cancel()
    await settled()
    assert tries == [1]
    assert lines.waiting == 0


async def test_the_first_tries_now_and_then_unasked() -> None:
    lines, tries = Lines(), list[int]()
    assert await waits(lines, a_need(), tries, 0, last=3)
    assert tries == [0, 0, 0]


async def test_nobody_waits_beyond_the_shortest_of_the_times_that_they_may() -> None:
    lines, need, tries = Lines(), a_need(), list[int]()
    with lines.turn() as ahead, lines.turn() as turn:
        ahead_waits = asyncio.create_task(ahead.wait(need, 60 * SECOND))
        await settled()
        began = asyncio.get_running_loop().time()
        assert await turn.wait(need, 200 * MILLISECOND)  # The last try.
        assert 0.19 <= asyncio.get_running_loop().time() - began < 5
        assert not await turn.wait(need, 60 * SECOND)
        assert not await turn.wait(a_need(), 60 * SECOND)
        ahead_waits.cancel()
    assert not await waits(lines, need, tries, 0, max_wait=0)
    assert lines.waiting == 0


async def test_the_line_goes_on_into_the_next_window() -> None:
    lines, budget = Lines(), uuid4()
    need, following = a_need(budget_id=budget), a_need(budget_id=budget, slice=86_400)
    tries: list[int] = []
    task = asyncio.create_task(waits(lines, need, tries, 0))
    await settled()
    lines.freed([following])
    assert await task
