"""Operator keys in the database.

They are recognized by their look-up id before anybody is known to ask. `OperatorKeyRows` works within what an operator
reaches: within its tenant under that tenant's policies, or in a scope of `Database.operating()`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from bailiwick.domain.credentials import Lifetime
from bailiwick.domain.ids import OperatorKeyId, TenantId
from bailiwick.domain.operators import OperatorKey, OperatorRole
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.storage.scope import Database, Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("operator_keys")


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


@final
class OperatorKeyRows:
    """The operator keys of one tenant, or all of them. Digests go in; nothing here reads one back."""

    def __init__(self, scope: Scope, reach: TenantId | None) -> None:
        """`reach` is the tenant in scope; None in an operator's scope."""
        self._scope = scope
        self._reach = {"tenant": reach}

    async def find(self, key_id: OperatorKeyId) -> OperatorKey | None:
        """One key."""
        return await self._one("find_operator_key", {"key": key_id})

    async def lock(self, key_id: OperatorKeyId) -> OperatorKey | None:
        """One key as it is and stays until the end of the transaction."""
        return await self._one("lock_operator_key", {"key": key_id})

    async def list(self, page: PageRequest) -> Page[OperatorKey]:
        """A page of keys."""
        values = {**self._reach, "after": page.after, "limit": page.limit + 1}
        rows = await self._scope.fetch_all(_SQL["list_operator_keys"], values)
        return Page.of([_key(row) for row in rows], page.limit)

    async def rename(self, key_id: OperatorKeyId, name: str) -> OperatorKey | None:
        """Give a key another name; returns it as it is then."""
        return await self._one("rename_operator_key", {"key": key_id, "name": name})

    async def rotate(
        self, key_id: OperatorKeyId, *, digest: bytes, previous_until: datetime | None
    ) -> OperatorKey | None:
        """Give a key another secret; returns it as it is then."""
        values = {"key": key_id, "digest": digest, "previous_until": previous_until}
        return await self._one("rotate_operator_key", values)

    async def revoke(self, key_id: OperatorKeyId, at: datetime) -> OperatorKey | None:
        """End a key; None if it was revoked before."""
        return await self._one("revoke_operator_key", {"key": key_id, "revoked_at": at})

    async def remove(self, key_id: OperatorKeyId) -> bool:
        """Remove a key; False if there was none."""
        return await self._scope.execute(_SQL["remove_operator_key"], {**self._reach, "key": key_id}) > 0

    async def _one(self, query: str, values: dict[str, object]) -> OperatorKey | None:
        row = await self._scope.fetch_one(_SQL[query], {**self._reach, **values})
        return None if row is None else _key(row)


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
