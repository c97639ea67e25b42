"""The contract's limits object: what it means, and that nothing of it is ignored."""

from __future__ import annotations

import pytest

from bailiwick.domain.limit_settings import LevelLimits, Limits, parse_limits
from bailiwick.domain.limits import InvalidLimit, LimitLevel, Rate, Unit

MINUTE = 60_000_000_000
GOOD = {"requests": 60, "per": "1m"}


def test_what_is_absent_is_unlimited() -> None:
    assert parse_limits({}) == Limits(ip=None, project=None, key=None, user=None)


def test_each_level_has_its_own_limit() -> None:
    limits = parse_limits(
        {
            "ip": {"requests": 600, "per": "1m"},
            "project": {"requests": 1000, "per": "3s"},
            "key": {"requests": 7, "per": "1s", "burst": 3},
            "user": {"requests": 1, "per": "100ms", "overflow": "reject"},
        }
    )

    assert limits.ip == LevelLimits(requests=Rate(amount=600, per_ns=MINUTE, burst=600))
    assert limits.project == LevelLimits(requests=Rate(amount=1000, per_ns=3_000_000_000, burst=1000))
    assert limits.key == LevelLimits(requests=Rate(amount=7, per_ns=1_000_000_000, burst=3))
    assert limits.user == LevelLimits(requests=Rate(amount=1, per_ns=100_000_000, burst=1))


def test_burst_is_as_many_as_requests_unless_it_is_given() -> None:
    user = parse_limits({"user": {"requests": 60, "per": "1m"}}).user

    assert user is not None
    assert user.requests is not None
    assert user.requests.burst == 60


def test_tokens_are_counted_beside_requests_or_alone_and_as_many_at_once() -> None:
    limits = parse_limits(
        {"user": {"requests": 60, "tokens": 100_000, "per": "1m", "burst": 9}, "project": {"tokens": 7, "per": "1s"}}
    )
    user, project = Rate(amount=60, per_ns=MINUTE, burst=9), Rate(amount=7, per_ns=1_000_000_000, burst=7)
    tokens = Rate(amount=100_000, per_ns=MINUTE, burst=100_000)

    assert limits.rates == (
        (LimitLevel.PROJECT, Unit.TOKENS, project),
        (LimitLevel.USER, Unit.REQUESTS, user),
        (LimitLevel.USER, Unit.TOKENS, tokens),
    )
    assert limits.on_tokens


def test_without_tokens_nobody_counts_them() -> None:
    assert not parse_limits({"user": {"requests": 60, "per": "1m"}}).on_tokens


@pytest.mark.parametrize(("text", "waits_ns"), [("5s", 5_000_000_000), ("1ms", 1_000_000), ("1m", MINUTE)])
def test_calls_beyond_a_limit_wait_if_it_says_so_and_how_long(text: str, waits_ns: int) -> None:
    limits = parse_limits({"user": {**GOOD, "overflow": "queue", "max_wait": text}, "key": GOOD})

    assert limits.max_waits == {LimitLevel.USER: waits_ns}


def test_calls_wait_for_five_seconds_unless_it_is_said_how_long() -> None:
    assert parse_limits({"ip": {**GOOD, "overflow": "queue"}}).max_waits == {LimitLevel.IP: 5_000_000_000}


def test_the_bounds_themselves_are_allowed() -> None:
    limits = parse_limits(
        {
            "ip": {"requests": 1_000_000_000, "per": "31d", "burst": 1_000_000_000},
            "user": {"requests": 1, "per": "100ms", "burst": 1},
        }
    )

    assert limits.ip is not None
    assert limits.user is not None


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (None, "limits"),
        ([], "limits"),
        ("60/m", "limits"),
        ({"users": GOOD}, "limits.users"),
        ({"tenant": GOOD}, "limits.tenant"),
        ({"IP": GOOD}, "limits.IP"),
        ({"user": None}, "limits.user"),
        ({"user": 60}, "limits.user"),
        ({"user": []}, "limits.user"),
        ({"user": {}}, "limits.user.requests"),
        ({"user": {"per": "1m"}}, "limits.user.requests"),
        ({"user": {"requests": 60}}, "limits.user.per"),
        ({"user": {**GOOD, "rate": 1}}, "limits.user.rate"),
        ({"user": {**GOOD, "Burst": 1}}, "limits.user.Burst"),
        ({"user": {**GOOD, "requests": 0}}, "limits.user.requests"),
        ({"user": {**GOOD, "requests": -1}}, "limits.user.requests"),
        ({"user": {**GOOD, "requests": True}}, "limits.user.requests"),
        ({"user": {**GOOD, "requests": 60.0}}, "limits.user.requests"),
        ({"user": {**GOOD, "requests": "60"}}, "limits.user.requests"),
        ({"user": {**GOOD, "requests": None}}, "limits.user.requests"),
        ({"user": {**GOOD, "requests": 1_000_000_001}}, "limits.user.requests"),
        ({"user": {**GOOD, "burst": 0}}, "limits.user.burst"),
        ({"user": {**GOOD, "burst": True}}, "limits.user.burst"),
        ({"user": {**GOOD, "burst": None}}, "limits.user.burst"),
        ({"user": {**GOOD, "burst": 1_000_000_001}}, "limits.user.burst"),
        ({"user": {**GOOD, "per": 60}}, "limits.user.per"),
        ({"user": {**GOOD, "per": "minute"}}, "limits.user.per"),
        ({"user": {**GOOD, "per": "99ms"}}, "limits.user.per"),
        ({"user": {**GOOD, "per": "32d"}}, "limits.user.per"),
        ({"user": {**GOOD, "tokens": 0}}, "limits.user.tokens"),
        ({"user": {**GOOD, "tokens": True}}, "limits.user.tokens"),
        ({"user": {**GOOD, "tokens": None}}, "limits.user.tokens"),
        ({"user": {**GOOD, "tokens": 1_000_000_000_001}}, "limits.user.tokens"),
        ({"user": {"tokens": 7}}, "limits.user.per"),
        ({"user": {"tokens": 7, "per": "1m", "burst": 7}}, "limits.user.burst"),
        ({"user": {**GOOD, "overflow": "drop"}}, "limits.user.overflow"),
        ({"user": {**GOOD, "max_wait": "5s"}}, "limits.user.max_wait"),
        ({"user": {**GOOD, "overflow": "reject", "max_wait": "5s"}}, "limits.user.max_wait"),
        ({"user": {**GOOD, "overflow": "queue", "max_wait": 5}}, "limits.user.max_wait"),
        ({"user": {**GOOD, "overflow": "queue", "max_wait": None}}, "limits.user.max_wait"),
        ({"user": {**GOOD, "overflow": "queue", "max_wait": "61s"}}, "limits.user.max_wait"),
        ({"user": {**GOOD, "overflow": ["queue"]}}, "limits.user.overflow"),
        ({"user": {**GOOD, "overflow": None}}, "limits.user.overflow"),
        ({"ip": GOOD, "user": {**GOOD, "burst": "1"}}, "limits.user.burst"),
    ],
)
def test_what_is_wrong_is_refused_and_named(document: object, field: str) -> None:
    with pytest.raises(InvalidLimit) as caught:
        parse_limits(document)

    assert caught.value.field == field
    assert caught.value.message


@pytest.mark.parametrize(
    ("requests", "per_ns", "burst", "field"),
    [(0, MINUTE, 1, "amount"), (1, MINUTE, 0, "burst"), (1, 99_999_999, 1, "per"), (1, 32 * 1440 * MINUTE, 1, "per")],
)
def test_a_limit_made_in_code_has_the_same_bounds(requests: int, per_ns: int, burst: int, field: str) -> None:
    with pytest.raises(InvalidLimit) as caught:
        Rate(amount=requests, per_ns=per_ns, burst=burst)

    assert caught.value.field == field
