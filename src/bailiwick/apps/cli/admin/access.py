"""`bailiwick keys`, `bailiwick operator-keys` and `bailiwick operators`: who may ask, and who administers."""

from __future__ import annotations

from typing import Final

import typer

from bailiwick.apps.cli.admin.commands import Command, add
from bailiwick.apps.cli.admin.options import ALLOW_TOOL, BODY, CLEAR, DENY_TOOL, PAGE, YES, Option, read_seconds
from bailiwick.apps.cli.admin.output import columns
from bailiwick.apps.cli.admin.resources import TENANT

_NAME: Final = Option(name="name", help="Another name.")
_EXPIRES: Final = Option(name="expires-at", help="When it ends, by RFC 3339; never otherwise.")
_GRACE: Final = (Option(name="grace-seconds", read=read_seconds, help="How long the secret before stays good; 0."),)
_ROLE: Final = Option(name="role", help="viewer, admin or owner; viewer.")
_OF_TENANT: Final = Option(
    name="tenant", field="tenant_id", resource=TENANT, help="Whose operator; the maker's own tenant otherwise."
)
_OF_KEY: Final = (
    Option(name="scope", field="scopes", several=True, help="A permission; may be repeated; all otherwise."),
    Option(name="model", field="models", several=True, help="A pattern of models; may be repeated; any otherwise."),
    Option(name="agent", field="agents", several=True, help="A pattern of agents; may be repeated; any otherwise."),
    ALLOW_TOOL,
    DENY_TOOL,
    Option(name="act-as", switch=True, help="Whether it may name end users."),
    Option(name="tier", help="The only tier that it mints, and its own; any otherwise."),
    Option(name="ip-allow", several=True, help="A network that it may be used from; may be repeated; any otherwise."),
    _EXPIRES,
)

keys: Final = typer.Typer(no_args_is_help=True, help="A project's API keys.")
operator_keys: Final = typer.Typer(no_args_is_help=True, help="The keys of those who administer.")
operators: Final = typer.Typer(no_args_is_help=True, help="The persons who administer.")

add(
    keys,
    Command(
        name="list", help="List a project's keys.", path="/projects/{project}/keys", above=("tenant", "project"),
        options=PAGE, columns=columns("id", "name", "prefix", "status", "expires_at", "created_at"),
    ),
    Command(
        name="create", help="Make a key; it is shown this once.", method="POST", path="/projects/{project}/keys",
        sets="name", above=("tenant", "project"), options=(*_OF_KEY, BODY),
    ),
    Command(name="show", help="Show a key, without its secret.", path="/keys/{key}", item="key",
            above=("tenant", "project")),
    Command(
        name="update", help="Change what a key may do.", method="PATCH", path="/keys/{key}", item="key",
        above=("tenant", "project"), options=(_NAME, *_OF_KEY, CLEAR, BODY),
    ),
    Command(
        name="rotate", help="Give a key another secret; it is shown this once.", method="POST",
        path="/keys/{key}/rotate", item="key", above=("tenant", "project"), options=_GRACE,
    ),
    Command(
        name="revoke", help="End a key, for good.", method="POST", path="/keys/{key}/revoke", item="key",
        above=("tenant", "project"), options=(YES,),
    ),
    Command(
        name="delete", help="Remove a key: from then on it is unknown.", method="DELETE", path="/keys/{key}",
        item="key", above=("tenant", "project"), options=(YES,),
    ),
)  # fmt: skip

add(
    operator_keys,
    Command(
        name="list", help="List the operator keys within reach.", path="/operator-keys", options=PAGE,
        columns=columns("id", "name", "role", "tenant_id", "prefix", "status", "expires_at"),
    ),
    Command(
        name="create", help="Make an operator key; it is shown this once.", method="POST", path="/operator-keys",
        sets="name", options=(_ROLE, _OF_TENANT, _EXPIRES, BODY),
    ),
    Command(name="show", help="Show an operator key, without its secret.", path="/operator-keys/{operator_key}",
            item="operator_key"),
    Command(
        name="update", help="Give an operator key another name.", method="PATCH",
        path="/operator-keys/{operator_key}", item="operator_key", options=(_NAME,),
    ),
    Command(
        name="rotate", help="Give an operator key another secret; it is shown this once.", method="POST",
        path="/operator-keys/{operator_key}/rotate", item="operator_key", options=_GRACE,
    ),
    Command(
        name="revoke", help="End an operator key, for good.", method="POST",
        path="/operator-keys/{operator_key}/revoke", item="operator_key", options=(YES,),
    ),
    Command(
        name="delete", help="Remove an operator key.", method="DELETE", path="/operator-keys/{operator_key}",
        item="operator_key", options=(YES,),
    ),
)  # fmt: skip

add(
    operators,
    Command(
        name="list", help="List the persons within reach.", path="/operators", options=PAGE,
        columns=columns("id", "email", "name", "role", "tenant_id", "status"),
    ),
    Command(
        name="invite", help="Invite a person.", method="POST", path="/operators", sets="email",
        options=(Option(name="name", help="What they are called."), _ROLE, _OF_TENANT, BODY),
    ),
    Command(name="show", help="Show a person.", path="/operators/{operator}", item="operator"),
    Command(
        name="update", help="Change a person's name or role.", method="PATCH", path="/operators/{operator}",
        item="operator", options=(_NAME, _ROLE, BODY),
    ),
    Command(
        name="suspend", help="Let a person in no more.", method="PATCH", path="/operators/{operator}",
        item="operator", says={"status": "suspended"},
    ),
    Command(
        name="resume", help="Let a person in again.", method="PATCH", path="/operators/{operator}", item="operator",
        says={"status": "active"},
    ),
    Command(
        name="delete", help="Remove a person.", method="DELETE", path="/operators/{operator}", item="operator",
        options=(YES,),
    ),
)  # fmt: skip
