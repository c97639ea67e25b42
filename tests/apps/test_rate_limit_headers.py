"""The headers that tell a client where it stands."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.apps.http.rate_limit_headers import rate_limit_headers
from bailiwick.domain.limits import Decision, LimitLevel, Rate, Standing, Stored, decide, replay
from tests.domain.limit_cases import SECOND, START, asked, limits

MINUTE = 60 * SECOND
IP, PROJECT, KEY, USER = LimitLevel

# draft-ietf-httpapi-ratelimit-headers-11 §3.1 and §4.1, in the canonical form of RFC 9651 §4.1.
POLICY = re.compile(
    rb'"(ip|project|key|user)";q=(0|[1-9][0-9]{0,14});w=[1-9][0-9]{0,14}(;bailiwick-burst=[1-9][0-9]*)?'
)
LIMIT = re.compile(rb'"(ip|project|key|user)";r=(0|[1-9][0-9]{0,14});t=([1-9][0-9]{0,14})')
RESET = re.compile(rb"([0-9]+h)?([0-9]+m)?[0-9]+(\.[0-9]{1,3})?s|[0-9]{1,3}ms")


def limit_of(requests: int, per_ns: int, burst: int | None = None) -> Rate:
    return Rate(amount=requests, per_ns=per_ns, burst=burst or requests)


def headers_after(limit: Rate, calls: int, *, level: LimitLevel = USER, cost: int = 1) -> dict[bytes, bytes]:
    """Decide one more call after `calls` at the same instant, and read its headers."""
    made = rate_limit_headers(decide(asked((level, limit, replay(limit, [START] * calls)), cost=cost), START))
    assert len(dict(made)) == len(made)
    return dict(made)


def reset_of(span_ns: int) -> bytes:
    decision = Decision(
        admitted=True,
        requests=Standing(USER, limit_of(1, MINUTE), 0, span_ns),
        tokens=None,
        refusals=(),
        at_ns=START,
        taken=(),
    )
    return dict(rate_limit_headers(decision))[b"x-ratelimit-reset-requests"]


def test_an_admitted_call_is_told_what_is_left() -> None:
    assert headers_after(limit_of(60, MINUTE), 9) == {
        b"x-ratelimit-limit-requests": b"60",
        b"x-ratelimit-remaining-requests": b"50",
        b"x-ratelimit-reset-requests": b"10s",
        b"ratelimit-policy": b'"user";q=60;w=60',
        b"ratelimit": b'"user";r=50;t=10',
    }


def test_a_refused_call_is_told_how_long_to_wait() -> None:
    assert headers_after(limit_of(2, MINUTE), 2, level=IP) == {
        b"x-ratelimit-limit-requests": b"2",
        b"x-ratelimit-remaining-requests": b"0",
        b"x-ratelimit-reset-requests": b"1m0s",
        b"ratelimit-policy": b'"ip";q=2;w=60',
        b"ratelimit": b'"ip";r=0;t=30',
        b"retry-after": b"30",
    }


def test_a_wait_of_less_than_a_second_is_told_as_a_second() -> None:
    assert headers_after(limit_of(1000, SECOND), 1000)[b"retry-after"] == b"1"


def test_a_wait_is_rounded_up() -> None:
    assert headers_after(limit_of(2, 3 * SECOND), 2)[b"retry-after"] == b"2"


def test_a_call_that_can_never_pass_is_not_told_to_come_again() -> None:
    headers = headers_after(limit_of(2, MINUTE), 0, cost=3)
    assert b"retry-after" not in headers
    assert headers[b"x-should-retry"] == b"false"


def test_what_was_not_limited_has_no_headers() -> None:
    assert rate_limit_headers(decide([], START)) == []


def test_only_the_strictest_level_is_shown() -> None:
    decision = decide(asked((PROJECT, limit_of(5, MINUTE), None), (USER, limit_of(60, MINUTE), None)), START)

    assert dict(rate_limit_headers(decision))[b"ratelimit-policy"] == b'"project";q=5;w=60'


@pytest.mark.parametrize(
    ("limit", "policy"),
    [
        (limit_of(60, MINUTE, 10), b'"user";q=60;w=60;bailiwick-burst=10'),
        (limit_of(7, SECOND // 10), b'"user";q=70;w=1;bailiwick-burst=7'),
        (limit_of(3, 1_500_000_000, 4), b'"user";q=4;w=2'),
        (limit_of(1, 86_400 * SECOND), b'"user";q=1;w=86400'),
    ],
)
def test_a_policy_is_told_in_whole_seconds_and_never_too_generously(limit: Rate, policy: bytes) -> None:
    assert headers_after(limit, 0)[b"ratelimit-policy"] == policy


def test_a_burst_is_told_as_the_limit_that_is_left_to_exhaust() -> None:
    headers = headers_after(limit_of(60, MINUTE, 10), 0)

    assert headers[b"x-ratelimit-limit-requests"] == b"10"
    assert headers[b"x-ratelimit-remaining-requests"] == b"9"


@pytest.mark.parametrize(
    ("span_ns", "text"),
    [
        (0, b"0s"),
        (1, b"1ms"),
        (20_000_000, b"20ms"),
        (999_000_001, b"1s"),
        (SECOND, b"1s"),
        (1_500_000_000, b"1.5s"),
        (8_640_000_000, b"8.64s"),
        (59_999_999_999, b"1m0s"),
        (86_400_000_000, b"1m26.4s"),
        (6 * MINUTE, b"6m0s"),
        (120 * MINUTE + 30 * SECOND, b"2h0m30s"),
        (86_400 * SECOND, b"24h0m0s"),
    ],
)
def test_the_reset_is_written_as_openai_writes_it(span_ns: int, text: bytes) -> None:
    assert reset_of(span_ns) == text


@given(limits(), st.integers(0, 20), st.integers(0, 5 * SECOND), st.sampled_from(LimitLevel))
def test_a_client_that_waits_as_told_is_admitted(limit: Rate, calls: int, later_ns: int, level: LimitLevel) -> None:
    stored: Stored | None = replay(limit, [START] * calls)
    decision = decide(asked((level, limit, stored)), START + later_ns)
    headers = dict(rate_limit_headers(decision))

    assert (b"retry-after" in headers) == (not decision.admitted)
    if not decision.admitted:
        wait_s = int(headers[b"retry-after"])
        assert wait_s >= 1
        assert decide(asked((level, limit, stored)), START + later_ns + wait_s * SECOND).admitted


@given(limits(), st.integers(0, 20), st.sampled_from(LimitLevel))
def test_the_fields_have_the_syntax_and_the_order_of_the_draft(limit: Rate, calls: int, level: LimitLevel) -> None:
    headers = headers_after(limit, calls, level=level)
    told = LIMIT.fullmatch(headers[b"ratelimit"])

    assert all(name == name.lower() for name in headers)
    assert POLICY.fullmatch(headers[b"ratelimit-policy"])
    assert RESET.fullmatch(headers[b"x-ratelimit-reset-requests"])
    assert told is not None
    assert told[2] == headers[b"x-ratelimit-remaining-requests"]
    assert int(headers.get(b"retry-after", told[3])) >= int(told[3])


def test_the_longest_wait_there_can_be_still_is_an_integer_of_structured_fields() -> None:
    limit = limit_of(1, 31 * 86_400 * SECOND, 1_000_000_000)
    decision = decide(asked((USER, limit, replay(limit, [START]))), START)
    strictest = Standing(USER, limit, 1, limit.burst * limit.per_ns)
    decision = msgspec.structs.replace(decision, requests=strictest)
    told = LIMIT.fullmatch(dict(rate_limit_headers(decision))[b"ratelimit"])

    assert told is not None
