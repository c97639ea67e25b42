"""The watch over clients forgets every call, whenever it ends."""

from __future__ import annotations

import asyncio
import random

import pytest

from bailiwick.apps.gateway.watch import Message, Watch


@pytest.mark.parametrize("goes_on", [False, True])
async def test_a_call_may_go_on_without_its_client_and_not_for_ever(*, goes_on: bool) -> None:
    loop = asyncio.get_running_loop()
    watch = Watch(loop, heard_out=0.5)
    sweeping = asyncio.create_task(watch.run())
    began = loop.time()

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def call() -> None:
        watched = watch.enter(gone)
        watched.goes_on = goes_on
        try:
            await asyncio.sleep(5)
        finally:
            assert watched.gone
            watched.leave()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(call())
    took = loop.time() - began
    assert 0.5 < took < 1.5 if goes_on else took < 0.4
    sweeping.cancel()


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
