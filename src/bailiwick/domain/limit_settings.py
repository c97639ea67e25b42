"""The limits of a project or tier, from the control plane's JSON to values; pure.

`{"user": {"requests": 60, "per": "1m", "burst": 60, "overflow": "reject"}, "ip": …, "project": …, "key": …}`

What is absent is unlimited. What cannot be enforced is refused, never ignored: unknown fields, and for now the token
rates and queues of the contract. Evolution: fields are added, their meaning never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast, final

from bailiwick.domain.durations import parse_duration
from bailiwick.domain.limits import MOST_REQUESTS, InvalidLimit, LimitLevel, RequestLimit, whole_number

_LEVELS: Final = frozenset(LimitLevel)
_FIELDS: Final = frozenset({"requests", "per", "burst", "overflow", "tokens", "max_wait"})
_NOT_YET: Final = {
    "tokens": "limits on tokens are not supported yet",
    "max_wait": "waiting for a place is not supported yet; calls over the limit are rejected",
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limit of each level; None is unlimited."""

    ip: RequestLimit | None = None
    project: RequestLimit | None = None
    key: RequestLimit | None = None
    user: RequestLimit | None = None


def parse_limits(document: object) -> Limits:
    """Read the contract's limits object; InvalidLimit names the first field that is wrong, as `limits.user.per`."""
    levels = _object("limits", document)
    _check_names("limits", levels, _LEVELS)
    return Limits(**{str(name): _parse_level(f"limits.{name}", level) for name, level in levels.items()})


def _parse_level(path: str, document: object) -> RequestLimit:
    level = _object(path, document)
    _check_names(path, level, _FIELDS)
    for name, message in _NOT_YET.items():
        if name in level:
            raise InvalidLimit(field=f"{path}.{name}", message=message)
    _check_overflow(f"{path}.overflow", level.get("overflow", "reject"))
    for name in ("requests", "per"):
        if name not in level:
            raise InvalidLimit(field=f"{path}.{name}", message="is required")
    requests = whole_number(f"{path}.requests", level["requests"], 1, MOST_REQUESTS)
    burst = whole_number(f"{path}.burst", level.get("burst", requests), 1, MOST_REQUESTS)
    per = level["per"]
    if not isinstance(per, str):
        raise InvalidLimit(field=f"{path}.per", message='must be a text such as "1m"')
    try:
        return RequestLimit(requests=requests, per_ns=parse_duration(per), burst=burst)
    except (ValueError, InvalidLimit) as error:
        message = error.message if isinstance(error, InvalidLimit) else str(error)
        raise InvalidLimit(field=f"{path}.per", message=message) from None


def _check_names(path: str, document: Mapping[object, object], known: frozenset[str]) -> None:
    for name in document:
        if name not in known:
            raise InvalidLimit(field=f"{path}.{name}", message=f"unknown field; known are {', '.join(sorted(known))}")


def _check_overflow(path: str, value: object) -> None:
    if value == "queue":
        raise InvalidLimit(path, 'overflow "queue" is not supported yet; use "reject"')
    if value != "reject":
        raise InvalidLimit(path, 'must be "reject" or "queue"')


def _object(path: str, document: object) -> Mapping[object, object]:
    if not isinstance(document, Mapping):
        raise InvalidLimit(path, "must be an object")
    return cast("Mapping[object, object]", document)
