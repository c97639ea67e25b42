"""Buckets brought back from the calls on record, against the buckets that a process had which did not die."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.limit_replay import Arrivals, Replay
from bailiwick.domain.limits import Rate, Stored, Unit, correct, evaluate, replay
from tests.domain.limit_cases import SECOND, START, held, limits, steps

US = 1000
MINUTE = 60 * SECOND


def lived(limit: Rate, calls_us: Sequence[int]) -> tuple[Stored | None, list[int]]:
    """The bucket of a process that saw all these calls, and which of them it admitted."""
    stored: Stored | None = None
    admitted = []
    for at_us in calls_us:
        verdict = evaluate(limit, 1, stored, at_us * US)
        stored = verdict.stored
        if verdict.admitted:
            admitted.append(at_us)
    return stored, admitted


def rebuilt(limit: Rate, calls_us: Sequence[int], now_ns: int, size: int = 1_000_000) -> Stored | None:
    """What is brought back of one subject's calls, in slices of `size`."""
    brought = Replay(limit, Unit.REQUESTS, now_ns)
    found = [at_us for at_us in calls_us if at_us > brought.begin_us]
    for place in range(0, len(found), size):
        part = found[place : place + size]
        alone = replay(limit, [at_us * US for at_us in part])
        assert alone is not None
        somebody = Arrivals("somebody", len(part), len(part), alone[0], part[-1])
        brought.take([somebody, Arrivals(None, 1, 1, alone[0], part[-1])])
        assert brought.read_us == part[-1]
    return dict(brought.debts(now_ns)).get("somebody")


@given(st.data(), limits(), st.integers(1, 7))
def test_no_bucket_comes_back_emptier_or_more_than_full_and_one_at_half_its_rate_as_it_was(
    data: st.DataObject, limit: Rate, size: int
) -> None:
    window_us = -(-limit.tolerance // limit.ticks) // US + 1
    gaps_us = data.draw(st.lists(st.one_of(steps(limit).map(lambda gap: gap // US), st.just(window_us)), max_size=60))
    calls_us = [START // US + sum(gaps_us[: place + 1]) for place in range(len(gaps_us))]
    stored, admitted = lived(limit, calls_us)
    now_ns = ([START // US, *calls_us][-1] + data.draw(st.integers(0, 2 * window_us))) * US

    back = rebuilt(limit, admitted, now_ns, size)
    assert held(stored, now_ns) <= held(back, now_ns) <= limit.burst
    if len([at_us for at_us in admitted if at_us > Replay(limit, Unit.REQUESTS, now_ns).begin_us]) <= limit.burst:
        assert held(back, now_ns) == held(stored, now_ns)


def test_whoever_always_takes_what_there_is_finds_no_burst_after() -> None:
    limit = Rate(amount=60, per_ns=MINUTE, burst=60)
    calls_us = sorted([START // US] * 60 + [(START + second * SECOND) // US for second in range(1, 301)])
    stored, admitted = lived(limit, calls_us)
    now_ns = START + 300 * SECOND

    assert len(admitted) == 360
    assert held(rebuilt(limit, admitted, now_ns), now_ns) == held(stored, now_ns) == 60


def test_calls_under_a_wider_limit_count_as_the_burst_at_most() -> None:
    limit = Rate(amount=10, per_ns=MINUTE, burst=10)

    assert held(rebuilt(limit, [START // US] * 300, START), START) == 10


def test_a_window_longer_than_time_itself_is_read_from_the_first_call() -> None:
    limit = Rate(amount=1, per_ns=31 * 1440 * MINUTE, burst=1_000_000_000)

    assert Replay(limit, Unit.REQUESTS, START).begin_us == 0
    assert held(rebuilt(limit, [START // US] * 3, START), START) == 3


@given(st.data(), limits())
def test_tokens_come_back_as_no_less_than_what_their_calls_left(data: st.DataObject, limit: Rate) -> None:
    """Calls one after the other: each is admitted by an estimate, and corrected, up or down, when it ends."""
    stored: Stored | None = None
    now_ns, ended = START, []
    for _ in range(data.draw(st.integers(1, 12))):
        now_ns += data.draw(steps(limit)) // US * US
        cost, used = data.draw(st.integers(1, limit.burst)), data.draw(st.integers(0, 3 * limit.burst))
        verdict = evaluate(limit, cost, stored, now_ns)
        if verdict.admitted and verdict.stored is not None:
            began_ns, now_ns = now_ns, now_ns + data.draw(steps(limit)) // US * US
            stored = correct(verdict.stored, cost, used, began_ns, verdict.stored, now_ns)
            ended.append((now_ns // US, used))
    brought = Replay(limit, Unit.TOKENS, now_ns)
    for at_us, used in ended:
        # One call a slice; one that used nothing leaves a bucket that was empty as it was.
        drained_at = at_us * US * limit.ticks + used * limit.interval
        brought.take([Arrivals("somebody", 1, used, drained_at, at_us)])
    back = dict(brought.debts(now_ns)).get("somebody")

    assert held(back, now_ns) >= held(stored, now_ns) or min(at_us for at_us, _ in ended) < brought.begin_us


def test_tokens_that_were_used_beyond_the_limit_come_back_as_a_debt_beyond_it() -> None:
    limit = Rate(amount=10, per_ns=MINUTE, burst=10)
    brought = Replay(limit, Unit.TOKENS, START)
    drained_at = START * limit.ticks + 35 * limit.interval
    brought.take([Arrivals("somebody", 1, 35, drained_at, START // US)])

    assert held(dict(brought.debts(START))["somebody"], START) == 35
