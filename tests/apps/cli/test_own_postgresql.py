"""`serve` on a PostgreSQL of one's own: whose login it takes, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from bailiwick.identity.keyring import MasterKey
from bailiwick.storage import roles
from bailiwick.storage.embedded import EmbeddedPostgres
from tests.installation import Installation, clean_environment

pytestmark = pytest.mark.slow

KEY = MasterKey(secret=b"k" * 32).written()
OTHER_KEY = MasterKey(secret=b"o" * 32).written()
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def superuser(tmp_path: Path) -> Iterator[str]:
    """A superuser's login to a server of the test's own, since roles belong to the server."""
    engine = EmbeddedPostgres(root=tmp_path / "theirs", superuser_password="super")
    engine.start()
    try:
        yield engine.conninfo(user="postgres", password="super")
    finally:
        engine.stop()


def owner(superuser: str, attributes: str) -> str:
    """A login with a database of its own."""
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE keeper LOGIN PASSWORD 'keeper' {attributes}".encode())
        connection.execute("CREATE DATABASE ours OWNER keeper")
    return make_conninfo(superuser, user="keeper", password="keeper", dbname="ours")


def served(folder: Path, **settings: str) -> Installation:
    return Installation(folder, settings={f"BAILIWICK_{name.upper()}": value for name, value in settings.items()})


def doctor(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bailiwick.apps.cli.main", "doctor", "--data-dir", str(folder)]
    settings = clean_environment({"BAILIWICK_DATABASE_URL": url, "BAILIWICK_MASTER_KEY": KEY})
    return subprocess.run(command, capture_output=True, text=True, env=settings, check=False, timeout=60)


def test_an_owner_who_may_create_roles_needs_no_superuser(superuser: str, tmp_path: Path) -> None:
    url = owner(superuser, "CREATEROLE")
    with served(tmp_path / "one", database_url=url, master_key=KEY) as installation, installation.client() as client:
        assert client.post("/v1/chat/completions", json=CHAT).status_code == 200
        assert client.get("/v1/usage").json()["total"]["requests"] == 1
        looked = doctor(tmp_path / "one", url)
        assert looked.returncode == 0, looked.stderr
        assert "tenants are kept apart" in looked.stdout
        assert ": alive\n" in looked.stdout
    with served(tmp_path / "one", database_url=url, master_key=KEY) as again:
        assert again.stop() == 0


def test_an_owner_who_may_create_nothing_uses_roles_that_were_made_beforehand(superuser: str, tmp_path: Path) -> None:
    url = owner(superuser, "")
    with psycopg.connect(superuser, autocommit=True) as connection:
        for role in roles.ALL:
            login = "LOGIN PASSWORD 'chosen'" if role in roles.LOGINS else ""
            connection.execute(f"CREATE ROLE {role} NOINHERIT {login}".encode())
        connection.execute("GRANT bailiwick_operator TO bailiwick_control")
        connection.execute("GRANT bailiwick_auth TO bailiwick_owner")
        connection.execute("GRANT bailiwick_owner TO keeper WITH INHERIT FALSE, SET TRUE")
    urls = {
        name: make_conninfo(url, user=f"bailiwick_{name.removesuffix('_url')}", password="chosen")
        for name in ("app_url", "ledger_url", "control_url")
    }
    with (
        served(tmp_path / "two", database_url=url, master_key=KEY, **urls) as installation,
        installation.client() as client,
    ):
        assert client.post("/v1/chat/completions", json=CHAT).status_code == 200
        assert doctor(tmp_path / "two", url).returncode == 0


@pytest.mark.parametrize("attributes", ["", "SUPERUSER"])
def test_where_there_is_nothing_to_look_at_doctor_says_so(superuser: str, tmp_path: Path, attributes: str) -> None:
    looked = doctor(tmp_path, owner(superuser, attributes))
    assert looked.returncode == 1
    assert looked.stderr == ("bailiwick: there is no installation in this database yet; `bailiwick serve` makes one\n")


def test_a_login_that_may_not_look_is_told_so_by_doctor(superuser: str, tmp_path: Path) -> None:
    with served(tmp_path / "six", database_url=superuser, master_key=KEY) as installation:
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
        looked = doctor(tmp_path, make_conninfo(superuser, user="stranger", password="stranger"))
        assert installation.process is not None
    assert looked.returncode == 1
    assert looked.stderr == (
        "bailiwick: this login may not act as bailiwick_owner; take the one that `bailiwick serve` has\n"
    )


def test_a_wrong_master_key_is_refused_and_changes_nothing(superuser: str, tmp_path: Path) -> None:
    url = owner(superuser, "CREATEROLE")
    with served(tmp_path / "three", database_url=url, master_key=KEY) as installation:
        wrong = served(tmp_path / "four", database_url=url, master_key=OTHER_KEY)
        with pytest.raises(AssertionError, match="master key is not the one"):
            wrong.start()
        password = MasterKey.parse(KEY).role_password(roles.APP)
        psycopg.connect(make_conninfo(url, user=roles.APP, password=password)).close()
        with installation.client() as client:
            assert client.post("/v1/chat/completions", json=CHAT).status_code == 200


def test_another_master_key_than_the_data_folders_is_named_as_the_reason(tmp_path: Path) -> None:
    folder = tmp_path / "five"
    with served(folder, master_key=KEY) as installation:
        installation.stop()
    with pytest.raises(AssertionError, match="master key is not the one that this installation has"):
        served(folder, master_key=OTHER_KEY).start()
