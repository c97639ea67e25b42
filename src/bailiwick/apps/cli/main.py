"""The `bailiwick` command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

from bailiwick.apps.cli.admin import (
    access,
    agents,
    budgets,
    issuers,
    mcp_servers,
    members,
    providers,
    reports,
    roles,
    tenancy,
    tokens,
    webhooks,
)
from bailiwick.apps.cli.admin.commands import add
from bailiwick.config import SETTINGS, Setting

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False,
    help="Bailiwick: the tenant boundary for AI applications.",
)  # fmt: skip


@app.callback()
def _bailiwick() -> None:
    """Take a command; with a single one, typer would take none."""


def _serve(**flags: str | None) -> None:
    """Start everything: PostgreSQL (unless --database-url), the control process, the gateway."""
    from bailiwick.apps.cli import local  # noqa: PLC0415 - only for who runs it, as below

    local.serve(flags)


def _doctor(**flags: str | None) -> None:
    """Say what runs, versions, roles and policies, and whether tenants are kept apart."""
    from bailiwick.apps.cli import local  # noqa: PLC0415

    local.doctor(flags)


def _verify(*, witness: list[Path], **flags: str | None) -> None:
    """Say whether the audit log is, entry for entry, what was written."""
    from bailiwick.apps.cli import local  # noqa: PLC0415

    local.verify(flags, witness)


def _rotate(*, new_key_file: Path | None, **flags: str | None) -> None:
    """Put another master key in the place of the one that there is, whether `serve` runs or not."""
    from bailiwick.apps.cli import local  # noqa: PLC0415

    local.rotate(flags, new_key_file)


def _link(*, email: str | None, reset_codes: bool, **flags: str | None) -> None:
    """Print a link that is good once, for a day: to sign in with and set a password."""
    from bailiwick.apps.cli import local  # noqa: PLC0415

    local.link(flags, email, reset_codes=reset_codes)


def _add(
    name: str, function: Callable[..., None], settings: Iterable[Setting], *own: inspect.Parameter, to: typer.Typer
) -> None:
    """Add a command with one option for each setting, so that flags, variables and documentation cannot drift apart.

    `own` are the options that are no settings.
    """
    parameters = list(own)
    for setting in settings:
        help_text = f"{setting.help} [{setting.variable}]"
        kind = Annotated[str | None, typer.Option(setting.flag, help=help_text, show_default=setting.default or False)]
        parameters.append(
            inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        )
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    to.command(name)(function)


# What a look at the database needs to know.
_OF_DATABASE: Final = ("data_dir", "database_url", "master_key", "master_key_command", "pg_bin")

_LOOKING: Final = [setting for setting in SETTINGS if setting.name in _OF_DATABASE]
_WITNESS: Final = inspect.Parameter(
    "witness",
    inspect.Parameter.KEYWORD_ONLY,
    default=[],
    annotation=Annotated[
        list[Path],
        typer.Option("--witness", help="A copy of audit-witness.jsonl, in its place; may be repeated."),
    ],
)

_EMAIL: Final = inspect.Parameter(
    "email",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[str | None, typer.Option("--email", help="Whose; without it, the link makes a new owner.")],
)
_RESET_CODES: Final = inspect.Parameter(
    "reset_codes",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[bool, typer.Option("--reset-codes", help="Take their second factor away.")],
)

_NEW_KEY_FILE: Final = inspect.Parameter(
    "new_key_file",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        Path | None, typer.Option("--new-key-file", help="File with the new key, - for standard input; else made.")
    ],
)

_audit = typer.Typer(no_args_is_help=True, help="The log of administrative acts.")
app.add_typer(_audit, name="audit")

_add("serve", _serve, SETTINGS, to=app)
_add("doctor", _doctor, _LOOKING, to=app)
_add(
    "rotate-master-key",
    _rotate,
    [setting for setting in SETTINGS if setting.name in {*_OF_DATABASE, "app_url", "ledger_url", "control_url"}],
    _NEW_KEY_FILE,
    to=app,
)
_add(
    "verify",
    _verify,
    [setting for setting in SETTINGS if setting.name in {*_OF_DATABASE, "control_url"}],
    _WITNESS,
    to=_audit,
)

for _name, _group in (
    ("tenants", tenancy.tenants),
    ("projects", tenancy.projects),
    ("keys", access.keys),
    ("tiers", tokens.tiers),
    ("budgets", budgets.budgets),
    ("webhooks", webhooks.webhooks),
    ("revocations", tokens.revocations),
    ("signing-keys", tokens.signing_keys),
    ("providers", providers.providers),
    ("issuers", issuers.issuers),
    ("members", members.members),
    ("roles", roles.roles),
    ("mcp-servers", mcp_servers.mcp_servers),
    ("agents", agents.agents),
    ("operators", access.operators),
    ("operator-keys", access.operator_keys),
    ("users", reports.users),
):
    app.add_typer(_group, name=_name)
add(app, reports.USAGE, reports.CALLS, reports.EXPLAIN, tokens.REVOKE)
add(_audit, *reports.AUDIT)
_add(
    "link",
    _link,
    [setting for setting in SETTINGS if setting.name in {*_OF_DATABASE, "control_url"}],
    _EMAIL,
    _RESET_CODES,
    to=access.operators,
)

if __name__ == "__main__":
    app()
