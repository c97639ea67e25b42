"""Tenants in the database.

`TenantRows` works within one tenant, under the control role's own policies; `Tenants` spans them and needs a scope that
was opened by `Database.operating()`. Both filter by the tenant in the query as well: the policies are the second lock.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final, final
from uuid import UUID

from psycopg.errors import UniqueViolation

from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.tenancy import Slug, Status, Tenant, TenantSpec
from bailiwick.storage.conflicts import slug_taken
from bailiwick.storage.scope import Database, Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("tenants")


class Kind(StrEnum):
    """What an id of an address names."""

    TENANT = "tenant"
    PROJECT = "project"
    KEY = "key"
    PROVIDER = "provider"


async def tenant_of(database: Database, kind: Kind, wanted: UUID) -> TenantId | None:
    """Look up, before any tenant is in scope, which one an id belongs to; None if to none."""
    async with database.reading(None) as scope:
        row = await scope.fetch_one(_SQL["tenant_of"], {"kind": kind.value, "id": wanted})
    return None if row is None or row["tenant_id"] is None else TenantId(row["tenant_id"])


@final
class TenantRows:
    """The row of the tenant in scope."""

    def __init__(self, scope: Scope, tenant_id: TenantId) -> None:
        self._scope = scope
        self._tenant_id = tenant_id

    async def find(self) -> Tenant | None:
        """The tenant as it is."""
        row = await self._scope.fetch_one(_SQL["find_tenant"], {"tenant": self._tenant_id})
        return None if row is None else tenant_from(row)

    async def lock(self) -> Tenant | None:
        """The tenant as it is and stays until the end of the transaction."""
        row = await self._scope.fetch_one(_SQL["lock_tenant"], {"tenant": self._tenant_id})
        return None if row is None else tenant_from(row)

    async def hold(self) -> bool:
        """Keep the tenant from being removed until the end of the transaction; False if there is none."""
        return await self._scope.fetch_one(_SQL["hold_tenant"], {"tenant": self._tenant_id}) is not None

    async def change(self, spec: TenantSpec, slug: Slug) -> None:
        """Make the tenant what `spec` says; raises `Refused` (409) if the slug is taken."""
        values = {
            "tenant": self._tenant_id,
            "slug": slug,
            "name": spec.name,
            "status": spec.status.value,
            "default_project": spec.default_project,
        }
        try:
            await self._scope.execute(_SQL["change_tenant"], values)
        except UniqueViolation:
            raise slug_taken() from None

    async def remove(self) -> bool:
        """Remove the tenant and all that is its own, but for ledger and audit; False if there was none."""
        return await self._scope.execute(_SQL["remove_tenant"], {"tenant": self._tenant_id}) > 0


@final
class Tenants:
    """All tenants of the installation."""

    def __init__(self, scope: Scope) -> None:
        """`scope` is an operator's."""
        self._scope = scope

    async def list(self, page: PageRequest) -> Page[Tenant]:
        """A page of tenants."""
        rows = await self._scope.fetch_all(_SQL["list_tenants"], {"after": page.after, "limit": page.limit + 1})
        return Page.of([tenant_from(row) for row in rows], page.limit)

    async def add(
        self, tenant_id: TenantId, spec: TenantSpec, slug: Slug, *, created_at: datetime, created_by: str
    ) -> Tenant | None:
        """Add a tenant; None if the slug is taken."""
        values = {
            "tenant": tenant_id,
            "slug": slug,
            "name": spec.name,
            "status": spec.status.value,
            "created_at": created_at,
            "created_by": created_by,
        }
        row = await self._scope.fetch_one(_SQL["add_tenant"], values)
        return None if row is None else tenant_from(row)


def tenant_from(row: Row) -> Tenant:
    """The tenant of a row."""
    return Tenant(
        id=TenantId(row["id"]),
        name=row["name"],
        slug=Slug(row["slug"]),
        status=Status(row["status"]),
        stated_default=None if row["default_project"] is None else ProjectId(row["default_project"]),
        first_project=None if row["first_project"] is None else ProjectId(row["first_project"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
