"""The installation's overview: what all tenants used and were refused, for its operators alone, and audited."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bailiwick.storage.roles import CONTROL
from bailiwick.storage.roll_up import RollUp
from bailiwick.storage.scope import Database, open_pool
from tests.apps.admin.test_refusals import count
from tests.apps.dashboard.test_usage import NOW, charts, parsed, used
from tests.control import Audit, controlled
from tests.dashboard import Browser, browsing
from tests.database import TestDatabase
from tests.ledger import Call, settle

PAGE = "/dashboard/installation"
EARLIER = NOW - timedelta(hours=3)


@pytest.fixture
async def alone(scratch: TestDatabase) -> AsyncIterator[Browser]:
    """The dashboard of an installation of its own."""
    async with controlled(scratch) as control, browsing(control) as made:
        yield made


async def rolled_up(database: TestDatabase) -> None:
    """Count what is in the ledger."""
    pool = open_pool(database.url(CONTROL), name="roll-up", size=1)
    async with pool:
        while await RollUp(Database(pool)).step():
            pass


@pytest.mark.parametrize("rolls_up", [False, True])
async def test_all_tenants_are_added_up_over_time_and_listed_by_what_they_used(
    alone: Browser, scratch: TestDatabase, *, rolls_up: bool
) -> None:
    first, second = await used(alone, scratch), await alone.control.key()
    if rolls_up:
        await rolled_up(scratch)
    calls = [Call(opened_at=EARLIER, input_tokens=10, output_tokens=5, cost_nano=1_000_000_000) for _ in range(4)]
    settle(scratch, parsed("ten", second["tenant_id"]), parsed("prj", second["project_id"]), calls)
    place = {"tenant_id": second["tenant_id"], "id": second["project_id"]}
    count(scratch, place, "2026-11-21T10:00:00Z", "rate_limited", 7)
    count(scratch, place, "2026-11-20T10:00:00Z", "rate_limited", 70)
    idle = await alone.control.tenant("Idle")
    day = await alone.get(f"{PAGE}?range=24h")
    assert "Requests 6" in day.text
    assert "Refused 7" in day.text
    assert "$4.00" in day.text
    told = charts(day)
    assert len(told["Requests"]["x"]) == 24
    sums = [sum(told[name]["series"][0]["values"]) for name in ("Requests", "Written", "Cost", "Refused")]
    assert sums == [6, 120, 4.004, 7]
    at = told["Requests"]["x"].index(int(EARLIER.timestamp()))
    assert (told["Requests"]["series"][0]["values"][at], told["Written"]["series"][0]["values"][at]) == (4, 20)
    linked = [link for link in day.page.links if "tenant=" in link]
    assert linked == [f"/dashboard?tenant={one['tenant_id']}&range=24h" for one in (second, first)]
    assert idle["id"] not in day.page.html
    month = await alone.get(f"{PAGE}?range=30d")
    assert (len(charts(month)["Requests"]["x"]), sum(charts(month)["Requests"]["series"][0]["values"])) == (30, 7)
    assert "Refused 77" in month.text


async def test_what_a_removed_tenant_used_still_counts(alone: Browser, scratch: TestDatabase) -> None:
    key = await used(alone, scratch)
    await rolled_up(scratch)
    assert (await alone.control.ask("DELETE", f"/tenants/{key['tenant_id']}")).status_code == 204
    answer = await alone.get(f"{PAGE}?range=24h")
    assert "Requests 2" in answer.text
    assert f"Removed {key['tenant_id']}" in answer.text
    assert not [link for link in answer.page.links if "tenant=" in link]


async def test_without_a_call_it_says_so(alone: Browser) -> None:
    assert "No calls in these 7 days" in (await alone.get(PAGE)).text


async def test_it_is_for_operators_of_the_installation_alone(browser: Browser) -> None:
    tenant = await browser.control.tenant()
    assert (await browser.as_("viewer").get(PAGE)).status == 200
    assert PAGE in (await browser.get("/dashboard")).page.links
    owner = browser.as_("owner", tenant["id"])
    assert (await owner.get(PAGE)).status == 403
    assert PAGE not in (await owner.get("/dashboard")).page.links


async def test_each_look_is_audited(browser: Browser, audit: Audit) -> None:
    visitor = browser.as_("viewer")
    browser.control.clock.advance(minutes=5)
    for _ in range(2):
        await visitor.get(f"{PAGE}?range=24h")
    name = visitor.visitor.operator.shown_id
    found = [entry for entry in audit("installation") if entry.actor == name and entry.action == "usage.overview"]
    assert [entry.tenant_id for entry in found] == [None, None]
    assert found[0].detail == {"from": "2026-11-20T13:00:00Z", "to": "2026-11-21T13:00:00Z"}
