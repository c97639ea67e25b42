"""A project's limits: a form of four levels, and what it says in plain words while it is filled in."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from bailiwick.apps.dashboard import words
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.changes import change_project
from bailiwick.apps.dashboard.pages.limit_fields import FIELDS, filled, limit_fields, limits_given
from bailiwick.apps.dashboard.pages.projects import framed
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.limits import InvalidLimit

_READ: Final = AdminPermission.PROJECTS_READ
_WRITE: Final = AdminPermission.PROJECTS_WRITE


async def show_limits(visit: Visit) -> Response:
    """The limits as they are."""
    frame = await framed(visit, "limits")
    limits = frame.project.limits
    return visit.show(
        "projects/limits.html", **frame.values, **filled(limit_fields(limits)), words=words.limits(limits)
    )


async def preview_limits(visit: Visit) -> Response:
    """What the form would mean: a piece of the page."""
    document = limits_given(visit.form.known(*FIELDS))
    try:
        said, wrong = words.limits(document), None
    except InvalidLimit as error:
        said, wrong = [], f"{error.field.removeprefix('limits.')} {error.message}"
    return visit.show("projects/limits_words.html", words=said, wrong=wrong)


async def change_limits(visit: Visit) -> Response:
    """Make the limits what the form says."""
    form = visit.form.known(*FIELDS)
    try:
        await change_project(visit, {"limits": limits_given(form)})
    except Refused as refused:
        frame = await framed(visit, "limits")
        fields = {name: form.text(name) for name in FIELDS}
        return visit.again("projects/limits.html", refused, **frame.values, **filled(fields), words=[])
    return visit.go(f"/projects/{visit.request.path_params['project_id']}/limits", "saved")


PAGES: Final = (
    Page(path="/projects/{project_id}/limits", handler=show_limits, needs=_READ),
    Page(path="/projects/{project_id}/limits", handler=change_limits, needs=_WRITE, method="POST"),
    Page(path="/projects/{project_id}/limits/preview", handler=preview_limits, needs=_WRITE, method="POST"),
)
