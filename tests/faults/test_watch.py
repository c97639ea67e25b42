"""The watch over clients forgets every call, whenever it ends."""

from __future__ import annotations

import asyncio
import random

from bailiwick.apps.gateway.watch import Message, Watch


async def test_nothing_is_left_of_a_call_that_ends_in_the_moment_in_which_its_watching_begins() -> None:
    watch = Watch(asyncio.get_running_loop())

    async def never() -> Message:
        return await asyncio.get_running_loop().create_future()

    async def call(seconds: float) -> None:
        watched = watch.enter(never)
        try:
            await asyncio.sleep(seconds)
        finally:
            watched.leave()

    sweeping = asyncio.create_task(watch.run())
    # The sweeps begin at 0.1 s, 0.2 s …: many of these calls end right there.
    await asyncio.gather(*(call(random.choice([0.0, 0.1, 0.2, random.uniform(0, 0.4)])) for _ in range(5000)))
    await asyncio.sleep(0.25)
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)

    assert watch.size == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
