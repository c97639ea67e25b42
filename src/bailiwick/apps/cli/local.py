"""The commands that look at an installation's own files and database, and `serve`: what is read only by who runs one.

The other commands speak to a running installation, and start in half the time without.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import typer

from bailiwick import config
from bailiwick.apps.audit_witness import NoWitness
from bailiwick.apps.cli import audit, rotation
from bailiwick.apps.cli.cannot_start import CannotStart
from bailiwick.apps.cli.children import ChildFailed
from bailiwick.apps.cli.database import NothingToExamine
from bailiwick.apps.cli.doctor import examine
from bailiwick.apps.cli.serve import Parent
from bailiwick.apps.cli.sign_in_link import make_link
from bailiwick.config import InvalidConfig
from bailiwick.domain.errors import BailiwickError
from bailiwick.storage.migrate import MigrationError
from bailiwick.storage.postgres_account import EngineError

# What stops a command with one line instead of a traceback: the message says what is wrong and what to do.
_EXPLAINED = (
    CannotStart, ChildFailed, NothingToExamine, NoWitness, InvalidConfig, MigrationError, EngineError, BailiwickError,
)  # fmt: skip


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


def serve(flags: dict[str, str | None]) -> None:
    """Start everything, until told to end."""
    with _explained():
        Parent(config.load(flags), sys.stdout).run()


def doctor(flags: dict[str, str | None]) -> None:
    """Say what is there, and exit with 1 unless all is well."""
    with _explained():
        if not examine(config.load(flags), sys.stdout):
            raise typer.Exit(1)


def verify(flags: dict[str, str | None], witness: list[Path]) -> None:
    """Read the audit log, and exit with 1 unless it is whole."""
    with _explained():
        if not audit.verify(config.load(flags), witness, sys.stdout):
            raise typer.Exit(1)


def rotate(flags: dict[str, str | None], new_key_file: Path | None) -> None:
    """Rotate the master key."""
    with _explained():
        rotation.rotate(config.load(flags), new_key_file, sys.stdout)


def link(flags: dict[str, str | None], email: str | None, *, reset_codes: bool) -> None:
    """Print a link to sign in with."""
    with _explained():
        sys.stdout.write(make_link(config.load(flags), email, resets_codes=reset_codes) + "\n")
