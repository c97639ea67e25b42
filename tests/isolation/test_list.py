"""What the migrations make is what `migrations/isolation.txt` says: no more, no less, and whoever asks."""

from __future__ import annotations

import io
from pathlib import Path

from bailiwick import config
from bailiwick.apps.cli import doctor
from bailiwick.storage import migrate, roles
from tests.database import TestDatabase


def found(database: TestDatabase) -> list[str]:
    with database.connect() as connection:
        return roles.violations(connection)


def examined(database: TestDatabase, folder: Path) -> tuple[bool, str]:
    """What `bailiwick doctor` says of a database."""
    settings = config.load({"database_url": database.superuser_url, "data_dir": str(folder)}, {})
    out = io.StringIO()
    return doctor.examine(settings, out), out.getvalue()


def test_the_migrations_make_all_of_the_list_and_nothing_else(database: TestDatabase) -> None:
    assert found(database) == []


def test_what_a_migration_makes_has_to_be_put_on_the_list(scratch: TestDatabase) -> None:
    scratch.run(
        "SET ROLE bailiwick_owner;"
        "CREATE TABLE bailiwick.invoices (tenant_id uuid);"
        "ALTER TABLE bailiwick.invoices ENABLE ROW LEVEL SECURITY;"
        "ALTER TABLE bailiwick.invoices FORCE ROW LEVEL SECURITY;"
        "CREATE POLICY app_own ON bailiwick.invoices FOR SELECT TO bailiwick_app"
        " USING (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid));"
        "GRANT SELECT ON bailiwick.invoices TO bailiwick_app"
    )
    assert found(scratch) == [
        "table bailiwick.invoices: bailiwick_app may SELECT: should not be",
        "table bailiwick.invoices: owned by bailiwick_owner, row-level security forced: should not be",
        (
            "table bailiwick.invoices: policy app_own for SELECT to bailiwick_app"
            " using (tenant_id = the tenant in scope): should not be"
        ),
    ]


def test_what_is_on_the_list_has_to_be_there(scratch: TestDatabase) -> None:
    scratch.run(
        "REVOKE UPDATE ON bailiwick.epoch FROM bailiwick_control;"
        "DROP POLICY app_platform ON bailiwick.providers;"
        "DROP TRIGGER move_epoch ON bailiwick.projects;"
        "DROP FUNCTION bailiwick.tenant_of;"
        "DROP TABLE bailiwick.processes"
    )
    gone = [told.partition(": ") for told in found(scratch)]
    assert all(told.endswith(": is missing") for _, _, told in gone)
    assert {(thing, told.split()[0]) for thing, _, told in gone} == {
        ("table bailiwick.epoch", "bailiwick_control"),
        ("table bailiwick.providers", "policy"),
        ("table bailiwick.projects", "CREATE"),
        ("function bailiwick.tenant_of(pg_catalog.text,pg_catalog.uuid)", "owned"),
        ("function bailiwick.tenant_of(pg_catalog.text,pg_catalog.uuid)", "bailiwick_control"),
        ("table bailiwick.processes", "owned"),
        ("table bailiwick.processes", "bailiwick_ledger"),
    }


def test_a_month_that_is_added_or_gone_is_no_difference(scratch: TestDatabase) -> None:
    month = scratch.rows(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'bailiwick.ledger'::regclass"
    )
    scratch.run(f"DROP TABLE {month[-1][0]}")
    assert found(scratch) == []


def test_a_view_that_reads_as_its_reader_may_stand_anywhere_else(scratch: TestDatabase) -> None:
    scratch.run("CREATE VIEW public.mine WITH (security_invoker = on) AS SELECT * FROM bailiwick.projects")
    assert found(scratch) == []


def test_a_logins_own_search_path_changes_nothing(scratch: TestDatabase) -> None:
    scratch.run(
        "CREATE VIEW public.pg_trigger AS SELECT * FROM pg_catalog.pg_trigger WHERE false;"
        "CREATE VIEW public.pg_policies AS SELECT * FROM pg_catalog.pg_policies WHERE policyname <> 'wide';"
        "CREATE POLICY wide ON bailiwick.projects TO bailiwick_app USING (true)"
    )
    with scratch.connect() as connection:
        connection.execute("SET search_path = bailiwick, public, pg_catalog")
        told = roles.violations(connection)
    assert told == ["table bailiwick.projects: policy wide for ALL to bailiwick_app using true: should not be"]


def test_doctor_says_what_a_start_would_refuse(scratch: TestDatabase, tmp_path: Path) -> None:
    scratch.run("GRANT SELECT ON bailiwick.operator_keys TO bailiwick_app")
    well, told = examined(scratch, tmp_path)
    assert not well
    assert told.endswith(
        "tenants are NOT kept apart:\n  table bailiwick.operator_keys: bailiwick_app may SELECT: should not be\n"
    )


def test_doctor_says_when_it_is_only_that_migrations_have_not_run(scratch: TestDatabase, tmp_path: Path) -> None:
    scratch.run("DELETE FROM bailiwick.migrations; DROP POLICY app_platform ON bailiwick.providers")
    well, told = examined(scratch, tmp_path)
    assert not well
    assert f"migrations  0 ran, {len(migrate.files())} to run\n" in told
    assert (
        "\nmigrations have yet to run, and until then this differs from what they make:\n  table bailiwick.prov" in told
    )


def test_doctor_finds_nothing_wrong_with_what_the_migrations_made(scratch: TestDatabase, tmp_path: Path) -> None:
    well, told = examined(scratch, tmp_path)
    assert well
    assert "\ntenants are kept apart: " in told
