"""`bailiwick issuers`: of a project, or, where none is named, of the platform."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import typer

from bailiwick.apps.cli.admin.commands import Command, add
from bailiwick.apps.cli.admin.options import (
    BODY,
    CLEAR,
    PAGE,
    YES,
    Option,
    entries,
    read_body,
    read_seconds,
    read_token,
)  # fmt: skip
from bailiwick.apps.cli.admin.output import columns, write_item, write_table

_PLACE: Final = ("project",)
_OF_ISSUER: Final = (
    Option(name="jwks-url", help="Where its keys are; as it publishes itself otherwise."),
    Option(name="jwks", read=read_body, help="A file with its public keys, a JWK Set, or - for standard input."),
    Option(name="audience", field="audiences", several=True, help="An `aud` that is taken; may be repeated."),
    Option(
        name="authorized-party",
        field="authorized_parties",
        several=True,
        help="An `azp` that is taken; may be repeated.",
    ),
    Option(
        name="algorithm", field="algorithms", several=True, help="An algorithm that it signs with; may be repeated."
    ),
    Option(name="max-lifetime", read=read_seconds, help="The longest life of a token, in seconds."),
    Option(name="user-prefix", help="What is put before its users."),
    Option(
        name="claim",
        field="claims",
        several=True,
        read=entries(str, separator=":"),
        help="TARGET:CLAIM, such as tier:app_metadata.plan; `TARGET:` removes it; may be repeated.",
    ),
)


def _show_verdict(verdict: Mapping[str, Any]) -> None:
    write_table(sys.stdout, columns("about", "accepted", "problem"), verdict["findings"])
    if verdict["identity"] is not None:
        sys.stdout.write("\n")
        write_item(sys.stdout, verdict["identity"])


issuers: Final = typer.Typer(no_args_is_help=True, help="Trusted issuers: a project's, or the platform's.")

add(
    issuers,
    Command(
        name="list", help="List the issuers of one place.", path="{place}/issuers", above=_PLACE, options=PAGE,
        columns=columns("id", "issuer", "audiences", "algorithms", "user_prefix"),
    ),
    Command(
        name="create", help="Trust an issuer.", method="POST", path="{place}/issuers", sets="issuer", above=_PLACE,
        options=(*_OF_ISSUER, BODY),
    ),
    Command(name="show", help="Show an issuer.", path="{place}/issuers/{issuer}", item="issuer", above=_PLACE),
    Command(
        name="update", help="Change an issuer.", method="PATCH", path="{place}/issuers/{issuer}", item="issuer",
        above=_PLACE, options=(*_OF_ISSUER, CLEAR, BODY),
    ),
    Command(
        name="test", help="Say of a token what is accepted and why not; status 1 if it is refused.", method="POST",
        path="/projects/{project}/issuers/test", above=_PLACE,
        options=(
            Option(
                name="token-from", field="token", read=read_token, help="Where it is read: prompt, stdin, env:VARIABLE."
            ),
        ),
        show=_show_verdict, good=lambda verdict: verdict["accepted"],
    ),
    Command(
        name="delete", help="Trust an issuer no more.", method="DELETE", path="{place}/issuers/{issuer}",
        item="issuer", above=_PLACE, options=(YES,),
    ),
)  # fmt: skip
