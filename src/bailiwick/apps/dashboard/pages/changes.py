"""A project made what a form says: the same document, read by the same functions, as in the API's PATCH."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bailiwick.apps.admin.wire import ProjectBody, project_asked, project_body, read_body_as
from bailiwick.apps.dashboard.forms import VERSION
from bailiwick.apps.dashboard.page import Visit
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.tenancy import Project, ProjectSpec
from bailiwick.domain.versions import WHATEVER, Expected


async def change_project(visit: Visit, fields: Mapping[str, object]) -> Project:
    """Change fields of the address's project, each as a whole; raises `Refused`."""
    return await change_project_by(visit, lambda _: dict(fields))


async def change_project_by(visit: Visit, patch: Callable[[Project], Document]) -> Project:
    """Change the address's project by what it is when it is locked; raises `Refused`."""

    def change(project: Project) -> ProjectSpec:
        return project_asked(read_body_as(ProjectBody, {**project_body(project), **patch(project)}))

    return await visit.plane.provisioning.change_project(visit.actor, *visit.at, change, expected=expected(visit))


def expected(visit: Visit) -> Expected:
    """The version that a form was filled in for: what somebody else changed since is not overwritten unseen."""
    version = visit.form.text(VERSION)
    return Expected(frozenset({version})) if version else WHATEVER
