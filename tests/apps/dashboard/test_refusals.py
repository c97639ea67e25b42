"""Refused calls over time: on the overview and on a project's usage, by code, each with the way to its explanation."""

from __future__ import annotations

from tests.apps.admin.test_refusals import count
from tests.apps.dashboard.test_usage import charts
from tests.dashboard import Browser
from tests.database import TestDatabase


async def test_refused_calls_are_drawn_by_code_and_lead_to_their_explanations(
    browser: Browser, database: TestDatabase
) -> None:
    project, stranger = await browser.control.project(), await browser.control.project()
    count(database, project, "2026-11-21T09:00:00Z", "rate_limited", 4)
    count(database, project, "2026-11-21T10:00:00Z", "rate_limited", 5)
    count(database, project, "2026-11-21T10:00:00Z", "user_blocked", 2)
    count(database, project, "2026-11-19T10:00:00Z", "forbidden", 70)
    count(database, stranger, "2026-11-21T10:00:00Z", "forbidden", 1_000)
    own = browser.as_("viewer", project["tenant_id"])
    for address in ("/dashboard", f"/dashboard/projects/{project['id']}/usage"):
        day = await own.get(f"{address}?range=24h")
        chart = charts(day)["rate_limited"]
        assert [series["label"] for series in chart["series"]] == ["rate_limited", "user_blocked"]
        assert (len(chart["x"]), chart["step"]) == (24, 3_600)
        assert [sum(series["values"]) for series in chart["series"]] == [9, 2]
        assert "Refused 11" in day.text
        assert [link for link in day.page.links if "/requests?tenant=" in link]
        week = await own.get(f"{address}?range=7d")
        assert "Refused 81" in week.text
        by_day = charts(week)["forbidden"]
        assert (len(by_day["x"]), by_day["step"]) == (8, 86_400)  # seven days of hours begin within one


async def test_of_many_codes_the_rest_is_one(browser: Browser, database: TestDatabase) -> None:
    project = await browser.control.project()
    codes = ("rate_limited", "user_blocked", "forbidden", "model_not_found", "invalid_request")
    for number, code in enumerate(codes):
        count(database, project, "2026-11-21T10:00:00Z", code, 10 - number)
    chart = charts(await browser.get(f"/dashboard/projects/{project['id']}/usage"))["rate_limited"]
    assert [(one["label"], sum(one["values"])) for one in chart["series"]] == [
        ("rate_limited", 10), ("user_blocked", 9), ("forbidden", 8), ("others", 13)
    ]  # fmt: skip
