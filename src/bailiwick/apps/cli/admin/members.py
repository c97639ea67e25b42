"""`bailiwick members`: who may enter a tenant, with which role."""

from __future__ import annotations

from typing import Final

import typer

from bailiwick.apps.cli.admin.commands import Command, add
from bailiwick.apps.cli.admin.options import BODY, CLEAR, PAGE, YES, Option
from bailiwick.apps.cli.admin.output import columns

_ABOVE: Final = ("tenant",)
_OF_MEMBER: Final = (
    Option(name="role", help="viewer, member, developer, admin, owner, or one of the tenant's own."),
    Option(name="scope", field="scopes", several=True, help="A scope that they hold; may be repeated; any otherwise."),
    Option(name="tier", help="The tier that their calls run under; that of their token otherwise."),
)

members: Final = typer.Typer(no_args_is_help=True, help="A tenant's members: people, by issuer and subject.")

add(
    members,
    Command(
        name="list", help="List a tenant's members.", path="/tenants/{tenant}/members", above=_ABOVE,
        options=(*PAGE, Option(name="subject", help="Only those of this subject.")),
        columns=columns("id", "issuer", "subject", "role", "scopes", "tier"),
    ),
    Command(
        name="add", help="Add a member.", method="POST", path="/tenants/{tenant}/members", sets="subject",
        above=_ABOVE,
        options=(Option(name="issuer", help="Whose subject it is; this installation's otherwise."), *_OF_MEMBER, BODY),
    ),
    Command(
        name="show", help="Show a member.", path="/tenants/{tenant}/members/{member}", item="member", above=_ABOVE
    ),
    Command(
        name="update", help="Change a member, for tokens that are out already too.", method="PATCH",
        path="/tenants/{tenant}/members/{member}", item="member", above=_ABOVE, options=(*_OF_MEMBER, CLEAR, BODY),
    ),
    Command(
        name="remove", help="Remove a member: their tokens are refused.", method="DELETE",
        path="/tenants/{tenant}/members/{member}", item="member", above=_ABOVE, options=(YES,),
    ),
)  # fmt: skip
