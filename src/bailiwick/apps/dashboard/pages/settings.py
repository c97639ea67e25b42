"""A project's name, address and habits; suspending it, and removing it."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from bailiwick.apps.dashboard.forms import Form
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.changes import change_project
from bailiwick.apps.dashboard.pages.limit_fields import number_given
from bailiwick.apps.dashboard.pages.projects import framed
from bailiwick.apps.dashboard.pages.tool_fields import (
    TOOL_FIELDS,
    tool_rules_given,
    tool_rules_sent,
    tool_rules_shown,
)
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.tools import REMOVE

_FIELDS: Final = ("name", "slug", "require_end_user", "on_disconnect", "default_max_output_tokens")


async def show_settings(visit: Visit) -> Response:
    """The settings as they are."""
    frame = await framed(visit, "settings")
    project = frame.project
    given = {
        "name": project.name,
        "slug": project.slug,
        "require_end_user": project.require_end_user,
        "on_disconnect": project.on_disconnect.value,
        "default_max_output_tokens": project.default_max_output_tokens,
        **tool_rules_shown(project.tools),
        "tools.mode": REMOVE if project.tools is None else project.tools.mode or REMOVE,
    }
    return visit.show("projects/settings.html", **frame.values, given=given)


async def change_settings(visit: Visit) -> Response:
    """Make the settings what the form says."""
    form = visit.form.known(*_FIELDS, *TOOL_FIELDS, "tools.mode")
    fields: Document = {
        "name": form.text("name").strip(),
        "slug": form.text("slug").strip(),
        "require_end_user": form.checked("require_end_user"),
        "on_disconnect": form.text("on_disconnect"),
        "default_max_output_tokens": number_given(form, "default_max_output_tokens"),
    }
    try:
        await change_project(visit, {**fields, "tools": _tools(form)})
    except Refused as refused:
        frame = await framed(visit, "settings")
        given = {**fields, **tool_rules_sent(form), "tools.mode": form.text("tools.mode")}
        return visit.again("projects/settings.html", refused, **frame.values, given=given)
    return visit.go(f"/projects/{visit.request.path_params['project_id']}/settings", "saved")


async def suspend_project(visit: Visit) -> Response:
    """Refuse every call from now on, or serve them again."""
    status = visit.form.known("status").text("status")
    await change_project(visit, {"status": status})
    address = f"/projects/{visit.request.path_params['project_id']}/settings"
    return visit.go(address, "suspended" if status == "suspended" else "resumed")


async def remove_project(visit: Visit) -> Response:
    """Remove a project for good, once its address was typed."""
    typed = visit.form.known("confirm").text("confirm").strip()
    frame = await framed(visit, "settings")
    if typed != frame.project.slug:
        raise invalid("confirm", "must be the project's address, letter by letter. Go back and type it again.")
    await visit.plane.provisioning.remove_project(visit.actor, *visit.at)
    return visit.go("/projects", "removed")


def _tools(form: Form) -> Document | None:
    """The project's rules; what becomes of a call with another tool is said only where there is a rule."""
    rules = tool_rules_given(form)
    return None if rules is None else {**rules, "mode": form.text("tools.mode")}


_WRITE: Final = AdminPermission.PROJECTS_WRITE
_PATH: Final = "/projects/{project_id}/settings"

PAGES: Final = (
    Page(path=_PATH, handler=show_settings, needs=AdminPermission.PROJECTS_READ),
    Page(path=_PATH, handler=change_settings, needs=_WRITE, method="POST"),
    Page(path=f"{_PATH}/status", handler=suspend_project, needs=_WRITE, method="POST"),
    Page(path=f"{_PATH}/remove", handler=remove_project, needs=_WRITE, method="POST"),
)
