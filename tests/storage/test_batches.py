"""Group commit: together when together, at once when alone, and nobody pays for another's bad row."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.storage import batches
from bailiwick.storage.batches import MAX_BATCH, Batcher
from tests.patience import loop_lag

OK, BROKEN_BEFORE, BROKEN_AFTER = "ok", "broken before the commit", "broken after the commit"


@dataclass
class Store:
    """What is durable; `troubles` are what happens to the next writes, after which all go well."""

    troubles: list[str] = field(default_factory=list)
    bad: set[int] = field(default_factory=set)
    rows: list[int] = field(default_factory=list)
    writes: list[list[int]] = field(default_factory=list)
    undone: list[int] = field(default_factory=list)
    rows_in_doubt: set[int] = field(default_factory=set)
    """Durable, and whoever wrote them does not know."""
    gate: asyncio.Event | None = None
    """Writes wait for it, if there is one."""

    async def write(self, items: list[int], *, again: bool) -> None:
        assert again or self.rows_in_doubt.isdisjoint(items)
        self.writes.append(list(items))
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        trouble = self.troubles.pop(0) if self.troubles else OK
        if trouble == BROKEN_BEFORE:
            raise psycopg.OperationalError(trouble)
        if self.bad.intersection(items):
            raise psycopg.DataError(trouble)
        self.rows += [item for item in items if item not in self.rows]
        if trouble == BROKEN_AFTER:
            self.rows_in_doubt.update(items)
            raise psycopg.OperationalError(trouble)

    def undo(self, items: list[int]) -> None:
        self.undone += items


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_RETRY_SECONDS", 0)


def batcher(store: Store, *, patience: float = 60, undoing: bool = False) -> Batcher[int]:
    return Batcher(store.write, patience=patience, undo=store.undo if undoing else None)


async def test_an_item_that_comes_alone_leaves_at_once() -> None:
    store = Store()
    written = batcher(store).add(1)
    for _ in range(5):  # Turns of the event loop: no time passes.
        await asyncio.sleep(0)
    assert written.done()
    assert written.result() is True
    assert store.writes == [[1]]


async def test_items_that_come_together_are_written_together_and_in_order() -> None:
    store = Store()
    writer = batcher(store)
    assert await asyncio.gather(*(writer.add(item) for item in range(10))) == [True] * 10
    assert store.writes == [list(range(10))]


async def test_the_next_batch_leaves_when_the_last_one_has_returned_and_takes_all_that_waited() -> None:
    store = Store(gate=asyncio.Event())
    writer = batcher(store)
    first = writer.add(0)
    await asyncio.sleep(0.01)
    rest = [writer.add(item) for item in range(1, 8)]
    await asyncio.sleep(0.01)
    assert store.writes == [[0]]
    assert writer.pending == 7
    assert store.gate is not None
    store.gate.set()
    await asyncio.gather(first, *rest)
    assert store.writes == [[0], [1, 2, 3, 4, 5, 6, 7]]


async def test_a_batch_has_a_largest_size() -> None:
    store = Store()
    writer = batcher(store)
    await asyncio.gather(*(writer.add(item) for item in range(2 * MAX_BATCH + 1)))
    assert [len(batch) for batch in store.writes] == [MAX_BATCH, MAX_BATCH, 1]


async def test_an_item_that_is_refused_hurts_no_other() -> None:
    store = Store(bad={3})
    writer = batcher(store)
    results = await asyncio.gather(*(writer.add(item) for item in range(6)), return_exceptions=True)
    assert isinstance(results.pop(3), psycopg.DataError)
    assert results == [True] * 5
    assert store.rows == [0, 1, 2, 4, 5]


async def test_a_broken_connection_is_tried_again() -> None:
    for trouble in (BROKEN_BEFORE, BROKEN_AFTER):
        store = Store(troubles=[trouble, trouble])
        assert await batcher(store).add(1) is True
        assert store.rows == [1]
        assert len(store.writes) == 3


async def test_a_connection_that_breaks_while_a_batch_is_written_one_by_one_loses_nothing() -> None:
    store = Store(bad={1}, troubles=[OK, BROKEN_AFTER, BROKEN_BEFORE, OK, BROKEN_BEFORE])
    writer = batcher(store)
    results = await asyncio.gather(*(writer.add(item) for item in range(4)), return_exceptions=True)
    assert isinstance(results.pop(1), psycopg.DataError)
    assert results == [True] * 3
    assert store.rows == [0, 2, 3]


async def test_a_defect_reaches_those_who_wait_and_the_next_batch_is_written() -> None:
    async def write(items: list[int], *, again: bool) -> None:
        if 1 in items:
            raise ZeroDivisionError

    writer: Batcher[int] = Batcher(write, patience=60)
    with pytest.raises(ZeroDivisionError):
        await writer.add(1)
    assert await writer.add(2) is True


async def test_without_a_database_a_caller_is_told_when_its_patience_has_ended() -> None:
    store = Store(gate=asyncio.Event())
    writer = batcher(store, patience=0.2)
    async with loop_lag() as lag:
        began = asyncio.get_running_loop().time()
        assert await writer.add(1) is False
        waited = asyncio.get_running_loop().time() - began
    assert 0.2 <= waited < 0.2 + 2 * batches._SWEEP_SECONDS + lag.seconds
    assert store.gate is not None
    store.gate.set()
    await writer.drain()


async def test_patience_ends_for_all_of_a_batch_that_is_written_one_by_one() -> None:
    store = Store(bad={0}, troubles=[OK, *[BROKEN_BEFORE] * 100_000])
    writer = batcher(store, patience=0.1, undoing=True)
    outcomes = [writer.add(item) for item in range(8)]
    async with asyncio.timeout(1.5):
        assert await asyncio.gather(*outcomes) == [False] * 8
    await writer.drain()


@pytest.mark.parametrize("ending", ["stuck", "failing"])
async def test_what_nobody_waits_for_any_more_is_written_all_the_same(
    ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_RETRY_SECONDS", 0.01)
    store = Store(gate=asyncio.Event()) if ending == "stuck" else Store(troubles=[BROKEN_BEFORE] * 100)
    writer = batcher(store, patience=0.1)
    assert await writer.add(1) is False
    assert store.rows == []
    if store.gate is not None:
        store.gate.set()
    await writer.drain()
    assert store.rows == [1]


@pytest.mark.parametrize("trouble", [BROKEN_BEFORE, BROKEN_AFTER])
async def test_what_can_be_taken_back_is_given_up_with_its_caller(
    trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_RETRY_SECONDS", 0.01)
    store = Store(troubles=[trouble] * 1_000)
    writer = batcher(store, patience=0.1, undoing=True)
    assert await writer.add(1) is False
    await writer.drain()
    assert store.undone == [1]
    assert len(store.writes) < 1_000


async def test_what_was_cancelled_before_it_left_is_never_written_if_it_can_be_taken_back() -> None:
    store = Store(gate=asyncio.Event())
    writer = batcher(store, undoing=True)
    first, second, third = writer.add(1), writer.add(2), writer.add(3)
    second.cancel()
    assert store.gate is not None
    store.gate.set()
    assert [await first, await third] == [True, True]
    assert store.rows == [1, 3]
    assert store.undone == []


async def test_what_was_cancelled_while_it_was_written_is_taken_back() -> None:
    store = Store(gate=asyncio.Event())
    writer = batcher(store, undoing=True)
    first, second = writer.add(1), writer.add(2)
    await asyncio.sleep(0.01)
    second.cancel()
    assert store.gate is not None
    store.gate.set()
    assert await first is True
    await writer.drain()
    assert store.rows == [1, 2]
    assert store.undone == [2]


async def test_what_was_cancelled_is_written_if_it_cannot_be_taken_back() -> None:
    store = Store(gate=asyncio.Event())
    writer = batcher(store)
    writer.add(1).cancel()
    assert store.gate is not None
    store.gate.set()
    await writer.drain()
    assert store.rows == [1]


async def test_drain_waits_for_everything_that_was_added() -> None:
    store = Store(troubles=[BROKEN_BEFORE, BROKEN_AFTER])
    writer = batcher(store)
    for item in range(3):
        writer.add(item)
    await writer.drain()
    assert store.rows == [0, 1, 2]
    await writer.drain()


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "cancel", "turn", "turn"]), st.integers(0, 7)), min_size=1, max_size=25
)


@given(
    STEPS,
    st.lists(st.sampled_from([OK, BROKEN_BEFORE, BROKEN_AFTER]), max_size=8),
    st.sets(st.integers(0, 10), max_size=3),
    st.booleans(),
)
def test_whatever_happens_everybody_is_told_the_truth(
    steps: list[tuple[str, int]], troubles: list[str], bad: set[int], undoing: bool
) -> None:
    store = Store(troubles=list(troubles), bad=bad)

    async def run() -> list[asyncio.Future[bool]]:
        writer = batcher(store, undoing=undoing)
        outcomes: list[asyncio.Future[bool]] = []
        for step, number in steps:
            if step == "add":
                outcomes.append(writer.add(len(outcomes)))
            elif step == "cancel" and outcomes:
                outcomes[number % len(outcomes)].cancel()
            else:
                await asyncio.sleep(0)
        await writer.drain()
        return outcomes

    outcomes = asyncio.run(run())
    for item, outcome in enumerate(outcomes):
        if outcome.cancelled():
            if undoing:
                assert item not in store.rows or item in store.undone
            else:
                assert (item in store.rows) is (item not in bad)
        elif outcome.exception() is None:
            assert outcome.result() is True
            assert item in store.rows
            assert item not in store.undone
        else:
            assert item in bad
    assert not bad.intersection(store.rows)
