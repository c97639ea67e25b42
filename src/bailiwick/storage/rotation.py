"""What a rotation of the master key does to the database, in one transaction of the owner's.

It keeps out whatever else writes what is sealed or signed; reading goes on. Until it commits nothing has happened.
Whoever works with keys beside `serve`, as the commands do, holds the lock that it waits for.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final, final
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from bailiwick.domain.audit_chain import Head
from bailiwick.domain.ids import TenantId
from bailiwick.storage import roles
from bailiwick.storage.roles import SyncConnection
from bailiwick.storage.scope import Connection, Row, Scope
from bailiwick.storage.sql import Sql, load

_SQL: Final = load("rotation")
# Whoever has the keys of before in its hands, and whoever makes them worthless, meet at this number.
_LOCK: Final = 0x6261696D
_PAGE: Final = 1000
_BEFORE_ALL: Final = UUID(int=0)
# By which the installation's own chain goes among those of tenants.
_NOBODY: Final = UUID(int=2**128 - 1)
_AS_OWNER: Final = b"SELECT set_config('role', 'bailiwick_owner', true)"
_HOLD_WRITERS: Final = (
    b"LOCK TABLE bailiwick.installation, bailiwick.lasting_secret, bailiwick.providers, bailiwick.mcp_servers,"
    b" bailiwick.webhooks,"
    b" bailiwick.operator_secrets, bailiwick.sign_in_providers, bailiwick.signing_keys, bailiwick.audit_heads"
    b" IN SHARE ROW EXCLUSIVE MODE"
)
SEALED: Final = (
    "provider_secrets",
    "mcp_credentials",
    "webhook_secrets",
    "old_webhook_secrets",
    "second_factors",
    "client_secrets",
    "signing_secrets",
)


@final
class Rotation:
    """One rotation, as long as its transaction is open."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.scope: Final = Scope(connection)

    async def lasting_secret(self) -> bytes | None:
        """The sealed lasting secret; None if there is no installation."""
        row = await self.scope.fetch_one(_SQL["lasting_secret"])
        return None if row is None else bytes(row["sealed"])

    async def change_lasting_secret(self, sealed: bytes, check: str) -> None:
        """Keep the lasting secret as it is sealed now, and what later starts are held against."""
        await self.scope.execute(_SQL["change_lasting_secret"], {"sealed": sealed})
        await self.scope.execute(_SQL["change_check"], {"check": check})

    async def sealed(self, kind: str) -> AsyncIterator[Sequence[Row]]:
        """Every sealed value of one of the `SEALED` kinds, a page at a time: `id`, `sealed`, and whose it is."""
        async for rows in self._pages(_SQL[kind]):
            yield rows

    async def change_sealed(self, kind: str, values: Mapping[UUID, bytes]) -> None:
        """Keep other sealed values of these rows."""
        parameters = {"ids": list(values), "sealed": list(values.values())}
        await self.scope.execute(_SQL[f"change_{kind}"], parameters)

    async def heads(self) -> AsyncIterator[Sequence[tuple[UUID, TenantId | None, Head]]]:
        """The head of every chain of the audit log, by the id to change it by, a page at a time."""
        async for rows in self._pages(_SQL["heads"], nobody=_NOBODY):
            yield [
                (
                    row["id"],
                    row["tenant_id"],
                    Head(seq=row["seq"], digest=bytes(row["digest"]), signature=bytes(row["signature"])),
                )
                for row in rows
            ]

    async def change_signatures(self, signatures: Mapping[UUID, bytes]) -> None:
        """Keep other signatures of these heads."""
        parameters = {"ids": list(signatures), "signatures": list(signatures.values()), "nobody": _NOBODY}
        await self.scope.execute(_SQL["change_signatures"], parameters)

    async def set_passwords(self, passwords: Mapping[str, str]) -> None:
        """Give roles other passwords; only their SCRAM verifiers reach the server. The last thing to do."""
        await self._connection.execute(b"RESET ROLE")
        for role, password in passwords.items():
            verifier = self._connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
            await self._connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier.decode()))
            )

    async def _pages(self, query: Sql, **parameters: object) -> AsyncIterator[list[Row]]:
        after = _BEFORE_ALL
        while rows := await self.scope.fetch_all(query, {"after": after, "limit": _PAGE, **parameters}):
            yield rows
            after = rows[-1]["id"]


@asynccontextmanager
async def rotating(owner_url: str) -> AsyncGenerator[Rotation]:
    """Open a rotation, once nobody else works with keys; raises `psycopg.Error`, and then nothing is known of it."""
    connection = await psycopg.AsyncConnection[Row].connect(
        owner_url, autocommit=True, row_factory=dict_row, connect_timeout=10, application_name="bailiwick rotation"
    )
    async with connection:
        await connection.execute(b"SET search_path = bailiwick, pg_catalog")
        await connection.execute(b"SELECT pg_advisory_lock(%s)", (_LOCK,))
        async with connection.transaction():
            await connection.execute(_AS_OWNER)
            await connection.execute(_HOLD_WRITERS)
            yield Rotation(connection)


@contextmanager
def no_rotation(owner_url: str) -> Generator[None]:
    """Keep the key as it is for as long as the block lasts."""
    with psycopg.connect(owner_url, autocommit=True, connect_timeout=10) as connection:
        connection.execute("SELECT pg_advisory_lock_shared(%s)", (_LOCK,))
        yield


def kept_lasting_secret(owner_url: str, proposed: bytes | None = None) -> bytes | None:
    """The sealed lasting secret; `proposed` if there was none, None if there is none."""
    with psycopg.connect(owner_url, autocommit=True, connect_timeout=10) as connection, connection.transaction():
        connection.execute(_AS_OWNER)
        if proposed is not None:
            connection.execute(
                "INSERT INTO bailiwick.lasting_secret (sealed) VALUES (%s) ON CONFLICT DO NOTHING", (proposed,)
            )
        row = connection.execute("SELECT sealed FROM bailiwick.lasting_secret").fetchone()
    return None if row is None else _bytes(row)


def kept_check(owner_url: str) -> str | None:
    """The check value of the key that a database is kept with; None if it is kept with none that we can see."""
    with psycopg.connect(owner_url, autocommit=True, connect_timeout=10) as connection:
        return check_seen(connection)


def check_seen(connection: SyncConnection) -> str | None:
    """The same, of a connection that is there."""
    there = connection.execute(
        "SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'bailiwick' AND c.relname = 'installation'"
    ).fetchone()
    if there is None or not roles.may_act_as_owner(connection):
        return None
    with connection.transaction():
        connection.execute(_AS_OWNER)
        row = connection.execute("SELECT master_check FROM bailiwick.installation").fetchone()
    return None if row is None else str(row[0])


def _bytes(row: Iterable[object]) -> bytes:
    (value,) = row
    if not isinstance(value, bytes):
        msg = "what is kept of the lasting secret is no bytes"
        raise TypeError(msg)
    return value
