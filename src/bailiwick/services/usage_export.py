"""Hands out the ledger's rows, a page a transaction, so that a long export holds nothing up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import final

from bailiwick.domain import ids
from bailiwick.domain.audit import Actor
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.times import written
from bailiwick.domain.usage_export import ExportFormat, head, lines
from bailiwick.domain.usage_report import UsageQuery
from bailiwick.services.absence import not_found
from bailiwick.services.acts import Acts
from bailiwick.storage.scope import Database
from bailiwick.storage.usage import UsageRows
from bailiwick.storage.usage_export import PAGE, settled_calls


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What is exported: a tenant's calls, or those of one of its projects, within a span."""

    tenant_id: TenantId
    project_id: ProjectId | None
    query: UsageQuery
    form: ExportFormat


@final
class UsageExport:
    """Exports every call that is settled by then."""

    def __init__(self, database: Database, acts: Acts) -> None:
        """`database` is the control process's."""
        self._database = database
        self._acts = acts

    async def begin(self, actor: Actor, export: Export) -> AsyncIterator[bytes]:
        """The export in pieces, after an entry that says who took it; raises `Refused` (404)."""
        tenant_id, project_id = export.tenant_id, export.project_id
        async with self._database.acting(tenant_id) as scope:
            if not await UsageRows(scope, tenant_id, project_id).exist():
                raise not_found()
            place = (ids.TENANT, tenant_id) if project_id is None else (ids.PROJECT, project_id)
            span = {"from": written(export.query.since), "to": written(export.query.until)}
            await self._acts.record(
                scope,
                actor,
                "usage.export",
                ids.shown(*place),
                tenant_id=tenant_id,
                detail={**span, "format": export.form.value},
            )
        return self._pieces(export)

    async def _pieces(self, export: Export) -> AsyncIterator[bytes]:
        yield head(export.form)
        last = None
        while True:
            async with self._database.reading(export.tenant_id) as scope:
                calls = await settled_calls(scope, export.tenant_id, export.project_id, export.query, last)
            yield lines(export.form, calls)
            if len(calls) < PAGE:
                return
            last = calls[-1]
