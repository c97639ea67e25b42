"""`bailiwick tenants` and `bailiwick projects`."""

from __future__ import annotations

from typing import Final

import typer

from bailiwick.apps.cli.admin.commands import Command, add
from bailiwick.apps.cli.admin.options import (
    ALLOW_TOOL,
    BODY,
    CLEAR,
    DENY_TOOL,
    PAGE,
    RATE_LIMIT,
    YES,
    Option,
    entries,
    read_number,
)
from bailiwick.apps.cli.admin.output import columns
from bailiwick.apps.cli.admin.resources import PROJECT

_NAME: Final = Option(name="name", help="Another name.")
_SLUG: Final = Option(name="slug", help="1 to 63 of a-z, 0-9 and -; made from the name otherwise.")
_DEFAULT_PROJECT: Final = Option(name="default-project", help="Its default project.", resource=PROJECT)
_SUSPENDED: Final = {"status": "suspended"}
_ACTIVE: Final = {"status": "active"}
_OF_PROJECT: Final = (
    RATE_LIMIT,
    Option(
        name="alias",
        field="aliases",
        several=True,
        read=entries(lambda models: models.split(",")),
        help="NAME=MODEL,…, such as fast=openai/gpt-4o-mini; `fast=` removes it; may be repeated.",
    ),
    Option(
        name="cors-origin", field="cors_origins", several=True, help="An origin whose pages may ask; may be repeated."
    ),
    Option(name="default-tier", help="The tier of whoever comes without one."),
    Option(name="require-end-user", switch=True, help="Refuse calls that name no end user."),
    Option(name="on-disconnect", help="abort or drain: what becomes of a call whose client goes away."),
    Option(
        name="default-max-output-tokens",
        read=read_number,
        help="How long an answer may be under a budget if its call does not say.",
    ),
    ALLOW_TOOL,
    DENY_TOOL,
    Option(
        name="tool-mode", field="tools.mode", help="remove or refuse: what becomes of a tool that a call may not use."
    ),
)

tenants: Final = typer.Typer(no_args_is_help=True, help="Organizations, each kept apart from all others.")
projects: Final = typer.Typer(no_args_is_help=True, help="A tenant's projects: addresses, limits, aliases, origins.")

add(
    tenants,
    Command(
        name="list", help="List the tenants.", path="/tenants", options=PAGE,
        columns=columns("id", "slug", "name", "status", "created_at"),
    ),
    Command(
        name="create", help="Make a tenant.", method="POST", path="/tenants", sets="name", options=(_SLUG, BODY)
    ),
    Command(name="show", help="Show a tenant.", path="/tenants/{tenant}", item="tenant"),
    Command(
        name="update", help="Change a tenant.", method="PATCH", path="/tenants/{tenant}", item="tenant",
        options=(_NAME, _SLUG, _DEFAULT_PROJECT, CLEAR, BODY),
    ),
    Command(
        name="suspend", help="Refuse every call of a tenant's projects.", method="PATCH", path="/tenants/{tenant}",
        item="tenant", says=_SUSPENDED,
    ),
    Command(
        name="resume", help="Take calls again.", method="PATCH", path="/tenants/{tenant}", item="tenant", says=_ACTIVE
    ),
    Command(
        name="delete", help="Remove a tenant with its projects, keys and providers.", method="DELETE",
        path="/tenants/{tenant}", item="tenant", options=(YES,),
    ),
)  # fmt: skip

add(
    projects,
    Command(
        name="list", help="List a tenant's projects.", path="/tenants/{tenant}/projects", above=("tenant",),
        options=PAGE, columns=columns("id", "slug", "name", "status", "created_at"),
    ),
    Command(
        name="create", help="Make a project.", method="POST", path="/tenants/{tenant}/projects", sets="name",
        above=("tenant",), options=(_SLUG, *_OF_PROJECT, BODY),
    ),
    Command(name="show", help="Show a project.", path="/projects/{project}", item="project", above=("tenant",)),
    Command(
        name="update", help="Change a project.", method="PATCH", path="/projects/{project}", item="project",
        above=("tenant",), options=(_NAME, _SLUG, *_OF_PROJECT, CLEAR, BODY),
    ),
    Command(
        name="suspend", help="Refuse every call of a project.", method="PATCH", path="/projects/{project}",
        item="project", above=("tenant",), says=_SUSPENDED,
    ),
    Command(
        name="resume", help="Take calls again.", method="PATCH", path="/projects/{project}", item="project",
        above=("tenant",), says=_ACTIVE,
    ),
    Command(
        name="delete", help="Remove a project with its keys and providers.", method="DELETE",
        path="/projects/{project}", item="project", above=("tenant",), options=(YES,),
    ),
)  # fmt: skip
