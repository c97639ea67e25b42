"""What was used: of a tenant, the first page that a visitor sees, and of a project. One snapshot a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.responses import Response, StreamingResponse

from bailiwick.apps.dashboard.charts import SPANS, Span, refusals_shown, span_named, usage_charts
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.choices import tenant_named
from bailiwick.apps.dashboard.pages.projects import framed
from bailiwick.apps.dashboard.rendering import HEADERS
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.paging import MAX_LIMIT, PageRequest
from bailiwick.domain.refusals import RefusalsReport
from bailiwick.domain.tenancy import Tenant
from bailiwick.domain.usage_export import ExportFormat
from bailiwick.domain.usage_report import Group, GroupBy, UsageReport
from bailiwick.services.absence import found
from bailiwick.services.usage_export import Export

_READ: Final = AdminPermission.USAGE_READ
_MOST_ROWS: Final = 200
_EVERYTHING: Final = PageRequest(limit=MAX_LIMIT)


async def show_overview(visit: Visit) -> Response:
    """A tenant's usage: the visitor's own, or one that an operator of the installation chooses."""
    page = await visit.plane.provisioning.list_tenants(visit.actor, _EVERYTHING)
    tenant = _chosen(visit, page.items)
    if tenant is None:
        return visit.show("overview/nothing.html")
    span = span_named(visit.asked("range"))
    by_time, by_project, by_model = await _survey(visit, span, tenant.id, None, GroupBy.PROJECT, GroupBy.MODEL)
    refused = await visit.plane.usage.refusals(tenant.id, None, span.query(visit.plane.acts.now()), is_there=True)
    names = {group.key: group.label for group in by_project.groups if group.label}
    return visit.show(
        "overview/page.html",
        tenants=[(ids.shown(ids.TENANT, one.id), one.name) for one in page.items],
        tenant=tenant,
        tenant_id=ids.shown(ids.TENANT, tenant.id),
        **_shown(span, by_time, refused),
        by_project=_rows(by_project),
        names=names,
        by_model=_rows(by_model),
    )


async def show_usage(visit: Visit) -> Response:
    """A project's usage."""
    frame = await framed(visit, "usage")
    span = span_named(visit.asked("range"))
    groups = (GroupBy.MODEL, GroupBy.KEY, GroupBy.AGENT, GroupBy.TIER)
    by_time, by_model, by_key, by_agent, by_tier = await _survey(visit, span, *visit.at, *groups)
    refused = await visit.plane.usage.refusals(*visit.at, span.query(visit.plane.acts.now()), is_there=True)
    names: Mapping[str, str] = {ids.shown(ids.KEY, key_id): name for key_id, name in frame.key_names.items()}
    values = {
        **_shown(span, by_time, refused),
        "by_model": _rows(by_model),
        "by_key": _rows(by_key),
        "names": names,
        "by_agent": _rows(by_agent),
        "agent_names": {group.key: group.label for group in by_agent.groups if group.label},
        "by_tier": _rows(by_tier),
    }
    return visit.show("projects/usage.html", **frame.values, **values)


async def export_calls(visit: Visit) -> Response:
    """Every call of the span that the page shows, as a file."""
    tenant_id, project_id = visit.at
    query = span_named(visit.asked("range")).query(visit.plane.acts.now())
    export = Export(tenant_id=tenant_id, project_id=project_id, query=query, form=ExportFormat.CSV)
    pieces = await visit.plane.usage_export.begin(visit.actor, export)
    return StreamingResponse(pieces, media_type=export.form.media_type, headers={**HEADERS, **export.form.headers})


async def _survey(
    visit: Visit, span: Span, tenant_id: TenantId, project_id: ProjectId | None, *groups: GroupBy
) -> Sequence[UsageReport]:
    now = visit.plane.acts.now()
    queries = [span.query(now), *(span.query(now, group, _MOST_ROWS) for group in groups)]
    return await visit.plane.usage.survey(tenant_id, project_id, queries)


def _shown(span: Span, report: UsageReport, refused: RefusalsReport) -> dict[str, object]:
    charts = usage_charts(report, span)
    return {"spans": SPANS, "span": span, "usage": report.total, "charts": charts, "refused": refusals_shown(refused)}


def _rows(report: UsageReport) -> list[Group]:
    """The groups, those with the most requests first."""
    return sorted(report.groups, key=lambda group: -group.usage.requests)


def _chosen(visit: Visit, tenants: tuple[Tenant, ...]) -> Tenant | None:
    """The tenant that the address names, the first if it names none; raises `Refused` (404)."""
    asked = visit.asked("tenant")
    if not asked:
        return tenants[0] if tenants else None
    tenant_id = tenant_named(visit, asked)
    return found(next((tenant for tenant in tenants if tenant.id == tenant_id), None))


PAGES: Final = (
    Page(path="", handler=show_overview, needs=_READ, confined=True),
    Page(path="/projects/{project_id}/usage", handler=show_usage, needs=_READ),
    Page(path="/projects/{project_id}/usage/calls.csv", handler=export_calls, needs=_READ),
)
