"""`bailiwick agents`: a project's agents and what they said before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import typer

from bailiwick.apps.cli.admin.commands import Command, add
from bailiwick.apps.cli.admin.options import BODY, CLEAR, PAGE, YES, Option, entries
from bailiwick.apps.cli.admin.output import columns

_ABOVE: Final = ("tenant", "project")


def _read_file(path: str) -> object:
    """Read a text; ValueError."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read: {error}") from None


def _read_value(text: str) -> object:
    """Read a parameter's value: JSON, or else the text itself."""
    try:
        value: Any = json.loads(text)
    except ValueError:
        return text
    return value


_MODEL: Final = Option(name="model", help="The model that calls as it ask.")
_OF_AGENT: Final = (
    Option(name="description", help="What it is for, for people."),
    Option(name="instructions", help="What is put before the caller's own instructions."),
    Option(name="instructions-from", field="instructions", read=_read_file, help="The same, from a file."),
    Option(
        name="parameter",
        field="parameters",
        several=True,
        read=entries(_read_value),
        help="NAME=VALUE, such as temperature=0.2; `temperature=` ends it; may be repeated.",
    ),
    Option(name="enabled", switch=True, help="Whether it can be called as."),
)

agents: Final = typer.Typer(no_args_is_help=True, help="A project's agents: a model, instructions, parameters, tools.")

add(
    agents,
    Command(
        name="list", help="List a project's agents.", path="/projects/{project}/agents", above=_ABOVE, options=PAGE,
        columns=columns("id", "name", "model", "version", "enabled", "changed_at"),
    ),
    Command(
        name="create", help="Make an agent.", method="POST", path="/projects/{project}/agents", sets="name",
        above=_ABOVE, options=(_MODEL, *_OF_AGENT, BODY),
    ),
    Command(name="show", help="Show an agent.", path="/projects/{project}/agents/{agent}", item="agent", above=_ABOVE),
    Command(
        name="update", help="Change an agent: its next version.", method="PATCH",
        path="/projects/{project}/agents/{agent}", item="agent", above=_ABOVE,
        options=(Option(name="name", help="Another name."), _MODEL, *_OF_AGENT, CLEAR, BODY),
    ),
    Command(
        name="versions", help="List what an agent said, since when, and by whom.",
        path="/projects/{project}/agents/{agent}/versions", item="agent", above=_ABOVE, options=PAGE,
        columns=columns("version", "name", "model", "enabled", "created_at", "created_by"),
    ),
    Command(
        name="delete", help="Remove an agent with its versions.", method="DELETE",
        path="/projects/{project}/agents/{agent}", item="agent", above=_ABOVE, options=(YES,),
    ),
)  # fmt: skip
