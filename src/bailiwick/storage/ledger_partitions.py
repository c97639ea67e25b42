"""The ledger's partitions, one for each month by UTC: made ahead, and removed when nobody is to keep them any longer.

Removing a month is removing a table: it takes the same short time whatever is in it, and leaves nothing to clean up.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from typing import Final

import psycopg
from psycopg import sql

from bailiwick.storage import roles
from bailiwick.storage.roles import SyncConnection

_AHEAD: Final = 3
# Removing one waits for whoever reads the ledger, and keeps all who come later waiting meanwhile.
_PATIENCE: Final = "2s"
_OWNER: Final = sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(roles.OWNER))


def add(connection: SyncConnection, today: date) -> None:
    """Make those of this month and the next ones."""
    for ahead in range(_AHEAD + 1):
        start = _month(today, ahead)
        with connection.transaction():
            connection.execute(_OWNER)
            if connection.execute("SELECT to_regclass(%s)", (f"bailiwick.{_name(start)}",)).fetchone() != (None,):
                continue
            partition = sql.Identifier(_name(start))
            connection.execute(
                sql.SQL("CREATE TABLE bailiwick.{} PARTITION OF bailiwick.ledger FOR VALUES FROM ({}) TO ({})").format(
                    partition, sql.Literal(f"{start} 00:00+00"), sql.Literal(f"{_month(start, 1)} 00:00+00")
                )
            )
            # A partition that could be read by itself would not know its parent's policies.
            for switch in ("ENABLE", "FORCE"):
                connection.execute(
                    sql.SQL("ALTER TABLE bailiwick.{} " + switch + " ROW LEVEL SECURITY").format(partition)
                )


def tend(conninfo: str, today: date, *, months: int | None) -> list[str]:
    """Make what is missing, and remove what ended more than `months` whole months ago; returns what was removed.

    None keeps everything. A month stays for now if a row of it is not rolled up yet, or if somebody is reading. To be
    called daily, as the schema's owner.
    """
    with psycopg.connect(conninfo, autocommit=True, connect_timeout=10) as connection:
        add(connection, today)
        if months is None:
            return []
        rows = connection.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = 'bailiwick.ledger'::regclass AND relname ~ '^ledger_[0-9]{4}_[0-9]{2}$'"
            " AND relname < %s ORDER BY relname",
            (_name(_month(today, -months)),),
        ).fetchall()
        return [str(name) for (name,) in rows if _removed(connection, str(name))]


def _removed(connection: SyncConnection, name: str) -> bool:
    partition = sql.Identifier(name)
    with suppress(psycopg.errors.LockNotAvailable), connection.transaction():
        connection.execute(_OWNER)
        connection.execute("SELECT set_config('lock_timeout', %s, true)", (_PATIENCE,))
        # The owner sees no row of a table that keeps rows apart, but for this one question.
        connection.execute(sql.SQL("ALTER TABLE bailiwick.{} NO FORCE ROW LEVEL SECURITY").format(partition))
        row = connection.execute(
            sql.SQL(
                "SELECT coalesce(max(l.written_xid), -1) < (SELECT xid FROM bailiwick.usage_watermark)"
                " FROM bailiwick.{} l"
            ).format(partition)
        ).fetchone()
        if row != (True,):
            raise psycopg.Rollback
        connection.execute(sql.SQL("DROP TABLE bailiwick.{}").format(partition))
        return True
    return False


def _name(month: date) -> str:
    return f"ledger_{month:%Y_%m}"


def _month(day: date, ahead: int) -> date:
    months = day.year * 12 + day.month - 1 + ahead
    return date(months // 12, months % 12 + 1, 1)
