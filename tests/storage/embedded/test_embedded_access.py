"""Who can reach the embedded server, its files and its log, and as whom it runs."""

import os
import pwd
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from bailiwick.storage.embedded import EmbeddedPostgres, EngineError
from tests.storage.embedded.conftest import (
    PASSWORD,
    NewEngine,
    NewOwner,
    as_root,
    connect,
    log_of,
    mode_of,
    on_linux,
    place_wheel,
    server_processes,
)


@pytest.mark.parametrize("password", [PASSWORD + "x", "", "postgres"])
def test_a_wrong_password_is_refused_although_the_socket_can_be_reached(
    running: EmbeddedPostgres, password: str
) -> None:
    connect(running).close()  # with the right one

    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(running.conninfo(user="postgres", password=password))


def test_every_rule_of_access_asks_for_a_password_or_refuses(pristine: Path) -> None:
    rules = [
        line.split()
        for line in (pristine / "data" / "pg_hba.conf").read_text().splitlines()
        if line and not line.startswith("#")
    ]

    assert {(rule[0] == "local", rule[-1]) for rule in rules} == {
        (True, "scram-sha-256"),
        (False, "reject"),
    }


def test_nothing_listens_on_the_network(running: EmbeddedPostgres) -> None:
    with connect(running) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_folders_and_files_are_the_owners_alone(open_root: Path, new_engine: NewEngine) -> None:
    engine = new_engine(open_root)
    engine.start()

    assert mode_of(open_root / "data") == 0o700
    assert mode_of(open_root / "run") == 0o700
    assert mode_of(open_root / "engine.lock") == 0o600
    assert mode_of(open_root / "postgres.log") == 0o600
    assert mode_of(open_root) & 0o066 == 0


def test_the_superusers_password_is_in_no_file(folder: Path, new_engine: NewEngine) -> None:
    engine = new_engine(folder / "pg")
    engine.start()

    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 500  # the cluster is among them
    # WAL and catalog hold its SCRAM verifier, as PostgreSQL keeps every password.
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []


@on_linux
def test_the_server_gets_none_of_its_owners_environment(root: Path, new_owner: NewOwner) -> None:
    owner = new_owner(root, BAILIWICK_MASTER_KEY="canary-of-the-environment").ready()

    def environment(pid: int) -> bytes:
        return Path(f"/proc/{pid}/environ").read_bytes()

    assert b"canary-of-the-environment" in environment(owner.process.pid)
    assert b"canary-of-the-environment" not in environment(owner.server)


LEAKY = {
    "log_min_messages": "warning",
    "log_error_verbosity": "default",
    "log_min_error_statement": "error",
    "log_parameter_max_length_on_error": "-1",
}


@pytest.mark.parametrize(
    ("settings", "told"),
    [({}, set()), (LEAKY, {"in-statement", "in-parameter", "in-message", "in-row"})],
)
def test_the_log_shows_no_statement_parameter_or_value(
    root: Path, new_engine: NewEngine, settings: dict[str, str], told: set[str]
) -> None:
    engine = new_engine(root, settings=settings)
    engine.start()
    with connect(engine) as connection:
        connection.execute("CREATE TABLE secrets (it text PRIMARY KEY)")
        connection.execute("INSERT INTO secrets VALUES ('canary-in-row')")
        with pytest.raises(psycopg.Error):
            connection.execute("CREATE ROLE postgres PASSWORD 'canary-in-statement'")
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT 1 / (length(%s) - 19)", ("canary-in-parameter",))
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT %s::int", ("canary-in-message",))
        with pytest.raises(psycopg.Error):
            connection.execute("INSERT INTO secrets VALUES ('canary-in-row')")
    engine.stop()

    assert set(re.findall(r"canary-(in-\w+)", log_of(root))) == told


@pytest.mark.parametrize("name", ["listen_addresses", "port", "unix_socket_directories", "hba_file", "Fsync", "a b"])
def test_a_setting_that_would_open_or_lose_the_server_is_refused(
    folder: Path, new_engine: NewEngine, name: str
) -> None:
    with pytest.raises(EngineError, match=name):
        new_engine(folder / "pg", settings={name: "x"})


@pytest.mark.parametrize("name", ["o'brien", r"back\slash", "two words", "dollar$ = 'x'", "ü"])
def test_connection_strings_carry_any_user_and_password(running: EmbeddedPostgres, name: str) -> None:
    with connect(running) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(name + " pw"))
        )

    conninfo = running.conninfo(user=name, password=name + " pw", database="template1")

    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT current_user, current_database()").fetchone()
    assert row == (name, "template1")


@pytest.mark.parametrize("password", ["", "two\nlines"])
def test_a_password_that_initdb_would_cut_is_refused(folder: Path, password: str) -> None:
    with pytest.raises(EngineError, match="one line"):
        EmbeddedPostgres(root=folder / "pg", superuser_password=password)


def test_another_users_folder_in_place_of_the_short_one_is_not_used(folder: Path, new_engine: NewEngine) -> None:
    root = folder / ("long" * 40)
    planted = folder / "planted"
    planted.mkdir()
    planted.chmod(0o777)
    root.mkdir()
    (root / "run").symlink_to(planted)

    engine = new_engine(root)
    engine.start()

    assert str(planted) not in engine.conninfo(user="postgres", password="")
    assert list(planted.iterdir()) == []


@as_root
def test_root_runs_the_server_as_a_system_user_below_a_closed_home(root: Path, new_engine: NewEngine) -> None:
    assert mode_of(root.parent) == 0o700
    engine = new_engine(root)

    engine.start()

    owner = pwd.getpwuid((root / "data").stat().st_uid).pw_name
    assert owner in ("bailiwick", "nobody")
    assert engine.pid is not None
    assert Path(f"/proc/{engine.pid}").stat().st_uid == (root / "data").stat().st_uid
    with connect(engine) as connection:
        for pid in server_processes(connection):
            assert Path(f"/proc/{pid}/cwd").samefile(root / "data")
    assert mode_of(root.parent) == 0o700


@as_root
def test_a_cluster_that_belongs_to_root_is_refused_with_the_remedy(root: Path, new_engine: NewEngine) -> None:
    os.chown(root / "data", 0, 0)

    with pytest.raises(EngineError, match=r"belongs to root.*chown"):
        new_engine(root).start()


# Imports all it needs as root, because what it imports may lie in root's home.
AS_NOBODY = """
import os, pwd, sys
from pathlib import Path
from bailiwick.storage.embedded import EmbeddedPostgres
import ctypes, shutil, tempfile
nobody = pwd.getpwnam("nobody")
os.setgroups([])
os.setgid(nobody.pw_gid)
os.setuid(nobody.pw_uid)
engine = EmbeddedPostgres(
    root=Path(sys.argv[1]), superuser_password="secret", binaries=Path(sys.argv[2])
)
engine.start()
print(os.getuid(), Path(f"/proc/{engine.pid}").stat().st_uid, flush=True)
engine.stop()
"""


@as_root
def test_who_is_not_root_runs_the_server_as_themselves(open_folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    binaries = place_wheel(open_folder / "site")

    ran = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(home / "pg"), str(binaries)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert ran.stdout.split() == [str(nobody.pw_uid)] * 2, ran.stderr
    assert (home / "pg" / "data").stat().st_uid == nobody.pw_uid


@as_root
def test_root_continues_a_cluster_as_the_user_who_made_it(root: Path, new_engine: NewEngine) -> None:
    user = pwd.getpwnam("daemon")
    for path in ((root / "data"), *(root / "data").rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)
    engine = new_engine(root)

    engine.start()

    assert Path(f"/proc/{engine.pid}").stat().st_uid == user.pw_uid
