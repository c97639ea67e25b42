"""Usage reports of projects and tenants, the same for the control plane and for a project's own keys."""

from __future__ import annotations

from typing import final

from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.usage_report import UsageQuery, UsageReport
from bailiwick.services.absence import found
from bailiwick.storage.scope import Database
from bailiwick.storage.usage import UsageRows


@final
class UsageReports:
    """Counts every call settled so far, within one tenant."""

    def __init__(self, database: Database) -> None:
        """`database` is that of the process that asks: the gateway's and the control process's roles may both."""
        self._database = database

    async def report(
        self, tenant_id: TenantId, project_id: ProjectId | None, query: UsageQuery, *, uid: str | None = None
    ) -> UsageReport:
        """A page of groups and the total of a project, or of a whole tenant for None; of one end user only with `uid`.

        Raises `Refused` (404) if there is no such tenant, or it has no such project; `Invalid`, `Unavailable`.
        """
        async with self._database.surveying(tenant_id) as scope:
            return await found(await UsageRows.of(scope, tenant_id, project_id)).report(query, uid=uid)
