"""Usage reports of one project, the same for the control plane and for the project's own keys."""

from __future__ import annotations

from typing import final

from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.usage_report import UsageQuery, UsageReport
from bailiwick.services.absence import found
from bailiwick.storage import usage
from bailiwick.storage.projects import ProjectRows
from bailiwick.storage.scope import LONG_SECONDS, Database


@final
class UsageReports:
    """Counts every call settled so far, by reading the ledger within one tenant."""

    def __init__(self, database: Database) -> None:
        """`database` is that of the process that asks: the gateway's and the control process's roles may both."""
        self._database = database

    async def report(
        self, tenant_id: TenantId, project_id: ProjectId, query: UsageQuery, *, uid: str | None = None
    ) -> UsageReport:
        """A page of groups and the total; of one end user only if `uid` is given.

        Raises `Refused` (404) if the tenant has no such project, `Invalid`, `Unavailable`.
        """
        async with self._database.reading(tenant_id, seconds=LONG_SECONDS) as scope:
            found(await ProjectRows(scope, tenant_id).find(project_id))
            return await usage.by_group(scope, tenant_id, project_id, query, uid=uid)
