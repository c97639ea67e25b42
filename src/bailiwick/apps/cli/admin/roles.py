"""`bailiwick roles`: what a tenant's people may do, by roles of its own."""

from __future__ import annotations

from typing import Final

import typer

from bailiwick.apps.cli.admin.commands import Command, add
from bailiwick.apps.cli.admin.options import ALLOW_TOOL, BODY, CLEAR, DENY_TOOL, PAGE, YES, Option
from bailiwick.apps.cli.admin.output import columns

_ABOVE: Final = ("tenant",)
_OF_ROLE: Final = (
    Option(name="permission", field="permissions", several=True, help="A scope that it lets; may be repeated."),
    Option(name="model", field="models", several=True, help="A pattern of models; may be repeated; any otherwise."),
    ALLOW_TOOL,
    DENY_TOOL,
    Option(name="agent", field="agents", several=True, help="A pattern of agents; may be repeated; any otherwise."),
)

roles: Final = typer.Typer(no_args_is_help=True, help="A tenant's own roles, beside those that are built in.")

add(
    roles,
    Command(
        name="list", help="List a tenant's roles.", path="/tenants/{tenant}/roles", above=_ABOVE, options=PAGE,
        columns=columns("id", "name", "permissions", "models", "agents"),
    ),
    Command(
        name="create", help="Make a role.", method="POST", path="/tenants/{tenant}/roles", sets="name", above=_ABOVE,
        options=(*_OF_ROLE, BODY),
    ),
    Command(name="show", help="Show a role.", path="/tenants/{tenant}/roles/{role}", item="role", above=_ABOVE),
    Command(
        name="update", help="Change a role, for whoever has it already too.", method="PATCH",
        path="/tenants/{tenant}/roles/{role}", item="role", above=_ABOVE, options=(*_OF_ROLE, CLEAR, BODY),
    ),
    Command(
        name="delete", help="Remove a role that no member has.", method="DELETE",
        path="/tenants/{tenant}/roles/{role}", item="role", above=_ABOVE, options=(YES,),
    ),
)  # fmt: skip
