"""Spans of time as the control plane writes them: "500ms", "30s", "1m", "1h", "1d", in integer nanoseconds inside.

One whole number and one unit, no sign, no leading zero, no fraction: every span has one reading. A day is 24 hours.
"""

from __future__ import annotations

import re
from typing import Final

MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000 * MILLISECOND
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_UNITS: Final = {"d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": MILLISECOND}
# Twelve digits of days are beyond any use; the bound keeps a hostile text from becoming a huge number.
_FORM: Final = re.compile(r"([1-9][0-9]{0,11})(ms|s|m|h|d)")


def parse_duration(text: str) -> int:
    """Read a span such as "1m" as nanoseconds; ValueError, fit to be shown, for anything else."""
    match = _FORM.fullmatch(text)
    if match is None:
        message = 'must be a whole number and a unit (ms, s, m, h or d), such as "30s" or "1m"'
        raise ValueError(message)
    return int(match[1]) * _UNITS[match[2]]


def format_duration(span_ns: int) -> str:
    """Write a span in the largest unit that holds it exactly; ValueError below or between milliseconds."""
    if span_ns > 0:
        for unit, size in _UNITS.items():
            if span_ns % size == 0:
                return f"{span_ns // size}{unit}"
    message = f"{span_ns} ns is no positive whole number of milliseconds"
    raise ValueError(message)
