"""Medians over rounds with their spread, and ratios taken within each round.

Machines drift within minutes by more than the gaps that matter, so a ratio of medians would
compare different hours; the median of the rounds' own ratios does not.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.measure import Slot
    from bench.plan import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The median of the rounds, and the least and greatest of them."""

    median: float
    least: float
    most: float

    @staticmethod
    def of(values: Sequence[float]) -> Figure | None:
        """Return the figure of `values`, or None if there are none."""
        if not values:
            return None
        return Figure(median=statistics.median(values), least=min(values), most=max(values))


class Table:
    """Looks figures up in the slots of a run."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        """Look into `slots`."""
        self._slots = slots

    def by_round(self, system: str, scenario: Scenario, name: str) -> dict[int, float]:
        """Return one figure's value in each round that has it."""
        return {
            slot.round: slot.figures[name]
            for slot in self._slots
            if slot.system == system and slot.scenario is scenario and name in slot.figures
        }

    def figure(self, system: str, scenario: Scenario, name: str) -> Figure | None:
        """Return one figure over all rounds."""
        return Figure.of(list(self.by_round(system, scenario, name).values()))

    def ratio(self, over: str, under: str, scenario: Scenario, name: str) -> Figure | None:
        """Return how many times `under` goes into `over`, within each round."""
        tops = self.by_round(over, scenario, name)
        bottoms = self.by_round(under, scenario, name)
        return Figure.of([tops[n] / bottoms[n] for n in tops if bottoms.get(n)])

    def added(self, system: str, scenario: Scenario, name: str) -> Figure | None:
        """Return what `system` adds to the direct call, within each round."""
        through = self.by_round(system, scenario, name)
        direct = self.by_round("direct", scenario, name)
        return Figure.of([through[n] - direct[n] for n in through if n in direct])

    def most(self, system: str, name: str) -> float | None:
        """Return the greatest value of a figure over every scenario and round."""
        values = [slot.figures[name] for slot in self._slots if slot.system == system and name in slot.figures]
        return max(values, default=None)
