"""`/admin/v1/projects/{id}/usage`."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtProject, Limit
from bailiwick.apps.admin.route import ControlRoute, Plane
from bailiwick.apps.admin.shown import UsageReportShown
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.usage_report import PARAMETERS, usage_query

_REPORT: Final = "/admin/v1/projects/{project_id}/usage"

router = APIRouter(route_class=ControlRoute, tags=["usage"])


@router.get(_REPORT, response_model=UsageReportShown, openapi_extra=needs(AdminPermission.USAGE_READ))
async def read_usage(
    plane: Plane,
    at: AtProject,
    since: Annotated[str | None, Query(alias="from", description="RFC 3339; the start of the month of `to`.")] = None,
    until: Annotated[str | None, Query(alias="to", description="RFC 3339, not counted; now.")] = None,
    group_by: Annotated[str | None, Query(description="user, model, session, key or day (the default).")] = None,
    limit: Limit = None,
    after: After = None,
) -> Document:
    """Report what a project's settled calls used, in groups."""
    given = dict(zip(PARAMETERS, (since, until, group_by, limit, after), strict=True))
    asked = {name: text for name, text in given.items() if text is not None}
    report = await plane.usage.report(*at, usage_query(asked, plane.acts.now()))
    return report.document()
