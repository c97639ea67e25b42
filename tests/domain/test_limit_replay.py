"""Buckets brought back from the calls on record, against the buckets that a process had which did not die."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.limit_replay import Arrivals, Replay
from bailiwick.domain.limits import RequestLimit, Stored, evaluate, replay
from tests.domain.limit_cases import SECOND, START, held, limits, steps

US = 1000
MINUTE = 60 * SECOND


def lived(limit: RequestLimit, calls_us: Sequence[int]) -> tuple[Stored | None, list[int]]:
    """The bucket of a process that saw all these calls, and which of them it admitted."""
    stored: Stored | None = None
    admitted = []
    for at_us in calls_us:
        verdict = evaluate(limit, 1, stored, at_us * US)
        stored = verdict.stored
        if verdict.admitted:
            admitted.append(at_us)
    return stored, admitted


def rebuilt(limit: RequestLimit, calls_us: Sequence[int], now_ns: int, size: int = 1_000_000) -> Stored | None:
    """What is brought back of one subject's calls, in slices of `size`."""
    brought = Replay(limit, now_ns)
    found = [at_us for at_us in calls_us if at_us > brought.begin_us]
    for place in range(0, len(found), size):
        part = found[place : place + size]
        alone = replay(limit, [at_us * US for at_us in part])
        assert alone is not None
        brought.take([Arrivals("somebody", len(part), alone[0], part[-1]), Arrivals(None, 1, alone[0], part[-1])])
        assert brought.read_us == part[-1]
    return dict(brought.debts(now_ns)).get("somebody")


@given(st.data(), limits(), st.integers(1, 7))
def test_no_bucket_comes_back_emptier_or_more_than_full_and_one_at_half_its_rate_as_it_was(
    data: st.DataObject, limit: RequestLimit, size: int
) -> None:
    window_us = -(-limit.tolerance // limit.ticks) // US + 1
    gaps_us = data.draw(st.lists(st.one_of(steps(limit).map(lambda gap: gap // US), st.just(window_us)), max_size=60))
    calls_us = [START // US + sum(gaps_us[: place + 1]) for place in range(len(gaps_us))]
    stored, admitted = lived(limit, calls_us)
    now_ns = ([START // US, *calls_us][-1] + data.draw(st.integers(0, 2 * window_us))) * US

    back = rebuilt(limit, admitted, now_ns, size)
    assert held(stored, now_ns) <= held(back, now_ns) <= limit.burst
    if len([at_us for at_us in admitted if at_us > Replay(limit, now_ns).begin_us]) <= limit.burst:
        assert held(back, now_ns) == held(stored, now_ns)


def test_whoever_always_takes_what_there_is_finds_no_burst_after() -> None:
    limit = RequestLimit(requests=60, per_ns=MINUTE, burst=60)
    calls_us = sorted([START // US] * 60 + [(START + second * SECOND) // US for second in range(1, 301)])
    stored, admitted = lived(limit, calls_us)
    now_ns = START + 300 * SECOND

    assert len(admitted) == 360
    assert held(rebuilt(limit, admitted, now_ns), now_ns) == held(stored, now_ns) == 60


def test_calls_under_a_wider_limit_count_as_the_burst_at_most() -> None:
    limit = RequestLimit(requests=10, per_ns=MINUTE, burst=10)

    assert held(rebuilt(limit, [START // US] * 300, START), START) == 10


def test_a_window_longer_than_time_itself_is_read_from_the_first_call() -> None:
    limit = RequestLimit(requests=1, per_ns=31 * 1440 * MINUTE, burst=1_000_000_000)

    assert Replay(limit, START).begin_us == 0
    assert held(rebuilt(limit, [START // US] * 3, START), START) == 3
