"""Looks up credentials before any tenant is known: by exact ids, through a function that can do nothing else.

Whoever knows the form of a key can ask for any number of keys that nobody has. So a look-up takes no connection of its
own: those that arrive while one batch is being read leave together in the next. However many they are, a key that
exists waits for a few readings, and one connection serves them all.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final
from uuid import UUID

from bailiwick.domain.ids import KeyId, ProjectId, TenantId
from bailiwick.domain.limit_settings import parse_limits
from bailiwick.domain.permissions import ALL_SCOPES, CredentialKind, Permission
from bailiwick.domain.principal import Grant
from bailiwick.storage.scope import Database, Row
from bailiwick.storage.sql import load

_SQL: Final = load("credentials")
_MOST_AT_ONCE: Final = 500


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOnFile:
    """What is stored of an API key. Digests are HMAC-SHA-256 under the pepper, 32 bytes."""

    lookup_id: str
    grant: Grant
    digest: bytes
    previous_digest: bytes | None
    previous_until: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


_Asked = tuple[str, asyncio.Future[Row | None]]


@final
class CredentialLookup:
    """Reads API keys as the gateway's role. Belongs to one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Asked] = []
        self._reading: asyncio.Task[None] | None = None

    async def find_key(self, lookup_id: str) -> KeyOnFile | None:
        """The key with this look-up id, whatever its state; None if there is none. Raises `Unavailable`."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Row | None] = loop.create_future()
        self._waiting.append((lookup_id, found))
        if self._reading is None:
            self._reading = loop.create_task(self._read_waiting())
        row = await found
        return None if row is None else _key(row)

    async def _read_waiting(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
                await self._read(batch)
        finally:
            self._reading = None

    async def _read(self, batch: list[_Asked]) -> None:
        try:
            async with self._database.reading(None) as scope:
                rows = await scope.fetch_all(_SQL["look_up_api_keys"], ([lookup_id for lookup_id, _ in batch],))
        except Exception as trouble:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            # It is also that of those behind: they would only wait as long again to be told the same.
            batch, self._waiting = batch + self._waiting, []
            for _, found in batch:
                if not found.done():
                    found.set_exception(trouble)
            return
        by_id = {row["lookup_id"]: row for row in rows}
        for lookup_id, found in batch:
            if not found.done():
                found.set_result(by_id.get(lookup_id))


def _key(row: Row) -> KeyOnFile:
    scopes = frozenset(Permission(scope) for scope in row["scopes"]) & ALL_SCOPES
    return KeyOnFile(
        lookup_id=row["lookup_id"],
        grant=Grant(
            kind=CredentialKind.API_KEY,
            tenant_id=TenantId(_uuid(row["tenant_id"])),
            project_id=ProjectId(_uuid(row["project_id"])),
            project_slug=str(row["project_slug"]),
            key_id=KeyId(_uuid(row["id"])),
            scopes=scopes if row["act_as"] else scopes - {Permission.USERS_ACT_AS},
            models=None if row["models"] is None else tuple(row["models"]),
            limits=parse_limits(row["limits"]),
            require_end_user=bool(row["require_end_user"]),
            tenant_active=row["tenant_status"] == "active",
            project_active=row["project_status"] == "active",
            bucket=row["project_id"].hex,
            key_bucket=row["id"].hex,
        ),
        digest=bytes(row["digest"]),
        previous_digest=None if row["previous_digest"] is None else bytes(row["previous_digest"]),
        previous_until=row["previous_until"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )


def _uuid(value: object) -> UUID:
    if not isinstance(value, UUID):
        raise TypeError(value)
    return value
