"""The store of a single process: it decides as the domain does, and keeps its memory and its promises."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.errors import Unavailable
from bailiwick.domain.limits import Decision, LimitLevel, Rate, Stored, Unit, correct, decide, refund, replay
from bailiwick.limiting.in_process import InProcessLimitStore
from tests.domain.limit_cases import SECOND, START, limits, steps, told
from tests.limiting.at_once import at_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailiwick.limiting.store import BucketKey, Charge

MINUTE = 60 * SECOND
IP, PROJECT, KEY, USER = LimitLevel


def limit_of(requests: int, per_ns: int, burst: int | None = None) -> Rate:
    return Rate(amount=requests, per_ns=per_ns, burst=burst or requests)


def user(name: str, limit: Rate, project: str = "prj_a", cost: int = 1) -> Charge:
    return (USER, Unit.REQUESTS, project, name), limit, cost


def project(limit: Rate, name: str = "prj_a") -> Charge:
    return (PROJECT, Unit.REQUESTS, name, ""), limit, 1


def flood(store: InProcessLimitStore, limit: Rate, at_ns: int = START, also: Sequence[Charge] = ()) -> int:
    """Send new users until the store opens no more buckets; return how many it served."""
    for number in range(1000):
        try:
            at_once(store.admit([*also, user(f"u-{number}", limit)], at_ns))
        except Unavailable:
            return number
    message = "the store never was full"
    raise AssertionError(message)


def plain(decision: Decision) -> Decision:
    return msgspec.structs.replace(decision, taken=tuple(decision.taken), refusals=tuple(decision.refusals))


@dataclass
class Oracle:
    """The domain's functions over a dictionary that forgets nothing."""

    buckets: dict[BucketKey, Stored | None] = field(default_factory=dict)
    now_ns: int = 0

    def admit(self, charges: list[Charge], now_ns: int) -> Decision:
        self.now_ns = max(self.now_ns, now_ns)
        asked = [(key[0], key[1], limit, cost, self.buckets.get(key)) for key, limit, cost in charges]
        decision = decide(asked, self.now_ns)
        self.buckets.update({key: stored for (key, _, _), stored in zip(charges, decision.taken, strict=False)})
        return plain(decision)

    def refund(self, charges: list[Charge], decision: Decision, now_ns: int) -> None:
        self.now_ns = max(self.now_ns, now_ns)
        for (key, _, cost), receipt in zip(charges, decision.taken, strict=True):
            self.buckets[key] = refund(receipt, cost, cost, decision.at_ns, self.buckets[key], self.now_ns)

    def correct(self, charges: list[Charge], decision: Decision, tokens: int, now_ns: int) -> None:
        self.now_ns = max(self.now_ns, now_ns)
        for (key, _, cost), receipt in zip(charges, decision.taken, strict=True):
            if key[1] is Unit.TOKENS:
                self.buckets[key] = correct(receipt, cost, tokens, decision.at_ns, self.buckets[key], self.now_ns)


@given(st.data(), st.lists(limits(), min_size=2, max_size=3))
def test_it_decides_as_the_domain_does_whatever_happens(data: st.DataObject, some: list[Rate]) -> None:
    store, oracle, now_ns = InProcessLimitStore(), Oracle(), START
    admissions: list[tuple[list[Charge], Decision]] = []
    for _ in range(data.draw(st.integers(1, 25))):
        now_ns += data.draw(steps(some[0])) - data.draw(st.sampled_from([0, 0, 0, 7, SECOND]))
        if admissions and data.draw(st.integers(0, 3)) == 0:
            charges, decision = admissions.pop(data.draw(st.integers(0, len(admissions) - 1)))
            if data.draw(st.booleans()):
                at_once(store.refund(charges, decision, now_ns))
                oracle.refund(charges, decision, now_ns)
            else:
                used = data.draw(st.integers(0, 20))
                store.correct(charges, decision, used, now_ns)
                oracle.correct(charges, decision, used, now_ns)
            continue
        buckets = sorted(data.draw(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 1)))))
        charges = [
            (
                (list(LimitLevel)[level], list(Unit)[unit], "prj_a", data.draw(st.sampled_from("ab"))),
                data.draw(st.sampled_from(some)),
                data.draw(st.sampled_from([1, 1, 1, 2, 9])),
            )
            for level, unit in buckets
        ]
        decision = at_once(store.admit(charges, now_ns))
        assert plain(decision) == oracle.admit(charges, now_ns)
        if decision.admitted:
            admissions.append((charges, decision))


def test_a_limit_that_was_read_anew_but_is_the_same_goes_on_where_it_was() -> None:
    store = InProcessLimitStore()
    for _ in range(3):
        at_once(store.admit([user("u", limit_of(5, MINUTE))], START))

    assert told(at_once(store.admit([user("u", limit_of(5, MINUTE))], START))).remaining == 1


def test_three_hundred_attempts_at_one_instant_against_fifty_take_exactly_fifty_from_the_project() -> None:
    store = InProcessLimitStore()
    charges = [project(limit_of(1000, MINUTE)), user("u", limit_of(50, MINUTE))]
    decisions = [at_once(store.admit(charges, START)) for _ in range(300)]

    assert sum(decision.admitted for decision in decisions) == 50
    assert {told(decision).level for decision in decisions if not decision.admitted} == {USER}
    assert told(at_once(store.admit([project(limit_of(1000, MINUTE))], START))).remaining == 1000 - 50 - 1


def test_a_refusal_opens_no_bucket() -> None:
    store = InProcessLimitStore()
    store_before = at_once(store.admit([user("u", limit_of(1, MINUTE))], START))
    refused = at_once(store.admit([project(limit_of(9, MINUTE)), user("u", limit_of(1, MINUTE))], START))

    assert store_before.admitted
    assert not refused.admitted
    assert len(store) == 1


def test_users_of_the_same_name_in_two_projects_are_two() -> None:
    store = InProcessLimitStore()
    limit = limit_of(1, MINUTE)

    assert at_once(store.admit([user("u", limit, "prj_a")], START)).admitted
    assert at_once(store.admit([user("u", limit, "prj_b")], START)).admitted
    assert not at_once(store.admit([user("u", limit, "prj_a")], START)).admitted


def test_a_call_without_limits_is_admitted() -> None:
    assert at_once(InProcessLimitStore().admit([], START)).admitted


@pytest.mark.parametrize("cost", [0, -1])
def test_a_cost_below_one_is_an_error(cost: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        at_once(InProcessLimitStore().admit([user("u", limit_of(1, MINUTE), cost=cost)], START))


def test_a_bucket_that_was_forgotten_cannot_be_had_again_by_turning_the_clock_back() -> None:
    store = InProcessLimitStore()
    limit = limit_of(2, SECOND)
    for _ in range(2):
        at_once(store.admit([user("u", limit)], START))
    for other in range(200):
        at_once(store.admit([user(f"other-{other}", limit)], START + SECOND))
    admitted = [at_once(store.admit([user("u", limit)], START)).admitted for _ in range(5)]

    assert admitted == [True, True, False, False, False]


def test_users_who_came_and_went_leave_nothing_behind() -> None:
    store = InProcessLimitStore()
    limit = limit_of(1000, SECOND)
    most = 0
    for number in range(10_000):
        name = f"n-{number}"
        charges = [((level, Unit.REQUESTS, "prj_a", name), limit, 1) for level in (IP, KEY, USER)]
        at_once(store.admit(charges, START + number * 100_000))
        most = max(most, len(store))

    # One millisecond of debt, a call every tenth of one, three new buckets at each: thirty are live at any time.
    assert most < 100


def test_what_a_flood_left_is_forgotten_by_calls_that_open_nothing() -> None:
    store = InProcessLimitStore()
    limit = limit_of(1000, SECOND)
    for number in range(1000):
        at_once(store.admit([user(f"u-{number}", limit)], START))
    full = len(store)
    for call in range(1100):
        at_once(store.admit([project(limit_of(1000, SECOND))], START + SECOND + call * SECOND // 2000))

    assert full == 1000
    assert len(store) == 1


def test_a_full_store_opens_no_bucket_and_refills_none() -> None:
    store = InProcessLimitStore(most_buckets=100)
    limit = limit_of(2, MINUTE)

    assert flood(store, limit) == 80
    assert at_once(store.admit([user("u-0", limit)], START)).admitted
    assert not at_once(store.admit([user("u-0", limit)], START)).admitted


def test_a_refusal_for_want_of_room_takes_nothing_elsewhere() -> None:
    store = InProcessLimitStore(most_buckets=10)
    wide = limit_of(100, MINUTE)
    served = flood(store, limit_of(2, MINUTE), also=[project(wide)])

    assert told(at_once(store.admit([project(wide)], START))).remaining == 100 - served - 1


def test_a_flood_in_one_project_leaves_room_for_another() -> None:
    store = InProcessLimitStore(most_buckets=100)
    limit = limit_of(2, MINUTE)
    flood(store, limit)

    assert at_once(store.admit([project(limit, "prj_b"), user("u", limit, "prj_b")], START)).admitted


def test_a_full_store_opens_buckets_again_when_old_ones_have_drained() -> None:
    store = InProcessLimitStore(most_buckets=100)
    limit = limit_of(60, MINUTE)
    flood(store, limit)

    assert at_once(store.admit([user("new", limit)], START + SECOND)).admitted
    assert told(at_once(store.admit([user("u-0", limit)], START + SECOND))).remaining == 59


def test_a_full_store_that_has_drained_holds_as_many_as_before() -> None:
    store = InProcessLimitStore(most_buckets=100)
    limit = limit_of(60, MINUTE)

    assert [flood(store, limit, START + 2 * again * SECOND) for again in range(5)] == [80, 80, 80, 80, 80]


def test_a_bucket_is_raised_to_what_is_on_record_and_never_lowered() -> None:
    store = InProcessLimitStore()
    limit = limit_of(10, MINUTE)
    recorded = replay(limit, [START] * 6)
    fewer = replay(limit, [START] * 2)
    assert recorded is not None
    assert fewer is not None
    store.raise_to((USER, Unit.REQUESTS, "prj_a", "u"), recorded, START)
    store.raise_to((USER, Unit.REQUESTS, "prj_a", "u"), fewer, START)

    assert told(at_once(store.admit([user("u", limit)], START))).remaining == 3


def test_a_bucket_that_was_raised_is_forgotten_when_it_has_drained() -> None:
    store = InProcessLimitStore()
    limit = limit_of(10, MINUTE)
    recorded = replay(limit, [START] * 6)
    assert recorded is not None
    store.raise_to((USER, Unit.REQUESTS, "prj_a", "u"), recorded, START)
    for call in range(40):
        at_once(store.admit([project(limit_of(1000, SECOND))], START + MINUTE + call))

    assert len(store) == 1
