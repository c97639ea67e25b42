"""Saturation: `wrk` with one thread and 64 connections that are never idle.

wrk drops the calls that are in flight when its time is up. They have cost the gateway something,
so half of them are counted as calls: it matters only for a peer that takes most of a second.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.calls import USERS
from bench.errors import BenchError
from bench.proc import LOAD_CORE, pinned

if TYPE_CHECKING:
    from bench.calls import Call

CONNECTIONS: Final = 64
_FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturated:
    """What wrk saw: calls a second, latencies in milliseconds, everything that was not a 2xx."""

    calls: int
    calls_a_second: float
    p50_ms: float
    p99_ms: float
    errors: int

    @property
    def worked(self) -> float:
        """Calls that the gateway worked for, those cut off at the end counted as half."""
        return self.calls + CONNECTIONS / 2


def saturate(call: Call, *, seconds: int, folder: Path) -> Saturated:
    """Load `call` for `seconds` from core 1; raise `BenchError` if wrk itself fails."""
    body = folder / f"{call.kind}.json"
    body.write_bytes(call.body())
    headers = (f"{name}={value}" for name, value in call.all_headers())
    url = f"http://127.0.0.1:{call.port}{call.path}"
    return run_wrk("wrk.lua", url, str(body), str(USERS), *headers, seconds=seconds)


def run_wrk(script: str, url: str, *arguments: str, seconds: int) -> Saturated:
    """Load `url` by a script of this folder from core 1; raise `BenchError` if wrk itself fails."""
    command = [
        "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s",
        "-s", str(_FOLDER / script), url, "--", *arguments,
    ]  # fmt: skip
    done = subprocess.run(
        pinned(command, LOAD_CORE),
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            seen = json.loads(line.removeprefix("RESULT "))
            return Saturated(
                calls=seen["calls"],
                calls_a_second=seen["calls"] / seen["seconds"],
                p50_ms=seen["p50_ms"],
                p99_ms=seen["p99_ms"],
                errors=seen["errors"],
            )
    said = done.stderr.strip() or done.stdout.strip() or "nothing"
    message = f"wrk ended with status {done.returncode} and no result; it said {said}"
    raise BenchError(message)
