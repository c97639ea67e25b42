"""A project's limits: a form of four levels, and what it says in plain words while it is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from bailiwick.apps.dashboard import words
from bailiwick.apps.dashboard.forms import Form
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.changes import change_project
from bailiwick.apps.dashboard.pages.projects import framed
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.limits import InvalidLimit
from bailiwick.domain.merge_patch import Document

_READ: Final = AdminPermission.PROJECTS_READ
_WRITE: Final = AdminPermission.PROJECTS_WRITE
_LEVELS: Final = {
    "user": ("Each user", "Counted by X-End-User-Id; a call that names nobody is not counted here."),
    "key": ("Each key", "All calls with one key, through all its rotations."),
    "ip": ("Each address", "All calls of one client address to this project."),
    "project": ("The whole project", "All calls together."),
}
_NUMBERS: Final = ("requests", "burst", "tokens")
_TEXTS: Final = ("per", "overflow", "max_wait")
_FIELDS: Final = tuple(f"{level}.{field}" for level in _LEVELS for field in (*_NUMBERS, *_TEXTS))
_SPANS: Final = (
    ("1s", "second"),
    ("10s", "10 seconds"),
    ("1m", "minute"),
    ("5m", "5 minutes"),
    ("1h", "hour"),
    ("1d", "day"),
    ("30d", "30 days"),
)


async def show_limits(visit: Visit) -> Response:
    """The limits as they are."""
    frame = await framed(visit, "limits")
    limits = frame.project.limits
    return visit.show("projects/limits.html", **frame.values, **_filled(_fields(limits)), words=words.limits(limits))


async def preview_limits(visit: Visit) -> Response:
    """What the form would mean: a piece of the page."""
    document = _document(visit.form.known(*_FIELDS))
    try:
        said, wrong = words.limits(document), None
    except InvalidLimit as error:
        said, wrong = [], f"{error.field.removeprefix('limits.')} {error.message}"
    return visit.show("projects/limits_words.html", words=said, wrong=wrong)


async def change_limits(visit: Visit) -> Response:
    """Make the limits what the form says."""
    form = visit.form.known(*_FIELDS)
    try:
        await change_project(visit, {"limits": _document(form)})
    except Refused as refused:
        frame = await framed(visit, "limits")
        fields = {name: form.text(name) for name in _FIELDS}
        return visit.again("projects/limits.html", refused, **frame.values, **_filled(fields), words=[])
    return visit.go(f"/projects/{visit.request.path_params['project_id']}/limits", "saved")


def _document(form: Form) -> Document:
    """The contract's object, as far as the form says something; nothing is checked here."""
    levels: Document = {}
    for level in _LEVELS:
        given: Document = {}
        for field in (*_NUMBERS, *_TEXTS):
            text = form.optional(f"{level}.{field}")
            if text is not None:
                given[field] = int(text) if field in _NUMBERS and _is_number(text) else text
        # What has a span alone limits nothing; a wait is for a queue alone, and its field is always there.
        if given.get("overflow") != "queue":
            given.pop("max_wait", None)
        if set(given) - {"per", "overflow"}:
            levels[level] = given
    return levels


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15  # noqa: PLR2004 - more is beyond every bound


def _fields(limits: Mapping[str, object]) -> dict[str, str]:
    """The form that says these limits."""
    fields = dict.fromkeys(_FIELDS, "")
    for level, given in limits.items():
        if isinstance(given, Mapping):
            fields |= {f"{level}.{name}": str(value) for name, value in given.items()}
    return fields


def _filled(fields: Mapping[str, str]) -> dict[str, object]:
    return {"fields": fields, "levels": _LEVELS, "spans": _SPANS}


PAGES: Final = (
    Page(path="/projects/{project_id}/limits", handler=show_limits, needs=_READ),
    Page(path="/projects/{project_id}/limits", handler=change_limits, needs=_WRITE, method="POST"),
    Page(path="/projects/{project_id}/limits/preview", handler=preview_limits, needs=_WRITE, method="POST"),
)
