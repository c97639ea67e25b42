"""`/admin/v1/projects/{id}/tiers`: the named plans of a project."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bailiwick.services import tiers
from tests.control import UNKNOWN, Audit, Control

LATER = ("memory",)


async def made(control: Control, **fields: object) -> tuple[str, dict[str, Any]]:
    """A tier of a new project, and the address of the project's tiers."""
    project = await control.project()
    path = f"/projects/{project['id']}/tiers"
    return path, await control.make(path, **{"name": "pro", **fields})


async def test_a_tier_is_made_read_changed_and_removed(control: Control, audit: Audit) -> None:
    project = await control.project()
    path = f"/projects/{project['id']}/tiers"
    limits = {"user": {"requests": 600, "per": "1m"}}
    asked = {"name": "pro", "limits": limits, "models": ["gpt-4o*"], "agents": ["sup*"]}
    tools = {"allow": ["search_*"], "deny": ["search_all"]}
    budget = {"limit": {"usd": "5"}, "window": "month"}
    more = {"tools": tools, "max_output_tokens": 4096, "budgets": [budget]}
    answer = await control.ask("POST", path, {**asked, **more})
    tier = answer.json()
    own = f"{path}/{tier['id']}"
    assert (answer.status_code, answer.headers["location"]) == (201, f"/admin/v1{own}")
    assert tier == {
        "id": tier["id"],
        "tenant_id": project["tenant_id"],
        "project_id": project["id"],
        "name": "pro",
        "limits": limits,
        "models": ["gpt-4o*"],
        "agents": ["sup*"],
        "tools": tools,
        "max_output_tokens": 4096,
        "budgets": [
            {
                "limit": {"usd": "5.00"},
                "window": "month",
                "timezone": "UTC",
                "on_exceed": "cap",
                "max_wait": "2s",
                "on_lost": "estimate",
            }
        ],
        "created_at": "2026-11-21T12:00:02Z",
        "created_by": control.operator_id,
    }
    assert await control.read(own) == tier
    assert (await control.read(path))["data"] == [tier]
    changed = await control.change(own, name="plus", limits={"ip": {"requests": 9, "per": "1s"}}, models=None)
    assert (changed["name"], changed["models"], changed["agents"]) == ("plus", None, ["sup*"])
    assert (changed["tools"], changed["max_output_tokens"], changed["budgets"]) == (tools, 4096, tier["budgets"])
    assert changed["limits"] == {**limits, "ip": {"requests": 9, "per": "1s"}}
    assert (await control.change(own, limits={"user": None}))["limits"] == {"ip": {"requests": 9, "per": "1s"}}
    cleared = await control.change(own, limits=None, budgets=None)
    assert (cleared["limits"], cleared["budgets"]) == ({}, [])
    assert (await control.ask("DELETE", own)).status_code == 204
    assert (await control.ask("GET", own)).status_code == 404
    entries = audit(tier["id"])
    assert [entry.action for entry in entries] == ["tier.create", *["tier.change"] * 3, "tier.remove"]
    assert entries[0].detail["after"] == tier
    assert {entry.actor for entry in entries} == {control.operator_id}


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"tools": {"allow": ["a b"]}}, "tools.allow.0"),
        ({"tools": {"deny": ["x" * 256]}}, "tools.deny.0"),
        ({"tools": {"deny": ["x"] * 501}}, "tools.deny"),
        ({"tools": {"allow": [7]}}, "tools.allow.0"),
        ({"tools": {"mode": "refuse"}}, "tools.mode"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 2**31}, "max_output_tokens"),
        ({"budgets": [{"limit": {"usd": "-1"}, "window": "day"}]}, "budgets.0.limit.usd"),
        ({"budgets": [{"limit": {"usd": "1"}, "window": "year"}]}, "budgets.0.window"),
        ({"budgets": [{"limit": {"usd": "1"}, "window": "day", "scope": "user"}]}, "budgets.0.scope"),
        ({"budgets": [{"limit": {"tokens": n}, "window": "day"} for n in (1, 2)]}, "budgets.1"),
    ],
)
async def test_rules_that_cannot_be_are_told_by_their_path(
    control: Control, fields: dict[str, Any], wrong: str
) -> None:
    path, _ = await made(control)
    assert set(await control.wrong_fields("POST", path, {"name": "other", **fields})) == {wrong}


async def test_names_are_unique_in_a_project(control: Control) -> None:
    path, tier = await made(control)
    status, problem = await control.refused("POST", path, {"name": "pro"})
    assert (status, problem["code"], problem["detail"]) == (409, "conflict", "A tier of this name exists already.")
    other = await control.make(path, name="Pro")
    assert (await control.refused("PATCH", f"{path}/{other['id']}", {"name": "pro"}))[0] == 409
    await made(control)  # In another project.
    assert (await control.ask("DELETE", f"{path}/{tier['id']}")).status_code == 204
    assert (await control.change(f"{path}/{other['id']}", name="pro"))["name"] == "pro"


@pytest.mark.parametrize("name", ["3", "x" * 255, "größer, als ein Slug", "a/b"])
async def test_a_tiers_name_is_what_a_token_may_say(control: Control, name: str) -> None:
    assert (await made(control, name=name))[1]["name"] == name


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"name": 3}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": "ü" * 128}, "name"),
        ({"limits": {"user": {"requests": 0, "per": "1m"}}}, "limits.user.requests"),
        ({"limits": {"nobody": {"requests": 1, "per": "1m"}}}, "limits.nobody"),
        ({"limits": []}, "limits"),
        ({"models": ["a b"]}, "models.0"),
        ({"models": "gpt-4o"}, "models"),
        ({"agents": ["a b"]}, "agents.0"),
        ({"model": ["gpt-4o"]}, "model"),
    ],
)
async def test_a_tier_that_cannot_be_is_refused_by_its_field(
    control: Control, fields: dict[str, Any], field: str
) -> None:
    path, tier = await made(control)
    assert list(await control.wrong_fields("POST", path, {"name": "other", **fields})) == [field]
    assert list(await control.wrong_fields("PATCH", f"{path}/{tier['id']}", fields)) == [field]
    assert await control.read(f"{path}/{tier['id']}") == tier


@pytest.mark.parametrize("field", LATER)
async def test_fields_of_later_versions_are_refused_and_never_ignored(control: Control, field: str) -> None:
    path, tier = await made(control)
    for method, address, body in (
        ("POST", path, {"name": "other", field: {}}),
        ("PATCH", f"{path}/{tier['id']}", {field: {}}),
    ):
        assert await control.wrong_fields(method, address, body) == {field: "not supported yet"}


async def test_a_project_has_at_most_so_many_tiers_however_they_come(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers, "MAX_TIERS", 3)
    path, _ = await made(control)
    answers = await asyncio.gather(*(control.ask("POST", path, {"name": f"t{n}"}) for n in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409, 409]
    await made(control)


async def test_tiers_are_listed_in_pages(control: Control) -> None:
    path, first = await made(control)
    others = [await control.make(path, name=f"t{n}") for n in range(2)]
    page = await control.read(f"{path}?limit=2")
    assert (page["data"], page["has_more"]) == ([first, others[0]], True)
    assert (await control.read(f"{path}?limit=2&after={page['next']}"))["data"] == [others[1]]


async def test_there_are_no_tiers_of_no_project(control: Control) -> None:
    path = f"/projects/{UNKNOWN['prj']}/tiers"
    assert (await control.refused("GET", path))[0] == 404
    assert (await control.refused("POST", path, {"name": "pro"}))[0] == 404


async def test_a_projects_default_tier_is_set_reset_and_need_not_exist(control: Control) -> None:
    project = await control.project(default_tier="free")
    path = f"/projects/{project['id']}"
    assert project["default_tier"] == "free"
    assert (await control.change(path, name="Same"))["default_tier"] == "free"
    assert (await control.change(path, default_tier=None))["default_tier"] is None
    assert list(await control.wrong_fields("PATCH", path, {"default_tier": ""})) == ["default_tier"]
