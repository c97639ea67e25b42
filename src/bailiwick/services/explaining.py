"""Why a call went as it went, for operators: `domain/explanation.py`, over what the database still knows of it."""

from __future__ import annotations

from typing import final
from uuid import UUID

from bailiwick.domain.explanation import Found, RefusedCall
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.services.absence import found, not_found
from bailiwick.storage import refused_calls
from bailiwick.storage.scope import Database


@final
class Explaining:
    """Finds calls by the ids of their requests."""

    def __init__(self, database: Database) -> None:
        """`database` is the control process's."""
        self._database = database

    async def tenant_of(self, request_id: UUID) -> TenantId:
        """Whose call this is; raises `Refused` (404)."""
        return found(await refused_calls.tenant_of_request(self._database, request_id))

    async def find(self, tenant_id: TenantId, request_id: UUID) -> Found:
        """A call of a tenant, refused, open or settled; raises `Refused` (404)."""
        async with self._database.surveying(tenant_id) as scope:
            call = await refused_calls.find(scope, tenant_id, request_id)
        if call is None:
            raise not_found()
        return call

    async def refused(
        self, tenant_id: TenantId, project_id: ProjectId | None, uid: str | None, page: PageRequest
    ) -> Page[RefusedCall]:
        """The refused calls of a tenant, the newest first; of one project, or of one end user, if it is named."""
        async with self._database.reading(tenant_id) as scope:
            return await refused_calls.newest(scope, tenant_id, project_id, uid, page)
