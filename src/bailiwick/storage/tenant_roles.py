"""A tenant's own roles in the database, and the names of those that are gone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, final

from psycopg.errors import ForeignKeyViolation
from psycopg.types.json import Jsonb

from bailiwick.domain.ids import RoleId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.roles import Role, RoleSpec, role_spec
from bailiwick.storage.conflicts import role_held, role_name_taken
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("tenant_roles")


@final
class RoleRows:
    """The roles of the tenant in scope; every query also says whose."""

    def __init__(self, scope: Scope, tenant_id: TenantId) -> None:
        self._scope = scope
        self._place = {"tenant": tenant_id}

    async def find(self, role_id: RoleId) -> Role | None:
        """One role; None if the tenant has none of this id."""
        return await self._one("find_role", {"role": role_id})

    async def lock(self, role_id: RoleId) -> Role | None:
        """One role as it is and stays until the end of the transaction."""
        return await self._one("lock_role", {"role": role_id})

    async def list(self, page: PageRequest) -> Page[Role]:
        """A page of the tenant's roles."""
        values = {**self._place, "after": page.after, "limit": page.limit + 1}
        rows = await self._scope.fetch_all(_SQL["list_roles"], values)
        return Page.of([_role(row) for row in rows], page.limit)

    async def count(self) -> int:
        """How many roles the tenant has."""
        row = await self._scope.fetch_one(_SQL["count_roles"], self._place)
        return 0 if row is None else int(row["roles"])

    async def add(self, role_id: RoleId, spec: RoleSpec, *, created_at: datetime, created_by: str) -> Role:
        """Add a role; raises `Refused` (409) if its name is taken."""
        values = {**_settable(spec), "role": role_id, "name": spec.name, "created_at": created_at}
        added = await self._one("add_role", {**values, "created_by": created_by})
        if added is None:
            raise role_name_taken()
        await self._scope.execute(_SQL["revive_role"], {**self._place, "name": spec.name})
        return added

    async def change(self, role_id: RoleId, spec: RoleSpec) -> Role | None:
        """Make a role what `spec` says; its name stays."""
        return await self._one("change_role", {"role": role_id, **_settable(spec)})

    async def remove(self, role: Role, at: datetime) -> None:
        """Remove a role, whose name then holds nothing; raises `Refused` (409) while members have it."""
        try:
            await self._scope.execute(_SQL["remove_role"], {**self._place, "role": role.id})
        except ForeignKeyViolation:
            raise role_held() from None
        await self._scope.execute(_SQL["bury_role"], {**self._place, "name": role.spec.name, "at": at})

    async def _one(self, query: str, values: Mapping[str, object]) -> Role | None:
        row = await self._scope.fetch_one(_SQL[query], {**self._place, **values})
        return None if row is None else _role(row)


def _settable(spec: RoleSpec) -> dict[str, object]:
    return {
        "permissions": sorted(spec.permissions),
        "models": None if spec.models is None else list(spec.models),
        "tools": None if spec.tools is None else Jsonb(spec.tools.document()),
        "agents": None if spec.agents is None else list(spec.agents),
    }


def _role(row: Row) -> Role:
    return Role(
        id=RoleId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        spec=role_spec(
            name=row["name"],
            permissions=row["permissions"],
            models=row["models"],
            tools=row["tools"],
            agents=row["agents"],
        ),
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
