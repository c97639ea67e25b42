"""The commands that administer, run in this process against the session's installation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

from typer.testing import CliRunner

from bailiwick.apps.cli.main import app
from tests.serving import Site


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """What `--json` wrote."""
        found: dict[str, Any] = json.loads(self.out)
        return found


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """A shell in which the installation is stated."""

    variables: Mapping[str, str | None] = field(default_factory=dict)

    def run(self, *words: str, typed: str | None = None, **variables: str | None) -> Outcome:
        """A command as it is."""
        done = CliRunner().invoke(app, words, input=typed, env={**self.variables, **variables}, prog_name="bailiwick")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Outcome(status=done.exit_code, out=done.stdout, err=done.stderr)

    def document(self, *words: str, typed: str | None = None, **variables: str | None) -> dict[str, Any]:
        """What a command that must succeed answers with `--json`."""
        done = self.run(*words, "--json", typed=typed, **variables)
        assert done.status == 0, done.err
        return done.document


def commands(site: Site) -> Commands:
    """Of the first operator."""
    key = site.installation.keys["admin_key"]
    return Commands(
        variables={"BAILIWICK_BASE_URL": site.installation.url, "BAILIWICK_ADMIN_KEY": key, "BAILIWICK_DATA_DIR": None}
    )
