"""Brings a database to this version's schema: forward-only SQL files, one transaction each, under one lock.

Guarantees: eight processes at once on an empty database make one schema, and each returns when it is there; a file
that was changed after it ran, or a database that is newer than this code, is refused; other tables in the database
are not touched (everything lives in the schema `bailiwick`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from importlib import resources
from typing import Final

import psycopg
from psycopg import sql

from bailiwick.storage import ledger_partitions, roles
from bailiwick.storage.roles import SyncConnection
from bailiwick.storage.rotation import check_seen

# Any two processes that migrate the same database meet at this number.
_LOCK: Final = 0x6261696C
_OLDEST_SERVER: Final = 150_000


class MigrationError(Exception):
    """The database and this code do not fit; the message says what to do."""


def files() -> list[tuple[str, str]]:
    """Every migration as (name, text), in order."""
    folder = resources.files(__name__.rpartition(".")[0]).joinpath("migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(name, folder.joinpath(name).read_text("utf-8")) for name in names]


def migrate(conninfo: str, passwords: Mapping[str, str], today: date, *, master_check: str | None = None) -> list[str]:
    """Make roles and schema, run what has not run yet, add the ledger's partitions; returns the files that ran.

    `conninfo` is the owner's login: a superuser, or one that may create roles or for which the roles were made. With
    `master_check`, a database of another master key is refused before anything is changed, passwords above all.
    """
    with psycopg.connect(conninfo, autocommit=True, connect_timeout=10) as connection:
        if connection.info.server_version < _OLDEST_SERVER:
            msg = f"PostgreSQL 15 or newer is needed; this is {connection.info.parameter_status('server_version')}"
            raise MigrationError(msg)
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        try:
            if master_check is not None and check_seen(connection) not in (None, master_check):
                msg = "the master key is not the one that this database is kept with"
                raise MigrationError(msg)
            roles.ensure(connection, passwords)
            ran = _run(connection)
            _count_anew_elsewhere(connection)
            ledger_partitions.add(connection, today)
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
    return ran


def _run(connection: SyncConnection) -> list[str]:
    owner = sql.Identifier(roles.OWNER)
    database = sql.Identifier(connection.info.dbname)
    with connection.transaction():
        exists = connection.execute("SELECT FROM pg_namespace WHERE nspname = 'bailiwick'").fetchone()
        if exists is None:
            connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, owner))
            connection.execute(sql.SQL("CREATE SCHEMA bailiwick AUTHORIZATION {}").format(owner))
            connection.execute(sql.SQL("REVOKE CREATE ON DATABASE {} FROM {}").format(database, owner))
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(owner))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS bailiwick.migrations (name text PRIMARY KEY, sha256 text NOT NULL,"
            " ran_at timestamptz NOT NULL DEFAULT now())"
        )
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(owner))
        rows = connection.execute("SELECT name, sha256 FROM bailiwick.migrations").fetchall()
    done = {str(name): digest for name, digest in rows}
    known = files()
    if unknown := sorted(set(done) - {name for name, _ in known}):
        msg = f"the database is newer than this version of Bailiwick: it has {', '.join(map(str, unknown))}"
        raise MigrationError(msg)
    ran = []
    for name, text in known:
        digest = hashlib.sha256(text.encode()).hexdigest()
        if name in done:
            if done[name] != digest:
                msg = f"migration {name} was changed after it ran on this database"
                raise MigrationError(msg)
            continue
        with connection.transaction():
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(owner))
            connection.execute("SELECT set_config('search_path', 'bailiwick, pg_catalog', true)")
            connection.execute(text.encode())
            connection.execute("INSERT INTO bailiwick.migrations (name, sha256) VALUES (%s, %s)", (name, digest))
        ran.append(name)
    return ran


def _count_anew_elsewhere(connection: SyncConnection) -> None:
    """Have usage rolled up from the beginning in a database that was dumped on one server and loaded on another.

    The roll-ups go by the numbers of transactions, and those of this server have not come to where they stood there.
    """
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(roles.OWNER)))
        row = connection.execute(
            "SELECT xid > pg_snapshot_xmax(pg_current_snapshot())::text::bigint FROM bailiwick.usage_watermark"
        ).fetchone()
        if row != (True,):
            return
        connection.execute("TRUNCATE bailiwick.usage_hourly, bailiwick.usage_daily, bailiwick.usage_hourly_of_users")
        connection.execute("TRUNCATE bailiwick.ledger_corrections")
        # The owner sees no row of a table that keeps rows apart, but for this one statement.
        connection.execute("ALTER TABLE bailiwick.ledger NO FORCE ROW LEVEL SECURITY")
        connection.execute("UPDATE bailiwick.ledger SET written_xid = 0")
        connection.execute("ALTER TABLE bailiwick.ledger FORCE ROW LEVEL SECURITY")
        connection.execute("UPDATE bailiwick.usage_watermark SET xid = 0")
