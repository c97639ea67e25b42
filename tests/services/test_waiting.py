"""Calls that wait for their turn: in which order they are let in, how many may, and what leaving costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, cast, final

import pytest

from bailiwick.domain.limit_settings import parse_limits
from bailiwick.domain.limits import Decision
from bailiwick.domain.principal import Principal
from bailiwick.limiting.in_process import InProcessLimitStore
from bailiwick.limiting.store import Charge
from bailiwick.services.admission import Admission, Place, RateLimited, charges
from bailiwick.services.waiting import WaitingRooms
from bailiwick.storage.limit_history import LimitHistory
from tests.domain.samples import principal
from tests.virtual_time import VirtualTime, now_ns, running

EVENT_LOOP: Final = VirtualTime
NOBODYS_HISTORY: Final = cast("LimitHistory", None)
SECOND: Final = 1_000_000_000
# A moment is not slept to exactly, but a thousandth of a second longer, at each of a few turns.
SOON: Final = 0.01


def queue(requests: int, per: str = "1s", **fields: object) -> dict[str, object]:
    return {"requests": requests, "per": per, "overflow": "queue", "max_wait": "5s", **fields}


def caller(uid: str | None = "a", of: str = "prj_a", **limits: object) -> Principal:
    return principal(uid=uid, limits=parse_limits(limits), bucket=of)


@pytest.fixture
def admission() -> Admission:
    """Of a process that remembers every project."""
    store = InProcessLimitStore()
    for project in ("prj_a", "prj_b"):
        store.remember(project)
    return Admission(store, NOBODYS_HISTORY, now_ns=now_ns)


@final
class Crowd:
    """Calls that come one after the other, and the order in which they are let in."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.tasks: list[asyncio.Task[Place]] = []
        self.let_in: list[str] = []
        self.places: list[Place] = []

    def come(self, name: str, who: Principal, tokens: int = 0) -> asyncio.Task[Place]:
        """One more call; those of one step of the event loop come at the same moment, one after the other."""
        task = asyncio.create_task(self._call(name, who, tokens))
        self.tasks.append(task)
        return task

    async def over(self) -> list[str]:
        """The order, when all are in."""
        await asyncio.gather(*self.tasks)
        return self.let_in

    async def _call(self, name: str, who: Principal, tokens: int) -> Place:
        place = await self._admission.admit(who, "127.0.0.1", tokens, 100)
        self.let_in.append(name)
        return place


async def retry_of(admission: Admission, who: Principal, tokens: int = 0) -> float | None:
    """What a call is told that must be refused at once, in seconds."""
    began = running().time()
    with pytest.raises(RateLimited) as refused:
        await admission.admit(who, "127.0.0.1", tokens, 100)
    assert running().time() == began
    wait_ns = refused.value.decision.retry_after_ns
    return None if wait_ns is None else wait_ns / SECOND


async def test_a_call_over_the_limit_waits_as_long_as_it_must_and_not_longer(admission: Admission) -> None:
    crowd, who = Crowd(admission), caller(user=queue(5, burst=1))
    began = running().time()
    for name in "123":
        crowd.come(name, who)

    assert await crowd.over() == ["1", "2", "3"]
    assert 0.4 <= running().time() - began < 0.4 + SOON
    assert [task.result().waited for task in crowd.tasks] == [False, True, True]
    assert len(admission.waiting) == 0


async def test_users_of_a_project_take_turns_and_each_is_served_in_order(admission: Admission) -> None:
    crowd, limits = Crowd(admission), {"project": queue(8, burst=1)}
    crowd.come("first", caller("a", **limits))
    for name in ("a1", "a2", "a3", "a4", "a5", "b1", "b2", "c1"):
        crowd.come(name, caller(name[0], **limits))

    assert await crowd.over() == ["first", "a1", "b1", "c1", "a2", "b2", "a3", "a4", "a5"]


@pytest.mark.parametrize("level", ["ip", "project", "key"])
async def test_nobody_who_comes_later_goes_before_those_who_wait(admission: Admission, level: str) -> None:
    crowd, limits = Crowd(admission), {level: queue(10, burst=1)}
    crowd.come("first", caller("a", **limits))
    crowd.come("waits", caller("a", **limits))
    await asyncio.sleep(0.01)
    # Now there is room for one, and whoever comes in this very moment finds it.
    running().let_pass(0.11)
    crowd.come("late", caller("z", **limits))

    assert await crowd.over() == ["first", "waits", "late"]


async def test_whoever_waits_for_a_limit_of_their_own_keeps_nobody_waiting(admission: Admission) -> None:
    crowd, limits = Crowd(admission), {"user": queue(2, burst=1), "project": queue(1000)}
    for name in ("a1", "a2", "a3"):
        crowd.come(name, caller("a", **limits))
    await asyncio.sleep(0.01)
    began = running().time()
    await crowd.come("b1", caller("b", **limits))
    assert running().time() == began

    assert (await crowd.over())[:2] == ["a1", "b1"]


async def test_whoever_waits_for_a_limit_of_their_own_and_the_projects_keeps_nobody_waiting(
    admission: Admission,
) -> None:
    crowd, limits = Crowd(admission), {"user": queue(1, burst=1), "project": queue(10, burst=1)}
    for name in ("a1", "a2", "b1", "c1"):
        crowd.come(name, caller(name[0], **limits))
    began = running().time()
    await asyncio.gather(*crowd.tasks[2:])
    assert running().time() - began < 0.2 + SOON

    assert await crowd.over() == ["a1", "b1", "c1", "a2"]


async def test_whoever_names_nobody_stands_in_the_line_of_the_key(admission: Admission) -> None:
    crowd, limits = Crowd(admission), {"project": queue(8, burst=1)}
    for name, uid in (("first", None), ("k1", None), ("k2", None), ("a1", "a"), ("k3", None)):
        crowd.come(name, caller(uid, **limits))

    assert await crowd.over() == ["first", "k1", "a1", "k2", "k3"]


async def test_a_turn_that_would_come_too_late_is_refused_at_once_with_the_time_when_it_would(
    admission: Admission,
) -> None:
    crowd, who = Crowd(admission), caller(user=queue(2, burst=1, max_wait="900ms"))
    for name in ("in", "waits"):
        crowd.come(name, who)
    await asyncio.sleep(0)
    told = await retry_of(admission, who)

    # Half a second each, and one is before it.
    assert told == 1.0
    await crowd.over()


async def test_those_of_others_who_come_before_are_foreseen_too(admission: Admission) -> None:
    crowd, limits = Crowd(admission), {"project": queue(10, burst=1, max_wait="250ms")}
    crowd.come("first", caller("a", **limits))
    for uid in "bc":
        crowd.come(uid, caller(uid, **limits))
    await asyncio.sleep(0.01)
    told = await retry_of(admission, caller("d", **limits))

    assert told == 0.29
    await crowd.over()


async def test_where_one_level_rejects_nobody_waits_for_it(admission: Admission) -> None:
    who = caller(user=queue(1), project={"requests": 1, "per": "1s"})
    await admission.admit(who, "127.0.0.1", 0, 100)

    assert await retry_of(admission, who) is not None


async def test_what_can_never_fit_does_not_wait(admission: Admission) -> None:
    who = caller(user={"tokens": 100, "per": "1s", "overflow": "queue"})

    assert await retry_of(admission, who, tokens=101) is None


async def test_a_call_that_leaves_has_taken_nothing_and_those_behind_move_up(admission: Admission) -> None:
    crowd, who = Crowd(admission), caller(user=queue(5, burst=1))
    crowd.come("in", who)
    leaves = crowd.come("leaves", who)
    began = running().time()
    crowd.come("behind", who)
    await asyncio.sleep(0)
    leaves.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaves
    crowd.tasks.remove(leaves)

    assert await crowd.over() == ["in", "behind"]
    assert 0.2 <= running().time() - began < 0.2 + SOON
    assert len(admission.waiting) == 0


async def test_tokens_that_come_back_are_used_before_the_time_that_was_foreseen(admission: Admission) -> None:
    crowd, who = Crowd(admission), caller(user={"tokens": 100, "per": "10s", "overflow": "queue"})
    first = await crowd.come("first", who, tokens=100)
    crowd.come("second", who, tokens=40)
    await asyncio.sleep(0.05)
    began = running().time()
    admission.correct(first, 10)
    await crowd.over()

    assert running().time() - began < 0.05 + SOON


async def test_a_project_that_many_wait_for_keeps_no_other_waiting(admission: Admission) -> None:
    crowd, limits = Crowd(admission), {"project": queue(2, burst=1)}
    for name in ("1", "2", "3"):
        crowd.come(name, caller(**limits))
    await asyncio.sleep(0.01)
    began = running().time()
    await admission.admit(caller(of="prj_b", **limits), "127.0.0.1", 0, 100)
    assert running().time() == began
    for task in crowd.tasks:
        task.cancel()
    await asyncio.gather(*crowd.tasks, return_exceptions=True)


@final
class CountingStore:
    """A limit store that counts how often it is asked, and tells before it says yes."""

    def __init__(self) -> None:
        self._store = InProcessLimitStore()
        self.asked = 0
        self.tell: Callable[[], object] = bool

    async def admit(self, charged: Sequence[Charge], now_ns: int) -> Decision:
        self.asked += 1
        decision = await self._store.admit(charged, now_ns)
        if decision.admitted:
            self.tell()
        return decision

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_nobody_polls(admission: Admission) -> None:
    del admission
    store = CountingStore()
    rooms = WaitingRooms(store, now_ns=now_ns)
    limits = {"project": queue(10, burst=1), "user": queue(1000)}
    callers = [caller(str(number), **limits) for number in range(5)]
    await store.admit(charges(callers[0], "127.0.0.1", 0), now_ns())
    waits = [rooms.wait(who, charges(who, "127.0.0.1", 0), 100) for who in callers]
    decisions = await asyncio.gather(*waits)

    assert all(decision.admitted for decision in decisions)
    # Each is asked for when its time has come, and the next one behind it; and once when it came.
    assert store.asked <= 1 + 3 * 5


@pytest.mark.parametrize("level", ["ip", "project", "key"])
async def test_one_call_is_let_in_without_asking_for_all_who_wait(level: str) -> None:
    store = CountingStore()
    rooms = WaitingRooms(store, now_ns=now_ns)
    callers = [caller(str(number), **{level: queue(50, burst=1)}) for number in range(200)]
    await store.admit(charges(callers[0], "127.0.0.1", 0), now_ns())
    waits = [asyncio.create_task(rooms.wait(who, charges(who, "127.0.0.1", 0), 100)) for who in callers]
    await asyncio.gather(*waits[:5])
    let_in = sum(task.done() for task in waits)
    for task in waits:
        task.cancel()
    await asyncio.gather(*waits, return_exceptions=True)

    assert store.asked <= 2 + 3 * let_in


async def test_what_one_user_gives_back_is_offered_to_nobody_who_waits_for_something_else() -> None:
    store = CountingStore()
    rooms = WaitingRooms(store, now_ns=now_ns)
    callers = [caller(str(number), user=queue(1, "5s", burst=1)) for number in range(200)]
    taken = [charges(who, "127.0.0.1", 0) for who in callers]
    admitted = [await store.admit(charged, now_ns()) for charged in taken]
    waits = [asyncio.create_task(rooms.wait(*call, 100)) for call in zip(callers, taken, strict=True)]
    await asyncio.sleep(0.05)
    before = store.asked
    await store.refund(taken[7], admitted[7], now_ns())
    rooms.freed(taken[7])
    assert (await waits[7]).admitted

    assert store.asked == before + 1
    for task in waits:
        task.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


async def test_a_call_that_leaves_in_the_moment_it_is_let_in_gives_its_place_back() -> None:
    store, loop = CountingStore(), asyncio.get_running_loop()
    rooms, who = WaitingRooms(store, now_ns=now_ns), caller(user=queue(10, burst=1))
    charged = charges(who, "127.0.0.1", 0)
    await store.admit(charged, now_ns())
    leaves = asyncio.create_task(rooms.wait(who, charged, 100))
    let_in: list[bool] = []
    # What is scheduled first runs first: the client is gone before its call can go on.
    store.tell = lambda: let_in.append(loop.call_soon(leaves.cancel) is not None)
    with pytest.raises(asyncio.CancelledError):
        await leaves

    assert let_in == [True]
    assert (await store.admit(charged, now_ns())).admitted


@pytest.mark.parametrize(("users", "most"), [(1, 2), (10, 3)])
async def test_what_waits_takes_no_more_than_there_is_room_for(users: int, most: int) -> None:
    """Room for six calls with their bodies: a third of it for one user, half of it for one project."""
    size = 84 * 1024
    rooms = WaitingRooms(InProcessLimitStore(), now_ns=now_ns, most_bytes=6 * 100 * 1024)
    limits = {"project": queue(1, "5s", burst=1, max_wait="1m")}
    tasks = []
    for number in range(10):
        who = caller(str(number % users), **limits)
        tasks.append(asyncio.create_task(rooms.wait(who, charges(who, "127.0.0.1", 0), size)))
        await asyncio.sleep(0)
    # The first is let in: the bucket was empty.
    done = [task for task in tasks if task.done() or await settled(task)]

    assert len(rooms) == most
    assert sum(not task.result().admitted for task in done) == 10 - 1 - most
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(rooms) == 0


async def settled(task: asyncio.Task[Decision]) -> bool:
    await asyncio.wait([task], timeout=0.01)
    return task.done()


async def test_waits_are_counted_by_how_long_they_were_and_how_they_ended(admission: Admission) -> None:
    crowd, who = Crowd(admission), caller(user=queue(5, burst=1))
    in_time = [crowd.come(name, who) for name in ("in", "waits")]
    leaves = crowd.come("leaves", who)
    await asyncio.sleep(0.1)
    leaves.cancel()
    await asyncio.gather(*in_time)
    await admission.admit(caller("b", user=queue(1, max_wait="2s")), "127.0.0.1", 0, 100)
    found = {end: (sum(waits.counts), waits.total) for end, waits in admission.waiting.waits.items()}

    assert found == {"admitted": (1, 201), "refused": (0, 0), "left": (1, 100)}


async def test_a_wait_that_was_in_vain_is_counted_as_refused(admission: Admission) -> None:
    limits = {"user": queue(1), "ip": {"requests": 2, "per": "1h"}}
    await admission.admit(caller("a", **limits), "127.0.0.1", 0, 100)
    waits = asyncio.ensure_future(admission.admit(caller("a", **limits), "127.0.0.1", 0, 100))
    await asyncio.sleep(0.1)
    # The last place of the address, for which nobody waits.
    await admission.admit(caller("b", **limits), "127.0.0.1", 0, 100)
    with pytest.raises(RateLimited):
        await waits

    assert {end: sum(waits.counts) for end, waits in admission.waiting.waits.items()} == {
        "admitted": 0, "refused": 1, "left": 0,
    }  # fmt: skip
