"""The API keys of one tenant in the database. Digests go in; nothing here reads one back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from psycopg.types.json import Jsonb

from bailiwick.domain.credentials import ApiKey, KeySpec, Lifetime
from bailiwick.domain.ids import KeyId, ProjectId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.permissions import Permission
from bailiwick.domain.tools import tool_rules
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("keys")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ListedKey:
    """A key, and when the latest of its calls was opened that the roll-ups know; None if there is none."""

    key: ApiKey
    used_at: datetime | None


@final
class KeyRows:
    """The keys of the tenant in scope; every query also says whose.

    `project_id` None finds a key of any project of the tenant.
    """

    def __init__(self, scope: Scope, tenant_id: TenantId, project_id: ProjectId | None) -> None:
        self._scope = scope
        self._place = {"tenant": tenant_id, "project": project_id}

    async def find(self, key_id: KeyId) -> ApiKey | None:
        """One key; None if there is none of this id in this place."""
        return await self._one("find_key", {"key": key_id})

    async def lock(self, key_id: KeyId) -> ApiKey | None:
        """One key as it is and stays until the end of the transaction."""
        return await self._one("lock_key", {"key": key_id})

    async def list(self, page: PageRequest) -> Page[ListedKey]:
        """A page of a project's keys, each with when it was last used."""
        values = {**self._place, "after": page.after, "limit": page.limit + 1}
        rows = await self._scope.fetch_all(_SQL["list_keys"], values)
        return Page.of([ListedKey(key=_key(row), used_at=row["used_at"]) for row in rows], page.limit)

    async def add(
        self,
        key_id: KeyId,
        spec: KeySpec,
        *,
        lookup_id: str,
        digest: bytes,
        created_at: datetime,
        created_by: str,
    ) -> ApiKey:
        """Add a key to the project."""
        row = await self._scope.fetch_one(
            _SQL["add_key"],
            {
                **self._place,
                **_settable(spec),
                "key": key_id,
                "lookup_id": lookup_id,
                "digest": digest,
                "created_at": created_at,
                "created_by": created_by,
            },
        )
        if row is None:
            raise RuntimeError("an insert returned no row")
        return _key(row)

    async def change(self, key_id: KeyId, spec: KeySpec) -> ApiKey | None:
        """Make a key what `spec` says."""
        return await self._one("change_key", {"key": key_id, **_settable(spec)})

    async def rotate(self, key_id: KeyId, *, digest: bytes, previous_until: datetime | None) -> ApiKey | None:
        """Replace a key's digest; the one before stays good until `previous_until`, not at all if None."""
        return await self._one("rotate_key", {"key": key_id, "digest": digest, "previous_until": previous_until})

    async def revoke(self, key_id: KeyId, at: datetime) -> ApiKey | None:
        """End a key; None if there is none, or it was revoked before."""
        return await self._one("revoke_key", {"key": key_id, "revoked_at": at})

    async def remove(self, key_id: KeyId) -> bool:
        """Remove a key; False if there was none."""
        return await self._scope.execute(_SQL["remove_key"], {**self._place, "key": key_id}) > 0

    async def _one(self, query: str, values: dict[str, object]) -> ApiKey | None:
        row = await self._scope.fetch_one(_SQL[query], {**self._place, **values})
        return None if row is None else _key(row)


def _settable(spec: KeySpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "scopes": [permission.value for permission in Permission if permission in spec.scopes],
        "models": None if spec.models is None else list(spec.models),
        "agents": None if spec.agents is None else list(spec.agents),
        "tools": None if spec.tools is None else Jsonb(spec.tools.document()),
        "act_as": spec.act_as,
        "tier": spec.tier,
        "ip_allow": None if spec.ip_allow is None else list(spec.ip_allow),
        "expires_at": spec.expires_at,
    }


def _key(row: Row) -> ApiKey:
    return ApiKey(
        id=KeyId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        project_id=ProjectId(row["project_id"]),
        lookup_id=row["lookup_id"],
        spec=KeySpec(
            name=row["name"],
            scopes=frozenset(map(Permission, row["scopes"])),
            models=None if row["models"] is None else tuple(row["models"]),
            agents=None if row["agents"] is None else tuple(row["agents"]),
            tools=tool_rules("tools", row["tools"]),
            act_as=row["act_as"],
            tier=row["tier"],
            ip_allow=None if row["ip_allow"] is None else tuple(row["ip_allow"]),
            expires_at=row["expires_at"],
        ),
        lifetime=Lifetime(
            expires_at=row["expires_at"], revoked_at=row["revoked_at"], previous_until=row["previous_until"]
        ),
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
