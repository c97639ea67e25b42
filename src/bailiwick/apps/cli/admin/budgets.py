"""`bailiwick budgets`: what a tenant and its projects may spend, over which window."""

from __future__ import annotations

from typing import Final

import typer

from bailiwick.apps.cli.admin.commands import Command, add
from bailiwick.apps.cli.admin.options import BODY, CLEAR, PAGE, YES, Option, read_number
from bailiwick.apps.cli.admin.output import columns

_ABOVE: Final = ("tenant", "project")
_OF_BUDGET: Final = (
    Option(name="usd", field="limit.usd", help="How many dollars, such as 25.00."),
    Option(name="tokens", field="limit.tokens", read=read_number, help="Or how many tokens."),
    Option(name="window", help="day, week, month, total, or a length that rolls, such as 24h."),
    Option(name="timezone", help="Where days begin, such as Europe/Berlin; UTC otherwise."),
    Option(
        name="on-exceed", help="cap or reject: what becomes of a call that names no maximum and has not the usual room."
    ),
    Option(name="max-wait", help="How long a call waits for room that others hold; 2s otherwise."),
    Option(name="on-lost", help="estimate, ceiling or release: what a call has spent whose process died."),
    Option(name="model", field="models", several=True, help="A pattern of models; may be repeated; any otherwise."),
)

budgets: Final = typer.Typer(no_args_is_help=True, help="Budgets of a project, or with --tenant alone of a tenant.")

add(
    budgets,
    Command(
        name="list", help="List the budgets of a place.", path="{whose}/budgets", above=_ABOVE, options=PAGE,
        columns=columns("id", "scope", "subject", "limit", "window", "timezone", "models"),
    ),
    Command(
        name="create", help="Make a budget.", method="POST", path="{whose}/budgets", sets="scope", above=_ABOVE,
        options=(
            Option(name="subject", help="* for each one a budget of its own, or the id of one."),
            *_OF_BUDGET, BODY,
        ),
    ),
    Command(name="show", help="Show a budget.", path="{whose}/budgets/{budget}", item="budget", above=_ABOVE),
    Command(
        name="update", help="Change a budget; whom it counts, and in what, stays.", method="PATCH",
        path="{whose}/budgets/{budget}", item="budget", above=_ABOVE, options=(*_OF_BUDGET, CLEAR, BODY),
    ),
    Command(
        name="delete", help="Remove a budget.", method="DELETE", path="{whose}/budgets/{budget}", item="budget",
        above=_ABOVE, options=(YES,),
    ),
)  # fmt: skip
