"""When a provider that keeps failing is left alone for a while, as arithmetic.

    nothing remembered ──FAILURES in a row within WINDOW──▶ open ──one call every PAUSE──▶ an answer begins: failing
       ▲                                                      ▲                                               │
       └── an answer is whole                                 └───────── FAILURES in a row, or it breaks off ─┘

Two kinds of failure count, each in a row: that no answer begins, and that one which began is not whole. An answer that
begins ends a row of the first kind, one that is whole both.

Worked example: five calls fail at 0, 1, 2, 3 and 4 s. At 4 s the circuit opens; until 9 s no call goes through. The
first after that is let through, and until 14 s only that one. Its answer begins at 10 s: all go through again. It
breaks off at 11 s: none goes through until 16 s.

Times are seconds on any clock that does not go back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias, final

FAILURES: Final = 5
WINDOW: Final = 30.0
PAUSE: Final = 5.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """Failures in a row, the first of them at `since`; calls still go through.

    `unanswered` calls had no answer, `broken` ones not all of it. `told`: the circuit was open before.
    """

    since: float
    unanswered: int = 0
    broken: int = 0
    told: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """No call goes through before `until`, and then one."""

    until: float


Circuit: TypeAlias = Failing | Open
"""What is remembered; of a provider that does not fail, nothing is."""


def failed(circuit: Circuit | None, now: float, *, broken: bool = False) -> Circuit:
    """Take in a failure; `broken`: of an answer that had begun."""
    match circuit:
        case Open():
            return Open(until=now + PAUSE)
        case Failing(since=since, told=told) if now - since > WINDOW:
            before = Failing(since=now, told=told)
        case Failing():
            before = circuit
        case None:
            before = Failing(since=now)
    unanswered, breaks = before.unanswered + (not broken), before.broken + broken
    if max(unanswered, breaks) >= FAILURES:
        return Open(until=now + PAUSE)
    return replace(before, unanswered=unanswered, broken=breaks)


def begun(circuit: Circuit, now: float) -> Circuit | None:
    """Take in that an answer has begun: what is remembered from then on, None for nothing."""
    if isinstance(circuit, Open):
        return Failing(since=now, broken=FAILURES - 1, told=True)
    return replace(circuit, unanswered=0) if circuit.broken else None


def let_through(circuit: Circuit, now: float) -> Circuit | None:
    """Ask for one call to go through: None if it may not, else what is remembered from then on."""
    if isinstance(circuit, Failing):
        return circuit
    return Open(until=now + PAUSE) if now >= circuit.until else None


def is_told(circuit: Circuit | None) -> bool:
    """Whether a circuit is open, or was and has not seen a whole answer since."""
    return isinstance(circuit, Open) or (isinstance(circuit, Failing) and circuit.told)
