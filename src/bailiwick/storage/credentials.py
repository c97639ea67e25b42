"""Looks up credentials before any tenant is known (`storage/look_ups.py`): API keys, by the part that is no secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, final
from uuid import UUID

from bailiwick.domain.ids import KeyId, ProjectId, TenantId
from bailiwick.domain.limit_settings import parse_limits
from bailiwick.domain.permissions import ALL_SCOPES, CredentialKind, Permission
from bailiwick.domain.principal import Grant
from bailiwick.domain.tenancy import OnDisconnect
from bailiwick.storage.look_ups import LookUps
from bailiwick.storage.scope import Database, Row
from bailiwick.storage.sql import load

_SQL: Final = load("credentials")


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


@final
class CredentialLookup:
    """Reads API keys as the gateway's role. Belongs to one event loop."""

    def __init__(self, database: Database) -> None:
        self._look_ups = LookUps(database, _SQL["look_up_api_keys"], by="lookup_id")

    async def find_key(self, lookup_id: str) -> KeyOnFile | None:
        """The key with this look-up id, whatever its state; None if there is none. Raises `Unavailable`."""
        row = await self._look_ups.find(lookup_id)
        return None if row is None else _key(row)


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
            on_disconnect=OnDisconnect(row["on_disconnect"]),
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
