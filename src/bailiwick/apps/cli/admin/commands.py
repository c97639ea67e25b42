"""A command of those that administer, as a value; and how one is offered."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, final

import typer

from bailiwick.apps.cli.admin import options
from bailiwick.apps.cli.admin.cannot_ask import CannotAsk
from bailiwick.apps.cli.admin.options import Option
from bailiwick.apps.cli.admin.output import Column


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a command asks, and how the answer is shown.

    `path` names in braces what is looked up. `item` is the one of them that is the command's argument, `above` are
    those that are options. `sets` is the field that an argument sets which is no such thing. `columns` make a list of
    the answer's `data`; `show` writes the answer in a form of its own; `exports` writes it as it comes.
    An answer that is not `good` ends the command with status 1.
    """

    name: str
    help: str
    method: str = "GET"
    path: str
    item: str | None = None
    sets: str | None = None
    above: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    says: Mapping[str, object] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    show: Callable[[dict[str, Any]], None] | None = None
    exports: bool = False
    good: Callable[[dict[str, Any]], bool] = lambda _answer: True

    @property
    def argument(self) -> str | None:
        """The word that follows the command."""
        return self.item or self.sets


def add(group: typer.Typer, *commands: Command) -> None:
    """Offer commands in a group."""
    for command in commands:
        group.command(command.name, help=command.help)(_function(command))


def _function(command: Command) -> Callable[..., None]:
    def function(**given: Any) -> None:
        from bailiwick.apps.cli.admin.running import run  # noqa: PLC0415 - an HTTP client, only for who asks

        try:
            run(command, given)
        except CannotAsk as error:
            sys.stderr.write(
                "".join(f"{'' if place else 'bailiwick: '}{line}\n" for place, line in enumerate(error.lines))
            )
            raise typer.Exit(error.status) from None

    parameters = [_parameter(name, kind, default) for name, kind, default in _parameters(command)]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function


def _parameter(name: str, annotation: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _parameters(command: Command) -> list[tuple[str, Any, object]]:
    """The name, the annotation and the default of whatever a command takes."""
    found: list[tuple[str, Any, object]] = []
    if command.argument is not None:
        word = typer.Argument(metavar=command.argument.upper().replace("_", "-"), show_default=False)
        found.append((command.argument, Annotated[str, word], inspect.Parameter.empty))
    for name in command.above:
        kind = typer.Option(f"--{name}", help=_ABOVE[name], show_default=False)
        found.append((name, Annotated[str | None, kind], None))
    for option in command.options:
        kind = typer.Option(option.flag, help=option.help, show_default=False)
        if option.bare:
            found.append((option.key, Annotated[bool, kind], False))
        elif option.switch:
            found.append((option.key, Annotated[bool | None, kind], None))
        elif option.several:
            found.append((option.key, Annotated[list[str], kind], []))
        else:
            found.append((option.key, Annotated[str | None, kind], None))
    shared: list[tuple[str, Any, object]] = [
        ("site_url", Annotated[str | None, options.URL], None),
        ("site_key", Annotated[str | None, options.KEY], None),
        ("site_folder", Annotated[Path, options.DATA_DIR], Path(".bailiwick")),
        ("as_json", Annotated[bool, options.JSON], False),
    ]
    # An export is JSON as it is.
    return [*found, *(shared[:-1] if command.exports else shared)]


_ABOVE: Final = {
    "webhook": "The webhook, by name or id; the only one there is, if there is only one.",
    "tenant": "The tenant, by slug, name or id; the only one there is, if there is only one.",
    "project": "The project, by slug, name or id; the only one there is, if there is only one.",
}
