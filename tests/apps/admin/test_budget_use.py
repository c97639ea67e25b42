"""What of budgets is used, as the control plane tells it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bailiwick.domain import ids
from bailiwick.domain.windows import parse_window
from tests.control import UNKNOWN, Control
from tests.database import TestDatabase

# The first is full hours before the second, which is when tests begin.
NOVEMBER, HOUR = datetime(2026, 11, 1, tzinfo=UTC), 3_600


def spend(
    database: TestDatabase,
    budget: dict[str, Any],
    slice_: int,
    settled: int,
    reserved: int = 0,
    subject: str = "",
) -> None:
    """Have so much spent of a budget, in its unit, and so much held."""
    unit, window = next(iter(budget["limit"])), parse_window(budget["window"], budget["timezone"])
    ends = window.frees_us(slice_)
    database.run(
        "INSERT INTO bailiwick.budget_slices"
        " (tenant_id, budget_id, counted, subject, slice, span, in_tokens, lim, settled, reserved, ends_at)"
        " VALUES (%s, %s, %s, %s, %s, 0, false, 1, %s, %s, %s)",
        ids.parsed(ids.TENANT, budget["tenant_id"]),
        ids.parsed(ids.BUDGET, budget["id"]),
        f"{unit} {window.measure} {window.timezone}",
        subject,
        slice_,
        settled,
        reserved,
        None if ends is None or slice_ < 0 else datetime.fromtimestamp(ends / 1_000_000, UTC),
    )


async def made(control: Control, **fields: object) -> tuple[str, dict[str, Any]]:
    """A budget of a new project, and the address of the project's budgets."""
    path = f"/projects/{(await control.project())['id']}/budgets"
    return path, await control.make(path, **{"scope": "project", "limit": {"usd": "5"}, "window": "month", **fields})


def told(budget: dict[str, Any]) -> tuple[Any, ...]:
    return budget["used"], budget["in_flight"], budget["remaining"], budget["window_ends_at"]


async def test_a_new_budget_is_whole(control: Control) -> None:
    _, budget = await made(control)
    nothing = {"usd": "0.00"}
    assert told(budget) == (nothing, nothing, {"usd": "5.00"}, "2026-12-01T00:00:00Z")


async def test_what_is_spent_in_its_window_and_held_is_told_and_no_version_of_it(
    control: Control, database: TestDatabase
) -> None:
    path, budget = await made(control)
    before = await control.ask("GET", f"{path}/{budget['id']}")
    month = int(NOVEMBER.timestamp())
    spend(database, budget, month, 3_100_000_000, 400_000_000)
    spend(database, budget, int(datetime(2026, 10, 1, tzinfo=UTC).timestamp()), 9_000_000_000)
    after = await control.ask("GET", f"{path}/{budget['id']}")
    assert told(after.json()) == ({"usd": "3.10"}, {"usd": "0.40"}, {"usd": "1.50"}, "2026-12-01T00:00:00Z")
    assert (await control.read(path))["data"] == [after.json()]
    assert after.headers["etag"] == before.headers["etag"]
    assert (await control.change(f"{path}/{budget['id']}", limit={"usd": "1"}))["remaining"] == {"usd": "0.00"}
    # Another window begins with nothing spent.
    assert (await control.change(f"{path}/{budget['id']}", window="day"))["used"] == {"usd": "0.00"}


async def test_a_rolling_window_adds_up_its_slices_and_frees_when_the_first_is_old(
    control: Control, database: TestDatabase
) -> None:
    path, budget = await made(control, limit={"tokens": 1000}, window="60m")
    assert told(budget) == ({"tokens": 0}, {"tokens": 0}, {"tokens": 1000}, None)
    minute = int(control.clock().timestamp()) // 60
    for ago, tokens in ((61, 900), (60, 30), (10, 4)):
        spend(database, budget, minute - ago, tokens)
    spend(database, budget, -1, 0)
    found = await control.read(f"{path}/{budget['id']}")
    ends = datetime.fromtimestamp((minute + 1) * 60, UTC).isoformat().replace("+00:00", "Z")
    assert told(found) == ({"tokens": 34}, {"tokens": 0}, {"tokens": 966}, ends)


async def test_a_total_never_comes_back(control: Control, database: TestDatabase) -> None:
    path, budget = await made(control, window="total")
    spend(database, budget, 0, 6_000_000_000)
    found = await control.read(f"{path}/{budget['id']}")
    assert told(found) == ({"usd": "6.00"}, {"usd": "0.00"}, {"usd": "0.00"}, None)


async def test_a_budget_of_each_tells_who_has_spent_in_pages(control: Control, database: TestDatabase) -> None:
    path, budget = await made(control, scope="user", subject="*")
    project = ids.parsed(ids.PROJECT, budget["project_id"])
    assert project is not None
    month = int(NOVEMBER.timestamp())
    for number, uid in enumerate(("ada", "bob", "c:d / é")):
        spend(database, budget, month, (number + 1) * 1_000_000_000, subject=f"{project.hex}:{uid}")
    spend(database, budget, month - HOUR, 1, subject=f"{project.hex}:of October")
    assert told(await control.read(f"{path}/{budget['id']}"))[:3] == (None, None, None)
    subjects = f"{path}/{budget['id']}/subjects"
    page = await control.read(f"{subjects}?limit=2")
    assert page["data"][0] == {
        "subject": "ada", "project_id": budget["project_id"], "user_id": None, "used": {"usd": "1.00"},
        "in_flight": {"usd": "0.00"}, "remaining": {"usd": "4.00"}, "window_ends_at": "2026-12-01T00:00:00Z",
    }  # fmt: skip
    assert ([one["subject"] for one in page["data"]], page["has_more"]) == (["ada", "bob"], True)
    rest = await control.read(f"{subjects}?limit=2&after={page['next']}")
    assert ([one["subject"] for one in rest["data"]], rest["has_more"], rest["next"]) == (["c:d / é"], False, None)


async def test_a_budget_of_one_has_no_list_of_others(control: Control, database: TestDatabase) -> None:
    path, budget = await made(control, scope="user", subject="ada")
    spend(database, budget, int(NOVEMBER.timestamp()), 1)
    assert (await control.read(f"{path}/{budget['id']}/subjects"))["data"] == []
    assert (await control.refused("GET", f"{path}/{UNKNOWN['bud']}/subjects"))[0] == 404


@pytest.mark.parametrize("after", ["x", "", "YQ", "AA==", "%ff", "w4k"])
async def test_what_is_no_place_in_that_list_is_refused(control: Control, after: str) -> None:
    path, budget = await made(control, scope="user", subject="*")
    assert list(await control.wrong_fields("GET", f"{path}/{budget['id']}/subjects?after={after}", None)) == ["after"]
