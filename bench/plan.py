"""How long a run measures what: the full run, and the quick one for daily use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from bench.calls import Kind

RATE: Final = 200
GENTLE_RATE: Final = 20
STREAMS_AT_ONCE: Final = 64
FEW_STREAMS: Final = 4


class Scenario(StrEnum):
    """One way of loading a system."""

    SATURATED = "saturated"
    SATURATED_LARGE = "saturated_large"
    STREAMS = "streams"
    AT_RATE = "at_rate"
    FIRST_BYTE = "first_byte"

    @property
    def kind(self) -> Kind:
        """The kind of call that this scenario sends."""
        match self:
            case Scenario.SATURATED | Scenario.AT_RATE:
                return Kind.SMALL
            case Scenario.SATURATED_LARGE:
                return Kind.LARGE
            case Scenario.STREAMS | Scenario.FIRST_BYTE:
                return Kind.STREAM

    @property
    def fills_the_core(self) -> bool:
        """Whether the gateway's core should be full."""
        return self in {Scenario.SATURATED, Scenario.SATURATED_LARGE}

    @property
    def needs_direct(self) -> bool:
        """Whether the figure that counts is what is added to the direct call."""
        return self in {Scenario.AT_RATE, Scenario.FIRST_BYTE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Rounds, repeats of disturbed measurements, seconds of load, and which parts run."""

    name: str
    rounds: int
    repeats: int
    seconds: dict[Scenario, int]
    warm_up: int
    ledger_rounds: int
    door_seconds: int
    starts: int
    imports: int

    def with_rounds(self, rounds: int) -> Plan:
        """Return the same plan with another number of rounds, three at least."""
        return replace(self, rounds=max(rounds, 3))


FULL: Final = Plan(
    name="full",
    rounds=3,
    repeats=12,
    seconds={
        Scenario.SATURATED: 6,
        Scenario.SATURATED_LARGE: 5,
        Scenario.STREAMS: 5,
        Scenario.AT_RATE: 8,
        Scenario.FIRST_BYTE: 4,
    },
    warm_up=3,
    ledger_rounds=5,
    door_seconds=3,
    starts=3,
    imports=9,
)
QUICK: Final = Plan(
    name="quick",
    rounds=3,
    repeats=2,
    seconds={
        Scenario.SATURATED: 3,
        Scenario.SATURATED_LARGE: 2,
        Scenario.STREAMS: 2,
        Scenario.AT_RATE: 3,
        Scenario.FIRST_BYTE: 2,
    },
    warm_up=1,
    ledger_rounds=0,
    door_seconds=0,
    starts=1,
    imports=5,
)
