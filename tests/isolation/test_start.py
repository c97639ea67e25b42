"""`serve` does not start on a database that could not keep tenants apart; it names everything that is wrong with it.

Each thing is planted in an installation that has run, by somebody who may do anything there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx2
import pytest

from tests.installation import Installation

MONTH: Final = f"ledger_{datetime.now(UTC):%Y_%m}"

# What is done to the database, and what the operator has to be told of it.
PLANTED: Final[dict[str, tuple[str, ...]]] = {
    "CREATE ROLE mole LOGIN; GRANT bailiwick_operator TO mole": ("mole", "bailiwick_operator"),
    "GRANT bailiwick_operator TO bailiwick_app": ("bailiwick_app", "bailiwick_operator"),
    "CREATE ROLE between; GRANT bailiwick_operator TO between; GRANT between TO bailiwick_ledger": (
        "bailiwick_ledger -> between -> bailiwick_operator",
    ),
    "GRANT bailiwick_owner TO bailiwick_app": ("bailiwick_app", "bailiwick_owner"),
    "ALTER ROLE bailiwick_control INHERIT": ("bailiwick_control inherits what it is a member of",),
    "GRANT bailiwick_operator TO bailiwick_control WITH INHERIT TRUE": (
        "bailiwick_control inherits bailiwick_operator",
    ),
    "GRANT pg_read_all_data TO bailiwick_ledger": ("bailiwick_ledger", "pg_read_all_data"),
    "GRANT TRUNCATE ON bailiwick.tenants TO bailiwick_control": ("tenants", "bailiwick_control", "TRUNCATE"),
    "ALTER ROLE bailiwick_app BYPASSRLS": ("bailiwick_app", "BYPASSRLS"),
    "ALTER ROLE bailiwick_auth SUPERUSER": ("bailiwick_auth", "SUPERUSER"),
    "ALTER ROLE bailiwick_operator LOGIN": ("bailiwick_operator", "log in"),
    "ALTER TABLE bailiwick.projects NO FORCE ROW LEVEL SECURITY": ("projects", "not forced"),
    "ALTER TABLE bailiwick.api_keys DISABLE ROW LEVEL SECURITY": ("api_keys", "switched off"),
    f"ALTER TABLE bailiwick.{MONTH} NO FORCE ROW LEVEL SECURITY": (MONTH, "not forced"),
    f"GRANT SELECT ON bailiwick.{MONTH} TO bailiwick_app": (MONTH, "bailiwick_app"),
    "GRANT SELECT ON bailiwick.ledger_default TO PUBLIC": ("ledger_default", "PUBLIC"),
    "GRANT SELECT (uid) ON bailiwick.ledger_default TO bailiwick_app": ("ledger_default", "bailiwick_app"),
    "GRANT SELECT ON bailiwick.providers TO PUBLIC": ("providers", "PUBLIC"),
    "CREATE ROLE reader LOGIN; GRANT SELECT ON bailiwick.ledger TO reader": ("ledger", "reader"),
    "CREATE ROLE peeper LOGIN; GRANT SELECT (secret) ON bailiwick.providers TO peeper": ("providers", "peeper"),
    "CREATE POLICY wide ON bailiwick.projects TO bailiwick_app USING (true)": ("wide", "projects", "bailiwick_app"),
    "CREATE POLICY public ON bailiwick.ledger USING (true)": ("public", "ledger"),
    "DROP POLICY app_own ON bailiwick.providers; CREATE POLICY app_own ON bailiwick.providers TO bailiwick_app"
    " USING (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid) OR true)": ("app_own", "providers"),
    "CREATE VIEW bailiwick.everything AS SELECT * FROM bailiwick.projects": ("everything", "security_invoker"),
    "CREATE TABLE bailiwick.notes (tenant_id uuid)": ("notes", "switched off"),
    "ALTER TABLE bailiwick.projects OWNER TO bailiwick_app": ("projects", "owned by bailiwick_app"),
    "CREATE FUNCTION bailiwick.peek() RETURNS SETOF bailiwick.projects LANGUAGE sql SECURITY DEFINER"
    " AS 'SELECT * FROM bailiwick.projects'": ("peek",),
}  # fmt: skip


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("planted") / "data")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def told(installation: Installation) -> list[str]:
    """Everything planted at once: what is said of it, line by line."""
    installation.start()
    with installation.sql() as connection:
        for statement in PLANTED:
            connection.execute(statement.encode())
    assert installation.stop() == 0
    with pytest.raises(AssertionError) as refused:
        installation.start()
    return str(refused.value).splitlines()


@pytest.mark.parametrize("statement", PLANTED)
def test_what_was_planted_is_named(told: list[str], statement: str) -> None:
    wanted = PLANTED[statement]
    assert [line for line in told if all(part in line for part in wanted)], "\n".join(told)


def test_nothing_serves_and_nothing_is_left_running(installation: Installation, told: list[str]) -> None:
    assert "the database does not keep tenants apart" in "\n".join(told)
    assert not [line for line in told if line.startswith("ready ")]
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{installation.url}/healthz", verify=False)
    assert not running_in(installation.folder)


@pytest.mark.slow
def test_an_installation_as_it_should_be_starts_again(tmp_path: Path) -> None:
    """What is refused is what was planted, and not a second start."""
    installation = Installation(tmp_path / "data")
    for _ in range(2):
        with installation:
            assert httpx2.get(f"{installation.url}/healthz", verify=False).status_code == 200


def running_in(folder: Path) -> list[str]:
    """The command lines of processes that speak of a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(folder) in command:
                found.append(command)
    return found
