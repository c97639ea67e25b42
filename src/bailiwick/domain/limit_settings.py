"""The limits of a project or tier, from the control plane's JSON to values; pure.

`{"user": {"requests": 60, "tokens": 100000, "per": "1m", "burst": 60, "overflow": "queue", "max_wait": "5s"}, "ip": …,
"project": …, "key": …}`

What is absent is unlimited. What cannot be enforced is refused, never ignored: unknown fields, a `burst` without
`requests`, a `max_wait` where nobody waits. Evolution: fields are added, their meaning never changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, cast, final

from bailiwick.domain.durations import MINUTE, SECOND, parse_duration
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

LONGEST_WAIT: Final = MINUTE
USUAL_WAIT: Final = 5 * SECOND
_LEVELS: Final = frozenset(LimitLevel)
_FIELDS: Final = frozenset({"requests", "tokens", "per", "burst", "overflow", "max_wait"})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LevelLimits:
    """The limits of one level; None is unlimited. `max_wait_ns` is how long a call may wait, None for not at all."""

    requests: Rate | None = None
    tokens: Rate | None = None
    max_wait_ns: int | None = None


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
    max_waits: Mapping[LimitLevel, int] = field(init=False, repr=False, compare=False)
    """How long a call may wait, in nanoseconds, for the levels at which it may."""

    def __post_init__(self) -> None:
        """Derive what calls need."""
        levels = [(LimitLevel(name), getattr(self, name)) for name in LimitLevel if getattr(self, name) is not None]
        object.__setattr__(self, "rates", tuple(_rates(levels)))
        object.__setattr__(self, "on_tokens", any(unit is Unit.TOKENS for _, unit, _ in self.rates))
        waits = {level: limits.max_wait_ns for level, limits in levels if limits.max_wait_ns is not None}
        object.__setattr__(self, "max_waits", waits)


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
    return LevelLimits(requests=requests, tokens=tokens, max_wait_ns=_max_wait(path, level))


def _max_wait(path: str, level: Mapping[object, object]) -> int | None:
    overflow = level.get("overflow", "reject")
    if overflow not in ("reject", "queue"):
        raise InvalidLimit(f"{path}.overflow", 'must be "reject" or "queue"')
    if overflow == "reject":
        if "max_wait" in level:
            raise InvalidLimit(f"{path}.max_wait", 'is for overflow "queue"')
        return None
    if "max_wait" not in level:
        return USUAL_WAIT
    return _duration(f"{path}.max_wait", level["max_wait"], 1, LONGEST_WAIT, "1ms to 1m")


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
