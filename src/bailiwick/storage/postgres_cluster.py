"""A PostgreSQL cluster on disk: made whole or not at all, and the settings it runs with.

Guarantees:
- `data` exists only if it was made to the end and is on disk: `initdb` works in a folder of
  another name that is renamed when it has succeeded, and what a killed process left of such a
  folder is removed by the next one. The caller holds the lock on `root`;
- the superuser's password reaches `initdb` through a pipe and is never in a file, in arguments or
  in an error. Nobody gets in without a password, not even over the socket;
- commits are durable, and the server's log names no statement, parameter or value of a row.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bailiwick.storage.postgres_account import (
    Account,
    EngineError,
    give_folder,
    is_private,
    server_path,
)
from bailiwick.storage.postgres_binaries import Binaries
from bailiwick.storage.postgres_process import ENVIRONMENT, end_with_parent

SUPERUSER: Final = "postgres"
PORT: Final = 5432  # only a part of the socket's name

_BUILTIN_LOCALES_SINCE: Final = 17
_IO_METHOD_SINCE: Final = 18
_STAGING: Final = "data.new-"
_SETTING: Final = re.compile(r"[a-z_]+(\.[a-z_]+)?")
# A socket's address holds 104 bytes on macOS and 108 on Linux, with the NUL.
_SOCKET_PATH_BYTES: Final = 103
# libpq reads a comma in a host as a list, and a server a quote; such a folder is not named at all.
_PLAIN_PATH: Final = re.compile(r"[\w./+@~ -]+", re.ASCII)

# Owned by the supervisor: with other values it would lose or expose its server.
_FIXED: Final = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "logging_collector": "off",
    "log_destination": "stderr",
}
_PLACES: Final = (
    "config_file",
    "data_directory",
    "external_pid_file",
    "hba_file",
    "ident_file",
    "unix_socket_directories",
)
_DEFAULTS: Final = {
    # Durable: an acknowledged commit survives the machine.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # Small, and started at once.
    "max_connections": "100",
    "shared_buffers": "128MB",
    "huge_pages": "off",
    "jit": "off",
    "max_logical_replication_workers": "0",
    # Sustained small writes: a log buffer that a burst fits into, segments kept to be written
    # again, checkpoints spread out and yet near enough for recovery in seconds.
    "wal_buffers": "16MB",
    "min_wal_size": "256MB",
    "max_wal_size": "1GB",
    "checkpoint_completion_target": "0.9",
    # Rows that are inserted and deleted within a second: look for dead ones more often.
    "autovacuum_naptime": "15s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # No secret in the log: statements, parameters and details can hold one, and so can the
    # message of an ERROR, which the client gets anyway. LOG, FATAL and PANIC stay.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}


def check_settings(chosen: Mapping[str, str]) -> None:
    """Raise `EngineError` for a name that is no setting's or that the supervisor owns."""
    for name in chosen:
        if not _SETTING.fullmatch(name):
            raise EngineError(f"{name!r} is not the name of a PostgreSQL setting")
        if name in _FIXED or name in _PLACES:
            raise EngineError(f"the setting {name} of the embedded PostgreSQL cannot be chosen")


def server_settings(binaries: Binaries, sockets: Path, chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the server: ours, then the caller's, then what is not to choose."""
    # Fewer processes; reading in the same process is what every version before did.
    by_version = {"io_method": "sync"} if binaries.major >= _IO_METHOD_SINCE else {}
    fixed = _FIXED | {"unix_socket_directories": f'"{sockets}"'}
    return {**_DEFAULTS, **by_version, **chosen, **fixed}


def ensure_cluster(root: Path, binaries: Binaries, account: Account | None, superuser_password: str) -> None:
    """Make the cluster `root/data` if there is none; raises `EngineError`, `OSError`."""
    data = root / "data"
    for leftover in root.glob(f"{_STAGING}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    if data.is_dir() and not any(data.iterdir()):
        data.rmdir()
    if data.exists():
        _check_version(data, binaries)
        return
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=root))
    try:
        give_folder(staging, account)
        _initdb(staging, binaries, account, superuser_password)
        staging.rename(data)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)  # the new name too survives the machine
    finally:
        os.close(handle)


def ensure_sockets(root: Path, account: Account | None, *, reachable: bool) -> Path:
    """Return the server's socket folder: `root/run`, or a short one that `root/run` links to.

    A socket's address is short, and the server must be able to enter every folder above it.
    """
    run = root / "run"
    socket = run / f".s.PGSQL.{PORT}"
    if run.is_symlink():
        short = run.readlink()
        if is_private(short, account):
            _remove_sockets(short)
            return short
        run.unlink()  # whoever cleaned the system's temporary folder took it
    plain = _PLAIN_PATH.fullmatch(str(run)) is not None
    if reachable and plain and len(os.fsencode(socket)) <= _SOCKET_PATH_BYTES:
        give_folder(run, account)
        _remove_sockets(run)
        return run
    if run.is_dir():
        _remove_sockets(run)
        run.rmdir()
    # Not TMPDIR: that can be as long, or as closed, as the folder this replaces.
    short = Path(tempfile.mkdtemp(prefix="bailiwick-", dir="/tmp"))
    give_folder(short, account)
    run.symlink_to(short)
    return short


def release_sockets(root: Path, sockets: Path) -> None:
    """Remove a stopped server's socket folder, if it lies outside of `root`."""
    run = root / "run"
    if sockets != run:
        shutil.rmtree(sockets, ignore_errors=True)
        run.unlink(missing_ok=True)


def _remove_sockets(folder: Path) -> None:
    """Remove a dead server's socket and lock: the lock's number may have a new bearer by now."""
    for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
        (folder / name).unlink(missing_ok=True)


def _check_version(data: Path, binaries: Binaries) -> None:
    try:
        made_by = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise EngineError(
            f"{data} is neither empty nor a PostgreSQL cluster; move it away, or choose another data directory"
        ) from None
    if made_by != str(binaries.major):
        raise EngineError(
            f"{data} was made by PostgreSQL {made_by}, and the binaries in {binaries.folder} are "
            f"{binaries.version}; set BAILIWICK_PG_BIN to those of {made_by}, and to change to "
            "the new version, dump with the old one and restore with the new one"
        )


def _initdb(folder: Path, binaries: Binaries, account: Account | None, superuser_password: str) -> None:
    """Run `initdb` in the empty `folder`, with the files on disk when it returns."""
    if binaries.major >= _BUILTIN_LOCALES_SINCE:
        locale = ["--locale-provider=builtin", "--locale=C.UTF-8"]
    else:
        locale = ["--locale=C.UTF-8" if sys.platform == "linux" else "--locale=C"]
    with (
        _password_pipe(superuser_password, account) as password,
        server_path(folder, account) as (path, descriptors),
    ):
        made = subprocess.run(
            [
                *(binaries.initdb, "-D", path, "-U", SUPERUSER, "--pwfile=/dev/stdin"),
                *("--auth-local=scram-sha-256", "--auth-host=reject", "-E", "UTF8"),
                *("--data-checksums", "--no-instructions", *locale),
            ],
            stdin=password,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
            cwd="/",
            env=ENVIRONMENT,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            pass_fds=descriptors,
            start_new_session=True,
            umask=0o077,
            preexec_fn=end_with_parent(signal.SIGKILL),
        )
    if made.returncode != 0:
        # Where it fails while it sets the password, it shows the statement.
        said = [line for line in made.stderr.splitlines() if "PASSWORD" not in line]
        raise EngineError(f"initdb could not make the database in {folder}: {' '.join(said)}")


@contextmanager
def _password_pipe(password: str, account: Account | None) -> Iterator[int]:
    """Give the reading end of a pipe that holds `password`, for `account` to open by name."""
    reading, writing = os.pipe()
    try:
        try:
            os.write(writing, password.encode() + b"\n")
        finally:
            os.close(writing)
        if account is not None and sys.platform == "linux":
            os.fchown(reading, account.uid, account.gid)
        yield reading
    finally:
        os.close(reading)
