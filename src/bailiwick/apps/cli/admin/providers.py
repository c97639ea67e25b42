"""`bailiwick providers`: of a project, of a tenant, or, where neither is named, of the platform."""

from __future__ import annotations

from typing import Final

import typer

from bailiwick.apps.cli.admin.commands import Command, add
from bailiwick.apps.cli.admin.options import BODY, CLEAR, PAGE, YES, Option, entries, read_price, read_secret
from bailiwick.apps.cli.admin.output import columns

_PLACE: Final = ("tenant", "project")
_OF_PROVIDER: Final = (
    Option(name="kind", help="openai, anthropic, gemini or echo."),
    Option(name="base-url", help="Its address; the kind's own otherwise."),
    Option(
        name="api-key-from",
        field="api_key",
        read=read_secret,
        help="Where its key is read: prompt, stdin, env:VARIABLE; or none.",
    ),
    Option(name="model", field="models", several=True, help="A model that it has; may be repeated; any otherwise."),
    Option(
        name="price",
        field="prices",
        several=True,
        read=entries(read_price),
        help="MODEL=IN/OUT in US dollars per million tokens; `MODEL=` removes it; may be repeated.",
    ),
)

providers: Final = typer.Typer(no_args_is_help=True, help="Model providers: a project's, a tenant's, the platform's.")

add(
    providers,
    Command(
        name="list", help="List the providers of one place.", path="{place}/providers", above=_PLACE, options=PAGE,
        columns=columns("id", "name", "kind", "base_url", "has_api_key", "from_environment"),
    ),
    Command(
        name="create", help="Set a provider up.", method="POST", path="{place}/providers", sets="name", above=_PLACE,
        options=(*_OF_PROVIDER, BODY),
    ),
    Command(name="show", help="Show a provider, without its key.", path="{place}/providers/{provider}",
            item="provider", above=_PLACE),
    Command(
        name="update", help="Change a provider.", method="PATCH", path="{place}/providers/{provider}",
        item="provider", above=_PLACE,
        options=(Option(name="name", help="Another name."), *_OF_PROVIDER, CLEAR, BODY),
    ),
    Command(
        name="test", help="Ask a provider whether it answers; status 1 if it does not.", method="POST",
        path="{place}/providers/{provider}/test", item="provider", above=_PLACE, good=lambda answer: answer["ok"],
    ),
    Command(
        name="delete", help="Remove a provider.", method="DELETE", path="{place}/providers/{provider}",
        item="provider", above=_PLACE, options=(YES,),
    ),
)  # fmt: skip
