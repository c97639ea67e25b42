"""Numbers, times and limits as people read them.

Nothing here decides anything: what a limit means is `domain/limit_settings.py`, and these are its words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from bailiwick.domain.durations import DAY, HOUR, MILLISECOND, MINUTE, SECOND
from bailiwick.domain.limit_settings import LevelLimits, Limits, parse_limits
from bailiwick.domain.limits import LimitLevel, Rate

_NANO: Final = 1_000_000_000
_CENT: Final = _NANO // 100
_THOUSAND: Final = 1_000
_COMPACT_FROM: Final = 1_000_000
_UNITS: Final = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second"), (MILLISECOND, "millisecond"))
_LEVELS: Final = {
    LimitLevel.IP: "each client address",
    LimitLevel.PROJECT: "the whole project",
    LimitLevel.KEY: "each key",
    LimitLevel.USER: "each user",
}
_SECOND_MS: Final = 1_000
# What stands where there is nothing to tell.
NONE: Final = "\N{EN DASH}"
_JUST_NOW_SECONDS: Final = 5
_AGES: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_LONG_AGO_DAYS: Final = 60


def number(value: int) -> str:
    """A whole number, from a million on in short: 12,345; 1.24M."""
    if abs(value) < _COMPACT_FROM:
        return f"{value:,}"
    for size, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M")):
        if abs(value) >= size:
            return f"{value / size:.2f}{letter}"
    raise AssertionError(value)


def brief(value: int) -> str:
    """A whole number where there is little room: 312; 12.3K; 3.01M."""
    return number(value) if not _THOUSAND <= abs(value) < _COMPACT_FROM else f"{value / _THOUSAND:.1f}K"


def dollars(nano: int) -> str:
    """An amount of money, small ones with as many decimals as tell something: $12.30; $0.00042."""
    if nano == 0:
        return "$0.00"
    if abs(nano) >= _CENT:
        return f"${Decimal(nano) / _NANO:,.2f}"
    return f"${Decimal(f'{nano:.2g}') / _NANO:f}"


def milliseconds(value: int | None) -> str:
    """A latency: 240 ms; 1.2 s. None is of no calls."""
    if value is None:
        return NONE
    return f"{value} ms" if value < _SECOND_MS else f"{value / _SECOND_MS:.1f} s"


def moment(at: datetime) -> str:
    """A moment in UTC: 21 Nov 2026, 12:00:05 UTC."""
    return f"{at.day} {at:%b %Y, %H:%M:%S} UTC"


def ago(at: datetime, now: datetime) -> str:
    """How long ago a moment was, or in how long it will be."""
    seconds = int((now - at).total_seconds())
    if abs(seconds) < _JUST_NOW_SECONDS:
        return "just now"
    if abs(seconds) > _LONG_AGO_DAYS * 86_400:
        return f"{at.day} {at:%b %Y}"
    size, unit = next((size, unit) for size, unit in _AGES if abs(seconds) >= size)
    span = counted(abs(seconds) // size, unit)
    return f"{span} ago" if seconds > 0 else f"in {span}"


def counted(amount: int, noun: str) -> str:
    """So many of something: 1 key, 2 keys."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def limits(document: Mapping[str, object]) -> list[str]:
    """A project's limits, a sentence for each level; raises `InvalidLimit`."""
    return [f"{level}: {said}" for level, said in limits_by_level(document).items()]


def limits_by_level(document: Mapping[str, object]) -> dict[str, str]:
    """What is said of each level that something is said of, by whose it is; raises `InvalidLimit`."""
    return {_LEVELS[level]: _level(found) for level, found in _levels(parse_limits(document))}


def tools(document: Mapping[str, object] | None) -> str:
    """Rules of tools: any but those that match mcp; only those that match search_* or read."""
    allow, deny = (_patterns((document or {}).get(name)) for name in ("allow", "deny"))
    if allow == []:
        return "none"
    said = "any" if allow is None else f"only those that match {_either(allow)}"
    return said if not deny else f"{said}, but none that matches {_either(deny)}"


def _patterns(said: object) -> list[str] | None:
    return list(map(str, said)) if isinstance(said, Sequence) else None


def _either(patterns: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(patterns[:-1]), patterns[-1])))


def _levels(parsed: Limits) -> list[tuple[LimitLevel, LevelLimits]]:
    found = {
        LimitLevel.USER: parsed.user,
        LimitLevel.KEY: parsed.key,
        LimitLevel.IP: parsed.ip,
        LimitLevel.PROJECT: parsed.project,
    }
    return [(level, limit) for level, limit in found.items() if limit is not None]


def _level(limit: LevelLimits) -> str:
    parts = []
    if limit.requests is not None:
        parts += [_rate(limit.requests, "request"), f"at most {limit.requests.burst:,} at once"]
    if limit.tokens is not None:
        parts.append(_rate(limit.tokens, "token"))
    if limit.max_wait_ns is not None:
        parts.append(f"beyond that a call waits up to {span(limit.max_wait_ns)} for its turn")
    return ", ".join(parts)


def _rate(rate: Rate, noun: str) -> str:
    amount = counted(rate.amount, noun)
    size, unit = next((size, unit) for size, unit in _UNITS if rate.per_ns >= size)
    if rate.per_ns == size:
        return f"{amount} {'an' if unit == 'hour' else 'a'} {unit}"
    return f"{amount} every {span(rate.per_ns)}"


def span(span_ns: int) -> str:
    """A span of time in the largest unit that holds it exactly: 90 seconds; 5 minutes."""
    size, unit = next((size, unit) for size, unit in _UNITS if span_ns % size == 0)
    return counted(span_ns // size, unit)
