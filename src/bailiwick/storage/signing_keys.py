"""The keys that sign tokens, in the database: their secrets are sealed, each for its own row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final
from uuid import UUID

import msgspec

from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("signing_keys")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSigningKey:
    """A key as stored: it signs from `signs_from` until the next one does."""

    id: UUID
    kid: str
    public_jwk: Mapping[str, str]
    secret: bytes
    signs_from: datetime
    created_at: datetime
    created_by: str


async def find_all(scope: Scope) -> list[StoredSigningKey]:
    """Every key, the first to sign first."""
    return [StoredSigningKey(**row) for row in await scope.fetch_all(_SQL["list_signing_keys"])]


async def hold(scope: Scope) -> None:
    """Let nobody else add a key until the end of the transaction."""
    await scope.execute(_SQL["lock_signing_keys"])


async def add(scope: Scope, key: StoredSigningKey) -> None:
    """Add a key, in an operator's scope."""
    values = {
        "id": key.id,
        "kid": key.kid,
        "public_jwk": msgspec.json.encode(key.public_jwk).decode(),
        "secret": key.secret,
        "signs_from": key.signs_from,
        "created_at": key.created_at,
        "created_by": key.created_by,
    }
    await scope.execute(_SQL["add_signing_key"], values)


async def remove(scope: Scope, kid: str) -> None:
    """Forget a key, in an operator's scope."""
    await scope.execute(_SQL["remove_signing_key"], {"kid": kid})


@final
class SigningKeyLookup:
    """Reads them as the gateway's role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_all(self) -> list[StoredSigningKey]:
        """Every key, the first to sign first; raises `Unavailable`."""
        async with self._database.reading(None) as scope:
            return await find_all(scope)
