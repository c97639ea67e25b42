"""The tables of a report, in Markdown; a system that took no part is a row that says so."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

from bench.ledger import EMPTY, FULL
from bench.mock import EVENTS
from bench.plan import RATE, STREAMS_AT_ONCE, Scenario
from bench.stats import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.bars import Bar
    from bench.budgets import BudgetsOutcome
    from bench.doors import DoorsOutcome
    from bench.ledger import LedgerOutcome
    from bench.measure import Slot
    from bench.rounds import Outcome
    from bench.startup import Startup
    from bench.stats import Figure
    from bench.tokens import TokensOutcome
    from bench.tools import ToolsOutcome

_NOTHING: Final = "-"
_MUCH: Final = 5  # more than a fifth of the measurements


def figure(value: Figure | None, form: str = "{:.3f}", *, spread: bool = False, unit: str = "") -> str:
    """Return the median, with the least and the greatest if `spread`; a dash if not measured."""
    if value is None:
        return _NOTHING
    shown, least, most = (form.format(n) for n in (value.median, value.least, value.most))
    shown += unit
    return f"{shown} ({least} to {most})" if spread and least != most else shown


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is text, the others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rows(outcome: Outcome, width: int, cells: Callable[[str], list[str]], *, direct: bool = False) -> list[list[str]]:
    rows: list[list[str]] = []
    for name, title in outcome.titles.items():
        if name == "direct" and not direct:
            continue
        if name in outcome.absent:
            rows.append([title, "took no part", *[_NOTHING] * (width - 2)])
        else:
            rows.append([title, *cells(name)])
    return rows


def bars_table(found: Sequence[Bar]) -> str:
    """Return the bars, each with its figure and verdict."""
    rows = []
    for bar in found:
        sign = "≥" if bar.at_least else "≤"
        unit = f" {bar.unit}" if bar.unit else ""
        value = _NOTHING if bar.value is None else f"{_plain(bar.value)}{unit}"
        rows.append([bar.what, f"{sign} {_plain(bar.limit)}{unit}", value, bar.verdict])
    return "## The bars\n\n" + grid(["bar", "limit", "measured", ""], rows)


def _plain(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def saturated_tables(outcome: Outcome, table: Table) -> str:
    """Return the two tables at saturation: small bodies and large ones."""
    head = [
        "", "CPU ms a call, gateway", "PostgreSQL's beside it", "against nginx",
        "calls a second", "p50 ms", "p99 ms", "core in use",
    ]  # fmt: skip
    sections = []
    for scenario, size in ((Scenario.SATURATED, "0.5"), (Scenario.SATURATED_LARGE, "20")):

        def cells(name: str, scenario: Scenario = scenario) -> list[str]:
            return [
                figure(table.figure(name, scenario, "cpu_ms"), spread=True),
                _database(table.figure(name, scenario, "cpu_database_ms")),
                figure(table.ratio(name, "nginx", scenario, "cpu_ms"), "{:.1f}"),
                figure(table.figure(name, scenario, "calls_a_second"), "{:,.0f}", spread=True),
                figure(table.figure(name, scenario, "p50_ms"), "{:.1f}"),
                figure(table.figure(name, scenario, "p99_ms"), "{:.1f}"),
                figure(table.figure(name, scenario, "core_use"), "{:.0%}"),
            ]

        title = f"## Saturated: 64 connections, {size} KB prompts, no stream"
        sections.append(f"{title}\n\n{grid(head, _rows(outcome, len(head), cells))}")
    return "\n\n".join(sections)


def _database(value: Figure | None) -> str:
    return figure(value) if value is not None and value.most > 0 else _NOTHING


def rate_table(outcome: Outcome, table: Table) -> str:
    """Return the table of the open loop."""
    scenario = Scenario.AT_RATE
    head = [
        "", "calls a second", "added p50 ms", "added p99 ms",
        "CPU ms a call, gateway", "PostgreSQL's beside it",
    ]  # fmt: skip

    def cells(name: str) -> list[str]:
        if name == "direct":
            absolute = [figure(table.figure(name, scenario, p)) for p in ("p50_ms", "p99_ms")]
            return [str(RATE), *(f"({shown} itself)" for shown in absolute), *[_NOTHING] * 2]
        return [
            figure(table.figure(name, scenario, "rate"), "{:.0f}"),
            figure(table.added(name, scenario, "p50_ms"), "{:.2f}", spread=True),
            figure(table.added(name, scenario, "p99_ms"), "{:.2f}", spread=True),
            figure(table.figure(name, scenario, "cpu_ms"), spread=True),
            _database(table.figure(name, scenario, "cpu_database_ms")),
        ]

    title = f"## At {RATE} calls a second: 0.5 KB prompts, open loop"
    return f"{title}\n\n{grid(head, _rows(outcome, len(head), cells, direct=True))}"


def stream_table(outcome: Outcome, table: Table) -> str:
    """Return the table of the streams, many at once and few at once."""
    many, few = Scenario.STREAMS, Scenario.FIRST_BYTE
    head = [
        "", "CPU ms a stream, gateway", "PostgreSQL's beside it", "against nginx",
        "streams a second", "added first byte p50 ms", "p99 ms", "chunks arrive",
    ]  # fmt: skip

    def cells(name: str) -> list[str]:
        if name == "direct":
            absolute = [figure(table.figure(name, few, p)) for p in ("p50_ms", "p99_ms")]
            dashes = [_NOTHING] * 4
            return [*dashes, *(f"({shown} itself)" for shown in absolute), _arrival(table, name)]
        return [
            figure(table.figure(name, many, "cpu_ms"), "{:.2f}", spread=True),
            _database(table.figure(name, many, "cpu_database_ms")),
            figure(table.ratio(name, "nginx", many, "cpu_ms"), "{:.1f}"),
            figure(table.figure(name, many, "streams_a_second"), "{:.0f}"),
            figure(table.added(name, few, "p50_ms"), "{:.2f}", spread=True),
            figure(table.added(name, few, "p99_ms"), "{:.2f}"),
            _arrival(table, name),
        ]

    title = f"## Streams: {EVENTS} chunks 10 ms apart, {STREAMS_AT_ONCE} at once"
    return f"{title}\n\n{grid(head, _rows(outcome, len(head), cells, direct=True))}"


def _arrival(table: Table, name: str) -> str:
    separate = table.by_round(name, Scenario.FIRST_BYTE, "one_by_one")
    if not separate:
        return _NOTHING
    arrivals = figure(table.figure(name, Scenario.FIRST_BYTE, "arrivals"), "{:.0f}")
    return f"one by one ({arrivals})" if all(separate.values()) else f"in lumps ({arrivals})"


def memory_table(outcome: Outcome, table: Table) -> str:
    """Return the table of memory, the most seen after any load."""
    head = ["", "worker, RSS", "gateway's processes, RSS", "whole tree, RSS", "whole tree, PSS"]
    names = ("worker_rss_mb", "gateway_rss_mb", "tree_rss_mb", "tree_pss_mb")

    def cells(name: str) -> list[str]:
        most = [table.most(name, kind) for kind in names]
        return [_NOTHING if value is None else f"{value:.0f}" for value in most]

    return f"## Memory in MB\n\n{grid(head, _rows(outcome, len(head), cells))}"


def startup_table(startup: Startup) -> str:
    """Return what a start and an import take."""
    rows = [
        [
            "`ready`, first start (database made)",
            figure(startup.cold_s, "{:.2f}", spread=True, unit=" s"),
        ],
        ["`ready`, database exists", figure(startup.warm_s, "{:.2f}", spread=True, unit=" s")],
        ["`import bailiwick`", figure(startup.import_ms, "{:.0f}", spread=True, unit=" ms")],
    ]
    text = f"## Starting\n\n{grid(['', 'takes'], rows)}"
    return text + (f"\n\nNot measured: {startup.problem}." if startup.problem else "")


def ledger_table(ledger: LedgerOutcome) -> str:
    """Return the cost a call with an empty ledger and with a full one."""
    title = f"## The ledger: no rows against {ledger.rows:,}, saturated, 0.5 KB"
    if ledger.problem is not None:
        return f"{title}\n\nNot measured: {ledger.problem}."
    table, scenario = Table(ledger.slots), Scenario.SATURATED
    head = ["", "CPU ms a call, gateway", "PostgreSQL's", "both", "calls a second", "p99 ms"]
    rows = [
        [
            label,
            figure(table.figure(name, scenario, "cpu_ms"), spread=True),
            figure(table.figure(name, scenario, "cpu_database_ms"), spread=True),
            figure(table.figure(name, scenario, "cpu_both_ms"), spread=True),
            figure(table.figure(name, scenario, "calls_a_second"), "{:,.0f}"),
            figure(table.figure(name, scenario, "p99_ms"), "{:.1f}"),
        ]
        for name, label in ((EMPTY, "empty at first"), (FULL, f"{ledger.rows:,} rows at first"))
    ]
    both = table.ratio(FULL, EMPTY, scenario, "cpu_both_ms")
    return f"{title}\n\n{grid(head, rows)}\n\nFull against empty: {figure(both, spread=True)}."


def doors_table(doors: DoorsOutcome) -> str:
    """Return what a call costs at each door."""
    title = "## The doors: what a call costs us at each, saturated"
    if doors.problem is not None:
        return f"{title}\n\nNot measured: {doors.problem}."
    head = ["", "CPU ms a call, gateway", "PostgreSQL's", "calls a second", "errors"]
    rows = [
        [
            f"`/v1{cost.path}`",
            f"{cost.cpu_ms:.3f}",
            f"{cost.cpu_database_ms:.3f}",
            f"{cost.calls_a_second:,.0f}",
            str(cost.errors),
        ]
        for cost in doors.costs
    ]
    return f"{title}\n\n{grid(head, rows)}"


def tokens_table(tokens: TokensOutcome) -> str:
    """Return what a call costs with a key, and with tokens."""
    title = "## Tokens: what a call costs us at `/v1/me`, by credential, saturated"
    if tokens.problem is not None:
        return f"{title}\n\nNot measured: {tokens.problem}."
    added = {"new token": tokens.new_us, "token seen before": tokens.seen_us}
    rows = [
        [
            name,
            f"{statistics.median(rounds):.3f} ({min(rounds):.3f} to {max(rounds):.3f})",
            "" if (more := added.get(name)) is None else f"{more:.0f}",
        ]
        for name, rounds in tokens.cpu_ms.items()
    ]
    table = grid(["", "CPU ms a call, gateway", "added, µs"], rows)
    minted = "" if tokens.minted_a_second is None else f"{tokens.minted_a_second:,.0f} tokens a second are minted."
    return f"{title}\n\n{table}\n\n{minted}"


def tools_table(tools: ToolsOutcome) -> str:
    """Return what a call costs with a tier, an agent, and tools."""
    title = "## Tools: what a call costs us at `/v1/chat/completions`, by what it comes with, saturated"
    if tools.problem is not None:
        return f"{title}\n\nNot measured: {tools.problem}."
    rows = [
        [
            name,
            f"{statistics.median(rounds):.3f} ({min(rounds):.3f} to {max(rounds):.3f})",
            f"{tools.added_us(name) or 0:.0f}",
        ]
        for name, rounds in tools.cpu_ms.items()
    ]
    return f"{title}\n\n{grid(['', 'CPU ms a call, gateway', 'added, µs'], rows)}"


def absent(outcome: Outcome) -> str:
    """Return why systems took no part."""
    lines = [f"- {outcome.titles[name]}: {reason}" for name, reason in outcome.absent.items()]
    return "## Took no part\n\n" + "\n".join(lines)


def doubts(outcome: Outcome, ledger: LedgerOutcome | None) -> str:
    """Return every reason to doubt a measurement, by system and scenario."""
    groups: dict[str, list[Slot]] = {}
    for slot in [*outcome.slots, *(ledger.slots if ledger else [])]:
        groups.setdefault(f"{slot.system}, {slot.scenario.replace('_', ' ')}", []).append(slot)
    lines: list[str] = []
    for where, slots in groups.items():
        told = dict.fromkeys(doubt.splitlines()[0] for slot in slots for doubt in slot.doubts)
        lines += [f"- {where}: {doubt}" for doubt in told]
        if hungry := [slot.figures["core_use"] for slot in slots if slot.hungry]:
            lines.append(
                f"- {where}: its core was not full in {len(hungry)} of {len(slots)} rounds, {min(hungry):.0%} at least"
            )
        if disturbed := [slot.foreign_use for slot in slots if slot.disturbed]:
            most, rounds = max(disturbed), f"{len(disturbed)} of {len(slots)} rounds"
            lines.append(f"- {where}: others took up to {most:.0%} of a core in {rounds}")
    return "## Doubts\n\n" + ("\n".join(lines) or "None.")


def quietness(outcome: Outcome) -> str:
    """Return a warning if others worked on this machine for much of the run; otherwise nothing."""
    disturbed = sum(slot.disturbed for slot in outcome.slots)
    if disturbed * _MUCH < len(outcome.slots):
        return ""
    return (
        f"**Others worked on this machine during {disturbed} of {len(outcome.slots)} measurements.** CPU a call "
        "stands; calls a second and latencies are worse than the systems are."
    )


def budgets_table(budgets: BudgetsOutcome) -> str:
    """Return what a call costs under budgets, and without."""
    title = "## Budgets: what a call costs us at `/v1/chat/completions`, with the durable ledger"
    if budgets.problem is not None:
        return f"{title}\n\nNot measured: {budgets.problem}."
    columns = (
        (Scenario.SATURATED, "cpu_ms", "CPU ms a call, gateway"),
        (Scenario.SATURATED, "cpu_database_ms", "PostgreSQL's beside it"),
        (Scenario.SATURATED, "calls_a_second", "calls a second"),
        (Scenario.SATURATED, "p50_ms", "p50 ms, saturated"),
        (Scenario.AT_RATE, "p50_ms", "p50 ms, at 200 a second"),
        (Scenario.AT_RATE, "p99_ms", "p99 ms"),
    )
    rows = [
        [name, *(_spread(budgets.figures(name, scenario, figure)) for scenario, figure, _ in columns)]
        for name in budgets.slots
    ]
    return f"{title}\n\n{grid(['', *(head for _, _, head in columns)], rows)}"


def _spread(rounds: list[float]) -> str:
    if not rounds:
        return "-"
    return f"{statistics.median(rounds):,.3g} ({min(rounds):,.3g} to {max(rounds):,.3g})"
