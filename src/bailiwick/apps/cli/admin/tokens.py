"""`bailiwick tiers`, `revoke`, `revocations` and `signing-keys`: what tokens say, what ends them, what signs them."""

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
    read_budgets,
    read_number,
)
from bailiwick.apps.cli.admin.output import columns

_ABOVE: Final = ("tenant", "project")
_OF_TIER: Final = (
    RATE_LIMIT,
    Option(name="model", field="models", several=True, help="A pattern of models; may be repeated; any otherwise."),
    Option(name="agent", field="agents", several=True, help="A pattern of agents; may be repeated; any otherwise."),
    ALLOW_TOOL,
    DENY_TOOL,
    Option(name="max-output-tokens", read=read_number, help="How many tokens an answer may have."),
    Option(
        name="budget",
        field="budgets",
        several=True,
        read=read_budgets,
        help="What each user may spend, such as '5.00 usd month'; may be repeated; these are then all there are.",
    ),
)

tiers: Final = typer.Typer(no_args_is_help=True, help="A project's tiers: named plans with limits and models.")
revocations: Final = typer.Typer(no_args_is_help=True, help="What a project took away before it expired.")
signing_keys: Final = typer.Typer(no_args_is_help=True, help="The keys that sign the installation's tokens.")

add(
    tiers,
    Command(
        name="list", help="List a project's tiers.", path="/projects/{project}/tiers", above=_ABOVE, options=PAGE,
        columns=columns("id", "name", "limits", "models", "agents", "created_at"),
    ),
    Command(
        name="create", help="Make a tier.", method="POST", path="/projects/{project}/tiers", sets="name",
        above=_ABOVE, options=(*_OF_TIER, BODY),
    ),
    Command(name="show", help="Show a tier.", path="/projects/{project}/tiers/{tier}", item="tier", above=_ABOVE),
    Command(
        name="update", help="Change a tier, for tokens that are out already too.", method="PATCH",
        path="/projects/{project}/tiers/{tier}", item="tier", above=_ABOVE,
        options=(Option(name="name", help="Another name."), *_OF_TIER, CLEAR, BODY),
    ),
    Command(
        name="delete", help="Remove a tier.", method="DELETE", path="/projects/{project}/tiers/{tier}", item="tier",
        above=_ABOVE, options=(YES,),
    ),
)  # fmt: skip

REVOKE: Final = Command(
    name="revoke", help="End a token, a session, or all that a user has by now: one of the three.", method="POST",
    path="/projects/{project}/revocations", above=_ABOVE,
    options=(
        Option(name="user", field="user_id", help="All tokens that an end user was given by now."),
        Option(name="session", field="session_id", help="A session, with all its tokens."),
        Option(name="token", field="jti", help="A token, by its jti."),
        YES,
    ),
)  # fmt: skip

add(
    revocations,
    Command(
        name="list", help="List what a project took away.", path="/projects/{project}/revocations", above=_ABOVE,
        options=PAGE, columns=columns("id", "user_id", "session_id", "jti", "created_at", "created_by"),
    ),
)  # fmt: skip

add(
    signing_keys,
    Command(
        name="list", help="List the keys, the first to sign first.", path="/signing-keys",
        columns=columns("kid", "status", "signs_from", "published_until", "created_by"),
    ),
    Command(
        name="rotate", help="Make the next key; it signs ten minutes later.", method="POST", path="/signing-keys",
        options=(Option(name="at-once", bare=True, help="It signs at once: whoever verifies may not know it yet."),),
    ),
)  # fmt: skip
