"""The bars that the gateway is held to, each with what this run says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.ledger import EMPTY, FULL
from bench.plan import Scenario
from bench.stats import Table
from bench.tools import WITH_TOOLS

if TYPE_CHECKING:
    from bench.budgets import BudgetsOutcome
    from bench.ledger import LedgerOutcome
    from bench.startup import Startup
    from bench.stats import Figure
    from bench.tokens import TokensOutcome
    from bench.tools import ToolsOutcome

# Gaps below this are noise even between interleaved rounds.
FLAT_WITHIN: Final = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: the words, the limit with its direction, and the measured value if there is one."""

    what: str
    limit: float
    unit: str
    value: float | None
    at_least: bool = False

    @property
    def holds(self) -> bool | None:
        """Whether the bar holds; None if it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def verdict(self) -> str:
        """The answer in words."""
        return {True: "holds", False: "**does not hold**", None: "not measured"}[self.holds]


def bars(
    table: Table,
    startup: Startup | None,
    ledger: LedgerOutcome | None,
    tokens: TokensOutcome | None,
    tools: ToolsOutcome | None,
    budgets: BudgetsOutcome | None,
) -> list[Bar]:
    """Return every bar with its figure; medians, but for memory, where the greatest counts."""
    full, cpu = Scenario.SATURATED, "cpu_ms"
    kept = None
    if ledger is not None:
        kept = Table(ledger.slots).ratio(FULL, EMPTY, full, "cpu_both_ms")
    return [
        _most("CPU a call, gateway", 0.18, "ms", table.figure("ours", full, cpu)),
        _most("CPU a call against nginx", 9, "times", table.ratio("ours", "nginx", full, cpu)),
        _least("LiteLLM's CPU a call against ours", 60, "times",
               table.ratio("litellm", "ours", full, cpu)),
        _least("calls a second on the core", 4000, "", table.figure("ours", full, "calls_a_second")),
        _most("at 200 a second, added p50", 4, "ms",
              table.added("ours", Scenario.AT_RATE, "p50_ms")),
        _most("at 200 a second, added p99", 12, "ms",
              table.added("ours", Scenario.AT_RATE, "p99_ms")),
        _most("CPU a stream, gateway", 1.6, "ms", table.figure("ours", Scenario.STREAMS, cpu)),
        _most("added time to first byte", 3, "ms",
              table.added("ours", Scenario.FIRST_BYTE, "p50_ms")),
        _most("CPU a call with 1,000,000 ledger rows against none, database included",
              FLAT_WITHIN, "times", kept),
        Bar(what="memory of the gateway worker (RSS, the most seen)", limit=100, unit="MB",
            value=table.most("ours", "worker_rss_mb")),
        _most("ready, database exists", 2, "s", startup.warm_s if startup else None),
        _most("ready, first start", 5, "s", startup.cold_s if startup else None),
        _most("`import bailiwick`", 150, "ms", startup.import_ms if startup else None),
        Bar(what="a user token seen before, added CPU", limit=15, unit="µs", value=tokens.seen_us if tokens else None),
        Bar(what="a new user token, added CPU", limit=250, unit="µs", value=tokens.new_us if tokens else None),
        Bar(what="tokens minted a second on the core", limit=2000, unit="", at_least=True,
            value=tokens.minted_a_second if tokens else None),
        Bar(what="tier, agent and 20 tools, added CPU", limit=50, unit="µs",
            value=tools.added_us(WITH_TOOLS) if tools else None),
        Bar(what="two budgets, added CPU of the gateway", limit=0.05, unit="ms",
            value=budgets.added(full, cpu) if budgets else None),
        Bar(what="two budgets, added p50 at 200 a second", limit=5, unit="ms",
            value=budgets.added(Scenario.AT_RATE, "p50_ms") if budgets else None),
    ]  # fmt: skip


def _most(what: str, limit: float, unit: str, figure: Figure | None) -> Bar:
    return Bar(what=what, limit=limit, unit=unit, value=figure.median if figure else None)


def _least(what: str, limit: float, unit: str, figure: Figure | None) -> Bar:
    value = figure.median if figure else None
    return Bar(what=what, limit=limit, unit=unit, value=value, at_least=True)
