"""`serve` does not start on a database that could not keep tenants apart; it names everything that is wrong with it.

Each thing is planted in an installation that has run, by somebody who may do anything there.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx2
import pytest

from tests.installation import Installation, clean_environment

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
    "CREATE POLICY public ON bailiwick.ledger USING (true)": ("ledger: policy public", "to public using true"),
    "DROP POLICY app_own ON bailiwick.providers; CREATE POLICY app_own ON bailiwick.providers TO bailiwick_app"
    " USING (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid) OR true)": (
        "providers: policy app_own", "OR true", "should not be",
    ),
    "CREATE VIEW bailiwick.everything AS SELECT * FROM bailiwick.projects": ("everything", "security_invoker"),
    "CREATE TABLE bailiwick.notes (tenant_id uuid)": ("notes", "switched off"),
    "ALTER TABLE bailiwick.projects OWNER TO bailiwick_app": ("projects", "owned by bailiwick_app"),
    "CREATE FUNCTION bailiwick.peek() RETURNS SETOF bailiwick.projects LANGUAGE sql SECURITY DEFINER"
    " AS 'SELECT * FROM bailiwick.projects'": ("peek",),
    "CREATE POLICY aside ON bailiwick.api_keys TO bailiwick_ledger USING (true)": (
        "api_keys: policy aside for ALL to bailiwick_ledger using true: should not be",
    ),
    "ALTER POLICY control_own ON bailiwick.audit USING (true)": (
        "audit: policy control_own for ALL to bailiwick_control using true with check (tenant_id =", "should not be",
    ),
    "ALTER POLICY auth_look_up ON bailiwick.tenants TO bailiwick_app": (
        "tenants: policy auth_look_up for SELECT to bailiwick_app using true: should not be",
    ),
    "DROP POLICY operator_all ON bailiwick.open_calls": (
        "open_calls: policy operator_all for ALL to bailiwick_operator", "is missing",
    ),
    f"CREATE POLICY month ON bailiwick.{MONTH} TO bailiwick_app USING (true)": (f"{MONTH}: policy month",),
    "GRANT SELECT ON bailiwick.operator_keys TO bailiwick_app": ("operator_keys: bailiwick_app may SELECT",),
    "GRANT UPDATE ON bailiwick.audit TO bailiwick_operator": ("audit: bailiwick_operator may UPDATE",),
    "GRANT DELETE ON bailiwick.audit TO bailiwick_control": ("audit: bailiwick_control may DELETE",),
    "GRANT DELETE ON bailiwick.ledger TO bailiwick_app": ("ledger: bailiwick_app may DELETE",),
    "GRANT INSERT ON bailiwick.migrations TO bailiwick_ledger": ("migrations: bailiwick_ledger may INSERT",),
    "GRANT SELECT ON bailiwick.tenants TO bailiwick_app WITH GRANT OPTION": (
        "tenants: bailiwick_app may SELECT and grant it on",
    ),
    "REVOKE SELECT ON bailiwick.epoch FROM bailiwick_app": ("epoch: bailiwick_app may SELECT: is missing",),
    "GRANT SELECT (digest) ON bailiwick.api_keys TO bailiwick_ledger": (
        "column bailiwick.api_keys.digest: bailiwick_ledger may SELECT",
    ),
    "GRANT UPDATE (digest) ON bailiwick.operator_keys TO bailiwick_app": (
        "column bailiwick.operator_keys.digest: bailiwick_app may UPDATE",
    ),
    "GRANT EXECUTE ON FUNCTION bailiwick.tenant_of TO bailiwick_ledger": ("tenant_of", "bailiwick_ledger may EXECUTE"),
    "CREATE ROLE caller LOGIN; GRANT EXECUTE ON FUNCTION bailiwick.look_up_api_key TO caller": (
        "look_up_api_key", "caller may EXECUTE",
    ),
    "GRANT EXECUTE ON FUNCTION bailiwick.look_up_operator_key TO PUBLIC": (
        "look_up_operator_key", "PUBLIC may EXECUTE",
    ),
    "ALTER FUNCTION bailiwick.look_up_operator_key RESET search_path": (
        "look_up_operator_key", "runs as its owner, body", "should not be",
    ),
    "ALTER FUNCTION bailiwick.look_up_api_key OWNER TO postgres": ("look_up_api_key", "owned by postgres"),
    "CREATE OR REPLACE FUNCTION bailiwick.tenant_of(kind text, wanted uuid) RETURNS uuid LANGUAGE sql STABLE"
    " SECURITY DEFINER SET search_path = pg_catalog AS 'SELECT id FROM bailiwick.tenants LIMIT 1'": (
        "tenant_of", "body", "should not be",
    ),
    "CREATE FUNCTION bailiwick.ours() RETURNS integer LANGUAGE sql AS 'SELECT 1'": (
        "function bailiwick.ours(): owned by postgres, runs as its caller",
    ),
    "GRANT CREATE ON SCHEMA bailiwick TO bailiwick_auth": ("schema bailiwick: bailiwick_auth may CREATE",),
    "CREATE ROLE visitor; GRANT USAGE ON SCHEMA bailiwick TO visitor": ("schema bailiwick: visitor may USAGE",),
    "ALTER DEFAULT PRIVILEGES FOR ROLE bailiwick_owner IN SCHEMA bailiwick GRANT SELECT ON TABLES TO visitor": (
        "default acl for role bailiwick_owner in schema bailiwick on tables: visitor may SELECT",
    ),
    "ALTER DEFAULT PRIVILEGES FOR ROLE bailiwick_owner GRANT INSERT ON TABLES TO bailiwick_app": (
        "default acl for role bailiwick_owner on tables: bailiwick_app may INSERT",
    ),
    "CREATE TABLE bailiwick.notices (text text)": ("table bailiwick.notices", "should not be"),
    "CREATE SEQUENCE bailiwick.counter; GRANT USAGE ON bailiwick.counter TO bailiwick_app": (
        "sequence bailiwick.counter: bailiwick_app may USAGE",
    ),
    "CREATE DOMAIN bailiwick.word AS text": ("type bailiwick.word: is there",),
    "CREATE FUNCTION public.spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
    " CREATE TRIGGER spy BEFORE INSERT ON bailiwick.audit FOR EACH ROW EXECUTE FUNCTION public.spy()": (
        "audit: CREATE TRIGGER spy", "should not be",
    ),
    "ALTER TABLE bailiwick.tenants DISABLE TRIGGER move_epoch": ("bailiwick.move_epoch(), disabled: should not be",),
    "DROP TRIGGER move_epoch ON bailiwick.api_keys": ("api_keys: CREATE TRIGGER move_epoch", "is missing"),
    "CREATE TABLE public.copies (id uuid); CREATE RULE copied AS ON INSERT TO bailiwick.open_calls"
    " DO ALSO INSERT INTO public.copies VALUES (NEW.id)": ("rule copied on bailiwick.open_calls",),
    "CREATE VIEW public.reporting AS SELECT * FROM bailiwick.ledger": (
        "public.reporting uses bailiwick.ledger", "security_invoker",
    ),
    "CREATE TABLE public.apart PARTITION OF bailiwick.ledger FOR VALUES FROM ('1999-01-01') TO ('1999-02-01');"
    " ALTER TABLE public.apart OWNER TO bailiwick_owner; ALTER TABLE public.apart ENABLE ROW LEVEL SECURITY;"
    " ALTER TABLE public.apart FORCE ROW LEVEL SECURITY": ("table public.apart", "should not be"),
    "CREATE TABLE public.heirs () INHERITS (bailiwick.api_keys)": ("table public.heirs", "should not be"),
    "CREATE SCHEMA den AUTHORIZATION bailiwick_ledger": ("bailiwick_ledger owns schema den",),
    "ALTER ROLE bailiwick_ledger REPLICATION": ("bailiwick_ledger", "REPLICATION"),
    "ALTER ROLE bailiwick_app SET bailiwick.tenant_id = 'x'": ("bailiwick.tenant_id=x is set for role bailiwick_app",),
    "ALTER ROLE bailiwick_control SET role = bailiwick_operator": (
        "role=bailiwick_operator is set for role bailiwick_control",
    ),
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


def test_doctor_says_all_that_the_start_did(installation: Installation, told: list[str]) -> None:
    command = [sys.executable, "-m", "bailiwick.apps.cli.main", "doctor", "--data-dir", str(installation.folder)]
    looked = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=False)
    assert looked.returncode == 1
    _, _, said = looked.stdout.partition("tenants are NOT kept apart:\n")
    assert said.splitlines() == told[-len(said.splitlines()) :]
    assert len(said.splitlines()) >= len(PLANTED)


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
