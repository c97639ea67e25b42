"""Budgets in the dashboard: made, read in words, changed, removed; what of them is used."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bailiwick.domain import ids
from tests.apps.admin.test_budget_use import spend
from tests.dashboard import Browser, done
from tests.database import TestDatabase

NOVEMBER = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())


async def place(browser: Browser, holder: str = "project") -> tuple[str, str]:
    """The addresses of a place's budgets, in the API and in the dashboard."""
    project = await browser.control.project()
    path = f"/projects/{project['id']}" if holder == "project" else f"/tenants/{project['tenant_id']}"
    return f"{path}/budgets", f"/dashboard{path}/budgets"


async def listed(browser: Browser, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await browser.control.read(path))["data"]
    return found


@pytest.mark.parametrize("holder", ["project", "tenant"])
async def test_a_budget_is_made_changed_and_removed_by_forms(browser: Browser, holder: str) -> None:
    path, address = await place(browser, holder)
    assert "No budgets yet" in (await browser.get(address)).text
    answer = await browser.send(f"{address}/new", amount="5", models="gpt-*\r\no3", timezone="Europe/Berlin")
    assert done(answer) == "created"
    (budget,) = await listed(browser, path)
    assert {name: budget[name] for name in ("scope", "subject", "limit", "window", "timezone", "models")} == {
        "scope": "user", "subject": "*", "limit": {"usd": "5.00"}, "window": "month", "timezone": "Europe/Berlin",
        "models": ["gpt-*", "o3"],
    }  # fmt: skip
    shown = (await browser.get(address)).text
    assert "Each user" in shown
    assert "$5.00 a month, for models that match gpt-* or o3" in shown
    one = f"{address}/{budget['id']}"
    assert done(await browser.send(one, amount="7.50", models="", max_wait="0s")) == "saved"
    (changed,) = await listed(browser, path)
    assert (changed["limit"], changed["models"], changed["max_wait"]) == ({"usd": "7.50"}, None, "0s")
    removal = (await browser.get(one)).page.form(f"{one}/remove")
    assert done(await browser.post(removal.action, removal.fields)) == "removed"
    assert await listed(browser, path) == []


async def test_the_whole_project_is_one_subject_whatever_the_form_has_there(browser: Browser) -> None:
    path, address = await place(browser)
    fields = {"scope": "project", "subject": "*", "amount": "200000", "unit": "tokens", "window": "24h"}
    assert done(await browser.send(f"{address}/new", **fields)) == "created"
    (budget,) = await listed(browser, path)
    assert (budget["subject"], budget["limit"], budget["window"]) == (None, {"tokens": 200000}, "24h")


async def test_a_budget_that_cannot_be_is_told_in_its_form(browser: Browser) -> None:
    path, address = await place(browser)
    wrong = await browser.send(f"{address}/new", amount="many", timezone="Mars", scope="user", subject="ada")
    assert wrong.status == 422
    assert "must be dollars as a decimal text" in wrong.text
    assert "IANA" in wrong.text
    form = wrong.page.form("")
    assert (form.fields["amount"], form.fields["timezone"], form.fields["subject"]) == (["many"], ["Mars"], ["ada"])
    assert await listed(browser, path) == []


async def test_the_form_says_in_plain_words_what_it_would_mean(browser: Browser) -> None:
    _, address = await place(browser)
    form = (await browser.get(f"{address}/new")).page.form("")
    fields = {**form.fields, "amount": ["5"]}
    said = (await browser.post(f"{address}/preview", fields)).text
    assert "Each user: at most $5.00 a month." in said
    assert "When it is used up, calls are refused until 1 December 2026." in said
    assert "A call that names no user is not counted here." in said
    rolling = (await browser.post(f"{address}/preview", {**fields, "window": ["24h"]})).text
    assert "Each user: at most $5.00 in any 1 day." in rolling
    wrong = (await browser.post(f"{address}/preview", {**fields, "amount": ["-5"]})).text
    assert "usd must be dollars" in wrong


async def test_what_is_used_and_where_it_leads_is_told(browser: Browser, database: TestDatabase) -> None:
    path, address = await place(browser)
    asked = {"scope": "project", "limit": {"usd": "5"}, "window": "month"}
    budget = await browser.control.make(path, **asked)
    assert "$0.00 of $5.00" in (await browser.get(address)).text
    spend(database, budget, NOVEMBER, 4_000_000_000, 500_000_000)
    shown = (await browser.get(address)).text
    assert "of $5.00, $0.50 in flight" in shown
    # Four of five dollars in 20.5 days.
    assert "At this pace used up 26 November 2026" in shown
    other = await browser.control.make(path, **{**asked, "limit": {"usd": "0.01"}})
    spend(database, other, NOVEMBER, 20_000_000)
    assert "Used up until 1 December 2026" in (await browser.get(f"{address}/{other['id']}")).text


async def test_of_a_budget_of_each_those_are_told_who_spent_the_most(browser: Browser, database: TestDatabase) -> None:
    path, address = await place(browser)
    asked = {"scope": "user", "subject": "*", "limit": {"usd": "5"}, "window": "month"}
    budget = await browser.control.make(path, **asked)
    one = f"{address}/{budget['id']}"
    assert f"{one}/subjects" in (await browser.get(one)).page.links
    one += "/subjects"
    assert "Nobody has spent anything" in (await browser.get(one)).text
    project = ids.parsed(ids.PROJECT, budget["project_id"])
    assert project is not None
    for uid, nano in (("ada", 1_000_000_000), ("<b>bob", 5_000_000_000)):
        spend(database, budget, NOVEMBER, nano, subject=f"{project.hex}:{uid}")
    shown = (await browser.get(one)).text
    assert shown.index("<b>bob") < shown.index("ada")
    assert "$5.00 of $5.00" in shown


async def test_a_tiers_budgets_are_lines_and_told_among_what_it_changes(browser: Browser) -> None:
    path, _ = await place(browser)
    project = path.split("/")[2]
    address = f"/dashboard/projects/{project}/tiers"
    lines = "$5.00 month\r\n200000 tokens 24h on_exceed=reject"
    assert done(await browser.send(f"{address}/new", name="pro", budgets=lines)) == "created"
    (tier,) = (await browser.control.read(f"/projects/{project}/tiers"))["data"]
    assert [one["limit"] for one in tier["budgets"]] == [{"usd": "5.00"}, {"tokens": 200000}]
    shown = (await browser.get(address)).text
    assert "Each user, dollars a month: $5.00 instead of unlimited" in shown
    form = (await browser.get(f"{address}/{tier['id']}")).page.form("")
    assert form.fields["budgets"] == ["5.00 usd month\n200000 tokens 24h on_exceed=reject"]
    wrong = await browser.send(f"{address}/{tier['id']}", budgets="5.00 eur month")
    assert (wrong.status, "5.00 eur month" in wrong.page.form("").fields["budgets"][0]) == (422, True)
