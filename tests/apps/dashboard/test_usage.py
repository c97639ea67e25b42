"""Usage in the dashboard: its numbers are the API's, its charts have every hour, and nothing shows of other tenants."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from bailiwick.domain import ids
from tests.dashboard import Answered, Browser
from tests.database import TestDatabase
from tests.ledger import Call, settle

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def parsed(prefix: str, text: str) -> UUID:
    read = ids.parsed(prefix, text)
    assert read is not None
    return read


async def used(browser: Browser, database: TestDatabase) -> dict[str, Any]:
    """A project with three calls: two today, one of ten days ago."""
    key = await browser.control.key()
    calls = [
        Call(opened_at=NOW - timedelta(hours=2), key_id=parsed("key", key["id"]), input_tokens=100, output_tokens=20,
             cost_nano=1_500_000, latency_ms=20),
        Call(opened_at=NOW - timedelta(hours=2), key_id=parsed("key", key["id"]), input_tokens=900, output_tokens=80,
             cost_nano=2_500_000, latency_ms=30),
        Call(opened_at=NOW - timedelta(days=10), model="gpt-<b>4", input_tokens=7, output_tokens=3),
    ]  # fmt: skip
    settle(database, parsed("ten", key["tenant_id"]), parsed("prj", key["project_id"]), calls)
    return key


def charts(answer: Answered) -> dict[str, Any]:
    """The data of each chart, by the name of its first series."""
    found = [json.loads(text) for text in answer.page.values("data-chart")]
    return {chart["series"][0]["label"]: chart for chart in found}


async def test_a_projects_usage_is_shown_with_every_hour_of_the_span(browser: Browser, database: TestDatabase) -> None:
    key = await used(browser, database)
    answer = await browser.get(f"/dashboard/projects/{key['project_id']}/usage?range=24h")
    assert "Requests 2" in answer.text
    assert "1,100" in answer.text
    assert "$0.004" in answer.text
    requests = charts(answer)["Requests"]
    assert len(requests["x"]) == 24
    assert {later - earlier for earlier, later in zip(requests["x"], requests["x"][1:], strict=False)} == {3600}
    assert (
        dict(zip(requests["x"], requests["series"][0]["values"], strict=True))[
            int((NOW - timedelta(hours=2)).timestamp())
        ]
        == 2
    )
    assert sum(requests["series"][0]["values"]) == 2
    assert charts(answer)["Cost"]["unit"] == "usd"
    assert sum(charts(answer)["Cost"]["series"][0]["values"]) == 0.004


async def test_a_longer_span_has_days_and_what_came_before(browser: Browser, database: TestDatabase) -> None:
    key = await used(browser, database)
    answer = await browser.get(f"/dashboard/projects/{key['project_id']}/usage?range=30d")
    requests = charts(answer)["Requests"]
    assert (len(requests["x"]), sum(requests["series"][0]["values"])) == (30, 3)
    assert "openai/gpt-<b>4" in answer.text
    assert "Removed keys" in answer.text
    assert (await browser.get(f"/dashboard/projects/{key['project_id']}/usage?range=nonsense")).status == 200


async def test_agents_and_tiers_are_shown_by_name_where_there_are_any(browser: Browser, database: TestDatabase) -> None:
    key = await used(browser, database)
    usage = f"/dashboard/projects/{key['project_id']}/usage"
    plain = await browser.get(usage)
    assert "No agent" not in plain.text
    assert "No tier" not in plain.text
    agents = f"/projects/{key['project_id']}/agents"
    agent = await browser.control.make(agents, name="support", model="echo")
    gone = await browser.control.make(agents, name="gone", model="echo")
    await browser.control.ask("DELETE", f"{agents}/{gone['id']}")
    place = parsed("ten", key["tenant_id"]), parsed("prj", key["project_id"])
    moment = NOW - timedelta(hours=1)
    calls = [Call(opened_at=moment, agent_id=parsed("agt", one["id"]), tier="<pro>") for one in (agent, gone)]
    settle(database, *place, calls)
    # What a report says is told to others for a moment.
    answer = await browser.get(f"{usage}?range=24h")
    assert "support" in answer.text
    assert "<pro>" in answer.text
    assert f"{usage.removesuffix('usage')}agents/{agent['id']}" in answer.page.links
    assert gone["id"] in answer.text
    assert f"{usage.removesuffix('usage')}agents/{gone['id']}" not in answer.page.links


async def test_a_project_without_calls_says_how_to_make_one(browser: Browser) -> None:
    project = await browser.control.project()
    answer = await browser.get(f"/dashboard/projects/{project['id']}/usage")
    assert "No calls in these 7 days" in answer.text
    assert not charts(answer)


async def test_the_overview_is_a_tenants_and_leads_to_its_projects(browser: Browser, database: TestDatabase) -> None:
    key = await used(browser, database)
    answer = await browser.get(f"/dashboard?tenant={key['tenant_id']}")
    assert "Requests 2" in answer.text
    assert f"/dashboard/projects/{key['project_id']}" in answer.page.links
    own = await browser.as_("viewer", key["tenant_id"]).get("/dashboard")
    assert charts(own) == charts(answer)
    assert not [form for form in own.page.forms if form.method == "get"]


async def test_a_tenants_operator_cannot_choose_another_tenant(browser: Browser, database: TestDatabase) -> None:
    key, other = await used(browser, database), await browser.control.tenant("Other")
    assert (await browser.as_("owner", other["id"]).get(f"/dashboard?tenant={key['tenant_id']}")).status == 404
    assert (await browser.get("/dashboard?tenant=ten_nonsense")).status == 404


@pytest.mark.parametrize("place", ["?tenant={tenant_id}", "/projects/{project_id}/usage", "/projects/{project_id}"])
async def test_what_was_drawn_for_one_visitor_is_shown_only_to_those_who_may_see_it(
    browser: Browser, database: TestDatabase, place: str
) -> None:
    key, other = await used(browser, database), await browser.control.tenant("Other")
    page = f"/dashboard{place.format(**key)}"
    shown, own, stranger = await asyncio.gather(
        browser.get(page),
        browser.as_("viewer", key["tenant_id"]).get(page),
        browser.as_("owner", other["id"]).get(page),
    )
    assert (shown.status, own.status, stranger.status) == (200, 200, 404)
    assert "Requests" in shown.text
    assert "Requests" in own.text
    assert "Requests" not in stranger.text


async def test_a_chart_is_a_table_too_with_what_is_not_nothing_the_last_first(
    browser: Browser, database: TestDatabase
) -> None:
    key = await used(browser, database)
    answer = await browser.get(f"/dashboard/projects/{key['project_id']}/usage?range=30d")
    assert "Day (UTC) Requests 21 Nov 2026 2 11 Nov 2026 1" in answer.text
    assert "Day (UTC) Written Read 21 Nov 2026 100 1000 11 Nov 2026 3 7" in answer.text


async def test_the_first_day_is_taught(browser: Browser) -> None:
    tenant = await browser.control.tenant("Fresh")
    answer = await browser.as_("admin", tenant["id"]).get("/dashboard")
    assert "Create a key and copy it" in answer.text
    assert f"/dashboard/projects/new?tenant={tenant['id']}" in answer.page.links
    assert not [
        link for link in (await browser.as_("viewer", tenant["id"]).get("/dashboard")).page.links if "/new" in link
    ]


async def test_the_first_call_shows_as_soon_as_it_is_settled(browser: Browser, database: TestDatabase) -> None:
    key = await used(browser, database)
    piece = await browser.get(f"/dashboard/projects/{key['project_id']}/first-call")
    assert "Waiting" not in piece.text
    assert "Requests 3" in piece.text
    assert not list(piece.page.values("hx-trigger"))
