"""`/admin/v1/projects/{id}/usage` and `/admin/v1/tenants/{id}/usage`."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from starlette.responses import StreamingResponse

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtProject, AtTenant, AtTenantOrProject, Limit
from bailiwick.apps.admin.price_shown import PriceVersionsShown
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import RefusalsShown, UsageReportShown
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.fields import Findings, invalid
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.paging import DEFAULT_LIMIT, read_limit
from bailiwick.domain.price_versions import read_version, shown_version
from bailiwick.domain.usage_export import ExportFormat, read_format
from bailiwick.domain.usage_report import OF_TENANTS, PARAMETERS, usage_query
from bailiwick.services.usage_export import Export

_OF_PROJECT: Final = "/admin/v1/projects/{project_id}/usage"
_OF_TENANT: Final = "/admin/v1/tenants/{tenant_id}/usage"

_REFUSED_OF_PROJECT: Final = "/admin/v1/projects/{project_id}/refusals"
_REFUSED_OF_TENANT: Final = "/admin/v1/tenants/{tenant_id}/refusals"

_PRICES: Final = "/admin/v1/tenants/{tenant_id}/prices"

_EXPORTED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {form.media_type.partition(";")[0]: {"schema": {"type": "string"}} for form in ExportFormat},
        "description": "A call a line.",
    }
}

router = APIRouter(route_class=ControlRoute, tags=["usage"])


Since = Annotated[str | None, Query(alias="from", description="RFC 3339; the start of the month of `to`.")]
Until = Annotated[str | None, Query(alias="to", description="RFC 3339, not counted; now.")]


def _span(since: Since = None, until: Until = None) -> dict[str, str]:
    return {name: text for name, text in (("from", since), ("to", until)) if text is not None}


def _asked(
    since: Since = None,
    until: Until = None,
    group_by: Annotated[
        str | None,
        Query(
            description="day (the default), hour, project, model, provider, key, agent, tier; "
            "of a project also user and session."
        ),
    ] = None,
    limit: Limit = None,
    after: After = None,
) -> dict[str, str]:
    given = dict(zip(PARAMETERS, (since, until, group_by, limit, after), strict=True))
    return {name: text for name, text in given.items() if text is not None}


Form = Annotated[str | None, Query(alias="format", description="jsonl (the default) or csv.")]
Asked = Annotated[dict[str, str], Depends(_asked)]
Span = Annotated[dict[str, str], Depends(_span)]


@router.get(
    _OF_PROJECT,
    response_model=UsageReportShown,
    response_model_exclude_unset=True,
    openapi_extra=needs(AdminPermission.USAGE_READ),
)
async def read_usage(plane: Plane, at: AtProject, asked: Asked) -> Document:
    """Report what a project's settled calls used, in groups."""
    report = await plane.usage.report(*at, usage_query(asked, plane.acts.now()))
    return report.document()


@router.get(
    _OF_TENANT,
    response_model=UsageReportShown,
    response_model_exclude_unset=True,
    openapi_extra=needs(AdminPermission.USAGE_READ),
)
async def read_tenant_usage(plane: Plane, tenant_id: AtTenant, asked: Asked) -> Document:
    """Report what the settled calls of all of a tenant's projects used, in groups; of removed ones too."""
    report = await plane.usage.report(tenant_id, None, usage_query(asked, plane.acts.now(), OF_TENANTS))
    return report.document()


@router.get(
    f"{_OF_PROJECT}/export",
    response_class=StreamingResponse,
    responses=_EXPORTED,
    openapi_extra=needs(AdminPermission.USAGE_READ),
)
@router.get(
    f"{_OF_TENANT}/export",
    response_class=StreamingResponse,
    responses=_EXPORTED,
    openapi_extra=needs(AdminPermission.USAGE_READ),
)
async def export_usage(
    plane: Plane, actor: CurrentActor, at: AtTenantOrProject, span: Span, form: Form = None
) -> StreamingResponse:
    """Export the settled calls, a line each, in the order in which they opened; a tenant's project by project."""
    query, kind = usage_query(span, plane.acts.now()), read_format(form)
    pieces = await plane.usage_export.begin(actor, Export(tenant_id=at[0], project_id=at[1], query=query, form=kind))
    return StreamingResponse(pieces, media_type=kind.media_type, headers=kind.headers)


@router.get(_REFUSED_OF_PROJECT, response_model=RefusalsShown, openapi_extra=needs(AdminPermission.USAGE_READ))
@router.get(_REFUSED_OF_TENANT, response_model=RefusalsShown, openapi_extra=needs(AdminPermission.USAGE_READ))
async def read_refusals(plane: Plane, at: AtTenantOrProject, span: Span) -> Document:
    """Count the refused calls over time, by code, a tenant's by project too; they cost nothing and are in no usage."""
    return (await plane.usage.refusals(*at, usage_query(span, plane.acts.now()))).document()


@router.get(_PRICES, response_model=PriceVersionsShown, openapi_extra=needs(AdminPermission.USAGE_READ))
async def list_prices(plane: Plane, tenant_id: AtTenant, limit: Limit = None, after: After = None) -> Document:
    """List the versions of prices that a tenant's calls were charged by."""
    findings = Findings()
    size = findings.take(lambda: read_limit(limit), DEFAULT_LIMIT)
    last = findings.take(lambda: _read_after(after), 0)
    findings.or_raise()
    page = await plane.usage.prices(tenant_id, after=last, limit=size)
    following = shown_version(page.items[-1].id) if page.has_more else None
    return {"data": [version.document() for version in page.items], "has_more": page.has_more, "next": following}


def _read_after(after: str | None) -> int:
    try:
        return 0 if after is None else read_version(after)
    except ValueError:
        raise invalid("after", "must be the `next` of an earlier page") from None
