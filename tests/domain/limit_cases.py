"""Limits and times for properties: awkward rates on purpose, and steps as long as the limits themselves."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from bailiwick.domain.limits import Asked, Decision, LimitLevel, Rate, Standing, Stored, Unit

if TYPE_CHECKING:
    from collections.abc import Sequence

START = 1_800_000_000_000_000_000
SECOND = 1_000_000_000


def limits() -> st.SearchStrategy[Rate]:
    """Limits whose interval is seldom a whole number of nanoseconds, with bursts that tests can fill."""
    return st.builds(
        lambda amount, per_ns, burst: Rate(amount=amount, per_ns=per_ns, burst=burst),
        amount=st.one_of(st.integers(1, 12), st.sampled_from([60, 600, 1000, 999_999_937])),
        per_ns=st.sampled_from([SECOND // 10, SECOND, 3 * SECOND, 60 * SECOND, 86_400 * SECOND, 1_000_000_007]),
        burst=st.integers(1, 8),
    )


def steps(limit: Rate) -> st.SearchStrategy[int]:
    """Nanoseconds between two calls: none, around one interval of `limit`, or up to a few of them."""
    interval = limit.per_ns // limit.amount
    return st.one_of(st.just(0), st.integers(max(0, interval - 2), interval + 2), st.integers(0, 3 * interval + 3))


def times(limit: Rate, *, most: int = 40) -> st.SearchStrategy[list[int]]:
    """Ascending times in nanoseconds."""
    return st.lists(steps(limit), min_size=1, max_size=most).map(lambda found: [START + at for at in accumulate(found)])


def asked(*levels: tuple[LimitLevel, Rate, Stored | None], cost: int = 1) -> list[Asked]:
    """What a call costs in requests, at these levels."""
    return [(level, Unit.REQUESTS, limit, cost, stored) for level, limit, stored in levels]


def told(decision: Decision) -> Standing:
    """Where the strictest level of requests stands, if there is one."""
    assert decision.requests is not None
    return decision.requests


def held(stored: Stored | None, now_ns: int) -> Fraction:
    """How many requests a bucket holds, exactly."""
    if stored is None:
        return Fraction(0)
    drained_at, _, _, limit = stored
    return max(Fraction(0), Fraction(drained_at - now_ns * limit.ticks, limit.interval))


def assert_bounded(limit: Rate, admitted_ns: Sequence[int]) -> None:
    """Check the promise on every pair: in any time t at most burst + floor(requests * t / per)."""
    for first, begin in enumerate(admitted_ns):
        for last in range(first, len(admitted_ns)):
            allowed = limit.burst + limit.amount * (admitted_ns[last] - begin) // limit.per_ns
            assert last - first + 1 <= allowed, (limit, first, last)
