"""The embedded server after kills, reused process numbers and half-made files."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bailiwick.storage.embedded import EngineError, find_binaries
from tests.storage.embedded.conftest import (
    NewEngine,
    NewOwner,
    account_of,
    all_gone,
    connect,
    is_running,
    log_of,
    on_linux,
    server_processes,
    soon,
)

POSTGRES = str(find_binaries(None).postgres)


@pytest.mark.parametrize("start_in", ["main", "thread"])
def test_a_killed_owner_takes_its_server_with_it_cleanly(
    root: Path, new_owner: NewOwner, new_engine: NewEngine, start_in: str
) -> None:
    owner = new_owner(root, start_in=start_in).ready()
    with owner.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS it")
        pids = server_processes(connection)
        assert owner.server in pids

        owner.process.kill()

        assert all_gone(pids)
    assert log_of(root).rstrip().endswith("database system is shut down")
    again = new_engine(root)
    again.start()
    assert "not properly shut down" not in log_of(root)
    with connect(again) as connection:
        assert connection.execute("SELECT it FROM kept").fetchone() == (7,)


# A child whose parent has ended before it could ask to be told.
LATE = """
import os, signal
from bailiwick.storage.postgres_process import end_with_parent
tie = end_with_parent(signal.SIGINT)
child = os.fork()
if child == 0:
    grandchild = os.fork()
    if grandchild == 0:
        tie()
        os._exit(0)
    os._exit(os.WTERMSIG(os.waitpid(grandchild, 0)[1]))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@on_linux
def test_a_child_that_asks_too_late_to_end_with_its_parent_ends_at_once() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LATE],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert int(ran.stdout) == signal.SIGKILL


def test_a_start_right_after_a_kill_waits_for_the_server_of_the_dead_owner(
    root: Path, new_owner: NewOwner, new_engine: NewEngine
) -> None:
    owner = new_owner(root).ready()
    os.kill(owner.server, signal.SIGSTOP)  # it cannot have ended before the next one starts
    owner.process.kill()
    owner.process.wait()
    threading.Timer(0.8, os.kill, (owner.server, signal.SIGCONT)).start()
    engine = new_engine(root)

    engine.start()

    assert engine.pid != owner.server
    assert not is_running(owner.server)
    assert "not properly shut down" not in log_of(root)


@on_linux
def test_a_server_started_in_a_thread_outlives_the_thread(root: Path, new_engine: NewEngine) -> None:
    engine = new_engine(root)
    started: list[int] = []

    def start() -> None:
        engine.start()
        started.append(threading.get_native_id())

    starter = threading.Thread(target=start)
    starter.start()
    starter.join()
    # When the thread is gone from here, the kernel has sent what it sends to its children.
    assert soon(lambda: not Path(f"/proc/self/task/{started[0]}").exists())

    assert not soon(lambda: "shutdown request" in log_of(root), seconds=0.3)
    assert engine.is_alive()


def test_ctrl_c_on_the_terminal_reaches_the_owner_only(root: Path, new_owner: NewOwner) -> None:
    owner = new_owner(root).ready()

    os.killpg(owner.process.pid, signal.SIGINT)  # the owner ignores it

    with owner.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not soon(lambda: "shutdown request" in log_of(root), seconds=0.3)


def test_a_killed_server_is_restarted_at_the_same_address_with_its_rows(root: Path, new_engine: NewEngine) -> None:
    engine = new_engine(root)
    engine.start()
    conninfo = engine.conninfo(user="postgres", password="")
    killed = engine.pid
    assert killed is not None
    with connect(engine) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 50000) AS it")
        pids = server_processes(connection)

        os.kill(killed, signal.SIGKILL)

        assert soon(lambda: not engine.is_alive())
        engine.restart()
        assert not any(is_running(pid) for pid in pids)
    assert "not properly shut down" in log_of(root)
    assert engine.conninfo(user="postgres", password="") == conninfo
    with connect(engine) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (50000,)


def test_restart_ends_a_query_that_did_not_notice_its_server_was_killed(root: Path, new_engine: NewEngine) -> None:
    engine = new_engine(root)
    engine.start()
    with connect(engine) as connection, connect(engine) as busy:
        backend = busy.info.backend_pid

        def keep_busy() -> None:
            with pytest.raises(psycopg.OperationalError):
                busy.execute("SELECT count(*) FROM generate_series(1, 1000000000)")

        query = threading.Thread(target=keep_busy)
        query.start()
        active = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
        assert soon(lambda: connection.execute(active, (backend,)).fetchone() == (1,))
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        assert soon(lambda: not engine.is_alive())
        assert is_running(backend)

        engine.restart()

        assert not is_running(backend)
        query.join()
    assert engine.is_alive()


def test_stop_ends_what_a_killed_server_left_behind(root: Path, new_engine: NewEngine) -> None:
    engine = new_engine(root)
    engine.start()
    with connect(engine) as connection:
        backend = connection.info.backend_pid
        pids = server_processes(connection)
        os.kill(backend, signal.SIGSTOP)  # it can notice nothing
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        assert soon(lambda: not engine.is_alive())
        assert is_running(backend)

        engine.stop()

        assert not any(is_running(pid) for pid in pids)


@on_linux
def test_restart_waits_while_the_shared_memory_of_a_killed_server_is_in_use(root: Path, new_engine: NewEngine) -> None:
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
    libc.shmdt.argtypes = [ctypes.c_void_p]
    engine = new_engine(root)
    engine.start()
    segment = int(server_file(root).split("\n")[6].split()[1])
    held = libc.shmat(segment, None, 0)
    assert held not in (None, ctypes.c_void_p(-1).value)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    assert soon(lambda: not engine.is_alive())

    def release_when_refused() -> None:
        soon(lambda: "pre-existing shared memory block" in log_of(root))
        libc.shmdt(held)

    releaser = threading.Thread(target=release_when_refused)
    releaser.start()

    engine.restart()

    releaser.join()
    assert engine.is_alive()
    assert "pre-existing shared memory block" in log_of(root)


def test_restarting_a_living_server_replaces_it(root: Path, new_engine: NewEngine) -> None:
    engine = new_engine(root)
    engine.start()
    before = engine.pid

    engine.restart()

    assert engine.is_alive()
    assert engine.pid != before
    assert "not properly shut down" not in log_of(root)


def test_a_restart_that_fails_keeps_lock_and_address_and_can_be_tried_again(root: Path, new_engine: NewEngine) -> None:
    engine = new_engine(root)
    engine.start()
    conninfo = engine.conninfo(user="postgres", password="")
    needed = root / "data" / "global" / "pg_control"
    needed.rename(root / "taken away")
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    assert soon(lambda: not engine.is_alive())

    with pytest.raises(EngineError):
        engine.restart()
    with pytest.raises(EngineError, match="already runs the database"):
        new_engine(root).start()

    (root / "taken away").rename(needed)
    engine.restart()
    assert engine.conninfo(user="postgres", password="") == conninfo
    with connect(engine) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def by_hand(root: Path, sockets: Path) -> "subprocess.Popen[bytes]":
    """Start a server that is tied to nobody."""
    sockets.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        seen = (root / "data").stat()
        os.chown(sockets, seen.st_uid, seen.st_gid)
    server = subprocess.Popen(
        [POSTGRES, "-D", str(root / "data"), "-k", str(sockets), "-h", ""],
        **account_of(root),
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    assert soon(lambda: "ready" in server_file(root))
    return server


def server_file(root: Path) -> str:
    try:
        return (root / "data" / "postmaster.pid").read_text()
    except FileNotFoundError:
        return ""


@pytest.fixture
def stranger(root: Path) -> Iterator[int]:
    """Give a process of the server's account, at work in its folder, that is no server."""
    with subprocess.Popen(["sleep", "60"], cwd=root / "data", **account_of(root)) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def zombie(open_root: Path) -> Iterator[int]:
    """Give this cluster's server, killed and waited for by nobody, as in many containers."""
    with by_hand(open_root, open_root / "run") as server:
        server.kill()
        assert soon(lambda: not is_running(server.pid))
        os.kill(server.pid, 0)  # which for PostgreSQL means that it lives
        yield server.pid


@pytest.fixture
def other_server(root: Path, pristine: Path, new_engine: NewEngine) -> int:
    """Give a server on another cluster."""
    other = root.parent / "other"
    subprocess.run(["cp", "-a", str(pristine), str(other)], check=True)
    engine = new_engine(other)
    engine.start()
    assert engine.pid is not None
    return engine.pid


@pytest.mark.parametrize("bearer", ["stranger", "zombie", "other_server"])
def test_a_process_that_bears_the_number_of_a_dead_server_is_no_server(
    open_root: Path, new_engine: NewEngine, request: pytest.FixtureRequest, bearer: str
) -> None:
    pid: int = request.getfixturevalue(bearer)
    stale = f"{pid}\n{open_root / 'data'}\n1700000000\n5432\n{open_root / 'run'}\n\n1 1\nready\n"
    for path in (
        open_root / "data" / "postmaster.pid",
        open_root / "run" / ".s.PGSQL.5432.lock",
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_text(stale)
        if os.geteuid() == 0:
            seen = (open_root / "data").stat()
            os.chown(path, seen.st_uid, seen.st_gid)
    engine = new_engine(open_root)

    by_itself = subprocess.run(
        [POSTGRES, "-D", str(open_root / "data"), "-k", str(open_root / "run")],
        **account_of(open_root),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "already exists" in by_itself.stderr  # what PostgreSQL makes of it

    engine.start()

    assert engine.pid != pid
    with connect(engine) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert bearer == "zombie" or is_running(pid)  # and it was left alone


@on_linux
def test_a_server_of_ours_that_outlived_its_owner_is_ended_before_the_next_starts(
    open_root: Path, new_engine: NewEngine
) -> None:
    with by_hand(open_root, open_root / "run") as left:
        engine = new_engine(open_root)

        engine.start()

        assert left.wait() == 0
        assert engine.pid != left.pid
        assert "not properly shut down" not in log_of(open_root)


def test_a_server_that_somebody_else_started_is_named_and_left_alone(open_root: Path, new_engine: NewEngine) -> None:
    with by_hand(open_root, open_root.parent / "elsewhere") as foreign:
        engine = new_engine(open_root)

        with pytest.raises(EngineError, match=f"somebody else started .process {foreign.pid}"):
            engine.start()

        assert foreign.poll() is None
        foreign.send_signal(signal.SIGINT)
        foreign.wait()
        engine.start()


@pytest.mark.parametrize("made", ["PG_VERSION", "global/pg_control", "base/5/PG_VERSION"])
def test_a_cluster_that_was_half_made_when_its_maker_was_killed_is_made_again(
    folder: Path, new_owner: NewOwner, new_engine: NewEngine, made: str
) -> None:
    root = folder / "pg"
    owner = new_owner(root)
    assert soon(lambda: any(root.glob(f"data.new-*/{made}")))
    owner.process.kill()
    owner.process.wait()
    assert not (root / "data").exists()
    engine = new_engine(root)

    engine.start()
    # What the killed one had begun may have written a little longer than it.
    engine.stop()
    engine.start()

    assert list(root.glob("data.new-*")) == []
    with connect(engine) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
