"""What was made a moment ago is told again: how long it is good, who waits for whom, and what is not kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import final

import pytest

from bailiwick.services.recent import Recent
from tests.virtual_time import VirtualTime, running


@final
class Maker:
    """Makes a number, one more each time, in so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.made = 0

    async def __call__(self) -> int:
        self.made += 1
        number = self.made
        await asyncio.sleep(self.seconds)
        return number


def in_virtual_time(trial: Callable[[], Awaitable[None]]) -> None:
    """Carry a trial out while nobody waits for anything."""

    async def carried_out() -> None:
        await trial()

    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        runner.run(carried_out())


@pytest.mark.parametrize(("seconds", "good"), [(0.01, 0.3), (1.0, 1.0), (20.0, 1.0)])
def test_what_took_long_is_good_for_thirty_times_as_long_and_a_second_at_most(seconds: float, good: float) -> None:
    async def trial() -> None:
        recent, maker = Recent[int](), Maker(seconds)
        assert await recent.get("a", maker) == 1
        running().let_pass(good * 0.99)
        assert await recent.get("a", maker) == 1
        running().let_pass(good * 0.02)
        assert await recent.get("a", maker) == 2

    in_virtual_time(trial)


def test_what_is_asked_for_by_another_name_is_made_for_itself() -> None:
    async def trial() -> None:
        recent, maker = Recent[int](), Maker(0.1)
        assert await recent.get("a", maker) == 1
        assert await recent.get("b", maker) == 2

    in_virtual_time(trial)


def test_all_who_ask_while_it_is_made_wait_for_the_same() -> None:
    async def trial() -> None:
        recent, maker = Recent[int](), Maker(5.0)
        assert await asyncio.gather(*(recent.get("a", maker) for _ in range(20))) == [1] * 20

    in_virtual_time(trial)


def test_whoever_goes_away_takes_nothing_from_the_others() -> None:
    async def trial() -> None:
        recent, maker = Recent[int](), Maker(5.0)
        first, second = (asyncio.create_task(recent.get("a", maker)) for _ in range(2))
        await asyncio.sleep(1.0)
        first.cancel()
        assert await second == 1

    in_virtual_time(trial)


def test_trouble_is_told_to_those_who_wait_and_not_kept() -> None:
    async def trial() -> None:
        recent, maker = Recent[int](), Maker(0.1)

        async def fail() -> int:
            await asyncio.sleep(1.0)
            raise LookupError

        told = await asyncio.gather(recent.get("a", fail), recent.get("a", fail), return_exceptions=True)
        assert [type(one) for one in told] == [LookupError, LookupError]
        assert await recent.get("a", maker) == 1

    in_virtual_time(trial)


def test_what_is_good_no_more_is_not_kept() -> None:
    async def trial() -> None:
        recent, maker = Recent[int](), Maker(0.1)
        for number in range(100):
            await recent.get(number, maker)
        running().let_pass(2.0)
        await recent.get("last", maker)
        assert len(recent._readings) == 1

    in_virtual_time(trial)
