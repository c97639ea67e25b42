"""Which pages of the web may ask a project: origins, added and taken away one at a time."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.changes import change_project_by
from bailiwick.apps.dashboard.pages.projects import framed
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import FieldError, Invalid
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.tenancy import Project


async def show_origins(visit: Visit) -> Response:
    """The origins as they are."""
    frame = await framed(visit, "origins")
    return visit.show("projects/origins.html", **frame.values)


async def add_origin(visit: Visit) -> Response:
    """List another one."""
    origin = visit.form.known("origin").text("origin").strip()

    def patch(project: Project) -> Document:
        return {"cors_origins": [*project.cors_origins, origin]}

    try:
        await change_project_by(visit, patch)
    except Refused as refused:
        frame = await framed(visit, "origins")
        return visit.again("projects/origins.html", _of_the_field(refused), **frame.values)
    return visit.go(_address(visit), "saved")


async def remove_origin(visit: Visit) -> Response:
    """List one no more; one that is not listed stays so."""
    origin = visit.form.known("origin").text("origin")

    def patch(project: Project) -> Document:
        return {"cors_origins": [listed for listed in project.cors_origins if listed != origin]}

    await change_project_by(visit, patch)
    return visit.go(_address(visit), "saved")


def _of_the_field(refused: Refused) -> Refused:
    """What is wrong with the list, as what is wrong with the one field that was filled in."""
    if not isinstance(refused, Invalid):
        return refused
    return Invalid(FieldError(field="origin", message=refused.errors[0].message))


def _address(visit: Visit) -> str:
    return f"/projects/{visit.request.path_params['project_id']}/origins"


_WRITE: Final = AdminPermission.PROJECTS_WRITE

PAGES: Final = (
    Page(path="/projects/{project_id}/origins", handler=show_origins, needs=AdminPermission.PROJECTS_READ),
    Page(path="/projects/{project_id}/origins", handler=add_origin, needs=_WRITE, method="POST"),
    Page(path="/projects/{project_id}/origins/remove", handler=remove_origin, needs=_WRITE, method="POST"),
)
