"""Operator keys in the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from bailiwick.domain.credentials import Lifetime, OperatorKey
from bailiwick.domain.ids import OperatorKeyId
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("operators")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorKeyOnFile:
    """What is stored of an operator key; `digest` is HMAC-SHA-256 under the operators' pepper."""

    key: OperatorKey
    digest: bytes


@final
class OperatorLookup:
    """Reads operator keys, one by its look-up id, as the control process's role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_key(self, lookup_id: str) -> OperatorKeyOnFile | None:
        """The key with this look-up id, whatever its state; None if there is none. Raises `Unavailable`."""
        async with self._database.reading(None) as scope:
            row = await scope.fetch_one(_SQL["look_up_operator_key"], {"lookup_id": lookup_id})
        if row is None:
            return None
        lifetime = Lifetime(expires_at=row["expires_at"], revoked_at=row["revoked_at"])
        key = OperatorKey(id=OperatorKeyId(row["id"]), name=row["name"], lifetime=lifetime)
        return OperatorKeyOnFile(key=key, digest=bytes(row["digest"]))


async def add_operator_key(
    scope: Scope,
    key: OperatorKey,
    *,
    lookup_id: str,
    digest: bytes,
    created_at: datetime,
    created_by: str,
) -> None:
    """Add an operator key, in an operator's scope."""
    await scope.execute(
        _SQL["add_operator_key"],
        {
            "key": key.id,
            "name": key.name,
            "lookup_id": lookup_id,
            "digest": digest,
            "expires_at": key.lifetime.expires_at,
            "created_at": created_at,
            "created_by": created_by,
        },
    )
