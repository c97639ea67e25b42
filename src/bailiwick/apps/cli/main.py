"""The `bailiwick` command."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated

import psycopg
import typer

from bailiwick import config
from bailiwick.apps.cli.cannot_start import CannotStart
from bailiwick.apps.cli.children import ChildFailed
from bailiwick.apps.cli.doctor import NothingToExamine, examine
from bailiwick.apps.cli.serve import Parent
from bailiwick.config import SETTINGS, InvalidConfig, Setting
from bailiwick.domain.errors import BailiwickError
from bailiwick.storage.migrate import MigrationError
from bailiwick.storage.postgres_account import EngineError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Bailiwick: the tenant boundary for AI applications.",
)  # fmt: skip

# What stops a command with one line instead of a traceback: the message says what is wrong and what to do.
_EXPLAINED = (CannotStart, ChildFailed, NothingToExamine, InvalidConfig, MigrationError, EngineError, BailiwickError)


@app.callback()
def _bailiwick() -> None:
    """Take a command; with a single one, typer would take none."""


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what is expected to go wrong into one line and exit status 1."""
    try:
        yield
    except _EXPLAINED as error:
        sys.stderr.write(f"bailiwick: {error}\n")
        raise typer.Exit(1) from None
    except psycopg.OperationalError as error:
        # The driver's message names host and role, never a password.
        sys.stderr.write(f"bailiwick: the database cannot be used: {error}\n")
        raise typer.Exit(1) from None


def _serve(**flags: str | None) -> None:
    """Start everything: PostgreSQL (unless --database-url), the control process, the gateway."""
    with _explained():
        Parent(config.load(flags), sys.stdout).run()


def _doctor(**flags: str | None) -> None:
    """Say what runs, versions, roles and policies, and whether tenants are kept apart."""
    with _explained():
        if not examine(config.load(flags), sys.stdout):
            raise typer.Exit(1)


def _add(name: str, function: Callable[..., None], settings: Iterable[Setting]) -> None:
    """Add a command with one option for each setting, so that flags, variables and documentation cannot drift apart."""
    parameters = []
    for setting in settings:
        help_text = f"{setting.help} [{setting.variable}]"
        kind = Annotated[str | None, typer.Option(setting.flag, help=help_text, show_default=setting.default or False)]
        parameters.append(
            inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        )
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app.command(name)(function)


# What a look at the database needs to know.
_OF_DATABASE = ("data_dir", "database_url", "master_key", "pg_bin")

_add("serve", _serve, SETTINGS)
_add("doctor", _doctor, [setting for setting in SETTINGS if setting.name in _OF_DATABASE])

if __name__ == "__main__":
    app()
