"""Moments as text: RFC 3339 in UTC, written with `Z`; read with any offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FORM: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


def written(moment: datetime) -> str:
    """Write a moment: `2026-11-21T02:34:00Z`, with a fraction only if there is one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def unix_us(moment: datetime) -> int:
    """A moment in microseconds of Unix time."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def written_us(unix_us: int) -> str:
    """Write a moment that is given in microseconds of Unix time."""
    return written(_EPOCH + timedelta(microseconds=unix_us))


def read_moment(text: str) -> datetime | None:
    """Read a moment as UTC; None for anything but RFC 3339 §5.6 with at most microseconds."""
    if _FORM.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
