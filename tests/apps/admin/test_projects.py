"""`/admin/v1/tenants/{id}/projects` and `/admin/v1/projects/{id}`: a project's life."""

from __future__ import annotations

import asyncio

import pytest

from tests.control import UNKNOWN, Audit, Control


async def test_a_project_is_made_read_changed_and_removed_at_both_addresses(control: Control, audit: Audit) -> None:
    tenant = await control.tenant()
    made = await control.ask("POST", f"/tenants/{tenant['id']}/projects", {"name": "My App"})
    assert made.status_code == 201
    project = made.json()
    assert made.headers["location"] == f"/admin/v1/tenants/{tenant['id']}/projects/{project['id']}"
    assert project == {
        "id": project["id"],
        "tenant_id": tenant["id"],
        "name": "My App",
        "slug": "my-app",
        "status": "active",
        "limits": {},
        "aliases": {},
        "default_tier": None,
        "require_end_user": False,
        "cors_origins": [],
        "on_disconnect": "abort",
        "default_max_output_tokens": None,
        "tools": None,
        "created_at": "2026-11-21T12:00:01Z",
        "created_by": control.operator_id,
    }
    own, below = f"/projects/{project['id']}", f"/tenants/{tenant['id']}/projects/{project['id']}"
    assert await control.read(own) == await control.read(below) == project
    assert (await control.change(own, require_end_user=True))["require_end_user"] is True
    assert (await control.change(below, status="suspended"))["status"] == "suspended"
    assert (await control.ask("DELETE", below)).status_code == 204
    assert (await control.ask("DELETE", own)).status_code == 404
    assert [entry.action for entry in audit(project["id"])] == [
        "project.create",
        "project.change",
        "project.change",
        "project.remove",
    ]


async def test_rules_of_tools_are_made_changed_and_reset(control: Control) -> None:
    project = await control.project(tools={"allow": ["search_*"], "mode": "refuse"})
    address = f"/projects/{project['id']}"
    assert project["tools"] == {"allow": ["search_*"], "deny": [], "mode": "refuse"}
    changed = await control.change(address, tools={"allow": None, "deny": ["Delete_*"]})
    assert changed["tools"] == {"deny": ["delete_*"], "mode": "refuse"}
    assert (await control.change(address, name="Same"))["tools"] == changed["tools"]
    assert (await control.change(address, tools={"mode": "remove"}))["tools"]["mode"] == "remove"
    assert (await control.change(address, tools=None))["tools"] is None
    wrong = await control.wrong_fields("PATCH", address, {"tools": {"mode": "hide", "more": 1}})
    assert set(wrong) == {"tools.mode", "tools.more"}


async def test_origins_are_made_replaced_reset_and_audited(control: Control, audit: Audit) -> None:
    project = await control.project(cors_origins=["https://app.example.com", "http://localhost:3000"])
    address = f"/projects/{project['id']}"
    assert project["cors_origins"] == ["https://app.example.com", "http://localhost:3000"]
    assert (await control.change(address, name="Same"))["cors_origins"] == project["cors_origins"]
    assert (await control.change(address, cors_origins=["https://new.example"]))["cors_origins"] == [
        "https://new.example"
    ]
    assert (await control.read(address))["cors_origins"] == ["https://new.example"]
    assert (await control.change(address, cors_origins=None))["cors_origins"] == []
    assert [entry.detail.get("after", {}).get("cors_origins") for entry in audit(project["id"])[2:]] == [
        ["https://new.example"],
        [],
    ]


async def test_origins_that_cannot_be_are_refused(control: Control) -> None:
    project = await control.project()
    wrong = await control.wrong_fields(
        "PATCH", f"/projects/{project['id']}", {"cors_origins": ["https://app.example.com", "https://*.example.com"]}
    )
    assert wrong == {"cors_origins.1": "must name one origin: there are no wildcards"}
    assert await control.wrong_fields("PATCH", f"/projects/{project['id']}", {"cors_origins": "*"}) == {
        "cors_origins": "must be a list"
    }


async def test_projects_are_listed_by_tenant(control: Control) -> None:
    tenant = await control.tenant()
    made = [await control.make(f"/tenants/{tenant['id']}/projects", name=f"P{number}") for number in range(3)]
    await control.project()
    listed = await control.read(f"/tenants/{tenant['id']}/projects")
    assert listed == {"data": made, "has_more": False, "next": None}
    page = await control.read(f"/tenants/{tenant['id']}/projects?limit=1&after={made[0]['id']}")
    assert page == {"data": [made[1]], "has_more": True, "next": made[1]["id"]}


async def test_limits_are_merged_level_by_level(control: Control) -> None:
    project = await control.project(limits={"user": {"requests": 60, "per": "1m"}})
    address = f"/projects/{project['id']}"
    changed = await control.change(address, limits={"user": {"burst": 5}, "ip": {"requests": 600, "per": "1h"}})
    assert changed["limits"] == {
        "user": {"requests": 60, "per": "1m", "burst": 5},
        "ip": {"requests": 600, "per": "1h"},
    }
    assert (await control.change(address, limits={}))["limits"] == changed["limits"]
    assert (await control.change(address, limits={"user": None}))["limits"] == {"ip": {"requests": 600, "per": "1h"}}
    assert (await control.change(address, limits=None))["limits"] == {}


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"user": {"requests": 60}}, "limits.user.per"),
        ({"user": {"requests": True, "per": "1m"}}, "limits.user.requests"),
        ({"user": {"requests": 1.5, "per": "1m"}}, "limits.user.requests"),
        ({"user": {"requests": 10**400, "per": "1m"}}, "limits.user.requests"),
        ({"user": {"requests": 60, "per": "1m", "tokens": 0}}, "limits.user.tokens"),
        ({"user": {"tokens": 5, "per": "1m", "burst": 5}}, "limits.user.burst"),
        ({"users": {"requests": 60, "per": "1m"}}, "limits.users"),
        ({"user": 5}, "limits.user"),
        ([], "limits"),
        ("none", "limits"),
    ],
)
async def test_limits_that_cannot_be_are_refused_by_their_path(control: Control, limits: object, field: str) -> None:
    project = await control.project()
    assert set(await control.wrong_fields("PATCH", f"/projects/{project['id']}", {"limits": limits})) == {field}


async def test_aliases_are_merged_name_by_name(control: Control) -> None:
    project = await control.project(aliases={"fast": ["openai/gpt-4o-mini"], "slow": ["o3"]})
    changed = await control.change(f"/projects/{project['id']}", aliases={"fast": None, "wise": ["claude-opus"]})
    assert changed["aliases"] == {"slow": ["o3"], "wise": ["claude-opus"]}


@pytest.mark.parametrize(
    ("aliases", "wrong"),
    [
        ({"a": []}, {"aliases.a": "must name a model"}),
        ({"a": [f"m{n}" for n in range(9)]}, {"aliases.a": "must name at most 7 fallbacks"}),
        ({"a": ["x", "y", "x"]}, {"aliases.a": "must name each model once"}),
        ({"echo": ["x"]}, {"aliases.echo": "is a reserved name"}),
        ({"agent/x": ["x"]}, {"aliases.agent/x": "is a reserved name"}),
        ({"a": [1]}, {"aliases.a.0": "must be a string"}),
        ({"a": "x"}, {"aliases.a": "must be a list"}),
        ({"a b": ["x"]}, {"aliases.a b": "must be 1 to 255 visible ASCII characters, without spaces"}),
    ],
)
async def test_aliases_that_cannot_be_are_refused(control: Control, aliases: object, wrong: dict[str, str]) -> None:
    tenant = await control.tenant()
    body = {"name": "P", "aliases": aliases}
    assert await control.wrong_fields("POST", f"/tenants/{tenant['id']}/projects", body) == wrong


async def test_what_answers_are_bounded_by_is_made_changed_and_reset(control: Control) -> None:
    project = await control.project(default_max_output_tokens=1)
    address = f"/projects/{project['id']}"
    assert project["default_max_output_tokens"] == 1
    assert (await control.change(address, default_max_output_tokens=2**31 - 1))[
        "default_max_output_tokens"
    ] == 2**31 - 1
    assert (await control.change(address, name="Same"))["default_max_output_tokens"] == 2**31 - 1
    assert (await control.change(address, default_max_output_tokens=None))["default_max_output_tokens"] is None
    for wrong in (0, -1, 2**31, 10**30, 1.5, "4096", True):
        found = await control.wrong_fields("PATCH", address, {"default_max_output_tokens": wrong})
        assert set(found) == {"default_max_output_tokens"}


async def test_fields_of_later_versions_are_refused_and_never_ignored(control: Control) -> None:
    project = await control.project()
    for method, path, body in (
        ("POST", f"/tenants/{project['tenant_id']}/projects", {"name": "P", "memory": "x"}),
        ("PATCH", f"/projects/{project['id']}", {"memory": ["x"]}),
    ):
        assert await control.wrong_fields(method, path, body) == {"memory": "not supported yet"}


async def test_project_slugs_are_unique_across_tenants(control: Control) -> None:
    project = await control.project(slug="only-one")
    other = await control.project()
    status, problem = await control.refused(
        "POST", f"/tenants/{other['tenant_id']}/projects", {"name": "P", "slug": "only-one"}
    )
    assert (status, problem["detail"]) == (409, "The slug is taken.")
    status, _ = await control.refused("PATCH", f"/projects/{other['id']}", {"slug": "only-one"})
    assert status == 409
    assert (await control.project("Only One"))["slug"].startswith("only-one-")
    assert (await control.read(f"/projects/{project['id']}"))["slug"] == "only-one"


async def test_a_project_is_only_found_below_its_own_tenant(control: Control) -> None:
    project, other = await control.project(), await control.tenant()
    for tenant in (other["id"], UNKNOWN["ten"]):
        path = f"/tenants/{tenant}/projects/{project['id']}"
        for method, body in (("GET", None), ("PATCH", {"name": "Mine"}), ("DELETE", None)):
            assert (await control.ask(method, path, body)).status_code == 404
    assert await control.read(f"/projects/{project['id']}") == project


async def test_a_project_of_no_tenant_is_not_made(control: Control) -> None:
    assert (await control.ask("POST", f"/tenants/{UNKNOWN['ten']}/projects", {"name": "P"})).status_code == 404


async def test_changes_at_the_same_time_are_all_kept(control: Control) -> None:
    project = await control.project()
    path = f"/projects/{project['id']}"
    patches = [{"aliases": {f"alias-{number}": ["m"]}} for number in range(8)]
    answers = await asyncio.gather(*(control.ask("PATCH", path, patch) for patch in patches))
    assert {answer.status_code for answer in answers} == {200}
    assert len((await control.read(path))["aliases"]) == 8


async def test_a_key_is_never_made_of_a_project_that_is_being_removed(control: Control) -> None:
    project = await control.project()
    path = f"/projects/{project['id']}"
    makes = [control.ask("POST", f"{path}/keys", {"name": f"K{number}"}) for number in range(6)]
    answers = await asyncio.gather(*makes[:3], control.ask("DELETE", path), *makes[3:])
    assert {answer.status_code for answer in answers} <= {201, 204, 404}
