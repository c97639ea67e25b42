"""`bailiwick doctor`: what runs, in which version, with which roles and policies, and whether tenants are kept apart.

It looks at the database that `serve` with the same settings uses: yours, the running embedded one, or, if nothing
runs, the embedded one that it starts for the moment. It changes nothing. Exit status 1 if anything is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import TextIO

import psycopg
from psycopg import sql

from bailiwick.apps.cli.database import NothingToExamine, owner_login
from bailiwick.config import Config
from bailiwick.storage import migrate, roles
from bailiwick.storage.sql import Sql, load


def examine(settings: Config, out: TextIO) -> bool:
    """Write the findings; returns whether all is well. Raises `NothingToExamine`, `psycopg.Error`."""
    queries = load("doctor")
    with (
        owner_login(settings) as login,
        psycopg.connect(login.url, autocommit=True, connect_timeout=5) as connection,
    ):
        ran, processes = _read(connection, queries)
        server = connection.info.parameter_status("server_version")
        out.write(f"bailiwick   {version('bailiwick')}, Python {sys.version.split()[0]}\n")
        out.write(f"PostgreSQL  {server}, {login.where}\n")
        missing = [name for name, _ in migrate.files() if name not in ran]
        out.write(f"migrations  {len(ran)} ran, {len(missing)} to run\n")
        out.write("processes\n")
        out.writelines(f"  {process}\n" for process in processes)
        out.write("roles\n")
        for name, logs_in, inherits, bypasses, member_of in connection.execute(queries["roles"]):
            facts = ["logs in" if logs_in else "no login", "inherits" if inherits else "inherits nothing"]
            facts += [f"may become {', '.join(member_of)}"] if isinstance(member_of, list) and member_of else []
            out.write(f"  {name}: {', '.join(facts)}{', BYPASSES POLICIES' if bypasses else ''}\n")
        out.write("tables with a tenant\n")
        for name, forced, policies, partitions in connection.execute(queries["tables"]):
            state = "row-level security forced" if forced else "ROW-LEVEL SECURITY NOT FORCED"
            parts = f", {partitions} partitions" if partitions else ""
            out.write(f"  {name}: {state}, {policies} policies{parts}\n")
        violations = roles.violations(connection)
    if violations:
        # What is compared with is what this version's migrations make.
        pending = "migrations have yet to run, and until then this differs from what they make"
        out.write(f"{pending if missing else 'tenants are NOT kept apart'}:\n")
        out.writelines(f"  {violation}\n" for violation in violations)
    else:
        out.write("tenants are kept apart: roles, tables, policies, functions and rights are what they should be\n")
    return not violations and not missing


def _read(connection: roles.SyncConnection, queries: Mapping[str, Sql]) -> tuple[list[str], list[str]]:
    """The migrations that ran, and a line for each gateway process; raises `NothingToExamine` if it cannot look."""
    if connection.execute(queries["made"]).fetchone() is None:
        message = "there is no installation in this database yet; `bailiwick serve` makes one"
        raise NothingToExamine(message)
    row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    sees_all = row == (True,)
    if not sees_all and not roles.may_act_as_owner(connection):
        message = f"this login may not act as {roles.OWNER}; take the one that `bailiwick serve` has"
        raise NothingToExamine(message)
    with connection.transaction():
        if not sees_all:
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(roles.OWNER)))
        ran = [str(name) for (name,) in connection.execute(queries["migrations"])]
        found = connection.execute(queries["processes"]).fetchall()
    return ran, [
        # Policies hold for the tables' owner too, who sees nobody's calls.
        f"gateway {identity}: {'alive' if alive else 'gone'}{f', {calls} open calls' if sees_all else ''}"
        for identity, alive, calls in found
    ]
