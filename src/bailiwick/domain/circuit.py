"""When a provider that keeps failing is left alone for a while, as arithmetic.

    nothing remembered ──FAILURES in a row within WINDOW──▶ open ──one call every PAUSE──▶ it succeeds: nothing
       ▲                                                                                 └▶ it fails: open again
       └── any success

Worked example: five calls fail at 0, 1, 2, 3 and 4 s. At 4 s the circuit opens; until 9 s no call goes through. The
first after that is let through, and until 14 s only that one. It is answered at 10 s: all go through again.

Times are seconds on any clock that does not go back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias, final

FAILURES: Final = 5
WINDOW: Final = 30.0
PAUSE: Final = 5.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """So many failures in a row, the first of them at `since`; calls still go through."""

    count: int
    since: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """No call goes through before `until`, and then one."""

    until: float


Circuit: TypeAlias = Failing | Open
"""What is remembered; of a provider that does not fail, nothing is."""


def failed(circuit: Circuit | None, now: float) -> Circuit:
    """Take in a failure."""
    match circuit:
        case Open():
            return Open(until=now + PAUSE)
        case Failing(count=count, since=since) if now - since <= WINDOW:
            return Open(until=now + PAUSE) if count + 1 >= FAILURES else Failing(count=count + 1, since=since)
        case _:
            return Failing(count=1, since=now)


def let_through(circuit: Circuit, now: float) -> Circuit | None:
    """Ask for one call to go through: None if it may not, else what is remembered from then on."""
    if isinstance(circuit, Failing):
        return circuit
    return Open(until=now + PAUSE) if now >= circuit.until else None
