"""What an earlier owner of a cluster left running: known for certain, waited for, ended.

Actor: the one process that holds the lock on the root, so every server found there is a leftover.

Guarantees:
- a process counts as a server on a folder only if it lives, is called postgres and works in that
  very folder. A zombie (where nobody reaps), or a stranger that was given the number of a dead
  server, does not, and is never sent a signal;
- a server that was told to stop with its owner is waited for, generously; one that somebody else
  started by hand is left alone, and named;
- the processes of a killed server leave by themselves when they notice, or are made to: beside
  them no new server may write.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from bailiwick.storage.postgres_account import EngineError
from bailiwick.storage.postgres_process import ENVIRONMENT

_POLL_SECONDS: Final = 0.005
_WAYS_TO_END: Final = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0))
# They leave when they notice; one that is busy with a query does not, until it is told.
_WAYS_TO_LEAVE: Final = ((None, 0.5), (signal.SIGQUIT, 1.0), (signal.SIGKILL, 10.0))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFile:
    """What a server wrote about itself into `postmaster.pid` in its data folder."""

    pid: int
    sockets: str
    ready: bool


def read_server_file(data: Path) -> ServerFile | None:
    """Return what `postmaster.pid` says; `None` if there is none or it is not yet written."""
    try:
        lines = (data / "postmaster.pid").read_text(errors="surrogateescape").split("\n")
        pid = int(lines[0])
    except (FileNotFoundError, ValueError):
        return None
    # Lines: pid, data folder, start time, port, socket folder, address, shared memory, status.
    lines += [""] * (8 - len(lines))
    return ServerFile(pid=abs(pid), sockets=lines[4], ready=lines[7].strip() == "ready")


def end_leftovers(data: Path, socket_folders: Sequence[str]) -> None:
    """End what works on `data`, and forget the file of a dead server.

    `socket_folders` are those of our own servers. Raises `EngineError` if a server listens
    elsewhere, or does not end.
    """
    server_file = data / "postmaster.pid"
    if not server_file.exists():
        return
    left = read_server_file(data)
    if left is not None and _is_server_on(data, left.pid):
        if left.sockets not in socket_folders:
            raise EngineError(
                f"a PostgreSQL server that somebody else started (process {left.pid}) runs on "
                f"{data}; stop it first: kill -INT {left.pid}"
            )
        _end_server(data, left.pid)
    end_orphans(data)
    # Its number may be a stranger's by now, or that of a zombie.
    server_file.unlink(missing_ok=True)


def end_orphans(data: Path) -> None:
    """Wait until the processes of a killed server have left `data`; then make them.

    Where there is no /proc they are not seen. Then the next server refuses to start while they
    are there ("pre-existing shared memory block"), which its owner has to wait out.
    """
    for number, seconds in _WAYS_TO_LEAVE:
        orphans = _servers_on(data)
        if number is not None:
            for pid in orphans:
                _send(data, pid, number)
        if _gone(data, orphans, seconds):
            return
    raise EngineError(
        f"processes of a killed PostgreSQL server still work in {data}; end them first: "
        f"kill -9 {' '.join(map(str, _servers_on(data)))}"
    )


def _end_server(data: Path, pid: int) -> None:
    """Tell the server `pid` to stop, if it has not been told, and wait."""
    for number, seconds in _WAYS_TO_END:
        _send(data, pid, number)
        if _gone(data, [pid], seconds):
            return
    raise EngineError(
        f"the PostgreSQL server that an earlier run left on {data} (process {pid}) does not stop; "
        f"end it first: kill -QUIT {pid}"
    )


def _is_server_on(data: Path, pid: int) -> bool:
    """Say whether the process `pid` is a PostgreSQL process at work in the folder `data`."""
    if sys.platform != "linux":
        return _is_called_postgres(pid)
    process = Path("/proc") / str(pid)
    try:
        name, _, rest = (process / "stat").read_text(errors="replace").rpartition(")")
        if not name.endswith("(postgres") or rest.split()[0] in ("Z", "X"):
            return False
        # A folder is known by its device and number: the way there may have been renamed.
        return (process / "cwd").samefile(data)
    except OSError:  # gone, or of an account that we cannot look at, and then not ours
        return False


def _servers_on(data: Path, among: Sequence[int] | None = None) -> list[int]:
    """Return the processes at work in `data`, of all or among some."""
    if among is None:
        known = Path("/proc").iterdir() if sys.platform == "linux" else ()
        among = [int(entry.name) for entry in known if entry.name.isdigit()]
    return [pid for pid in among if _is_server_on(data, pid)]


def _is_called_postgres(pid: int) -> bool:
    """Say whether `pid` is a living process called postgres, by the system's own `ps`."""
    shown = subprocess.run(
        ["/bin/ps", "-o", "stat=,comm=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
    )
    state, _, name = shown.stdout.strip().partition(" ")
    return "Z" not in state and Path(name.strip()).name == "postgres"


def _send(data: Path, pid: int, number: signal.Signals) -> None:
    """Send a signal to a server's process, if it is certain to be one.

    Where there is no /proc it is not, and nothing is sent: its owner's watchdog has told it.
    """
    if sys.platform == "linux" and _is_server_on(data, pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _gone(data: Path, pids: Sequence[int], seconds: float) -> bool:
    """Wait until none of `pids` works on `data`; say whether that came within about `seconds`."""
    for _ in range(round(seconds / _POLL_SECONDS)):
        if not _servers_on(data, among=pids):
            return True
        time.sleep(_POLL_SECONDS)
    return not _servers_on(data, among=pids)
