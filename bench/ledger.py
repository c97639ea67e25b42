"""Is the ledger's cost flat? Ours with an empty ledger against ours with a million rows in it.

Two servers, each on a data directory of its own, take turns within each round. The database's
CPU counts here: it is where a growing ledger would show first.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from bench import ports
from bench.errors import BenchError
from bench.load.wrk import saturate
from bench.measure import Rig, Slot, Turn, measure
from bench.plan import Plan, Scenario
from bench.systems.ours import Ours
from bench.systems.system import require_right_answers

ROWS: Final = 1_000_000
EMPTY: Final = "ledger-empty"
FULL: Final = "ledger-full"


@dataclass(slots=True)
class LedgerOutcome:
    """The slots of both servers, the seconds that the rows took, and what went wrong."""

    rows: int = 0
    slots: list[Slot] = field(default_factory=list)
    preload_s: float | None = None
    problem: str | None = None


def measure_ledger(command: list[str], plan: Plan, rig: Rig, *, rows: int = ROWS) -> LedgerOutcome:
    """Measure both servers in turns, at saturation; a failure is told in the outcome."""
    outcome = LedgerOutcome(rows=rows)
    empty = Ours(command, rig.folder / EMPTY, name=EMPTY, port=ports.OURS_LEDGER_EMPTY)
    full = Ours(command, rig.folder / FULL, name=FULL, port=ports.OURS_LEDGER_FULL)
    with ExitStack() as running:
        try:
            for system in (empty, full):
                running.callback(system.stop)
                system.start()
                require_right_answers(system)
            print(f"writing {rows:,} rows into the ledger …", flush=True)
            started = time.perf_counter()
            full.preload(rows)
            outcome.preload_s = time.perf_counter() - started
            _take_turns((empty, full), plan, rig, outcome)
        except BenchError as error:
            outcome.problem = str(error).splitlines()[0]
            print(f"  ledger not measured: {error}", flush=True)
    return outcome


def _take_turns(systems: tuple[Ours, Ours], plan: Plan, rig: Rig, outcome: LedgerOutcome) -> None:
    seconds = plan.seconds[Scenario.SATURATED]
    for system in systems:
        saturate(system.call(Scenario.SATURATED.kind), seconds=plan.warm_up, folder=rig.folder)
    for number in range(1, plan.ledger_rounds + 1):
        for system in systems if number % 2 else systems[::-1]:
            turn = Turn(scenario=Scenario.SATURATED, round=number, seconds=seconds)
            slot = measure(system, turn, rig)
            # The sum is what must stay flat: a plan that turns sour costs the database first.
            if "cpu_ms" in slot.figures:
                both = slot.figures["cpu_ms"] + slot.figures["cpu_database_ms"]
                slot.figures["cpu_both_ms"] = both
            outcome.slots.append(slot)
            print(f"  ledger round {number}/{plan.ledger_rounds} {slot.line()}", flush=True)
