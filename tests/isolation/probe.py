"""Tries, as one role with one tenant set, to reach another tenant's rows; says how far it came.

A probe asks for the foreign rows by name, with no help from any query of ours: what stops it are the grants and the
policies alone.
"""

from __future__ import annotations

import os
from typing import Final
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from tests.database import Connection
from tests.isolation.catalogue import Owner, columns, new_id, unique_columns

# What PostgreSQL says to whoever may not: no grant, or a row that a policy refuses.
REFUSED: Final = psycopg.errors.InsufficientPrivilege


def reached(
    connection: Connection, superuser: Connection, table: str, column: str, verb: str, owners: tuple[Owner, Owner]
) -> int | None:
    """How many foreign rows `verb` reached as the first owner's tenant; None when it was refused outright.

    Nothing stays changed.
    """
    own, foreign = owners[0].tenant_id, owners[1].tenant_id
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SELECT set_config('bailiwick.tenant_id', %s, true)", (str(own),))
            if verb == "INSERT":
                return _insert(connection, superuser, table, column, foreign)
            return _ask(connection, superuser, table, column, verb, foreign)
    except REFUSED:
        return None
    except psycopg.errors.UniqueViolation:
        # Policies come before keys: this row was let through, and there is one like it.
        return 1


def taken_along(connection: Connection, table: str, column: str, owners: tuple[Owner, Owner]) -> int | None:
    """How many of its own rows the first tenant could give to the other; None when that was refused outright."""
    own, foreign = owners[0].tenant_id, owners[1].tenant_id
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SELECT set_config('bailiwick.tenant_id', %s, true)", (str(own),))
            statement = sql.SQL("UPDATE bailiwick.{} SET {} = %s WHERE {} = %s").format(
                sql.Identifier(table), sql.Identifier(column), sql.Identifier(column)
            )
            return connection.execute(statement, (foreign, own)).rowcount
    except REFUSED:
        return None


def _ask(connection: Connection, superuser: Connection, table: str, column: str, verb: str, foreign: UUID) -> int:
    where = sql.SQL("WHERE {} = %s").format(sql.Identifier(column))
    name = sql.Identifier(table)
    if verb == "SELECT":
        statement = sql.SQL("SELECT FROM bailiwick.{} {}").format(name, where)
    elif verb == "UPDATE":
        # A column's own value: whatever is unique stays so, whatever is checked still holds.
        some = sql.Identifier(columns(superuser, table)[-1])
        statement = sql.SQL("UPDATE bailiwick.{} SET {} = {} {}").format(name, some, some, where)
    else:
        statement = sql.SQL("DELETE FROM bailiwick.{} {}").format(name, where)
    return connection.execute(statement, (foreign,)).rowcount


def _insert(connection: Connection, superuser: Connection, table: str, column: str, foreign: UUID) -> int:
    """Insert a copy of a foreign row that differs by what must be unique."""
    query = sql.SQL("SELECT to_jsonb(t) FROM bailiwick.{} t WHERE {} = %s LIMIT 1").format(
        sql.Identifier(table), sql.Identifier(column)
    )
    found = superuser.execute(query, (foreign,)).fetchone()
    assert found is not None, f"no row of the other tenant in {table}"
    row = dict(found[0])
    for name in unique_columns(superuser, table):
        if name.endswith("_id"):
            continue  # What it refers to has to be there; that the row is there too, is told in `reached`.
        noise = os.urandom(7)
        if isinstance(row[name], int):
            row[name] = int.from_bytes(noise[:3])
        else:
            row[name] = str(new_id()) if name == "id" else noise.hex()
    if column == "id":
        row["id"] = str(new_id())
        row["default_project"] = None
    statement = sql.SQL("INSERT INTO bailiwick.{} SELECT * FROM jsonb_populate_record(NULL::bailiwick.{}, %s)").format(
        sql.Identifier(table), sql.Identifier(table)
    )
    return connection.execute(statement, (Jsonb(row),)).rowcount
