"""Runs the two load programs of our own on core 1 and reads back what they saw."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.errors import BenchError
from bench.mock import EVENTS
from bench.proc import LOAD_CORE, pinned
from bench.server import environment

if TYPE_CHECKING:
    from bench.calls import Call

_REPOSITORY: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRate:
    """An open loop's latencies, in milliseconds from the moment each call was due."""

    rate: float
    calls: int
    errors: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """What came of streams read side by side; events and arrivals are medians of a stream."""

    streams: int
    streams_a_second: float
    errors: int
    first_byte_p50_ms: float
    first_byte_p99_ms: float
    events: float
    arrivals: float
    gap_p50_ms: float

    @property
    def one_by_one(self) -> bool:
        """Whether the chunks arrived by themselves and not in lumps."""
        return self.arrivals >= 0.8 * EVENTS and self.gap_p50_ms > 0.5 * 10


def at_rate(call: Call, *, rate: float, seconds: float) -> AtRate:
    """Send `rate` calls a second for `seconds`."""
    seen = _run("bench.load.open_loop", call, {"rate": rate, "seconds": seconds})
    return AtRate(
        rate=rate,
        calls=int(seen["calls"]),
        errors=int(seen["errors"]),
        p50_ms=seen["p50_ms"],
        p99_ms=seen["p99_ms"],
    )


def stream(call: Call, *, at_once: int, seconds: float) -> Streamed:
    """Read streams, `at_once` of them side by side, beginning new ones for `seconds`."""
    seen = _run("bench.load.streams", call, {"at_once": at_once, "seconds": seconds})
    return Streamed(
        streams=int(seen["streams"]),
        streams_a_second=seen["streams_a_second"],
        errors=int(seen["errors"]),
        first_byte_p50_ms=seen["first_byte_p50_ms"],
        first_byte_p99_ms=seen["first_byte_p99_ms"],
        events=seen["events"],
        arrivals=seen["arrivals"],
        gap_p50_ms=seen["gap_p50_ms"],
    )


def _run(program: str, call: Call, numbers: dict[str, float]) -> dict[str, float]:
    task = json.dumps({"call": dataclasses.asdict(call), "numbers": numbers})
    done = subprocess.run(
        pinned([sys.executable, "-m", program], LOAD_CORE),
        input=task + "\n",
        capture_output=True,
        text=True,
        cwd=_REPOSITORY,
        env=environment({}),
        timeout=numbers["seconds"] + 120,
        check=False,
    )
    if done.returncode != 0:
        message = f"{program} failed: {done.stderr.strip()[-600:]}"
        raise BenchError(message)
    seen: dict[str, float] = json.loads(done.stdout)
    return seen
