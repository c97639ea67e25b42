"""Tokens that a call took by estimate become what it used: exactly at once, and later never less than the truth."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.limits import Decision, LimitLevel, Rate, Unit
from bailiwick.limiting.in_process import InProcessLimitStore
from tests.domain.limit_cases import SECOND, START, held, limits, steps
from tests.limiting.at_once import at_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailiwick.limiting.store import Charge

MINUTE = 60 * SECOND
PROBE = 10**6


def charged(rate: Rate, tokens: int) -> list[Charge]:
    return [((LimitLevel.USER, Unit.TOKENS, "prj_a", "u"), rate, tokens)]


def wide(rate: Rate) -> Rate:
    """The same rate, with room for everything."""
    return Rate(amount=rate.amount, per_ns=rate.per_ns, burst=PROBE)


def debt_of(store: InProcessLimitStore, rate: Rate, now_ns: int) -> Fraction:
    """What the bucket holds, exactly."""
    return held(at_once(store.admit(charged(wide(rate), 1), now_ns)).taken[0], now_ns) - 1


def owed(rate: Rate, spent: Sequence[tuple[int, int]], now_ns: int) -> Fraction:
    """What a bucket holds that was charged these tokens at these times, from the definition."""
    debt, at_ns = Fraction(0), START
    for then_ns, tokens in [*spent, (now_ns, 0)]:
        debt = max(Fraction(0), debt - Fraction((then_ns - at_ns) * rate.amount, rate.per_ns)) + tokens
        at_ns = then_ns
    return debt


@given(limits(), st.lists(st.tuples(st.integers(1, 20), st.integers(0, 60)), min_size=1, max_size=8), st.randoms())
def test_at_the_same_instant_a_bucket_holds_exactly_what_was_used(
    rate: Rate, calls: list[tuple[int, int]], order: st.DrawFn
) -> None:
    store = InProcessLimitStore()
    opened = [(at_once(store.admit(charged(wide(rate), tokens), START)), tokens, used) for tokens, used in calls]
    order.shuffle(opened)  # type: ignore[attr-defined]
    for decision, tokens, used in opened:
        store.correct(charged(wide(rate), tokens), decision, used, START)

    assert debt_of(store, rate, START) == sum(used for _, used in calls)


@given(st.data(), limits())
def test_no_correction_leaves_less_than_what_was_really_used(data: st.DataObject, rate: Rate) -> None:
    store, now_ns = InProcessLimitStore(), START
    flying: list[tuple[int, int, int, Decision]] = []
    spent: list[tuple[int, int]] = []
    for _ in range(data.draw(st.integers(1, 30))):
        now_ns += data.draw(st.one_of(st.just(0), steps(rate)))
        if flying and data.draw(st.booleans()):
            place, began_ns, tokens, decision = flying.pop(data.draw(st.integers(0, len(flying) - 1)))
            used = data.draw(st.integers(0, 2 * tokens))
            store.correct(charged(rate, tokens), decision, used, now_ns)
            spent[place] = (began_ns, used)
            continue
        tokens = data.draw(st.integers(1, rate.burst))
        decision = at_once(store.admit(charged(rate, tokens), now_ns))
        if decision.admitted:
            flying.append((len(spent), now_ns, tokens, decision))
            spent.append((now_ns, tokens))

    assert debt_of(store, rate, now_ns) >= owed(rate, spent, now_ns)


@given(st.data(), limits())
def test_one_call_after_the_other_leaves_exactly_what_it_used_less_what_time_has_paid(
    data: st.DataObject, rate: Rate
) -> None:
    store, now_ns = InProcessLimitStore(), START
    spent: list[tuple[int, int]] = []
    for _ in range(data.draw(st.integers(1, 10))):
        now_ns += data.draw(steps(rate))
        tokens = data.draw(st.integers(1, rate.burst))
        used = data.draw(st.integers(0, tokens))
        decision = at_once(store.admit(charged(rate, tokens), now_ns))
        if decision.admitted:
            spent.append((now_ns, used))
            now_ns += data.draw(steps(rate))
            store.correct(charged(rate, tokens), decision, used, now_ns)

    assert debt_of(store, rate, now_ns) == owed(rate, spent, now_ns)


def test_what_was_used_beyond_the_limit_is_owed_and_paid_by_time() -> None:
    store = InProcessLimitStore()
    rate = Rate(amount=60, per_ns=MINUTE, burst=60)
    decision = at_once(store.admit(charged(rate, 10), START))
    store.correct(charged(rate, 10), decision, 90, START)

    refused = at_once(store.admit(charged(rate, 1), START))
    assert not refused.admitted
    assert refused.tokens is not None
    assert refused.tokens.remaining == 0
    assert refused.retry_after_ns == 31 * SECOND
    assert at_once(store.admit(charged(rate, 1), START + 31 * SECOND)).admitted


def test_requests_are_not_corrected() -> None:
    store = InProcessLimitStore()
    rate = Rate(amount=60, per_ns=MINUTE, burst=60)
    requests: list[Charge] = [((LimitLevel.USER, Unit.REQUESTS, "prj_a", "u"), rate, 1)]
    both = [*requests, *charged(rate, 10)]
    store.correct(both, at_once(store.admit(both, START)), 0, START)

    decision = at_once(store.admit([*requests, *charged(rate, 1)], START))
    assert decision.requests is not None
    assert decision.tokens is not None
    assert (decision.requests.remaining, decision.tokens.remaining) == (58, 59)


def test_tokens_used_by_a_call_whose_bucket_was_forgotten_are_charged_all_the_same() -> None:
    store = InProcessLimitStore()
    rate = Rate(amount=60, per_ns=SECOND, burst=60)
    decision = at_once(store.admit(charged(rate, 1), START))
    other = Rate(amount=1000, per_ns=SECOND, burst=1)
    for call in range(50):
        key = (LimitLevel.PROJECT, Unit.REQUESTS, "prj_a", "")
        at_once(store.admit([(key, other, 1)], START + (1 + call) * SECOND))
    forgotten = len(store) == 1
    store.correct(charged(rate, 1), decision, 41, START + 60 * SECOND)

    assert forgotten
    assert debt_of(store, rate, START + 60 * SECOND) == 40
    for call in range(50):
        at_once(store.admit([(key, other, 1)], START + (100 + call) * SECOND))
    assert len(store) == 1
