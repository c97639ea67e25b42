"""Operator keys in the database. They are read by their look-up id before anybody is known to ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from bailiwick.domain.credentials import Lifetime
from bailiwick.domain.ids import OperatorKeyId, TenantId
from bailiwick.domain.operators import OperatorKey, OperatorRole
from bailiwick.storage.scope import Database, Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("operators")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorKeyOnFile:
    """What is stored of an operator key; digests are HMAC-SHA-256 under the operators' pepper."""

    key: OperatorKey
    digest: bytes
    previous_digest: bytes | None


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
        return OperatorKeyOnFile(
            key=_key(row),
            digest=bytes(row["digest"]),
            previous_digest=None if row["previous_digest"] is None else bytes(row["previous_digest"]),
        )


async def add_operator_key(scope: Scope, key: OperatorKey, *, digest: bytes) -> None:
    """Add an operator key: a tenant's in its scope, the installation's in an operator's."""
    await scope.execute(
        _SQL["add_operator_key"],
        {
            "key": key.id,
            "tenant": key.tenant_id,
            "name": key.name,
            "role": key.role.value,
            "lookup_id": key.lookup_id,
            "digest": digest,
            "expires_at": key.lifetime.expires_at,
            "created_at": key.created_at,
            "created_by": key.created_by,
        },
    )


def _key(row: Row) -> OperatorKey:
    return OperatorKey(
        id=OperatorKeyId(row["id"]),
        name=row["name"],
        role=OperatorRole(row["role"]),
        tenant_id=None if row["tenant_id"] is None else TenantId(row["tenant_id"]),
        lookup_id=row["lookup_id"],
        lifetime=Lifetime(
            expires_at=row["expires_at"], revoked_at=row["revoked_at"], previous_until=row["previous_until"]
        ),
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
