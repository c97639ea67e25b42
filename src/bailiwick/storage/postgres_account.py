"""The account that the embedded server runs under, and the folders that it can reach.

Actor: this process, perhaps root. PostgreSQL refuses to run as root, so root runs it as a system
user: the owner of an existing cluster, else `bailiwick`, else `nobody`. Anybody else runs it as
themselves (`None` in place of an account).

Guarantees:
- folders made for the server are owned by its account with mode 0700, and a link in their place
  is never followed;
- the mode of a folder that was there before, above all of a parent, is never changed. A parent
  that the account cannot enter is told by `closed_to`, and passed by `server_path`.
"""

import os
import pwd
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

_SYSTEM_USERS: Final = ("bailiwick", "nobody")


class EngineError(Exception):
    """The embedded server cannot do what was asked.

    The message says what is wrong and what to do about it, and never holds a secret.
    """


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A system user that root starts the server as."""

    name: str
    uid: int
    gid: int


def account_for(data: Path) -> Account | None:
    """Return the account for the server on `data`, which need not exist; `None` is ourselves.

    Raises `EngineError` if the cluster belongs to somebody this process cannot act for.
    """
    owner = data.lstat().st_uid if data.exists() else None
    ourselves = os.geteuid()
    if ourselves != 0:
        if owner in (None, ourselves):
            return None
        raise EngineError(
            f"{data} belongs to the user {_name_of(owner)}, who started it first; "
            "run as that user or as root, or choose another data directory"
        )
    if not (data / "PG_VERSION").exists():
        owner = None
    if owner == 0:
        raise EngineError(
            f"{data} belongs to root, as whom PostgreSQL refuses to run; "
            f"give it back to the system user it was made by: chown -R nobody: {data}"
        )
    for name in _SYSTEM_USERS if owner is None else (_name_of(owner),):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise EngineError(
        "PostgreSQL refuses to run as root, and there is no system user to run it as "
        f"({', '.join(_SYSTEM_USERS) if owner is None else f'the owner of {data}'}); "
        "make one (useradd --system bailiwick) or do not run as root"
    )


def closed_to(path: Path, account: Account) -> Path | None:
    """Return the first folder above `path` that `account` cannot enter, or `None`."""
    for parent in sorted({*path.absolute().parents, *path.resolve().parents}):
        try:
            seen = parent.stat()
        except FileNotFoundError:
            continue
        if seen.st_uid == account.uid:
            needed = stat.S_IXUSR
        elif seen.st_gid == account.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not seen.st_mode & needed:
            return parent
    return None


def give_folder(folder: Path, account: Account | None) -> None:
    """Make `folder`, or take the one that is there, for the server alone: its own, mode 0700."""
    folder.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if account is not None:
            os.fchown(handle, account.uid, account.gid)
        os.fchmod(handle, 0o700)
    finally:
        os.close(handle)


def is_private(folder: Path, account: Account | None) -> bool:
    """Say whether `folder` is a folder, no link, of the server's account and closed to others."""
    try:
        seen = folder.lstat()
    except OSError:
        return False
    owner = os.geteuid() if account is None else account.uid
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == owner and not seen.st_mode & 0o077


@contextmanager
def server_path(folder: Path, account: Account | None) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Give a path by which the server can open `folder`, and the descriptors it must inherit.

    To open a path one must be allowed to enter every folder above it, and root's data often lies
    below a home that nobody else may enter. There, on Linux, root opens the folder and hands over
    the descriptor; the server enters through it and from then on works relative to its folder.
    """
    closed = None if account is None else closed_to(folder, account)
    if closed is None or account is None:
        yield str(folder), ()
        return
    if sys.platform != "linux":
        raise EngineError(
            f"{closed} is closed to the system user {account.name}, as whom PostgreSQL must run "
            "because it refuses to run as root; choose a data directory outside of it, "
            "or do not run as root"
        )
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield f"/proc/self/fd/{handle}", (handle,)
    finally:
        os.close(handle)


def _name_of(uid: int | None) -> str:
    try:
        return pwd.getpwuid(-1 if uid is None else uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)
