"""`bailiwick mcp-servers`: tool servers from the command line."""

from __future__ import annotations

import pytest

from tests.apps.cli.commands import Commands, commands
from tests.serving import Site


@pytest.fixture
def shell(site: Site) -> Commands:
    return commands(site)


def test_a_tool_server_is_registered_changed_and_removed(shell: Commands, site: Site) -> None:
    where = ("--project", site.admin.project()["slug"])
    asked = ("--server-url", "https://docs.example/mcp", "--credential-from", "env:DOCS", *where)
    made = shell.document("mcp-servers", "create", "docs", *asked, DOCS="Bearer t-1")
    assert (made["name"], made["has_credential"], made["enabled"]) == ("docs", True, True)
    assert "https://docs.example/mcp" in shell.run("mcp-servers", "list", *where).out
    changed = shell.document("mcp-servers", "update", "docs", "--no-enabled", *where)
    assert changed["enabled"] is False
    assert shell.document("mcp-servers", "show", "docs", *where) == changed
    cleared = shell.document("mcp-servers", "update", "docs", "--credential-from", "none", *where)
    assert cleared["has_credential"] is False
    assert shell.run("mcp-servers", "delete", "docs", *where, "--yes").status == 0
    assert shell.run("mcp-servers", "show", "docs", *where).status == 1
