"""What was used: of a tenant, the first page that a visitor sees, and of a project. One snapshot a page."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final, final

from starlette.responses import Response, StreamingResponse

from bailiwick.apps.dashboard.charts import SPANS, Span, refusals_shown, span_named, usage_charts
from bailiwick.apps.dashboard.page import Page, Piece, Visit
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
    tenant_id = ids.shown(ids.TENANT, tenant.id)

    async def draw() -> Piece:
        surveyed = await _survey(visit, span, tenant.id, None, GroupBy.PROJECT, GroupBy.MODEL)
        return _drawn(visit, "overview/figures.html", surveyed, tenant_id=tenant_id)

    return visit.show(
        "overview/page.html",
        tenants=[(ids.shown(ids.TENANT, one.id), one.name) for one in page.items],
        tenant=tenant,
        tenant_id=tenant_id,
        spans=SPANS,
        span=span,
        figures=await visit.site.pieces.get(_asked(visit, span, tenant.id, None), draw),
    )


async def show_usage(visit: Visit) -> Response:
    """A project's usage."""
    frame = await framed(visit, "usage")
    span = span_named(visit.asked("range"))

    async def draw() -> Piece:
        groups = (GroupBy.MODEL, GroupBy.KEY, GroupBy.AGENT, GroupBy.TIER)
        names = {ids.shown(ids.KEY, key_id): name for key_id, name in frame.key_names.items()}
        surveyed = await _survey(visit, span, *visit.at, *groups)
        return _drawn(visit, "projects/figures.html", surveyed, **frame.values, key_names=names)

    figures = await visit.site.pieces.get(_asked(visit, span, *visit.at), draw)
    return visit.show("projects/usage.html", **frame.values, spans=SPANS, span=span, figures=figures)


async def export_calls(visit: Visit) -> Response:
    """Every call of the span that the page shows, as a file."""
    tenant_id, project_id = visit.at
    query = span_named(visit.asked("range")).query(visit.plane.acts.now())
    export = Export(tenant_id=tenant_id, project_id=project_id, query=query, form=ExportFormat.CSV)
    pieces = await visit.plane.usage_export.begin(visit.actor, export)
    return StreamingResponse(pieces, media_type=export.form.media_type, headers={**HEADERS, **export.form.headers})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Surveyed:
    """What a page draws: a span over time and by group, and what was refused in it."""

    span: Span
    over_time: UsageReport
    groups: Mapping[GroupBy, UsageReport]
    refused: RefusalsReport


async def _survey(
    visit: Visit, span: Span, tenant_id: TenantId, project_id: ProjectId | None, *groups: GroupBy
) -> _Surveyed:
    now = visit.plane.acts.now()
    queries = [span.query(now), *(span.query(now, group, _MOST_ROWS) for group in groups)]
    (over_time, *grouped), refused = await visit.plane.usage.survey(tenant_id, project_id, queries)
    by = dict(zip(groups, grouped, strict=True))
    return _Surveyed(span=span, over_time=over_time, groups=by, refused=refused)


def _drawn(visit: Visit, template: str, surveyed: _Surveyed, **values: object) -> Piece:
    """The figures of a span; "" if nothing was called in it, and nothing refused."""
    usage = surveyed.over_time.total
    shown = {
        "usage": usage,
        "charts": usage_charts(surveyed.over_time, surveyed.span),
        "refused": refusals_shown(surveyed.refused),
        "rows": {by: sorted(report.groups, key=_most_first) for by, report in surveyed.groups.items()},
        "names": {by: _names(report) for by, report in surveyed.groups.items()},
    }
    return Piece(calls=usage.requests, html=visit.site.renderer.piece(template, {**values, **shown}))


def _most_first(group: Group) -> int:
    return -group.usage.requests


def _names(report: UsageReport) -> Mapping[str | None, str]:
    return {group.key: group.label for group in report.groups if group.label}


def _asked(visit: Visit, span: Span, tenant_id: TenantId, project_id: ProjectId | None) -> Hashable:
    """What tells one piece of usage from another."""
    return "usage", tenant_id, project_id, span.name, span.since(visit.plane.acts.now())


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
