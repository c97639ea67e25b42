"""Budgets by commands."""

from __future__ import annotations

import pytest

from tests.apps.cli.commands import Commands, commands
from tests.serving import Site


@pytest.fixture
def shell(site: Site) -> Commands:
    return commands(site)


def test_a_budget_is_made_changed_and_deleted(shell: Commands, site: Site) -> None:
    where = ("--project", site.project().id)
    asked = ("--subject", "*", "--usd", "5", "--window", "month", "--timezone", "Asia/Tokyo", "--model", "gpt-*")
    made = shell.document("budgets", "create", "user", *asked, *where)
    assert (made["scope"], made["subject"], made["limit"], made["window"]) == ("user", "*", {"usd": "5.00"}, "month")
    assert (made["timezone"], made["models"], made["project_id"]) == ("Asia/Tokyo", ["gpt-*"], where[1])
    changed = shell.document("budgets", "update", made["id"], "--usd", "7.5", "--clear", "models", *where)
    assert changed == {**made, "limit": {"usd": "7.50"}, "models": None}
    assert shell.document("budgets", "show", made["id"], *where) == changed
    assert made["id"] in shell.run("budgets", "list", *where).out
    assert shell.run("budgets", "delete", made["id"], "--yes", *where).status == 0
    assert shell.run("budgets", "show", made["id"], *where).status == 1


def test_without_a_project_it_is_the_tenants(shell: Commands, site: Site) -> None:
    tenant = shell.document("projects", "show", site.project().id)["tenant_id"]
    where = ("--tenant", tenant)
    made = shell.document("budgets", "create", "tenant", "--tokens", "500", "--window", "total", *where)
    assert (made["project_id"], made["limit"], made["window"]) == (None, {"tokens": 500}, "total")
    assert shell.run("budgets", "delete", made["id"], "--yes", *where).status == 0


def test_what_cannot_be_is_told(shell: Commands, site: Site) -> None:
    where = ("--project", site.project().id)
    refused = shell.run("budgets", "create", "project", "--usd", "-5", "--window", "never", *where)
    assert refused.status == 1
    assert "limit.usd" in refused.err
    assert "window" in refused.err
    assert shell.run("budgets", "create", "project", "--tokens", "many", "--window", "day", *where).status == 2
    unknown = shell.run("budgets", "show", "march", *where)
    assert (unknown.status, "there is no budget 'march'" in unknown.err) == (1, True)


def test_a_tiers_budgets_are_lines(shell: Commands, site: Site) -> None:
    where = ("--project", site.project().id)
    lines = ("--budget", "5.00 usd month", "--budget", "200000 tokens 24h on_exceed=reject")
    made = shell.document("tiers", "create", "pro", *lines, *where)
    assert [one["limit"] for one in made["budgets"]] == [{"usd": "5.00"}, {"tokens": 200000}]
    assert [one["on_exceed"] for one in made["budgets"]] == ["cap", "reject"]
    assert shell.document("tiers", "update", "pro", "--clear", "budgets", *where)["budgets"] == []
    assert shell.run("tiers", "update", "pro", "--budget", "5.00 eur month", *where).status == 2
