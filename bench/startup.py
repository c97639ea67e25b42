"""What a start costs: `ready` on a new data directory and on one that exists, and the import.

Starts use all cores, as a user's do. The files of the program are in the page cache either way:
"cold" means that the database is made first.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.errors import BenchError
from bench.server import environment
from bench.stats import Figure
from bench.systems.ours import Ours

if TYPE_CHECKING:
    from pathlib import Path

    from bench.plan import Plan

_IMPORT: Final = """\
import time
started = time.perf_counter()
import bailiwick
print(1000 * (time.perf_counter() - started))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """Seconds to `ready`, milliseconds of the import, and what could not be measured."""

    cold_s: Figure | None
    warm_s: Figure | None
    import_ms: Figure | None
    problem: str | None = None


def measure_startup(command: list[str], plan: Plan, folder: Path) -> Startup:
    """Start and stop ours, cold and warm, and import the library, as often as `plan` says."""
    cold: list[float] = []
    warm: list[float] = []
    problem = None
    try:
        for number in range(plan.starts):
            server = Ours(command, folder / f"start{number}", core=None)
            for seconds in (cold, warm):
                try:
                    seconds.append(server.start_only())
                finally:
                    server.stop()
    except BenchError as error:
        problem = str(error).splitlines()[0]
    return Startup(
        cold_s=Figure.of(cold),
        warm_s=Figure.of(warm),
        import_ms=Figure.of(import_times(plan.imports)),
        problem=problem,
    )


def import_times(times: int) -> list[float]:
    """Return the milliseconds of `import bailiwick`, each in a fresh interpreter.

    One more import goes before them, so that the bytecode is written; none, if it fails.
    """
    taken: list[float] = []
    for _ in range(times + 1):
        done = subprocess.run(
            [sys.executable, "-c", _IMPORT],
            capture_output=True,
            text=True,
            env=environment({}),
            check=False,
        )
        if done.returncode != 0:
            return []
        taken.append(float(done.stdout))
    return taken[1:]
