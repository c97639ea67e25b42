"""`bailiwick webhooks`: where a tenant has itself told what happens, and what was and is to be told there."""

from __future__ import annotations

from typing import Final

import typer

from bailiwick.apps.cli.admin.commands import Command, add
from bailiwick.apps.cli.admin.options import BODY, CLEAR, PAGE, YES, Option, read_seconds
from bailiwick.apps.cli.admin.output import columns

_ABOVE: Final = ("tenant",)
_LIST: Final = "/tenants/{tenant}/webhooks"
_ITEM: Final = f"{_LIST}/{{webhook}}"
_OF_WEBHOOK: Final = (
    Option(name="webhook-url", field="url", help="Its address."),
    Option(name="event", field="events", several=True, help="budget.warning or usage.hour; may be repeated."),
    Option(name="status", help="active or paused; what happens while it is paused waits."),
)

webhooks: Final = typer.Typer(no_args_is_help=True, help="A tenant's webhooks.")

add(
    webhooks,
    Command(
        name="list", help="List a tenant's webhooks.", path=_LIST, above=_ABOVE, options=PAGE,
        columns=columns("id", "name", "url", "events", "status", "failing_since"),
    ),
    Command(
        name="create", help="Make a webhook; its secret is shown this once.", method="POST", path=_LIST, sets="name",
        above=_ABOVE, options=(*_OF_WEBHOOK, BODY),
    ),
    Command(name="show", help="Show a webhook, without its secret.", path=_ITEM, item="webhook", above=_ABOVE),
    Command(
        name="update", help="Change a webhook.", method="PATCH", path=_ITEM, item="webhook", above=_ABOVE,
        options=(Option(name="name", help="Another name."), *_OF_WEBHOOK, CLEAR, BODY),
    ),
    Command(
        name="rotate", help="Give a webhook another secret; it is shown this once.", method="POST",
        path=f"{_ITEM}/rotate", item="webhook", above=_ABOVE,
        options=(Option(name="grace-seconds", read=read_seconds, help="How long the secret before signs too; 0."),),
    ),
    Command(
        name="test", help="Have a test event delivered.", method="POST", path=f"{_ITEM}/test", item="webhook",
        above=_ABOVE,
    ),
    Command(
        name="deliveries", help="List what was and is to be told there, the latest first.", path=f"{_ITEM}/deliveries",
        item="webhook", above=_ABOVE, options=PAGE,
        columns=columns("id", "event", "status", "attempts", "last_status", "last_error", "next_attempt_at"),
    ),
    Command(
        name="redeliver", help="Have an event delivered again.", method="POST",
        path=f"{_ITEM}/deliveries/{{delivery}}/redeliver", item="delivery", above=("tenant", "webhook"),
    ),
    Command(
        name="delete", help="Remove a webhook, and what was to be told there.", method="DELETE", path=_ITEM,
        item="webhook", above=_ABOVE, options=(YES,),
    ),
)  # fmt: skip
