"""What is kept in memory: for how long it is believed, and what pushes out what."""

from __future__ import annotations

from collections import Counter

import pytest

from bailiwick.services.remembered import Remembered
from bailiwick.storage.epoch import Epoch

CAPACITY = 50


class Shelf:
    """Names that begin with `a` are there, others are not; readings are counted."""

    def __init__(self) -> None:
        self.read: Counter[str] = Counter()

    async def __call__(self, name: str) -> str | None:
        self.read[name] += 1
        return name.upper() if name.startswith("a") else None


@pytest.fixture
def epoch() -> Epoch:
    made = Epoch(lambda: 0.0)
    made.confirm(1, 0.0)
    return made


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def kept(shelf: Shelf, epoch: Epoch) -> Remembered[str, str | None]:
    return Remembered(shelf, epoch, capacity=CAPACITY)


async def test_nothing_that_is_absent_pushes_out_what_is_there(shelf: Shelf, kept: Remembered[str, str | None]) -> None:
    there = [f"a{number}" for number in range(CAPACITY)]
    for name in there:
        await kept.get(name)
    for number in range(100 * CAPACITY):
        assert await kept.get(f"b{number}") is None
    assert [await kept.get(name) for name in there] == [name.upper() for name in there]
    assert set(map(shelf.read.__getitem__, there)) == {1}


async def test_what_is_absent_is_remembered_and_bounded(shelf: Shelf, kept: Remembered[str, str | None]) -> None:
    for _ in range(2):
        assert await kept.get("b") is None
    assert shelf.read["b"] == 1
    for number in range(5000):
        await kept.get(f"b{number}")
    assert len(kept) <= 1000


async def test_the_oldest_of_what_is_there_makes_room(shelf: Shelf, kept: Remembered[str, str | None]) -> None:
    for number in range(CAPACITY + 1):
        await kept.get(f"a{number}")
    assert len(kept) == CAPACITY
    for name in ("a1", "a0"):
        await kept.get(name)
    assert (shelf.read["a1"], shelf.read["a0"]) == (1, 2)


async def test_a_change_makes_it_forget_what_is_there_and_what_is_not(
    shelf: Shelf, kept: Remembered[str, str | None], epoch: Epoch
) -> None:
    names = ["a", "aa", "b", "bb"]
    for number in (1, 2):
        epoch.confirm(number, 0.0)
        for name in names * 2:
            await kept.get(name)
        assert {shelf.read[name] for name in names} == {number}
