"""The database roles: what each is for, how they are made, and the look at them that a start depends on.

`bailiwick_owner` owns the schema and logs in nowhere. `bailiwick_app` (gateway) and `bailiwick_ledger` (its batches)
are members of nothing. `bailiwick_control` (admin API) may SET ROLE to `bailiwick_operator` but inherits nothing of
it: were the membership inherited, the operator's `USING (true)` policies would silently apply to it.
`bailiwick_auth` owns the few SECURITY DEFINER look-ups, and what takes a client's token away. None has BYPASSRLS, and
none but the owner owns a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Final

import psycopg
from psycopg import sql

from bailiwick.storage.sql import load

OWNER: Final = "bailiwick_owner"
APP: Final = "bailiwick_app"
LEDGER: Final = "bailiwick_ledger"
CONTROL: Final = "bailiwick_control"
OPERATOR: Final = "bailiwick_operator"
AUTH: Final = "bailiwick_auth"

LOGINS: Final = (APP, LEDGER, CONTROL)
ALL: Final = (OWNER, APP, LEDGER, CONTROL, OPERATOR, AUTH)
# (member, role): the only memberships among our roles. Both members are NOINHERIT.
_MEMBERSHIPS: Final = ((CONTROL, OPERATOR), (OWNER, AUTH))

_GRANTS_HAVE_OPTIONS: Final = 160_000

SyncConnection = psycopg.Connection[tuple[object, ...]]


def ensure(connection: SyncConnection, passwords: Mapping[str, str]) -> None:
    """Make what is missing of the roles, set the passwords of `passwords`, and let this login act as the owner.

    `passwords` maps logins to passwords; only their SCRAM verifiers reach the server, and a login that is not in it is
    left as it is. Without the right to create roles, all of them are: somebody made them beforehand.
    """
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (list(ALL),))
    existing = {row[0] for row in rows}
    row = connection.execute("SELECT rolsuper, rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
    superuser, may_create = row.fetchone() or (False, False)
    if may_create:
        for role in ALL:
            if role not in existing:
                connection.execute(sql.SQL("CREATE ROLE {} NOINHERIT").format(sql.Identifier(role)))
        for role, password in passwords.items():
            verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
            connection.execute(
                sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier.decode()))
            )
        for member, role in _MEMBERSHIPS:
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(member)))
    if not superuser and not may_act_as_owner(connection):
        # PostgreSQL 16 gives a creator ADMIN without SET; before that, membership is all there is.
        how = " WITH INHERIT FALSE, SET TRUE" if connection.info.server_version >= _GRANTS_HAVE_OPTIONS else ""
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER" + how).format(sql.Identifier(OWNER)))


def may_act_as_owner(connection: SyncConnection) -> bool:
    """Whether this login may `SET ROLE` to the owner, which it needs to look at our schema at all."""
    right = "SET" if connection.info.server_version >= _GRANTS_HAVE_OPTIONS else "MEMBER"
    row = connection.execute("SELECT pg_has_role(oid, %s) FROM pg_roles WHERE rolname = %s", (right, OWNER)).fetchone()
    return row is not None and row[0] is True


def violations(connection: SyncConnection) -> list[str]:
    """Say everything by which a role or a table could get past the policies; empty when all is well.

    Looks at the roles transitively, and holds what stands in the schema against `migrations/isolation.txt`: things,
    rights, policies and triggers, each more and each less. An entry is a sentence for the operator who has to mend it.
    """
    with connection.transaction():
        # Names of the catalogue mean the catalogue's, whatever this login's own search path says.
        connection.execute("SELECT set_config('search_path', 'pg_catalog', true)")
        wrong = [str(row[0]) for query in load("isolation").values() for row in connection.execute(query)]
        found = [
            (str(fact), str(told))
            for query in load("isolation_facts").values()
            for fact, told in connection.execute(query)
        ]
    wanted = _wanted()
    wrong += sorted({f"{told}: should not be" for fact, told in found if fact not in wanted})
    return wrong + sorted(f"{fact}: is missing" for fact in wanted.difference(fact for fact, _ in found))


def _wanted() -> set[str]:
    """What `migrations/isolation.txt` says, one fact for each right."""
    text = resources.files(__name__.rpartition(".")[0]).joinpath("migrations", "isolation.txt").read_text("utf-8")
    facts: set[str] = set()
    thing = ""
    for line in text.splitlines():
        if line.startswith("  "):
            who, may, rights = line.strip().partition(" may ")
            facts.update(f"{thing}: {who}{may}{right}" for right in rights.split(", "))
        elif line and not line.startswith("#"):
            thing = line
    return facts
