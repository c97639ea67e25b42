"""Limits as fields of a form: four levels, of a project or of a tier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bailiwick.apps.dashboard.forms import Form
from bailiwick.domain.merge_patch import Document

_LEVELS: Final = {
    "user": ("Each user", "Counted by X-End-User-Id; a call that names nobody is not counted here."),
    "key": ("Each key", "All calls with one key, through all its rotations."),
    "ip": ("Each address", "All calls of one client address to this project."),
    "project": ("The whole project", "All calls together."),
}
_NUMBERS: Final = ("requests", "burst", "tokens")
_TEXTS: Final = ("per", "overflow", "max_wait")
FIELDS: Final = tuple(f"{level}.{field}" for level in _LEVELS for field in (*_NUMBERS, *_TEXTS))
_SPANS: Final = (
    ("1s", "second"),
    ("10s", "10 seconds"),
    ("1m", "minute"),
    ("5m", "5 minutes"),
    ("1h", "hour"),
    ("1d", "day"),
    ("30d", "30 days"),
)


def limits_given(form: Form) -> Document:
    """The contract's object, as far as the form says something; nothing is checked here."""
    levels: Document = {}
    for level in _LEVELS:
        given: Document = {}
        for field in (*_NUMBERS, *_TEXTS):
            text = form.optional(f"{level}.{field}")
            if text is not None:
                given[field] = _number(text) if field in _NUMBERS else text
        # What has a span alone limits nothing; a wait is for a queue alone, and its field is always there.
        if given.get("overflow") != "queue":
            given.pop("max_wait", None)
        if set(given) - {"per", "overflow"}:
            levels[level] = given
    return levels


def number_given(form: Form, field: str) -> int | str | None:
    """A whole number, if the field says one; what is none is told as wrong by whoever takes it."""
    text = form.optional(field)
    return None if text is None else _number(text)


def _number(text: str) -> int | str:
    # Of more digits, a number is beyond every bound.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else text  # noqa: PLR2004


def limit_fields(limits: Mapping[str, object]) -> dict[str, str]:
    """The form that says these limits."""
    fields = dict.fromkeys(FIELDS, "")
    for level, given in limits.items():
        if isinstance(given, Mapping):
            fields |= {f"{level}.{name}": str(value) for name, value in given.items()}
    return fields


def filled(fields: Mapping[str, str]) -> dict[str, object]:
    """What `projects/level_fields.html` is filled with."""
    return {"fields": fields, "levels": _LEVELS, "spans": _SPANS}
