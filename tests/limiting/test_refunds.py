"""Taking an admission back: the exact inverse at once, and later never more than time has left of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.limits import Decision, LimitLevel, Rate, Unit
from bailiwick.limiting.in_process import InProcessLimitStore
from tests.domain.limit_cases import SECOND, START, assert_bounded, held, limits, steps, told
from tests.limiting.at_once import at_once

if TYPE_CHECKING:
    from bailiwick.limiting.store import Charge

MINUTE = 60 * SECOND
USER = LimitLevel.USER
PROBE = 10**6


def charged(limit: Rate) -> list[Charge]:
    return [((USER, Unit.REQUESTS, "prj_a", "u"), limit, 1)]


def debt_of(store: InProcessLimitStore, limit: Rate, now_ns: int) -> object:
    """What the user's bucket holds, exactly, by a call under a limit so wide that it is always admitted."""
    wide = Rate(amount=limit.amount, per_ns=limit.per_ns, burst=PROBE)
    decision = at_once(store.admit(charged(wide), now_ns))
    return held(decision.taken[0], now_ns) - 1


@given(st.data(), limits(), st.integers(0, 8), st.integers(0, 8))
def test_at_the_same_instant_a_refund_undoes_exactly_that_admission(
    data: st.DataObject, limit: Rate, before: int, later: int
) -> None:
    store, mirror = InProcessLimitStore(), InProcessLimitStore()
    wide = charged(Rate(amount=limit.amount, per_ns=limit.per_ns, burst=PROBE))
    for at in (store, mirror):
        for _ in range(before):
            at_once(at.admit(wide, START))
    now_ns = START + data.draw(steps(limit))
    decisions = [at_once(store.admit(wide, now_ns)) for _ in range(later)]
    taken_back = data.draw(st.lists(st.sampled_from(range(later)), unique=True)) if later else []
    for place in taken_back:
        at_once(store.refund(wide, decisions[place], now_ns))
    for _ in range(later - len(taken_back)):
        at_once(mirror.admit(wide, now_ns))

    assert debt_of(store, limit, now_ns) == debt_of(mirror, limit, now_ns)


@given(st.data(), limits(), st.integers(0, 8))
def test_if_nobody_came_in_between_a_refund_leaves_the_bucket_as_if_the_call_had_never_come(
    data: st.DataObject, limit: Rate, before: int
) -> None:
    store, mirror = InProcessLimitStore(), InProcessLimitStore()
    wide = charged(Rate(amount=limit.amount, per_ns=limit.per_ns, burst=PROBE))
    for at in (store, mirror):
        for _ in range(before):
            at_once(at.admit(wide, START))
    admitted_ns = START + data.draw(steps(limit))
    refunded_ns = admitted_ns + data.draw(steps(limit))
    decision = at_once(store.admit(wide, admitted_ns))
    at_once(store.refund(wide, decision, refunded_ns))

    assert debt_of(store, limit, refunded_ns) == debt_of(mirror, limit, refunded_ns)


@given(st.data(), limits())
def test_whatever_is_refunded_the_calls_that_stay_keep_the_bound(data: st.DataObject, limit: Rate) -> None:
    store, now_ns = InProcessLimitStore(), START
    charges = charged(limit)
    open_calls: list[tuple[int, Decision]] = []
    stayed: list[int] = []
    for _ in range(data.draw(st.integers(1, 40))):
        now_ns += data.draw(st.one_of(st.just(0), steps(limit)))
        give_back, stays = data.draw(st.tuples(st.booleans(), st.booleans()))
        if open_calls and give_back:
            _, decision = open_calls.pop(data.draw(st.integers(0, len(open_calls) - 1)))
            at_once(store.refund(charges, decision, now_ns))
            continue
        decision = at_once(store.admit(charges, now_ns))
        if decision.admitted and stays:
            stayed.append(now_ns)
        elif decision.admitted:
            open_calls.append((now_ns, decision))

    assert_bounded(limit, sorted([*stayed, *(at_ns for at_ns, _ in open_calls)]))


def test_calls_that_were_held_for_a_while_and_refused_in_their_order_are_given_back() -> None:
    store = InProcessLimitStore()
    limit = Rate(amount=60, per_ns=MINUTE, burst=60)
    decisions = [at_once(store.admit(charged(limit), START)) for _ in range(60)]
    for decision in decisions[1:]:
        at_once(store.refund(charged(limit), decision, START + 2 * SECOND))

    # One stays and two have drained meanwhile: all that is left is given back.
    assert debt_of(store, limit, START + 2 * SECOND) == 0


def test_calls_that_were_refused_soon_after_are_given_back_in_any_order() -> None:
    store = InProcessLimitStore()
    limit = Rate(amount=60, per_ns=MINUTE, burst=60)
    decisions = [at_once(store.admit(charged(limit), START)) for _ in range(60)]
    for decision in reversed(decisions):
        at_once(store.refund(charged(limit), decision, START + 5_000_000))

    assert told(at_once(store.admit(charged(limit), START + 5_000_000))).remaining == 58


def test_what_time_has_drained_is_not_given_back_at_the_cost_of_another_call() -> None:
    store = InProcessLimitStore()
    limit = Rate(amount=1, per_ns=SECOND, burst=1)
    drained = at_once(store.admit(charged(limit), START))
    at_once(store.admit(charged(limit), START + SECOND))
    at_once(store.refund(charged(limit), drained, START + SECOND))

    assert not at_once(store.admit(charged(limit), START + SECOND)).admitted


def test_a_receipt_from_before_the_bucket_was_empty_is_worth_nothing() -> None:
    store = InProcessLimitStore()
    limit = Rate(amount=1, per_ns=SECOND, burst=2)
    at_once(store.admit(charged(limit), START))
    back = at_once(store.admit(charged(limit), START))
    at_once(store.refund(charged(limit), back, START))
    old = at_once(store.admit(charged(limit), START))
    for _ in range(2):
        at_once(store.admit(charged(limit), START + 2 * SECOND))
    at_once(store.refund(charged(limit), old, START + 2 * SECOND))

    assert not at_once(store.admit(charged(limit), START + 2 * SECOND)).admitted


def test_a_receipt_from_before_the_limit_changed_and_changed_back_is_worth_nothing() -> None:
    store = InProcessLimitStore()
    free, pro = (Rate(amount=n, per_ns=MINUTE, burst=10) for n in (6, 6000))
    old = at_once(store.admit(charged(free), START))
    at_once(store.admit(charged(pro), START))
    at_once(store.admit(charged(pro), START + SECOND // 20))
    at_once(store.admit(charged(free), START + SECOND // 20))
    before = told(at_once(store.admit(charged(free), START + SECOND // 20))).remaining
    at_once(store.refund(charged(free), old, START + SECOND // 20))

    assert told(at_once(store.admit(charged(free), START + SECOND // 20))).remaining == before - 1


def test_a_refund_after_the_limit_has_changed_gives_nothing_back() -> None:
    store = InProcessLimitStore()
    free, pro = (Rate(amount=n, per_ns=MINUTE, burst=n) for n in (10, 600))
    decision = at_once(store.admit(charged(free), START))
    at_once(store.admit(charged(pro), START))
    at_once(store.refund(charged(free), decision, START))

    assert told(at_once(store.admit(charged(pro), START))).remaining == 600 - 3


def test_a_refund_is_made_at_every_level() -> None:
    store = InProcessLimitStore()
    limit = Rate(amount=10, per_ns=MINUTE, burst=10)
    charges = [((level, Unit.REQUESTS, "prj_a", ""), limit, 1) for level in LimitLevel]
    decision = at_once(store.admit(charges, START))
    at_once(store.refund(charges, decision, START))

    assert [told(at_once(store.admit([charge], START))).remaining for charge in charges] == [9, 9, 9, 9]


def test_a_refund_of_a_forgotten_bucket_brings_nothing_back() -> None:
    store = InProcessLimitStore()
    limit = Rate(amount=1000, per_ns=SECOND, burst=1)
    decision = at_once(store.admit(charged(limit), START))
    for call in range(50):
        at_once(
            store.admit([((LimitLevel.PROJECT, Unit.REQUESTS, "prj_a", ""), limit, 1)], START + (1 + call) * SECOND)
        )
    held_before = len(store)
    at_once(store.refund(charged(limit), decision, START + 60 * SECOND))

    assert held_before == 1
    assert len(store) == 1
