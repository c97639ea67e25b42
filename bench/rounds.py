"""Interleaved rounds: every system takes its turn in every scenario of every round.

All systems stay up for the whole run and only one is loaded at a time. The order turns around
from round to round, so that no system always comes first after a pause.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.load.clients import stream
from bench.load.wrk import saturate
from bench.measure import Rig, Slot, Turn, measure, settle
from bench.plan import FEW_STREAMS, GENTLE_RATE, RATE, Plan, Scenario
from bench.systems.system import System, require_right_answers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(slots=True)
class Outcome:
    """Everything measured, and who could not take part, with the reason."""

    slots: list[Slot] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def run_rounds(systems: Sequence[System], plan: Plan, rig: Rig) -> Outcome:
    """Start `systems`, measure them in turns, stop them; the mock provider must be running."""
    outcome = Outcome()
    with ExitStack() as running:
        present = [system for system in systems if _take_part(system, outcome, running)]
        if all(system.pid is None for system in present):
            return outcome
        for system in present:
            _warm_up(system, plan, rig.folder)
        repeats = plan.repeats
        for number in range(1, plan.rounds + 1):
            order = present if number % 2 else present[::-1]
            for scenario in Scenario:
                for system in order:
                    if system.pid is None and not scenario.needs_direct:
                        continue
                    turn = Turn(
                        scenario=scenario,
                        round=number,
                        seconds=plan.seconds[scenario],
                        rate=_bearable_rate(outcome, system),
                    )
                    slot = measure(system, turn, rig)
                    if slot.disturbed and repeats:
                        repeats -= 1
                        print(f"  disturbed, once more: {slot.line()}", flush=True)
                        slot = slot.better(measure(system, turn, rig))
                    outcome.slots.append(slot)
                    print(f"  round {number}/{plan.rounds} {slot.line()}", flush=True)
    return outcome


def _take_part(system: System, outcome: Outcome, running: ExitStack) -> bool:
    """Start `system` and prove that it is the right one; otherwise note why a peer is absent."""
    outcome.titles[system.name] = system.title
    print(f"starting {system.name} …", flush=True)
    running.callback(system.stop)
    try:
        system.start()
        require_right_answers(system)
    except BenchError as error:
        if system.name == "ours":
            raise  # without it there is nothing to compare
        print(f"  absent: {error}", flush=True)
        system.stop()
        # Only the first line goes into the report: the rest may name places on this machine.
        outcome.absent[system.name] = str(error).splitlines()[0].rstrip(":")
        return False
    return True


def _warm_up(system: System, plan: Plan, folder: Path) -> None:
    for scenario in (Scenario.SATURATED, Scenario.SATURATED_LARGE):
        if system.pid is not None:
            saturate(system.call(scenario.kind), seconds=plan.warm_up, folder=folder)
    stream(system.call(Scenario.STREAMS.kind), at_once=FEW_STREAMS, seconds=1)
    settle()


def _bearable_rate(outcome: Outcome, system: System) -> float:
    """Return the rate of the open loop, or the gentle one for a system that is near its end at it."""
    most = [
        slot.figures["calls_a_second"]
        for slot in outcome.slots
        if (slot.system, slot.scenario) == (system.name, Scenario.SATURATED) and "calls_a_second" in slot.figures
    ]
    return GENTLE_RATE if most and min(most) < 1.5 * RATE else RATE
