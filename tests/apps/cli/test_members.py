"""Members by commands."""

from __future__ import annotations

import pytest

from tests.apps.cli.commands import Commands, commands
from tests.serving import Site


@pytest.fixture
def shell(site: Site) -> Commands:
    return commands(site)


def test_a_member_is_added_changed_and_removed_by_its_subject(shell: Commands, site: Site) -> None:
    tenant = shell.document("tenants", "create", "Members")["id"]
    where = ("--tenant", tenant)
    made = shell.document(
        "members", "add", "auth0|abc", "--issuer", "https://acme.eu.auth0.com/", "--role", "viewer", *where
    )
    assert (made["issuer"], made["subject"], made["role"]) == ("https://acme.eu.auth0.com/", "auth0|abc", "viewer")
    scopes = ("--scope", "chat:create", "--scope", "models:list")
    changed = shell.document("members", "update", "auth0|abc", "--role", "member", *scopes, "--tier", "pro", *where)
    assert (changed["role"], changed["scopes"], changed["tier"]) == ("member", ["chat:create", "models:list"], "pro")
    assert shell.document("members", "update", made["id"], "--clear", "scopes", *where)["scopes"] is None
    assert made["id"] in shell.run("members", "list", "--subject", "auth0|abc", *where).out
    assert made["id"] not in shell.run("members", "list", "--subject", "somebody", *where).out
    assert shell.run("members", "remove", "auth0|abc", *where).status == 2
    assert shell.run("members", "remove", "auth0|abc", "--yes", *where).status == 0
    assert shell.run("members", "show", "auth0|abc", *where).status == 1
