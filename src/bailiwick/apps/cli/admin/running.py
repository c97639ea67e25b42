"""How a command of those that administer is run: the control plane is asked, and its answer written."""

from __future__ import annotations

import sys
from typing import Any

import httpx2
import typer

from bailiwick.apps.cli.admin.cannot_ask import MISUSED, REFUSED, CannotAsk
from bailiwick.apps.cli.admin.client import Api, connect, document
from bailiwick.apps.cli.admin.commands import Command
from bailiwick.apps.cli.admin.options import YES, request_fields
from bailiwick.apps.cli.admin.output import write_item, write_table
from bailiwick.apps.cli.admin.resources import Names


def run(command: Command, given: dict[str, Any]) -> None:
    """Ask, and write the answer; raises `CannotAsk`, and `typer.Exit` after an answer that is not good."""
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
