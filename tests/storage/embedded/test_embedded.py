"""The embedded server in ordinary times: made, started, reached, restarted, stopped."""

import time
from contextlib import closing
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from bailiwick.storage.embedded import EmbeddedPostgres, EngineError
from tests.storage.embedded.conftest import (
    PASSWORD,
    NewEngine,
    NewOwner,
    all_gone,
    connect,
    is_running,
    mode_of,
    server_processes,
)


def test_first_start_makes_a_cluster_and_the_next_one_finds_its_rows(folder: Path, new_engine: NewEngine) -> None:
    engine = new_engine(folder / "pg")
    engine.start()
    with connect(engine) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS it")
    engine.stop()

    again = new_engine(folder / "pg")
    again.start()

    with connect(again) as connection:
        assert connection.execute("SELECT it FROM kept").fetchone() == (7,)


@pytest.mark.alone
def test_cold_start_takes_two_seconds_at_most(folder: Path, new_engine: NewEngine) -> None:
    def timed(number: int) -> float:
        began = time.perf_counter()
        new_engine(folder / f"pg-{number}").start()
        return time.perf_counter() - began

    assert any(timed(number) <= 2.0 for number in range(5))  # the others: what else the machine does


@pytest.mark.alone
def test_warm_start_takes_a_tenth_of_a_second_at_most(root: Path, new_engine: NewEngine) -> None:
    def timed() -> float:
        engine = new_engine(root)
        began = time.perf_counter()
        engine.start()
        taken = time.perf_counter() - began
        assert engine.is_alive()
        engine.stop()
        return taken

    assert any(timed() <= 0.1 for _ in range(20))  # the others: what else the machine does


def test_a_server_tells_its_process_its_version_and_whether_it_lives(root: Path, new_engine: NewEngine) -> None:
    engine = new_engine(root)
    assert engine.pid is None

    engine.start()

    assert engine.is_alive()
    with connect(engine) as connection:
        assert engine.pid in server_processes(connection)
        shown = connection.execute("SHOW server_version").fetchone()
        assert shown is not None
        assert str(shown[0]).split()[0] == engine.version
    engine.stop()
    assert not engine.is_alive()


def test_starting_a_running_server_changes_nothing(root: Path, new_engine: NewEngine) -> None:
    engine = new_engine(root)
    engine.start()
    pid = engine.pid

    engine.start()

    assert engine.pid == pid


def test_stop_leaves_no_process_although_clients_are_busy(root: Path, new_engine: NewEngine) -> None:
    engine = new_engine(root)
    engine.start()
    with closing(connect(engine)) as idle, closing(connect(engine)) as busy:
        busy.execute("BEGIN")
        busy.execute("CREATE TABLE unfinished (it int)")
        pids = server_processes(idle)
        assert busy.info.backend_pid in pids
        assert all(is_running(pid) for pid in pids)

        engine.stop()

        assert not any(is_running(pid) for pid in pids)


def test_stopping_twice_or_before_any_start_does_nothing(root: Path, new_engine: NewEngine) -> None:
    engine = new_engine(root)
    engine.stop()
    engine.start()
    engine.stop()

    engine.stop()

    assert not engine.is_alive()


def test_a_second_process_is_refused_until_the_first_one_stops(
    root: Path, new_engine: NewEngine, new_owner: NewOwner
) -> None:
    owner = new_owner(root).ready()
    second = new_engine(root)

    with pytest.raises(EngineError, match=rf"another process \({owner.process.pid}\)"):
        second.start()

    with owner.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    owner.close()
    second.start()
    assert second.is_alive()


def test_a_second_engine_of_the_same_process_is_refused(root: Path, new_engine: NewEngine) -> None:
    first, second = new_engine(root), new_engine(root)
    first.start()

    with pytest.raises(EngineError, match="another process"):
        second.start()

    second.stop()
    assert first.is_alive()


def test_commits_are_durable_and_settings_can_be_added(running: EmbeddedPostgres) -> None:
    with connect(running) as connection:
        for name, value in {
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "jit": "off",
            "max_connections": "100",
            "work_mem": "7MB",
        }.items():
            shown = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
            assert (name, shown) == (name, (value,))


def test_there_is_no_address_before_the_start(folder: Path, new_engine: NewEngine) -> None:
    with pytest.raises(EngineError, match="before it is started"):
        new_engine(folder / "pg").conninfo(user="postgres", password=PASSWORD)


@pytest.mark.parametrize("name", ["long" * 40, "comma, and 'quote' \"double\" \\ ü"])
def test_a_path_that_no_socket_address_can_hold_works(open_folder: Path, new_engine: NewEngine, name: str) -> None:
    engine = new_engine(open_folder / name / "pg")
    engine.start()
    conninfo = engine.conninfo(user="postgres", password=PASSWORD)
    sockets = Path(str(conninfo_to_dict(conninfo)["host"]))

    with connect(engine) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert mode_of(sockets) == 0o700
    assert len(str(sockets)) < 40
    engine.stop()
    assert not sockets.exists()


def test_a_large_log_is_put_aside_at_start(root: Path, new_engine: NewEngine) -> None:
    (root / "postgres.log").write_bytes(b"old\n" * 2_000_000)
    engine = new_engine(root)

    engine.start()

    assert (root / "postgres.log").stat().st_size < 10_000
    assert (root / "postgres.log.1").stat().st_size == 8_000_000


def test_all_processes_of_a_server_are_counted(root: Path, new_engine: NewEngine) -> None:
    """What the tests that look for survivors rely on."""
    engine = new_engine(root)
    engine.start()
    with connect(engine) as connection:
        pids = server_processes(connection)
        assert len(pids) >= 5
        assert all(is_running(pid) for pid in pids)
        engine.stop()
    assert all_gone(pids)
