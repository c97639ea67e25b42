"""Starting and stopping the processes under measurement, each as a tree pinned to one core.

Guarantees: an occupied port is refused (a stale server would otherwise answer in the new one's
place), a server that dies while starting is told with the end of its log, and a stopped tree is
gone before the next step.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Final

from bench.errors import BenchError
from bench.proc import GATEWAY_CORE, pinned, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_STARTS_WITHIN: Final = 90.0
_STOPS_WITHIN: Final = 20.0
_ORPHANS_END_WITHIN: Final = 5.0
# One peer recompiles a module for each request without bytecode; proxies would leave loopback.
_UNWANTED: Final = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONPROFILEIMPORTTIME")
_UNWANTED_PARTS: Final = ("BAILIWICK_", "OPENAI_", "ANTHROPIC_", "GEMINI_", "LITELLM_", "PORTKEY_")


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the surrounding environment without what would change a measurement, plus `extra`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _UNWANTED and not name.startswith(_UNWANTED_PARTS) and not name.lower().endswith("_proxy")
    }
    return kept | dict(extra)


def require_free(*ports: int) -> None:
    """Raise `BenchError` for the first port of loopback that somebody already listens on."""
    for port in ports:
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                message = f"port {port} is occupied: end what listens there and try again"
                raise BenchError(message) from error


class Server:
    """One process tree, started and stopped once."""

    def __init__(
        self,
        command: list[str],
        *,
        log: Path,
        ports: tuple[int, ...],
        extra_environment: Mapping[str, str] | None = None,
        core: int | None = GATEWAY_CORE,
    ) -> None:
        """Describe the process; `core` None leaves it to the machine where it runs."""
        self._command = command if core is None else pinned(command, core)
        self._log = log
        self._ports = ports
        self._environment = environment(extra_environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The root of the process tree."""
        if self._process is None:
            message = f"{self._log.stem} is not running"
            raise BenchError(message)
        return self._process.pid

    def start(self) -> None:
        """Start the tree, after making sure that its ports are free."""
        require_free(*self._ports)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    def wait_until(self, ready: Callable[[], bool], *, every: float = 0.02) -> float:
        """Wait until `ready` holds and return the seconds it took; raise if the process ends."""
        started = time.perf_counter()
        while not ready():
            if self._process is None or self._process.poll() is not None:
                message = f"{self._log.stem} ended while starting:\n{self.log_end()}"
                raise BenchError(message)
            if time.perf_counter() - started > _STARTS_WITHIN:
                message = f"{self._log.stem} was not ready in time:\n{self.log_end()}"
                raise BenchError(message)
            time.sleep(every)
        return time.perf_counter() - started

    def listens(self) -> bool:
        """Whether every port accepts connections."""
        for port in self._ports:
            try:
                socket.create_connection(("127.0.0.1", port), 0.5).close()
            except OSError:
                return False
        return True

    def log_text(self) -> str:
        """Return everything the process has printed."""
        return self._log.read_text(errors="replace")

    def log_end(self) -> str:
        """Return the last lines that the process has printed."""
        return "\n".join(self.log_text().splitlines()[-15:])

    def stop(self) -> None:
        """Ask the tree to end and make sure that it did; nothing happens if it never started."""
        process, self._process = self._process, None
        if process is None:
            return
        family = {(member.pid, member.born) for member in tree(process.pid)}
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOPS_WITHIN)
        deadline = time.perf_counter() + _ORPHANS_END_WITHIN
        while (left := _living(family)) and time.perf_counter() < deadline:
            time.sleep(0.05)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if left:
            print(f"{self._log.stem}: {len(left)} processes did not end and were killed", flush=True)
        process.wait()


def _living(family: set[tuple[int, int]]) -> list[int]:
    """Return who of `family` still lives: the same process, not one that got its number."""
    return [
        member.pid for pid, born in family for member in tree(pid)[:1] if member.born == born and not member.is_zombie
    ]
