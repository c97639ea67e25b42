"""`bailiwick agents`: a project's agents, by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.apps.cli.commands import Commands, commands
from tests.serving import Caller, Site


@pytest.fixture
def shell(site: Site) -> Commands:
    return commands(site)


def where(caller: Caller) -> tuple[str, ...]:
    return ("--project", caller.id)


def test_an_agent_is_made_changed_and_deleted_by_its_name(shell: Commands, site: Site, tmp_path: Path) -> None:
    caller = site.project()
    text = tmp_path / "instructions"
    text.write_text("Be brief.")
    given = ("--model", "echo", "--instructions-from", str(text), "--parameter", "temperature=0.2")
    made = shell.document("agents", "create", "support", *given, *where(caller))
    assert (made["instructions"], made["parameters"], made["version"]) == ("Be brief.", {"temperature": 0.2}, 1)
    given = (
        "--parameter",
        "reasoning_effort=low",
        "--parameter",
        "temperature=",
        "--no-enabled",
        "--clear",
        "instructions",
    )
    changed = shell.document("agents", "update", "support", *given, *where(caller))
    assert (changed["parameters"], changed["enabled"], changed["instructions"]) == (
        {"reasoning_effort": "low"},
        False,
        None,
    )
    assert made["id"] in shell.run("agents", "list", *where(caller)).out
    versions = shell.document("agents", "versions", "support", *where(caller))["data"]
    assert [version["instructions"] for version in versions] == ["Be brief.", None]
    assert shell.run("agents", "create", "b", "--instructions-from", str(tmp_path / "none"), *where(caller)).status == 2
    assert shell.run("agents", "delete", "support", "--yes", *where(caller)).status == 0
    assert shell.run("agents", "show", "support", *where(caller)).status == 1
