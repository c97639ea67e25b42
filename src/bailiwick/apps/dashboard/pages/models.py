"""By which names a project's calls reach models: aliases, each with its fallbacks."""

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


async def show_models(visit: Visit) -> Response:
    """The aliases as they are."""
    return visit.show("projects/models.html", **await _shown(visit))


async def set_alias(visit: Visit) -> Response:
    """Make an alias lead where the form says; one of that name is replaced."""
    form = visit.form.known("alias", "models")
    name, models = form.text("alias").strip(), form.lines("models")

    def patch(project: Project) -> Document:
        return {"aliases": {**{alias: list(given) for alias, given in project.aliases.items()}, name: models}}

    try:
        await change_project_by(visit, patch)
    except Refused as refused:
        return visit.again("projects/models.html", _of_the_fields(refused, name), **await _shown(visit))
    return visit.go(_address(visit), "saved")


async def remove_alias(visit: Visit) -> Response:
    """Take an alias away; one that is not there stays so."""
    name = visit.form.known("alias").text("alias")

    def patch(project: Project) -> Document:
        return {"aliases": {alias: list(given) for alias, given in project.aliases.items() if alias != name}}

    await change_project_by(visit, patch)
    return visit.go(_address(visit), "saved")


async def _shown(visit: Visit) -> dict[str, object]:
    return (await framed(visit, "models")).values


def _of_the_fields(refused: Refused, alias: str) -> Refused:
    """What is wrong with an alias, as what is wrong with the two fields that were filled in."""
    if not isinstance(refused, Invalid):
        return refused
    about_name = {"is a reserved name", "unknown field"}
    return Invalid(
        *(
            FieldError(field="alias" if error.message in about_name or not alias else "models", message=error.message)
            for error in refused.errors
        )
    )


def _address(visit: Visit) -> str:
    return f"/projects/{visit.request.path_params['project_id']}/models"


_WRITE: Final = AdminPermission.PROJECTS_WRITE

PAGES: Final = (
    Page(path="/projects/{project_id}/models", handler=show_models, needs=AdminPermission.PROJECTS_READ),
    Page(path="/projects/{project_id}/models", handler=set_alias, needs=_WRITE, method="POST"),
    Page(path="/projects/{project_id}/models/remove", handler=remove_alias, needs=_WRITE, method="POST"),
)
