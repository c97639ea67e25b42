"""Usage reports of projects and tenants, the same for the control plane and for a project's own keys.

A report may read for half a minute, and no limit counts those who ask: a tenant has two at a time, so that there are
connections for the reports of others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final, final
from weakref import WeakValueDictionary

from bailiwick.domain.errors import Unavailable
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.paging import Page
from bailiwick.domain.price_versions import KeptVersion
from bailiwick.domain.refusals import RefusalsReport
from bailiwick.domain.usage_report import UsageQuery, UsageReport
from bailiwick.services.absence import not_found
from bailiwick.storage import price_history, refused_calls
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.usage import UsageRows

_AT_ONCE: Final = 2
_PATIENCE_SECONDS: Final = 3.0


@final
class UsageReports:
    """Counts every call settled so far, within one tenant."""

    def __init__(self, database: Database) -> None:
        """`database` is that of the process that asks: the gateway's and the control process's roles may both."""
        self._database = database
        # Of the tenants that have one at the moment.
        self._turns: WeakValueDictionary[TenantId, asyncio.Semaphore] = WeakValueDictionary()

    async def report(
        self, tenant_id: TenantId, project_id: ProjectId | None, query: UsageQuery, *, uid: str | None = None
    ) -> UsageReport:
        """A page of groups and the total of a project, or of a whole tenant for None; of one end user only with `uid`.

        Raises `Refused` (404) if there is no such tenant, or it has no such project; `Invalid`, `Unavailable`.
        """
        async with self._survey(tenant_id) as scope:
            rows = UsageRows(scope, tenant_id, project_id)
            if not await rows.exist():
                raise not_found()
            return await rows.report(query, uid=uid)

    async def survey(
        self, tenant_id: TenantId, project_id: ProjectId | None, queries: Sequence[UsageQuery]
    ) -> tuple[Sequence[UsageReport], RefusalsReport]:
        """First pages of reports of one span, and what was refused in it, all of one moment.

        Of what is not there, nothing. Raises `Invalid`, `Unavailable`.
        """
        async with self._survey(tenant_id) as scope:
            return await UsageRows(scope, tenant_id, project_id).survey_with_refusals(queries)

    async def refusals(self, tenant_id: TenantId, project_id: ProjectId | None, query: UsageQuery) -> RefusalsReport:
        """How many calls were refused in the span of `query`, over time; raises as `report` does."""
        async with self._database.reading(tenant_id) as scope:
            if not await UsageRows(scope, tenant_id, project_id).exist():
                raise not_found()
            return await refused_calls.report(scope, tenant_id, project_id, query)

    async def prices(self, tenant_id: TenantId, *, after: int, limit: int) -> Page[KeptVersion]:
        """A page of the versions of prices that calls of a tenant were charged by; raises `Refused` (404)."""
        async with self._database.reading(tenant_id) as scope:
            if not await UsageRows(scope, tenant_id, None).exist():
                raise not_found()
            return await price_history.list_versions(scope, tenant_id, after=after, limit=limit)

    @asynccontextmanager
    async def _survey(self, tenant_id: TenantId) -> AsyncGenerator[Scope]:
        """One moment of a tenant's usage, once it is the tenant's turn."""
        turns = self._turns.setdefault(tenant_id, asyncio.Semaphore(_AT_ONCE))
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await turns.acquire()
        except TimeoutError:
            raise Unavailable(cause="other reports of the tenant are being read") from None
        try:
            async with self._database.surveying(tenant_id) as scope:
                yield scope
        finally:
            turns.release()
