"""The arithmetic of rate limits: the bound, its exactness, decisions over levels, changes of limits."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.limits import (
    LimitLevel,
    Rate,
    Stored,
    decide,
    drained,
    evaluate,
    replay,
    stricter,
)
from tests.domain.limit_cases import SECOND, START, asked, assert_bounded, held, limits, times, told

MINUTE = 60 * SECOND
IP, PROJECT, KEY, USER = LimitLevel


def limit_of(amount: int, per_ns: int, burst: int | None = None) -> Rate:
    return Rate(amount=amount, per_ns=per_ns, burst=burst or amount)


def filled(limit: Rate, calls: int, at_ns: int = START) -> Stored | None:
    return replay(limit, [at_ns] * calls)


@given(st.data(), limits())
def test_in_any_time_no_more_than_the_bound_is_admitted(data: st.DataObject, limit: Rate) -> None:
    stored, admitted = None, []
    for now_ns in data.draw(times(limit)):
        verdict = evaluate(limit, 1, stored, now_ns)
        stored = verdict.stored
        if verdict.admitted:
            admitted.append(now_ns)

    assert_bounded(limit, admitted)


@given(st.data(), limits())
def test_a_call_is_refused_only_if_it_would_break_the_bound(data: st.DataObject, limit: Rate) -> None:
    stored = None
    admitted: list[int] = []
    for now_ns in data.draw(times(limit)):
        verdict = evaluate(limit, 1, stored, now_ns)
        stored = verdict.stored
        if verdict.admitted:
            admitted.append(now_ns)
        else:
            with pytest.raises(AssertionError):
                assert_bounded(limit, [*admitted, now_ns])


@pytest.mark.parametrize(
    "limit",
    [limit_of(7, SECOND), limit_of(1000, 3 * SECOND), limit_of(3, SECOND, 2), limit_of(999_999_937, MINUTE, 5)],
)
def test_a_caller_who_never_lets_up_gets_the_whole_rate_without_drift(limit: Rate) -> None:
    # A burst of two or more: an arrival that has to wait for the next whole nanosecond then loses nothing by it.
    stored = filled(limit, limit.burst)
    now_ns = START
    for call in range(1, 20_001):
        refused = evaluate(limit, 1, stored, now_ns)
        assert refused.retry_after_ns is not None
        now_ns += refused.retry_after_ns
        stored = evaluate(limit, 1, stored, now_ns).stored

        assert now_ns - START == -(-call * limit.per_ns // limit.amount)


@given(st.data(), limits())
def test_who_waits_as_told_is_admitted_and_a_nanosecond_earlier_is_not(data: st.DataObject, limit: Rate) -> None:
    arrivals = data.draw(times(limit))
    cost = data.draw(st.integers(1, limit.burst))
    stored = replay(limit, arrivals)
    wait_ns = evaluate(limit, cost, stored, arrivals[-1]).retry_after_ns

    assert wait_ns is not None
    assert evaluate(limit, cost, stored, arrivals[-1] + wait_ns).admitted
    assert wait_ns == 0 or not evaluate(limit, cost, stored, arrivals[-1] + wait_ns - 1).admitted


@given(st.data(), limits())
def test_remaining_is_how_many_are_admitted_at_once_and_reset_when_all_are_again(
    data: st.DataObject, limit: Rate
) -> None:
    now_ns = data.draw(times(limit))[-1]
    stored = replay(limit, data.draw(times(limit, most=8)))
    verdict = evaluate(limit, 1, stored, now_ns)

    extra, after = 0, verdict.stored
    while (following := evaluate(limit, 1, after, now_ns)).admitted:
        extra, after = extra + 1, following.stored

    assert verdict.remaining == extra
    assert evaluate(limit, limit.burst, verdict.stored, now_ns + verdict.reset_ns).admitted
    assert (
        verdict.reset_ns == 0
        or not evaluate(limit, limit.burst, verdict.stored, now_ns + verdict.reset_ns - 1).admitted
    )


@given(st.data(), limits(), st.integers(0, 10 * MINUTE))
def test_a_clock_that_goes_backwards_admits_no_more(data: st.DataObject, limit: Rate, back_ns: int) -> None:
    arrivals = data.draw(times(limit))
    stored = replay(limit, arrivals)

    then = evaluate(limit, 1, stored, arrivals[-1] - back_ns)
    assert then.remaining <= evaluate(limit, 1, stored, arrivals[-1]).remaining
    assert not then.admitted or evaluate(limit, 1, stored, arrivals[-1]).admitted


def test_a_call_that_costs_more_than_the_burst_never_passes_and_is_told_so() -> None:
    verdict = evaluate(limit_of(60, MINUTE, 5), 6, None, START)

    assert not verdict.admitted
    assert verdict.retry_after_ns is None
    assert verdict.remaining == 5


@pytest.mark.parametrize("cost", [0, -1])
def test_a_call_cannot_pay_debts_off(cost: int) -> None:
    limit = limit_of(60, MINUTE)
    with pytest.raises(ValueError, match="at least 1"):
        evaluate(limit, cost, None, START)
    with pytest.raises(ValueError, match="at least 1"):
        decide(asked((USER, limit, None), cost=cost), START)


def test_three_hundred_attempts_at_one_instant_against_fifty_admit_exactly_fifty() -> None:
    user, project = limit_of(50, MINUTE), limit_of(1000, MINUTE)
    user_stored: Stored | None = None
    project_stored: Stored | None = None
    admitted = 0
    for _ in range(300):
        decision = decide(asked((PROJECT, project, project_stored), (USER, user, user_stored)), START)
        if decision.admitted:
            admitted += 1
            project_stored, user_stored = decision.taken

    assert admitted == 50
    assert held(project_stored, START) == 50


@given(st.lists(st.tuples(limits(), st.integers(0, 8)), min_size=1, max_size=4), st.integers(1, 9))
def test_a_decision_is_that_of_all_its_levels_and_tells_the_strictest(
    buckets: list[tuple[Rate, int]], cost: int
) -> None:
    levels = [(level, limit, filled(limit, n)) for level, (limit, n) in zip(LimitLevel, buckets, strict=False)]
    verdicts = [(level, evaluate(limit, cost, stored, START)) for level, limit, stored in levels]
    decision = decide(asked(*levels, cost=cost), START)

    assert decision.admitted == all(verdict.admitted for _, verdict in verdicts)
    if decision.admitted:
        assert list(decision.taken) == [verdict.stored for _, verdict in verdicts]
        fewest = min(verdict.remaining for _, verdict in verdicts)
        assert told(decision).level == next(level for level, verdict in verdicts if verdict.remaining == fewest)
        assert told(decision).remaining == fewest
        assert decision.refusals == []
        return
    assert decision.taken == ()
    waits = {level: verdict.retry_after_ns for level, verdict in verdicts if not verdict.admitted}
    longest = None if None in waits.values() else max(wait for wait in waits.values() if wait is not None)
    assert told(decision).level == next(level for level, wait in waits.items() if wait == longest)
    assert decision.refusals[0].level == told(decision).level
    assert {refusal.level: refusal.retry_after_ns for refusal in decision.refusals} == waits
    assert decision.retry_after_ns == longest
    if longest is not None:
        assert decide(asked(*levels, cost=cost), START + longest).admitted
        assert not decide(asked(*levels, cost=cost), START + longest - 1).admitted


def test_of_equally_strict_levels_the_first_is_told() -> None:
    limit = limit_of(10, MINUTE)

    decision = decide(asked((PROJECT, limit, None), (KEY, limit, None), (USER, limit, None)), START)
    assert told(decision).level is PROJECT


def test_without_a_limit_everything_is_admitted_and_no_level_is_told() -> None:
    decision = decide([], START)

    assert decision.admitted
    assert decision.requests is decision.tokens is None
    assert decision.taken == ()


@given(st.data(), limits(), limits())
def test_a_changed_limit_keeps_what_a_bucket_holds_rounded_up_by_less_than_a_tick(
    data: st.DataObject, before: Rate, after: Rate
) -> None:
    stored = replay(before, data.draw(times(before, most=8)))
    now_ns = data.draw(times(before, most=8))[-1]
    wide = Rate(amount=after.amount, per_ns=after.per_ns, burst=1000)
    rounding = held(evaluate(wide, 1, stored, now_ns).stored, now_ns) - 1 - held(stored, now_ns)

    assert 0 <= rounding < Fraction(1, after.interval)


@given(limits(), limits(), st.integers(1, 8))
def test_changing_a_limit_to_and_fro_refills_nothing(one: Rate, other: Rate, calls: int) -> None:
    stored: Stored | None = filled(one, calls)
    for _ in range(4):
        for limit in (other, one):
            wide = Rate(amount=limit.amount, per_ns=limit.per_ns, burst=1000)
            stored = evaluate(wide, 1, stored, START).stored

    assert held(stored, START) >= calls + 8


def test_a_lowered_limit_takes_effect_at_once() -> None:
    stored = filled(limit_of(600, MINUTE), 300)
    verdict = evaluate(limit_of(60, MINUTE), 1, stored, START)

    assert not verdict.admitted
    assert verdict.retry_after_ns == 241 * SECOND


def test_a_raised_limit_leaves_what_was_used_used() -> None:
    assert evaluate(limit_of(600, MINUTE), 1, filled(limit_of(60, MINUTE), 60), START).remaining == 600 - 60 - 1


@given(st.data(), limits())
def test_a_bucket_rebuilt_from_its_arrivals_is_the_bucket(data: st.DataObject, limit: Rate) -> None:
    wide = Rate(amount=limit.amount, per_ns=limit.per_ns, burst=1000)
    arrivals = data.draw(times(limit))
    stored = None
    for now_ns in arrivals:
        stored = evaluate(wide, 1, stored, now_ns).stored

    assert held(replay(wide, data.draw(st.permutations(arrivals))), arrivals[-1]) == held(stored, arrivals[-1])


def test_a_bucket_without_arrivals_is_none() -> None:
    assert replay(limit_of(60, MINUTE), []) is None


@given(limits(), limits(), st.integers(0, 8), st.integers(1, 8))
def test_of_two_records_of_a_bucket_the_larger_debt_is_kept(one: Rate, other: Rate, calls: int, others: int) -> None:
    mine, recorded = filled(one, calls), filled(other, others)
    assert recorded is not None
    kept = stricter(mine, recorded, START)

    assert kept[3] is other
    assert max(calls, others) <= held(kept, START) < max(calls, others) + Fraction(1, other.interval)


@given(st.data(), limits())
def test_an_empty_bucket_can_be_forgotten(data: st.DataObject, limit: Rate) -> None:
    arrivals = data.draw(times(limit))
    stored = replay(limit, arrivals)
    assert stored is not None
    empty_ns = arrivals[-1] + evaluate(limit, limit.burst + 1, stored, arrivals[-1]).reset_ns

    assert drained(stored, empty_ns)
    assert evaluate(limit, 1, stored, empty_ns) == evaluate(limit, 1, None, empty_ns)
    assert empty_ns == arrivals[-1] or not drained(stored, empty_ns - 1)
