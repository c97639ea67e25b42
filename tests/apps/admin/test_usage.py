"""`/admin/v1/projects/{id}/usage`: the numbers are those of the ledger, to the nano-dollar."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from bailiwick.domain import ids
from tests.control import UNKNOWN, Control
from tests.database import TestDatabase
from tests.ledger import Call, settle, told_percentile

START = datetime(2026, 11, 1, tzinfo=UTC)
NOVEMBER = "from=2026-11-01T00:00:00Z&to=2026-12-01T00:00:00Z"
KEYS = [ids.uuid7(1_700_000_000_000, bytes([number]) * 10) for number in range(3)]


def identity(project: dict[str, Any]) -> tuple[UUID, UUID]:
    tenant_id, project_id = ids.parsed(ids.TENANT, project["tenant_id"]), ids.parsed(ids.PROJECT, project["id"])
    assert tenant_id is not None
    assert project_id is not None
    return tenant_id, project_id


def some_calls(count: int, seed: int) -> list[Call]:
    chance = random.Random(seed)
    return [
        Call(
            opened_at=START + timedelta(minutes=chance.randrange(29 * 24 * 60)),
            key_id=chance.choice([None, *KEYS]),
            uid=chance.choice([None, "Zoë", "ann", "ANN", "bob", "a b&c=d/é"]),
            sid=chance.choice([None, "s1", "s2"]),
            provider=chance.choice(["openai", "local"]),
            model=chance.choice(["gpt-4o", "org/model"]),
            input_tokens=chance.randrange(100_000),
            output_tokens=chance.randrange(10_000),
            cost_nano=chance.choice([None, chance.randrange(10**12)]),
            latency_ms=chance.randrange(60_000),
            agent_id=chance.choice([None, *KEYS]),
            tier=chance.choice([None, "free", "Pläne"]),
        )
        for _ in range(count)
    ]


# Of a project; the last two not of a tenant.
GROUPS: dict[str, Callable[[Call], str | None]] = {
    "provider": lambda call: call.provider,
    "hour": lambda call: f"{call.opened_at:%Y-%m-%dT%H:00:00Z}",
    "model": lambda call: f"{call.provider}/{call.model}",
    "key": lambda call: None if call.key_id is None else ids.shown(ids.KEY, call.key_id),
    "day": lambda call: f"{call.opened_at:%Y-%m-%d}",
    "agent": lambda call: None if call.agent_id is None else ids.shown(ids.AGENT, call.agent_id),
    "tier": lambda call: call.tier,
    "user": lambda call: call.uid,
    "session": lambda call: call.sid,
}


def usage(calls: list[Call]) -> dict[str, object]:
    """What a report must say of these calls, by arithmetic of the test's own."""
    latencies = [call.latency_ms for call in calls]
    cost = sum(Decimal(call.cost_nano or 0) for call in calls) / 10**9
    return {
        "requests": len(calls),
        "input_tokens": sum(call.input_tokens for call in calls),
        "output_tokens": sum(call.output_tokens for call in calls),
        "cost_usd": cost,
        "latency_p50_ms": told_percentile(latencies, 50),
        "latency_p95_ms": told_percentile(latencies, 95),
    }


def told(document: dict[str, Any]) -> dict[str, object]:
    """A part of a report with its cost as a number."""
    assert isinstance(document["cost_usd"], str)
    figures = {name: value for name, value in document.items() if name != "name"}
    return {**figures, "cost_usd": Decimal(document["cost_usd"])}


@pytest.mark.parametrize("group_by", GROUPS)
async def test_every_group_and_the_total_are_those_of_the_ledger(
    control: Control, database: TestDatabase, group_by: str
) -> None:
    project, other = await control.project(), await control.project()
    sibling = await control.make(f"/tenants/{project['tenant_id']}/projects", name="Sibling")
    calls = some_calls(400, seed=1)
    settle(database, *identity(project), calls)
    settle(database, *identity(other), some_calls(50, seed=2))
    settle(database, *identity(sibling), some_calls(50, seed=3))

    span = "from=2026-11-05T09:31:07Z&to=2026-11-20T12:34:00Z&limit=200"
    report = await control.read(f"/projects/{project['id']}/usage?group_by={group_by}&{span}")
    since, until = datetime(2026, 11, 5, 9, 31, 7, tzinfo=UTC), datetime(2026, 11, 20, 12, 34, tzinfo=UTC)
    counted = [call for call in calls if since <= call.opened_at < until]
    groups: dict[str | None, list[Call]] = {}
    for call in counted:
        groups.setdefault(GROUPS[group_by](call), []).append(call)
    assert {group.pop("key"): told(group) for group in report["data"]} == {
        name: usage(members) for name, members in groups.items()
    }
    assert told(report["total"]) == usage(counted)
    assert (report["from"], report["to"]) == ("2026-11-05T09:31:07Z", "2026-11-20T12:34:00Z")
    assert (report["group_by"], report["has_more"], report["next"]) == (group_by, False, None)


@pytest.mark.parametrize("group_by", GROUPS)
async def test_pages_hold_every_group_once_and_the_same_total(
    control: Control, database: TestDatabase, group_by: str
) -> None:
    project = await control.project()
    settle(database, *identity(project), some_calls(60, seed=4))
    path = f"/projects/{project['id']}/usage?group_by={group_by}&{NOVEMBER}"
    whole = await control.read(f"{path}&limit=200")
    assert (len(whole["data"]) > 0, whole["has_more"]) == (True, False)
    seen: list[dict[str, Any]] = []
    after = ""
    while True:
        page = await control.read(f"{path}&limit=1{after}")
        seen += page["data"]
        assert page["total"] == whole["total"]
        if not page["has_more"]:
            break
        after = f"&after={page['next']}"
    assert seen == whole["data"]


@pytest.mark.parametrize("group_by", ["day", "project", "model", "key", "agent", "tier"])
async def test_a_tenants_report_is_that_of_all_its_projects(
    control: Control, database: TestDatabase, group_by: str
) -> None:
    first, stranger = await control.project(), await control.project()
    second = await control.make(f"/tenants/{first['tenant_id']}/projects", name="Second")
    calls = {project["id"]: some_calls(100, seed=seed) for seed, project in enumerate((first, second))}
    settle(database, *identity(first), calls[first["id"]])
    settle(database, *identity(second), calls[second["id"]])
    settle(database, *identity(stranger), some_calls(50, seed=2))
    report = await control.read(f"/tenants/{first['tenant_id']}/usage?group_by={group_by}&{NOVEMBER}")
    groups: dict[str | None, list[Call]] = {}
    for project, opened in calls.items():
        for call in opened:
            groups.setdefault(project if group_by == "project" else GROUPS[group_by](call), []).append(call)
    assert {group.pop("key"): told(group) for group in report["data"]} == {
        name: usage(members) for name, members in groups.items()
    }
    assert told(report["total"]) == usage([call for opened in calls.values() for call in opened])


@pytest.mark.parametrize("group_by", ["user", "session"])
async def test_users_and_sessions_are_a_projects_own(control: Control, group_by: str) -> None:
    tenant = await control.tenant()
    assert set(await control.wrong_fields("GET", f"/tenants/{tenant['id']}/usage?group_by={group_by}", None)) == {
        "group_by"
    }


async def test_a_report_is_of_this_month_until_now_unless_it_says_another_time(
    control: Control, database: TestDatabase
) -> None:
    project = await control.project()
    now = control.clock()
    opened = [START, START - timedelta(microseconds=1), now - timedelta(seconds=1), now + timedelta(hours=1)]
    settle(database, *identity(project), [Call(opened_at=moment) for moment in opened])
    path = f"/projects/{project['id']}/usage"
    report = await control.read(path)
    assert (report["from"], report["to"]) == ("2026-11-01T00:00:00Z", "2026-11-21T12:00:02Z")
    assert (report["group_by"], report["total"]["requests"]) == ("day", 2)
    assert [group["key"] for group in report["data"]] == ["2026-11-01", "2026-11-21"]
    assert (await control.read(f"{path}?to=2026-10-31T23:59:59Z"))["from"] == "2026-10-01T00:00:00Z"


async def test_an_unused_project_has_a_report_of_nothing(control: Control) -> None:
    project = await control.project()
    report = await control.read(f"/projects/{project['id']}/usage")
    assert report["data"] == []
    assert report["total"] == {
        "requests": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_usd": "0.00",
        "latency_p50_ms": None,
        "latency_p95_ms": None,
    }


async def test_sums_are_exact_beyond_what_a_float_holds(control: Control, database: TestDatabase) -> None:
    project = await control.project()
    call = Call(opened_at=START, cost_nano=2**62 + 1, input_tokens=2**31 - 1)
    settle(database, *identity(project), [call] * 5)
    total = (await control.read(f"/projects/{project['id']}/usage"))["total"]
    assert Decimal(total["cost_usd"]) * 10**9 == (2**62 + 1) * 5
    assert total["input_tokens"] == (2**31 - 1) * 5


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("group_by=tenant", "group_by"),
        ("group_by=", "group_by"),
        ("from=yesterday", "from"),
        ("from=2026-11-01", "from"),
        ("to=2026-11-01T00:00:00", "to"),
        ("to=1700000000", "to"),
        ("from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z", "from"),
        ("limit=0", "limit"),
        ("group_by=project&after=dT1hYmM", "after"),
        ("after=x", "after"),
        ("after=dQ%3D%3D", "after"),
        ("group_by=key&after=dT1hYmM", "after"),
        ("group_by=user&after=dT0A", "after"),
        ("uid=ann", "uid"),
    ],
)
async def test_questions_that_cannot_be_are_refused(control: Control, query: str, field: str) -> None:
    project = await control.project()
    assert set(await control.wrong_fields("GET", f"/projects/{project['id']}/usage?{query}", None)) == {field}


async def test_an_unknown_project_has_no_report(control: Control) -> None:
    assert (await control.ask("GET", f"/projects/{UNKNOWN['prj']}/usage")).status_code == 404


async def test_a_removed_projects_usage_stays_in_the_ledger(control: Control, database: TestDatabase) -> None:
    project = await control.project()
    settle(database, *identity(project), [Call(opened_at=START)])
    await control.ask("DELETE", f"/tenants/{project['tenant_id']}")
    assert (await control.ask("GET", f"/projects/{project['id']}/usage")).status_code == 404
    assert (await control.ask("GET", f"/tenants/{project['tenant_id']}/usage")).status_code == 404
    assert database.rows("SELECT count(*) FROM bailiwick.ledger WHERE project_id = %s", identity(project)[1]) == [(1,)]


async def test_agents_have_a_name_as_long_as_they_are_there(control: Control, database: TestDatabase) -> None:
    project = await control.project()
    agents = f"/projects/{project['id']}/agents"
    agent = await control.make(agents, name="support", model="echo")
    agent_id = ids.parsed(ids.AGENT, agent["id"])
    settle(database, *identity(project), [Call(opened_at=START, agent_id=agent_id), Call(opened_at=START)])
    path = f"/projects/{project['id']}/usage?group_by=agent&{NOVEMBER}"
    named = [(group["key"], group["name"]) for group in (await control.read(path))["data"]]
    assert named == [(None, None), (agent["id"], "support")]
    await control.ask("DELETE", f"{agents}/{agent['id']}")
    assert [(group["key"], group["name"]) for group in (await control.read(path))["data"]] == [
        (None, None),
        (agent["id"], None),
    ]
