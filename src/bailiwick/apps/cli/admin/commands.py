"""A command of those that administer, as a value; and how one is offered and run."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, final

import httpx2
import typer

from bailiwick.apps.cli.admin import options
from bailiwick.apps.cli.admin.client import MISUSED, REFUSED, Api, CannotAsk, connect, document
from bailiwick.apps.cli.admin.options import YES, Option, request_fields
from bailiwick.apps.cli.admin.output import Column, write_item, write_table
from bailiwick.apps.cli.admin.resources import Names


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
        try:
            _run(command, given)
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
    "tenant": "The tenant, by slug, name or id; the only one there is, if there is only one.",
    "project": "The project, by slug, name or id; the only one there is, if there is only one.",
}


def _run(command: Command, given: dict[str, Any]) -> None:
    with connect(given["site_url"], given["site_key"], given["site_folder"]) as api:
        if command.exports:
            names = Names(api, given)
            fields = request_fields(command.options, given, names)
            api.export(names.fill(command.path), fields, sys.stdout.buffer)
            return
        answer = _asked(command, api, given)
    if given["as_json"]:
        # What the control plane answers is UTF-8, and one line of it.
        sys.stdout.write(answer.text + ("\n" if answer.content else ""))
    elif answer.content:
        _write(command, document(answer))
    else:
        sys.stdout.write("done\n")
    if answer.content and not command.good(document(answer)):
        raise typer.Exit(REFUSED)


def _write(command: Command, found: dict[str, Any]) -> None:
    """Write an answer for people."""
    if command.show is not None:
        command.show(found)
    elif command.columns:
        write_table(sys.stdout, command.columns, found["data"])
        if found["has_more"]:
            sys.stderr.write(f"there are more: --after {found['next']}\n")
    else:
        write_item(sys.stdout, found)


def _asked(command: Command, api: Api, given: dict[str, Any]) -> httpx2.Response:
    names = Names(api, given)
    fields = {**command.says, **request_fields(command.options, given, names)}
    if command.sets is not None:
        fields[command.sets] = given[command.sets]
    path = names.fill(command.path)
    if YES in command.options and not given["yes"]:
        _confirm(f"{command.method} {path}")
    if command.method == "GET":
        return api.ask("GET", path, parameters=fields)
    return api.ask(command.method, path, body=fields if command.method != "DELETE" else None)


def _confirm(act: str) -> None:
    """Ask whoever sits there; nobody there has to say it beforehand. Raises `CannotAsk`."""
    if not sys.stdin.isatty():
        raise CannotAsk(MISUSED, "this cannot be undone: say --yes")
    if not typer.confirm(f"{act}: this cannot be undone. Go on?", err=True):
        raise CannotAsk(MISUSED, "nothing was done")
