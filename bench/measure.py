"""One measurement: one system under one load, with its cost and with every reason to doubt it.

CPU is the stable figure. It is taken from /proc just before and just after the load, and divided
by the calls that the gateway worked for.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench import proc
from bench.errors import BenchError
from bench.load.clients import at_rate, stream
from bench.load.wrk import saturate
from bench.plan import FEW_STREAMS, GENTLE_RATE, RATE, STREAMS_AT_ONCE, Scenario

if TYPE_CHECKING:
    from pathlib import Path

    from bench.systems.system import Loadable

MEGABYTE: Final = 1_000_000
_FULL_CORE: Final = 0.85
_FOREIGN_SHARE: Final = 0.10
_QUIET: Final = 0.10
_SETTLES_WITHIN: Final = 1.0
_RECORDED_WITHIN: Final = 5.0
_SHOWN: Final = {
    "cpu_ms": "CPU {:.4f} ms",
    "cpu_database_ms": "database {:.4f} ms",
    "calls_a_second": "{:.0f}/s",
    "streams_a_second": "{:.1f}/s",
    "p50_ms": "p50 {:.2f}",
    "p99_ms": "p99 {:.2f}",
    "core_use": "core {:.0%}",
    "foreign_use": "others {:.0%}",
    "foreign_load_use": "and {:.0%}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """What every measurement stands on: a folder for its files and the mock provider's process."""

    folder: Path
    mock_pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One system's turn: the scenario, the round it belongs to, seconds of load, open-loop rate."""

    scenario: Scenario
    round: int
    seconds: int
    rate: float = RATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What one measurement gave: figures by name, and doubts in words."""

    system: str
    scenario: Scenario
    round: int
    figures: dict[str, float]
    doubts: tuple[str, ...] = ()

    @property
    def foreign_use(self) -> float:
        """Return the greater of the shares that others took of the two cores meanwhile."""
        return max(self.figures.get(name, 0.0) for name in ("foreign_use", "foreign_load_use"))

    @property
    def disturbed(self) -> bool:
        """Whether it failed, or others took enough of a core to make the figures doubtful."""
        return not self.figures or self.foreign_use > _FOREIGN_SHARE

    @property
    def hungry(self) -> bool:
        """Whether the gateway's core was not full although the scenario should fill it."""
        return self.scenario.fills_the_core and self.figures.get("core_use", 1.0) < _FULL_CORE

    def line(self) -> str:
        """Return the slot in one line, for whoever watches the run."""
        parts = [form.format(self.figures[name]) for name, form in _SHOWN.items() if name in self.figures]
        parts += [f"! {doubt}" for doubt in self.doubts]
        return f"{self.scenario:<16}{self.system:<13}" + "  ".join(parts)

    def better(self, other: Slot) -> Slot:
        """Return the less disturbed of two measurements of the same thing."""
        if not self.figures or not other.figures:
            return self if self.figures else other
        return self if self.foreign_use <= other.foreign_use else other


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """What the load side saw; `worked` is the number of calls that the CPU time is divided by."""

    worked: float
    completed: int
    errors: int
    figures: dict[str, float]


def measure(system: Loadable, turn: Turn, rig: Rig) -> Slot:
    """Load `system` once and return what it cost; a failure becomes a slot without figures."""
    try:
        figures, doubts = _measure(system, turn, rig)
    except BenchError as error:
        figures, doubts = {}, [f"failed: {error}"]
    return Slot(
        system=system.name,
        scenario=turn.scenario,
        round=turn.round,
        figures=figures,
        doubts=tuple(doubts),
    )


def _measure(system: Loadable, turn: Turn, rig: Rig) -> tuple[dict[str, float], list[str]]:
    recorded_before = system.recorded()
    settle()
    before, busy_before = _cost(system), proc.core_busy(proc.GATEWAY_CORE)
    load_before = _foreign_load(rig)
    started = time.perf_counter()
    loaded = _load(system, turn, rig.folder)
    wall = time.perf_counter() - started
    spent, busy = _cost(system).since(before), proc.core_busy(proc.GATEWAY_CORE) - busy_before
    figures = dict(loaded.figures)
    figures["foreign_load_use"] = max(0.0, _foreign_load(rig) - load_before) / wall
    if system.pid is not None:
        worked = max(loaded.worked, 1.0)
        figures |= {
            "cpu_ms": 1000 * spent.gateway / worked,
            "cpu_worker_ms": 1000 * spent.worker / worked,
            "cpu_database_ms": 1000 * spent.database / worked,
            "core_use": (spent.gateway + spent.database) / wall,
            "foreign_use": max(0.0, busy - spent.gateway - spent.database) / wall,
        }
        held = proc.memory(system.pid, system.worker_marker)
        figures |= {
            "gateway_rss_mb": held.gateway_rss / MEGABYTE,
            "tree_rss_mb": held.tree_rss / MEGABYTE,
        }
        for name, held_bytes in (
            ("worker_rss_mb", held.worker_rss),
            ("tree_pss_mb", held.tree_pss),
        ):
            if held_bytes is not None:
                figures[name] = held_bytes / MEGABYTE
    doubts = _doubts(turn.scenario, loaded, figures)
    if recorded_before is not None:
        doubts += _unrecorded(system, recorded_before + loaded.completed)
    return figures, doubts


def _load(system: Loadable, turn: Turn, folder: Path) -> _Loaded:
    scenario, seconds = turn.scenario, turn.seconds
    call = system.call(scenario.kind)
    match scenario:
        case Scenario.SATURATED | Scenario.SATURATED_LARGE:
            full = saturate(call, seconds=seconds, folder=folder)
            return _Loaded(
                worked=full.worked,
                completed=full.calls,
                errors=full.errors,
                figures={
                    "calls_a_second": full.calls_a_second,
                    "p50_ms": full.p50_ms,
                    "p99_ms": full.p99_ms,
                },
            )
        case Scenario.AT_RATE:
            timed = at_rate(call, rate=turn.rate, seconds=seconds)
            return _Loaded(
                worked=timed.calls,
                completed=timed.calls - timed.errors,
                errors=timed.errors,
                figures={"rate": timed.rate, "p50_ms": timed.p50_ms, "p99_ms": timed.p99_ms},
            )
        case Scenario.STREAMS | Scenario.FIRST_BYTE:
            many = scenario is Scenario.STREAMS
            read = stream(call, at_once=STREAMS_AT_ONCE if many else FEW_STREAMS, seconds=seconds)
            return _Loaded(
                worked=read.streams,
                completed=read.streams - read.errors,
                errors=read.errors,
                figures={
                    "streams_a_second": read.streams_a_second,
                    "p50_ms": read.first_byte_p50_ms,
                    "p99_ms": read.first_byte_p99_ms,
                    "events": read.events,
                    "arrivals": read.arrivals,
                    "gap_ms": read.gap_p50_ms,
                    "one_by_one": float(read.one_by_one),
                },
            )


def settle() -> None:
    """Wait, within bounds, until nobody works on either core any more."""
    cores = (proc.GATEWAY_CORE, proc.LOAD_CORE)
    deadline = time.perf_counter() + _SETTLES_WITHIN
    while time.perf_counter() < deadline:
        before = [proc.core_busy(core) for core in cores]
        time.sleep(0.3)
        if all(proc.core_busy(core) - busy < 0.3 * _QUIET for core, busy in zip(cores, before, strict=True)):
            return


def _foreign_load(rig: Rig) -> float:
    """Return the seconds that neither the load nor the mock provider spent on the load's core."""
    ours = proc.cost(rig.mock_pid, None).gateway
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        ours += used.ru_utime + used.ru_stime
    return proc.core_busy(proc.LOAD_CORE) - ours


def _cost(system: Loadable) -> proc.Cost:
    return proc.Cost() if system.pid is None else proc.cost(system.pid, system.worker_marker)


def _doubts(scenario: Scenario, loaded: _Loaded, figures: dict[str, float]) -> list[str]:
    doubts: list[str] = []
    if loaded.errors:
        doubts.append(f"{loaded.errors} errors beside {loaded.completed} good answers")
    if scenario is Scenario.FIRST_BYTE and not figures["one_by_one"]:
        doubts.append(f"chunks came in lumps: {figures['arrivals']:.0f} arrivals a stream")
    if scenario is Scenario.AT_RATE and figures["rate"] == GENTLE_RATE:
        doubts.append(f"too slow for the full rate, loaded with {GENTLE_RATE} calls a second")
    return doubts


def _unrecorded(system: Loadable, expected: int) -> list[str]:
    """Compare the system's own record with the calls that were answered."""
    deadline = time.perf_counter() + _RECORDED_WITHIN
    while (recorded := system.recorded() or 0) < expected and time.perf_counter() < deadline:
        time.sleep(0.2)
    missing = expected - recorded
    return [f"{missing} answered calls are not in the ledger"] if missing > 0 else []
