"""The master key of an installation, wherever it is kept, and the one that is to take its place.

It comes from a setting, from a command, or from `master.key` in the data folder, which only its owner may read. While a
rotation goes on, and where a setting has not followed it yet, `master.key.next` has the new one. So at any moment one
of the two is the database's key, whatever was killed when: the database says which.
"""

from __future__ import annotations

import os
import secrets
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from bailiwick.apps.cli.cannot_start import CannotStart
from bailiwick.config import Config
from bailiwick.identity.keyring import InvalidMasterKey, MasterKey

FILE: Final = "master.key"
NEXT: Final = "master.key.next"
_COMMAND_SECONDS: Final = 30.0
WRONG: Final = (
    "the master key is not the one that this installation has: it was first started with another, or another has taken"
    " its place since"
)


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MasterKeys:
    """The key that is configured, and the one that is to follow it or has followed it already."""

    configured: MasterKey
    following: MasterKey | None

    def every(self) -> tuple[MasterKey, ...]:
        """Both, as far as there are two."""
        return (self.configured,) if self.following is None else (self.configured, self.following)

    def with_check(self, check: str | None) -> MasterKey | None:
        """The one with this check value; that which is configured where there is none yet."""
        if check is None:
            return self.configured
        return next((key for key in self.every() if key.check_value() == check), None)


def find(settings: Config) -> MasterKeys:
    """The keys of an installation; makes one if there is none. Raises `CannotStart`."""
    return MasterKeys(configured=_configured(settings), following=following(settings))


def following(settings: Config) -> MasterKey | None:
    """The key that is to follow the configured one, or has followed it already; raises `CannotStart`."""
    return _read(settings.data_dir / NEXT)


def is_kept_here(settings: Config) -> bool:
    """Whether the key is kept in the data folder, and not somewhere that only its owner can change."""
    return settings.master_key is None and settings.master_key_command is None


def new() -> MasterKey:
    """A key that nobody knows."""
    return MasterKey(secret=secrets.token_bytes(32))


def propose(settings: Config, key: MasterKey) -> None:
    """Write down, durably, that `key` is to follow."""
    _write(settings.data_dir / NEXT, key)


def settle(settings: Config, key: MasterKey) -> None:
    """Have `key`, which is the database's now, be the configured one; where that is not ours to do, leave it noted."""
    noted = settings.data_dir / NEXT
    if is_kept_here(settings):
        noted.rename(settings.data_dir / FILE)
    elif _configured(settings) == key:
        noted.unlink()
    _sync(settings.data_dir)


def _configured(settings: Config) -> MasterKey:
    if settings.master_key is not None:
        return settings.master_key
    if settings.master_key_command is not None:
        return _printed(settings.master_key_command)
    path = settings.data_dir / FILE
    found = _read(path)
    if found is None:
        found = new()
        _write(path, found)
    return found


def _printed(command: Sequence[str]) -> MasterKey:
    """The key that a command prints; its standard error is ours."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=_COMMAND_SECONDS, check=True
        )
        return MasterKey.parse(done.stdout.decode(errors="replace"))
    except OSError as error:
        why = error.strerror or "cannot be run"
    except subprocess.CalledProcessError as error:
        why = f"ended with status {error.returncode}"
    except subprocess.TimeoutExpired:
        why = f"did not end within {_COMMAND_SECONDS:.0f} seconds"
    except InvalidMasterKey as error:
        why = f"printed something else: {error}"
    message = f"--master-key-command: {command[0]} {why}"
    raise CannotStart(message)


def read(path: Path) -> MasterKey:
    """Read a key from a file; raises `CannotStart`."""
    found = _read(path)
    if found is None:
        message = f"there is no {path}"
        raise CannotStart(message)
    return found


def _read(path: Path) -> MasterKey | None:
    try:
        with path.open() as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                message = f"{path} can be read by others; whoever has seen it should not have: chmod 600 {path}"
                raise CannotStart(message)
            return MasterKey.parse(file.read())
    except FileNotFoundError:
        return None
    except InvalidMasterKey as error:
        message = f"{path}: {error}"
        raise CannotStart(message) from None
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise CannotStart(message) from None


def _write(path: Path, key: MasterKey) -> None:
    """Write a key whole or not at all, durably, for its owner alone."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key.written() + "\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Have what was renamed in a folder survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
