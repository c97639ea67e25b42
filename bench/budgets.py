"""What budgets cost: how much two of them add to a chat call, in CPU and in waiting.

Ours alone: the small call of a project without budgets, and of one where it must fit in two, one of money for the
project, which all calls share, and one of tokens for each user. Both write the durable ledger, which is never off.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from bench import ports
from bench.errors import BenchError
from bench.measure import Turn, measure
from bench.plan import Scenario
from bench.systems.ours import Ours

if TYPE_CHECKING:
    from bench.calls import Call, Kind
    from bench.measure import Rig, Slot

NAME: Final = "budgets"
WITHOUT: Final = "no budget"
UNDER: Final = "two budgets"
_ROUNDS: Final = 3
_SECONDS: Final = {Scenario.SATURATED: 4, Scenario.AT_RATE: 5}


@dataclass(frozen=True, slots=True)
class _Project:
    """One project of the installation, as a system."""

    name: str
    ours: Ours
    id: str
    key: str

    @property
    def pid(self) -> int:
        """The root of the process tree."""
        return self.ours.pid

    @property
    def worker_marker(self) -> str | None:
        """What tells the worker's process."""
        return self.ours.worker_marker

    def call(self, kind: Kind) -> Call:
        """The call with this project's key."""
        return replace(self.ours.call(kind), bearer=self.key)

    def recorded(self) -> int | None:
        """How many settled calls the ledger holds."""
        return self.ours.recorded(self.id)


@dataclass(slots=True)
class BudgetsOutcome:
    """The slots of all rounds, by what the call was under."""

    slots: dict[str, list[Slot]] = field(default_factory=dict)
    problem: str | None = None

    def figures(self, name: str, scenario: Scenario, figure: str) -> list[float]:
        """One figure of each round."""
        slots = [slot for slot in self.slots.get(name, []) if slot.scenario is scenario]
        return [slot.figures[figure] for slot in slots if figure in slot.figures]

    def added(self, scenario: Scenario, figure: str) -> float | None:
        """What budgets add to a figure, the median over the rounds."""
        rounds = zip(self.figures(UNDER, scenario, figure), self.figures(WITHOUT, scenario, figure), strict=False)
        found = [under - without for under, without in rounds]
        return statistics.median(found) if found else None


def measure_budgets(command: list[str], rig: Rig) -> BudgetsOutcome:
    """Measure both, interleaved; a failure is told in the outcome."""
    outcome = BudgetsOutcome()
    ours = Ours(command, rig.folder / NAME, name=NAME, port=ports.OURS_BUDGETS)
    try:
        ours.start()
        projects = [_Project(WITHOUT, ours, *ours.project()), _Project(UNDER, ours, *ours.project(budgets=True))]
        for round_ in range(_ROUNDS):
            for scenario, seconds in _SECONDS.items():
                for project in projects:
                    slot = measure(project, Turn(scenario=scenario, round=round_, seconds=seconds), rig)
                    print(f"  budgets round {round_ + 1}/{_ROUNDS} {slot.line()}", flush=True)
                    outcome.slots.setdefault(project.name, []).append(slot)
    except (BenchError, OSError) as error:
        outcome.problem = str(error).splitlines()[0]
        print(f"  budgets not measured: {error}", flush=True)
    finally:
        ours.stop()
    return outcome
