"""Writes what a run found: `results.json` for machines, `README.md` for people.

Neither names a folder of this machine, whatever an error message may have said.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

from bench import tables
from bench.bars import FLAT_WITHIN, bars
from bench.peers import cache_folder
from bench.plan import FEW_STREAMS, GENTLE_RATE, RATE, STREAMS_AT_ONCE
from bench.stats import Table

if TYPE_CHECKING:
    from bench.budgets import BudgetsOutcome
    from bench.doors import DoorsOutcome
    from bench.ledger import LedgerOutcome
    from bench.machine import Machine
    from bench.measure import Slot
    from bench.plan import Plan
    from bench.rounds import Outcome
    from bench.startup import Startup
    from bench.tokens import TokensOutcome
    from bench.tools import ToolsOutcome

_HERE: Final = Path(__file__).parent


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole run."""

    plan: Plan
    machine: Machine
    outcome: Outcome
    startup: Startup | None
    ledger: LedgerOutcome | None
    doors: DoorsOutcome | None
    tokens: TokensOutcome | None
    tools: ToolsOutcome | None
    budgets: BudgetsOutcome | None

    def tables(self) -> str:
        """Return the bars and every table, as Markdown."""
        table = Table(self.outcome.slots)
        sections = [
            tables.quietness(self.outcome),
            tables.bars_table(bars(table, self.startup, self.ledger, self.tokens, self.tools, self.budgets)),
            tables.saturated_tables(self.outcome, table),
            tables.rate_table(self.outcome, table),
            tables.stream_table(self.outcome, table),
            tables.memory_table(self.outcome, table),
        ]
        if self.startup is not None:
            sections.append(tables.startup_table(self.startup))
        if self.ledger is not None:
            sections.append(tables.ledger_table(self.ledger))
        if self.doors is not None:
            sections.append(tables.doors_table(self.doors))
        if self.tokens is not None:
            sections.append(tables.tokens_table(self.tokens))
        if self.tools is not None:
            sections.append(tables.tools_table(self.tools))
        if self.budgets is not None:
            sections.append(tables.budgets_table(self.budgets))
        if self.outcome.absent:
            sections.append(tables.absent(self.outcome))
        sections.append(tables.doubts(self.outcome, self.ledger))
        return "\n\n".join(section for section in sections if section)

    def readme(self) -> str:
        """Return the README: how it is measured, and what this run found."""
        machine = self.machine
        seconds = ", ".join(f"{name} {length} s" for name, length in self.plan.seconds.items())
        text = Template((_HERE / "readme.template").read_text()).substitute(
            dataclasses.asdict(machine),
            tables=self.tables(),
            rounds=self.plan.rounds,
            seconds=seconds.replace("_", " "),
            rate=RATE,
            gentle_rate=GENTLE_RATE,
            at_once=STREAMS_AT_ONCE,
            few=FEW_STREAMS,
            repeats=self.plan.repeats,
            flat=f"{FLAT_WITHIN - 1:.0%}",
        )
        return portable(text)

    def results(self) -> str:
        """Return everything measured, as JSON."""
        table = Table(self.outcome.slots)
        held = bars(table, self.startup, self.ledger, self.tokens, self.tools, self.budgets)
        found = {
            "machine": dataclasses.asdict(self.machine),
            "plan": dataclasses.asdict(self.plan),
            "bars": [{**dataclasses.asdict(bar), "holds": bar.holds} for bar in held],
            "absent": self.outcome.absent,
            "slots": [_rounded(slot) for slot in self.outcome.slots],
            "startup": dataclasses.asdict(self.startup) if self.startup else None,
            "ledger": dataclasses.asdict(self.ledger) if self.ledger else None,
            "doors": dataclasses.asdict(self.doors) if self.doors else None,
            "tokens": dataclasses.asdict(self.tokens) if self.tokens else None,
            "tools": dataclasses.asdict(self.tools) if self.tools else None,
            "budgets": dataclasses.asdict(self.budgets) if self.budgets else None,
        }
        return portable(json.dumps(found, indent=1, default=str)) + "\n"


def _rounded(slot: Slot) -> dict[str, object]:
    figures = {name: round(value, 5) for name, value in slot.figures.items()}
    return {**dataclasses.asdict(slot), "figures": figures}


def portable(text: str) -> str:
    """Return `text` with the folders of this machine blotted out."""
    places = {str(Path.cwd()), str(Path.home()), tempfile.gettempdir(), str(cache_folder())}
    for place in sorted(places, key=len, reverse=True):
        if place != os.sep:
            text = text.replace(place + os.sep, "…/")
    return text
