"""`/admin/v1/…/budgets`: what a project and a tenant cap."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bailiwick.domain import ids
from bailiwick.domain.budget_use import UNVERSIONED
from bailiwick.services import budgets
from tests.control import UNKNOWN, Audit, Control

GOOD: dict[str, Any] = {"scope": "user", "subject": "*", "limit": {"usd": "5"}, "window": "month"}


async def places(control: Control) -> dict[str, str]:
    """Where budgets can be."""
    project = await control.project()
    return {"project": f"/projects/{project['id']}/budgets", "tenant": f"/tenants/{project['tenant_id']}/budgets"}


@pytest.mark.parametrize("place", ["project", "tenant"])
async def test_a_budget_is_made_read_changed_and_removed(control: Control, audit: Audit, place: str) -> None:
    path = (await places(control))[place]
    made = await control.ask("POST", path, GOOD)
    budget = made.json()
    own = f"{path}/{budget['id']}"
    assert (made.status_code, made.headers["location"]) == (201, f"/admin/v1{own}")
    assert budget == {
        "id": budget["id"],
        "tenant_id": budget["tenant_id"],
        "project_id": path.split("/")[2] if place == "project" else None,
        "scope": "user",
        "subject": "*",
        "limit": {"usd": "5.00"},
        "window": "month",
        "timezone": "UTC",
        "on_exceed": "cap",
        "max_wait": "2s",
        "on_lost": "estimate",
        "models": None,
        "created_at": budget["created_at"],
        "created_by": control.operator_id,
        "used": None,
        "in_flight": None,
        "remaining": None,
        "window_ends_at": "2026-12-01T00:00:00Z",
    }
    assert ids.parsed(ids.BUDGET, budget["id"]) is not None
    assert await control.read(own) == budget
    assert (await control.read(path))["data"] == [budget]
    more = {"timezone": "Europe/Berlin", "on_exceed": "reject", "max_wait": "0s", "on_lost": "ceiling"}
    changed = await control.change(own, limit={"usd": "7.25"}, models=["gpt-*"], **more)
    ends = {"window_ends_at": "2026-11-30T23:00:00Z"}
    assert changed == {**budget, **more, **ends, "limit": {"usd": "7.25"}, "models": ["gpt-*"]}
    assert await control.change(own, models=None, timezone=None, on_exceed=None, max_wait=None, on_lost=None) == {
        **budget,
        "limit": {"usd": "7.25"},
    }
    assert (await control.ask("DELETE", own)).status_code == 204
    assert (await control.ask("GET", own)).status_code == 404
    entries = audit(budget["id"])
    assert [entry.action for entry in entries] == ["budget.create", *["budget.change"] * 2, "budget.remove"]
    kept = {name: value for name, value in budget.items() if name not in UNVERSIONED}
    assert entries[0].detail["after"] == kept
    assert {entry.actor for entry in entries} == {control.operator_id}


async def test_a_budget_of_nothing_and_the_largest_there_is_are_budgets(control: Control) -> None:
    path = (await places(control))["project"]
    assert (await control.make(path, **{**GOOD, "limit": {"usd": "0"}}))["limit"] == {"usd": "0.00"}
    assert (await control.make(path, **{**GOOD, "limit": {"tokens": 0}}))["limit"] == {"tokens": 0}
    largest = "2305843009.213693952"
    assert (await control.make(path, **{**GOOD, "limit": {"usd": largest}}))["limit"] == {"usd": largest}
    assert (await control.make(path, **{**GOOD, "limit": {"tokens": 2**61}}))["limit"] == {"tokens": 2**61}


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"limit": {"usd": "-1"}}, "limit.usd"),
        ({"limit": {"usd": 5}}, "limit.usd"),
        ({"limit": {"usd": 5.5}}, "limit.usd"),
        ({"limit": {"usd": "1e3"}}, "limit.usd"),
        ({"limit": {"usd": "9" * 400}}, "limit.usd"),
        ({"limit": {"tokens": -1}}, "limit.tokens"),
        ({"limit": {"tokens": 1.5}}, "limit.tokens"),
        ({"limit": {"tokens": True}}, "limit.tokens"),
        ({"limit": {"tokens": 2**61 + 1}}, "limit.tokens"),
        ({"limit": {"usd": "1", "tokens": 1}}, "limit"),
        ({"limit": {}}, "limit"),
        ({"limit": None}, "limit"),
        ({"window": "year"}, "window"),
        ({"window": None}, "window"),
        ({"timezone": "Berlin"}, "timezone"),
        ({"on_exceed": "wait"}, "on_exceed"),
        ({"max_wait": "2m"}, "max_wait"),
        ({"on_lost": "forget"}, "on_lost"),
        ({"models": []}, "models"),
        ({"models": ["a b"]}, "models.0"),
        ({"used": "1"}, "used"),
    ],
)
async def test_a_budget_that_cannot_be_is_refused_by_its_field(
    control: Control, fields: dict[str, Any], wrong: str
) -> None:
    path = (await places(control))["project"]
    assert list(await control.wrong_fields("POST", path, {**GOOD, **fields})) == [wrong]
    assert (await control.read(path))["data"] == []


@pytest.mark.parametrize(
    ("patch", "wrong"),
    [
        ({"limit": {"usd": "-1"}}, "limit.usd"),
        ({"limit": {"usd": None}}, "limit"),
        ({"limit": {"tokens": 5}}, "limit"),
        ({"window": None}, "window"),
        ({"window": "24h", "timezone": "Asia/Tokyo"}, "timezone"),
        ({"used": None}, "used"),
    ],
)
async def test_a_change_that_cannot_be_is_refused_and_changes_nothing(
    control: Control, patch: dict[str, Any], wrong: str
) -> None:
    path = (await places(control))["project"]
    budget = await control.make(path, **GOOD)
    own = f"{path}/{budget['id']}"
    assert list(await control.wrong_fields("PATCH", own, patch)) == [wrong]
    assert await control.read(own) == budget


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"scope": "session"}, "scope"),
        ({"subject": "ada"}, "subject"),
        ({"limit": {"usd": None, "tokens": 5}}, "limit"),
    ],
)
async def test_whom_a_budget_counts_and_in_what_stays(control: Control, change: dict[str, Any], wrong: str) -> None:
    path = (await places(control))["project"]
    budget = await control.make(path, **GOOD)
    found = await control.wrong_fields("PATCH", f"{path}/{budget['id']}", change)
    assert found == {wrong: "cannot count something else: make another budget"}


async def test_a_subject_is_a_key_or_a_project_of_the_place(control: Control) -> None:
    key, other = await control.key(), await control.key()
    project, tenant = f"/projects/{key['project_id']}/budgets", f"/tenants/{key['tenant_id']}/budgets"
    of_key = {**GOOD, "scope": "key"}
    for path in (project, tenant):
        assert (await control.make(path, **{**of_key, "subject": key["id"]}))["subject"] == key["id"]
        for subject in (other["id"], UNKNOWN["key"]):
            assert list(await control.wrong_fields("POST", path, {**of_key, "subject": subject})) == ["subject"]
    of_project = {**GOOD, "scope": "project"}
    made = await control.make(tenant, **{**of_project, "subject": key["project_id"]})
    assert made["subject"] == key["project_id"]
    for subject in (other["project_id"], UNKNOWN["prj"]):
        assert list(await control.wrong_fields("POST", tenant, {**of_project, "subject": subject})) == ["subject"]


async def test_a_projects_budget_is_not_its_tenants(control: Control) -> None:
    where = await places(control)
    budget = await control.make(where["project"], **GOOD)
    assert (await control.ask("GET", f"{where['tenant']}/{budget['id']}")).status_code == 404
    assert (await control.read(where["tenant"]))["data"] == []
    assert list(await control.wrong_fields("POST", where["project"], {**GOOD, "scope": "tenant"})) == ["scope"]


@pytest.mark.parametrize("place", ["project", "tenant"])
async def test_a_place_has_at_most_so_many_budgets_however_they_come(
    control: Control, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(budgets, "MAX_BUDGETS", 3)
    where = await places(control)
    answers = await asyncio.gather(*(control.ask("POST", where[place], GOOD) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 409, 409, 409]
    del where[place]
    (other,) = where.values()
    await control.make(other, **GOOD)


async def test_budgets_are_listed_in_pages(control: Control) -> None:
    path = (await places(control))["project"]
    made = [await control.make(path, **GOOD) for _ in range(3)]
    page = await control.read(f"{path}?limit=2")
    assert (page["data"], page["has_more"]) == (made[:2], True)
    assert (await control.read(f"{path}?limit=2&after={page['next']}"))["data"] == made[2:]


@pytest.mark.parametrize("path", [f"/projects/{UNKNOWN['prj']}/budgets", f"/tenants/{UNKNOWN['ten']}/budgets"])
async def test_there_are_no_budgets_of_nothing(control: Control, path: str) -> None:
    assert (await control.refused("GET", path))[0] == 404
    assert (await control.refused("POST", path, GOOD))[0] == 404
