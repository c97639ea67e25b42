"""The installation's own PostgreSQL: started, watched and stopped by the process that uses it.

Layout of `root`: `data` (the cluster), `run` (the socket, or a link to its short folder),
`postgres.log` and `postgres.log.1`, `engine.lock`.

Guarantees:
- one process at a time runs the server on a root: it holds a lock that the kernel frees with it;
- the server is a direct child and ends with this process, however this process ends; `start`
  after that waits until what the dead one left has ended, and never starts beside it;
- it listens on a socket in a private folder only, and asks everybody for a password;
- `stop` leaves no process of the server, whatever state it was in.

Blocking, and not thread-safe: one owner calls it. See `postgres_process` on threads.
"""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, final

from bailiwick.storage.postgres_account import (
    Account,
    EngineError,
    account_for,
    closed_to,
    server_path,
)
from bailiwick.storage.postgres_binaries import (
    SYSTEM_FOLDERS,
    Binaries,
    find_binaries,
    runnable_by,
)
from bailiwick.storage.postgres_cluster import (
    PORT,
    check_settings,
    ensure_cluster,
    ensure_sockets,
    release_sockets,
    server_settings,
)
from bailiwick.storage.postgres_leftovers import end_leftovers, end_orphans, read_server_file
from bailiwick.storage.postgres_process import TiedProcess

__all__ = ["Binaries", "EmbeddedPostgres", "EngineError", "find_binaries"]

_NO_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({})
# How a server is asked to end, and how long each way may take: clients are cut off and a last
# checkpoint is written; then without that; then by the kernel.
_WAYS_TO_END: Final = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))
_READY_POLL_SECONDS: Final = 0.005
_SHARED_MEMORY_TRIES: Final = 100
_SHARED_MEMORY_PAUSE_SECONDS: Final = 0.3
_LOG_BYTES: Final = 4 << 20
_TAIL_BYTES: Final = 2_000
_FULL_DISK_BYTES: Final = 64 << 20


@final
class EmbeddedPostgres:
    """A PostgreSQL server on `root`, owned by this process.

    `superuser_password` is that of the superuser `postgres` and is set when the cluster is made;
    a cluster that exists keeps the one it was made with. `binaries` names the folder of the
    server's binaries, `settings` adds to or replaces the server's settings. `system_folders` are
    where root may put a copy of binaries that the server's account cannot reach.
    """

    def __init__(
        self,
        *,
        root: Path,
        superuser_password: str,
        binaries: Path | None = None,
        settings: Mapping[str, str] = _NO_SETTINGS,
        system_folders: Sequence[Path] = SYSTEM_FOLDERS,
    ) -> None:
        """Find the binaries; nothing is written or started. Raises `EngineError`."""
        if not superuser_password or re.search(r"[\r\n\0]", superuser_password):
            raise EngineError("the superuser's password must be one line, and not empty")
        check_settings(settings)
        self._root = root.absolute()
        self._data = self._root / "data"
        self._superuser_password = superuser_password
        self._binaries = find_binaries(binaries)
        self._settings = dict(settings)
        self._system_folders = tuple(system_folders)
        self._lock: int | None = None
        self._process: TiedProcess | None = None
        self._sockets: Path | None = None

    @property
    def version(self) -> str:
        """The server's version, such as `18.6`."""
        return self._binaries.version

    @property
    def pid(self) -> int | None:
        """The process id of the server, or `None` if it does not run."""
        return self._process.pid if self._process is not None and self.is_alive() else None

    def start(self) -> None:
        """Return when the server accepts connections; makes the cluster when there is none.

        There is no limit of time while the server lives: recovery takes what it takes. Does
        nothing if it runs. Raises `EngineError`, and then nothing runs and nothing is held.
        """
        if self.is_alive():
            return
        try:
            with self._explained():
                if self._lock is None:
                    self._lock = _hold(self._root)
                self._launch()
        except BaseException:
            self.stop()
            raise

    def is_alive(self) -> bool:
        """Say whether the server's process lives."""
        return self._process is not None and self._process.poll() is None

    def restart(self) -> None:
        """Start again after the server died, with the same address; one that lives is stopped.

        Raises as `start` does; lock and address are kept even then, so that it can be tried again.
        """
        if self._lock is None:
            self.start()
            return
        try:
            with self._explained():
                self._end_server()
                self._launch()
        except BaseException:
            self._end_server()
            raise

    def stop(self) -> None:
        """End the server, leave no process of it, and let another process have the root.

        A fast shutdown: clients are cut off, what they committed is kept. Does nothing the
        second time. Raises `EngineError` if a process cannot be ended.
        """
        try:
            self._end_server()
        finally:
            if self._sockets is not None:
                release_sockets(self._root, self._sockets)
                self._sockets = None
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def conninfo(self, *, user: str, password: str, database: str = "postgres") -> str:
        """Return a libpq connection string over the socket; raises `EngineError` before `start`.

        libpq, "Connection Strings", keyword/value form.
        """
        if self._sockets is None:
            raise EngineError("the database has no address before it is started")
        words = {"host": str(self._sockets), "port": str(PORT), "dbname": database}
        return " ".join(
            f"{keyword}={_quoted(value)}" for keyword, value in (words | {"user": user, "password": password}).items()
        )

    @contextmanager
    def _explained(self) -> Generator[None]:
        """Raise as `EngineError`, with what it may mean, what the system raises."""
        try:
            yield
        except (OSError, subprocess.SubprocessError) as error:
            raise EngineError(f"the database in {self._root} cannot be started: {error}{self._space_left()}") from error

    def _launch(self) -> None:
        """Start the server on a cluster that nobody else works on; the lock is held."""
        account = account_for(self._data)
        binaries = runnable_by(account, self._binaries, system_folders=self._system_folders)
        run = self._root / "run"
        end_leftovers(self._data, [str(run), *([str(run.readlink())] if run.is_symlink() else [])])
        ensure_cluster(self._root, binaries, account, self._superuser_password)
        reachable = account is None or closed_to(run, account) is None
        self._sockets = ensure_sockets(self._root, account, reachable=reachable)
        options = [
            word
            for name, value in server_settings(binaries, self._sockets, self._settings).items()
            for word in ("-c", f"{name}={value}")
        ]
        log = _open_log(self._root)
        last_words: str | None = ""
        try:
            for _ in range(_SHARED_MEMORY_TRIES):
                last_words = self._attempt(binaries, account, options, log)
                if last_words is None:
                    return
                # Processes of a killed server are still there, where this one cannot see them.
                if "pre-existing shared memory block" not in last_words:
                    break
                time.sleep(_SHARED_MEMORY_PAUSE_SECONDS)
        finally:
            os.close(log)
        raise EngineError(
            f"PostgreSQL {self.version} ended while it started on {self._data}"
            f"{self._space_left()}. The end of {self._root / 'postgres.log'}:\n"
            f"{last_words or '(nothing)'}"
        )

    def _attempt(self, binaries: Binaries, account: Account | None, options: Sequence[str], log: int) -> str | None:
        """Start the server; return `None` when it is ready, its last words when it ended."""
        log_began = os.lseek(log, 0, os.SEEK_END)
        with server_path(self._data, account) as (path, descriptors):
            process = TiedProcess(
                [binaries.postgres, "-D", path, *options],
                account=account,
                output=log,
                pass_fds=descriptors,
            )
        self._process = process
        while process.poll() is None:
            written = read_server_file(self._data)
            if written is not None and written.pid == process.pid and written.ready:
                return None
            time.sleep(_READY_POLL_SECONDS)
        end = os.lseek(log, 0, os.SEEK_END)
        tail = os.pread(log, _TAIL_BYTES, max(log_began, end - _TAIL_BYTES))
        return tail.decode(errors="replace").strip().replace(self._superuser_password, "…")

    def _end_server(self) -> None:
        """End our server and, where it was killed, what it left behind."""
        if self._process is None:
            return
        for number, seconds in _WAYS_TO_END:
            self._process.send(number)
            if self._process.wait(seconds):
                break
        if self._process.poll() != 0:
            end_orphans(self._data)
        self._process = None

    def _space_left(self) -> str:
        """Return a hint if the disk is full: then the log may have had no room for the reason."""
        try:
            free = shutil.disk_usage(self._root).free
        except OSError:
            return ""
        return f" (only {free >> 20} MiB are free on its disk)" if free < _FULL_DISK_BYTES else ""


def _hold(root: Path) -> int:
    """Take the lock on `root` and return its descriptor, whose closing frees it."""
    # Others may pass through root's folder, because the server's account must; not look into it.
    root.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    lock = os.open(root / "engine.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode(errors="replace").strip()
            raise EngineError(
                f"another process ({holder or 'starting'}) already runs the database in {root}; "
                "stop it first, or choose another data directory"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _open_log(root: Path) -> int:
    """Open the server's log to append to; one that has grown large is put aside, once."""
    path = root / "postgres.log"
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(root / "postgres.log.1")
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _quoted(value: str) -> str:
    """Quote one value of a connection string."""
    if "\0" in value:
        raise EngineError("a connection string cannot hold a NUL")
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
