"""Roles by commands."""

from __future__ import annotations

from tests.apps.cli.commands import commands
from tests.serving import Site


def test_a_role_is_made_changed_and_deleted_by_its_name(site: Site) -> None:
    shell = commands(site)
    where = ("--tenant", shell.document("tenants", "create", "Roles")["id"])
    made = shell.document("roles", "create", "analyst", "--permission", "chat:create", "--model", "gpt-*", *where)
    assert (made["permissions"], made["models"]) == (["chat:create"], ["gpt-*"])
    given = ("--permission", "models:list", "--agent", "support", "--clear", "models")
    changed = shell.document("roles", "update", "analyst", *given, *where)
    assert (changed["permissions"], changed["models"], changed["agents"]) == (["models:list"], None, ["support"])
    assert shell.document("members", "add", "ada", "--role", "analyst", *where)["role"] == "analyst"
    assert shell.run("roles", "delete", "analyst", "--yes", *where).status == 1
    assert shell.run("members", "remove", "ada", "--yes", *where).status == 0
    assert made["id"] in shell.run("roles", "list", *where).out
    assert shell.run("roles", "delete", "analyst", "--yes", *where).status == 0
    assert shell.run("roles", "show", "analyst", *where).status == 1
