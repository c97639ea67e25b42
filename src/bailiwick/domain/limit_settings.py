"""The limits of a project or tier, from the control plane's JSON to values; pure.

`{"user": {"requests": 60, "tokens": 100000, "per": "1m", "burst": 60, "overflow": "reject"}, "ip": …, …}`

What is absent is unlimited. What cannot be enforced is refused, never ignored: unknown fields, a `burst` without
`requests`, and for now the queues of the contract. Evolution: fields are added, their meaning never changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, cast, final

from bailiwick.domain.durations import parse_duration
from bailiwick.domain.limits import (
    LONGEST_PER,
    MOST_REQUESTS,
    MOST_TOKENS,
    SHORTEST_PER,
    InvalidLimit,
    LimitLevel,
    Rate,
    Unit,
    whole_number,
)

_LEVELS: Final = frozenset(LimitLevel)
_FIELDS: Final = frozenset({"requests", "tokens", "per", "burst", "overflow", "max_wait"})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LevelLimits:
    """The limits of one level; None is unlimited."""

    requests: Rate | None = None
    tokens: Rate | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of each level; None is unlimited."""

    ip: LevelLimits | None = None
    project: LevelLimits | None = None
    key: LevelLimits | None = None
    user: LevelLimits | None = None
    rates: tuple[tuple[LimitLevel, Unit, Rate], ...] = field(init=False, repr=False, compare=False)
    """All of them, in the order of `LimitLevel`: written once, since every call needs them."""
    on_tokens: bool = field(init=False, repr=False, compare=False)
    """Whether any of them counts tokens."""

    def __post_init__(self) -> None:
        """Derive what calls need."""
        levels = [(LimitLevel(name), getattr(self, name)) for name in LimitLevel if getattr(self, name) is not None]
        object.__setattr__(self, "rates", tuple(_rates(levels)))
        object.__setattr__(self, "on_tokens", any(unit is Unit.TOKENS for _, unit, _ in self.rates))


def _rates(levels: list[tuple[LimitLevel, LevelLimits]]) -> Iterator[tuple[LimitLevel, Unit, Rate]]:
    for level, limits in levels:
        if limits.requests is not None:
            yield level, Unit.REQUESTS, limits.requests
        if limits.tokens is not None:
            yield level, Unit.TOKENS, limits.tokens


def parse_limits(document: object) -> Limits:
    """Read the contract's limits object; InvalidLimit names the first field that is wrong, as `limits.user.per`."""
    levels = _object("limits", document)
    _check_names("limits", levels, _LEVELS)
    return Limits(**{str(name): _parse_level(f"limits.{name}", level) for name, level in levels.items()})


def _parse_level(path: str, document: object) -> LevelLimits:
    level = _object(path, document)
    _check_names(path, level, _FIELDS)
    if "requests" not in level and "tokens" not in level:
        raise InvalidLimit(f"{path}.requests", "is required, unless there are tokens")
    if "per" not in level:
        raise InvalidLimit(f"{path}.per", "is required")
    per_ns = _duration(f"{path}.per", level["per"], SHORTEST_PER, LONGEST_PER, "100ms to 31d")
    _check_overflow(path, level)
    requests = tokens = None
    if "requests" in level:
        amount = whole_number(f"{path}.requests", level["requests"], 1, MOST_REQUESTS)
        burst = whole_number(f"{path}.burst", level.get("burst", amount), 1, MOST_REQUESTS)
        requests = Rate(amount=amount, per_ns=per_ns, burst=burst)
    elif "burst" in level:
        raise InvalidLimit(f"{path}.burst", "is for requests, and there are none")
    if "tokens" in level:
        amount = whole_number(f"{path}.tokens", level["tokens"], 1, MOST_TOKENS)
        tokens = Rate(amount=amount, per_ns=per_ns, burst=amount)
    return LevelLimits(requests=requests, tokens=tokens)


def _check_overflow(path: str, level: Mapping[object, object]) -> None:
    if "max_wait" in level:
        raise InvalidLimit(
            f"{path}.max_wait", "waiting for a place is not supported yet; calls over the limit are rejected"
        )
    overflow = level.get("overflow", "reject")
    if overflow == "queue":
        raise InvalidLimit(f"{path}.overflow", 'overflow "queue" is not supported yet; use "reject"')
    if overflow != "reject":
        raise InvalidLimit(f"{path}.overflow", 'must be "reject" or "queue"')


def _duration(path: str, value: object, shortest: int, longest: int, bounds: str) -> int:
    if not isinstance(value, str):
        raise InvalidLimit(path, 'must be a text such as "1m"')
    try:
        span_ns = parse_duration(value)
    except ValueError as error:
        raise InvalidLimit(path, str(error)) from None
    if not shortest <= span_ns <= longest:
        raise InvalidLimit(path, f"must be from {bounds}")
    return span_ns


def _check_names(path: str, document: Mapping[object, object], known: frozenset[str]) -> None:
    for name in document:
        if name not in known:
            raise InvalidLimit(field=f"{path}.{name}", message=f"unknown field; known are {', '.join(sorted(known))}")


def _object(path: str, document: object) -> Mapping[object, object]:
    if not isinstance(document, Mapping):
        raise InvalidLimit(path, "must be an object")
    return cast("Mapping[object, object]", document)
