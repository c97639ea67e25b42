"""What one project took away, in the database; nothing is ever given back."""

from __future__ import annotations

from datetime import datetime
from typing import Final, final

from bailiwick.domain.ids import ProjectId, RevocationId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.revocations import Revocation, RevocationKind, RevocationSpec
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("revocations")


@final
class RevocationRows:
    """The revocations of a project of the tenant in scope; every query also says whose."""

    def __init__(self, scope: Scope, tenant_id: TenantId, project_id: ProjectId) -> None:
        self._scope = scope
        self._place = {"tenant": tenant_id, "project": project_id}

    async def find(self, revocation_id: RevocationId) -> Revocation | None:
        """One revocation; None if the project has none of this id."""
        values = {**self._place, "revocation": revocation_id}
        row = await self._scope.fetch_one(_SQL["find_revocation"], values)
        return None if row is None else _revocation(row)

    async def list(self, page: PageRequest) -> Page[Revocation]:
        """A page of the project's revocations."""
        return await self._page("list_revocations", page)

    async def latest(self, page: PageRequest) -> Page[Revocation]:
        """The same, the newest first."""
        return await self._page("latest_revocations", page)

    async def add(
        self, revocation_id: RevocationId, spec: RevocationSpec, *, at: datetime, created_by: str
    ) -> Revocation:
        """Take something away."""
        values = {"revocation": revocation_id, "kind": spec.kind.value, "value": spec.value, "at": at}
        row = await self._scope.fetch_one(_SQL["add_revocation"], {**self._place, **values, "created_by": created_by})
        if row is None:
            raise RuntimeError("an insert returned no row")
        return _revocation(row)

    async def _page(self, query: str, page: PageRequest) -> Page[Revocation]:
        values = {**self._place, "after": page.after, "limit": page.limit + 1}
        rows = await self._scope.fetch_all(_SQL[query], values)
        return Page.of([_revocation(row) for row in rows], page.limit)


def _revocation(row: Row) -> Revocation:
    return Revocation(
        id=RevocationId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        project_id=ProjectId(row["project_id"]),
        spec=RevocationSpec(kind=RevocationKind(row["kind"]), value=row["value"]),
        revoked_at=row["revoked_at"],
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
