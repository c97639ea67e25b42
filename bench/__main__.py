"""The command: `python -m bench`, with `--quick`, `--only` and `--install`.

A full run writes `bench/README.md` and `bench/results.json`; any other prints its tables only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import peers
from bench.budgets import measure_budgets
from bench.doors import measure_doors
from bench.errors import BenchError
from bench.ledger import measure_ledger
from bench.machine import describe, require_tools
from bench.measure import Rig
from bench.mock import mock_provider
from bench.plan import FULL, QUICK
from bench.proc import LOAD_CORE
from bench.report import Report
from bench.rounds import run_rounds
from bench.startup import measure_startup
from bench.systems.litellm import LiteLLM
from bench.systems.nginx import Direct, Nginx
from bench.systems.ours import Ours, serve_command
from bench.systems.portkey import Portkey
from bench.tokens import measure_tokens
from bench.tools import measure_tools

if TYPE_CHECKING:
    from bench.systems.system import System

_HERE: Final = Path(__file__).parent
NAMES: Final = ("nginx", "ours", "litellm", "portkey")


def main() -> int:
    """Run what the command line asks for; 2 if the run is impossible, with the reason."""
    options = _parser().parse_args()
    # A plain end, so that everything that was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if options.install:
            return _install()
        return _run(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure the gateway beside nginx, LiteLLM and Portkey."
    )
    parser.add_argument("--quick", action="store_true", help="nginx and ours in under 3 minutes")
    parser.add_argument("--only", metavar="NAMES", help=f"some of {','.join(NAMES)}")
    parser.add_argument("--install", action="store_true", help="install the peers and end")
    parser.add_argument("--write", action="store_true", help="write README and results anyway")
    parser.add_argument("--rounds", type=int, metavar="N", help="more rounds than the plan has")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and data")
    parser.add_argument("--serve", metavar="COMMAND", help="instead of `bailiwick serve`")
    return parser


def _install() -> int:
    failed = 0
    for peer in (peers.litellm(), peers.portkey()):
        try:
            peer.ensure()
            print(f"{peer.name} {peer.version} is installed")
        except BenchError as error:
            print(f"bench: {error}", file=sys.stderr)
            failed = 1
    return failed


def _names(options: argparse.Namespace) -> tuple[str, ...]:
    if options.only is None:
        return ("nginx", "ours") if options.quick else NAMES
    chosen = tuple(str(options.only).split(","))
    unknown = set(chosen) - set(NAMES)
    if unknown:
        message = f"unknown in --only: {', '.join(sorted(unknown))}; known: {', '.join(NAMES)}"
        raise BenchError(message)
    return chosen


def _system(name: str, folder: Path, options: argparse.Namespace) -> System:
    match name:
        case "nginx":
            return Nginx(folder)
        case "ours":
            return Ours(serve_command(options.serve), folder / "ours")
        case "litellm":
            return LiteLLM(peers.litellm(), folder)
        case _:
            return Portkey(peers.portkey(), folder)


def _run(options: argparse.Namespace) -> int:
    require_tools()
    names = _names(options)
    plan = QUICK if options.quick else FULL
    if options.rounds is not None:
        plan = plan.with_rounds(options.rounds)
    # The bench's own clock-watching belongs to the load's side.
    os.sched_setaffinity(0, {LOAD_CORE})
    began = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="bailiwick-bench-"))
    # PostgreSQL may run as another user than we do, and must reach its data directory.
    folder.chmod(0o755)
    mock = mock_provider(folder)
    try:
        mock.start()
        mock.wait_until(mock.listens)
        rig = Rig(folder=folder, mock_pid=mock.pid)
        systems = [_system(name, folder, options) for name in names]
        outcome = run_rounds([Direct(), *systems], plan, rig)
        startup = ledger = doors = tokens = tools = budgets = None
        if "ours" in names:
            command = serve_command(options.serve)
            if plan.ledger_rounds:
                ledger = measure_ledger(command, plan, rig)
            if plan.door_seconds:
                doors = measure_doors(command, plan, rig)
                tokens, tools = measure_tokens(command, rig), measure_tools(command, rig)
                budgets = measure_budgets(command, rig)
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
            startup = measure_startup(command, plan, folder)
    finally:
        mock.stop()
        if options.keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    report = Report(
        plan=plan, machine=describe(), outcome=outcome,
        startup=startup, ledger=ledger, doors=doors, tokens=tokens, tools=tools, budgets=budgets,
    )  # fmt: skip
    print(f"\n{report.tables()}\n\ntook {time.perf_counter() - began:.0f} s")
    whole = plan.name == "full" and set(names) == set(NAMES) and options.serve is None
    if options.write or whole:
        (_HERE / "README.md").write_text(report.readme())
        (_HERE / "results.json").write_text(report.results())
        print("written: bench/README.md, bench/results.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
