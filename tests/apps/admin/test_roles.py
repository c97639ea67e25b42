"""`/admin/v1/tenants/{id}/roles`: roles of a tenant's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bailiwick.domain.roles import BUILT_IN
from bailiwick.services import roles
from tests.control import UNKNOWN, Audit, Control

CHAT = ["chat:create"]


async def made(control: Control, **fields: object) -> tuple[str, dict[str, Any]]:
    """A role of a new tenant, and the tenant's address."""
    tenant = f"/tenants/{(await control.tenant())['id']}"
    return tenant, await control.make(f"{tenant}/roles", **{"name": "analyst", "permissions": CHAT, **fields})


async def test_a_role_is_made_read_changed_and_removed(control: Control, audit: Audit) -> None:
    tenant, role = await made(control, models=["gpt-4o*"], agents=["support"], tools={"deny": ["x_*"]})
    own = f"{tenant}/roles/{role['id']}"
    assert role == {
        "id": role["id"],
        "tenant_id": tenant.removeprefix("/tenants/"),
        "name": "analyst",
        "permissions": CHAT,
        "models": ["gpt-4o*"],
        "tools": {"deny": ["x_*"]},
        "agents": ["support"],
        "created_at": "2026-11-21T12:00:01Z",
        "created_by": control.operator_id,
    }
    assert await control.read(own) == role
    assert (await control.read(f"{tenant}/roles"))["data"] == [role]
    changed = await control.change(own, permissions=["usage:read", "chat:create"], models=None, agents=None)
    assert changed == {**role, "permissions": ["chat:create", "usage:read"], "models": None, "agents": None}
    assert (await control.ask("DELETE", own)).status_code == 204
    assert (await control.ask("GET", own)).status_code == 404
    assert [entry.action for entry in audit(role["id"])] == ["role.create", "role.change", "role.remove"]


@pytest.mark.parametrize("name", ["analyst", *BUILT_IN])
async def test_a_name_that_is_taken_or_built_in_is_a_conflict(control: Control, name: str) -> None:
    tenant, _ = await made(control)
    assert (await control.refused("POST", f"{tenant}/roles", {"name": name, "permissions": []}))[0] == 409
    await made(control)  # In another tenant.


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": 3}, "name"),
        ({"permissions": ["chat"]}, "permissions.0"),
        ({"permissions": ["chat:create", "tokens:mint"]}, "permissions.1"),
        ({"permissions": ["users:act_as"]}, "permissions.0"),
        ({"permissions": None}, "permissions"),
        ({"models": ["a b"]}, "models.0"),
        ({"agents": ["a"] * 2}, "agents"),
        ({"tools": {"deny": ["a b"]}}, "tools.deny.0"),
        ({"inherits": ["owner"]}, "inherits"),
    ],
)
async def test_a_role_that_cannot_be_is_refused_by_its_field(
    control: Control, fields: dict[str, Any], field: str
) -> None:
    tenant, role = await made(control)
    asked = {"name": "other", "permissions": CHAT, **fields}
    assert list(await control.wrong_fields("POST", f"{tenant}/roles", asked)) == [field]
    assert list(await control.wrong_fields("PATCH", f"{tenant}/roles/{role['id']}", fields)) == [field]


async def test_its_name_cannot_be_changed(control: Control) -> None:
    tenant, role = await made(control)
    assert list(await control.wrong_fields("PATCH", f"{tenant}/roles/{role['id']}", {"name": "else"})) == ["name"]


async def test_a_member_has_a_role_of_the_tenants_own_and_keeps_it_there(control: Control) -> None:
    tenant, role = await made(control)
    member = await control.make(f"{tenant}/members", subject="ada", role="analyst")
    own = f"{tenant}/roles/{role['id']}"
    status, problem = await control.refused("DELETE", own)
    assert (status, problem["detail"]) == (409, "Members have this role: give them another one first.")
    other, _ = await made(control, name="other")
    assert list(await control.wrong_fields("POST", f"{other}/members", {"subject": "bob", "role": "analyst"})) == [
        "role"
    ]
    assert list(await control.wrong_fields("PATCH", f"{tenant}/members/{member['id']}", {"role": "x"})) == ["role"]
    await control.change(f"{tenant}/members/{member['id']}", role="viewer")
    assert (await control.ask("DELETE", own)).status_code == 204
    assert (await control.ask("DELETE", tenant)).status_code == 204


async def test_a_tenant_with_members_of_its_own_roles_can_be_removed(control: Control) -> None:
    tenant, _ = await made(control)
    await control.make(f"{tenant}/members", subject="ada", role="analyst")
    assert (await control.ask("DELETE", tenant)).status_code == 204


async def test_a_tenant_has_at_most_so_many_however_they_come(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roles, "MAX_ROLES", 3)
    tenant, _ = await made(control)
    asked = [{"name": f"r{n}", "permissions": CHAT} for n in range(6)]
    answers = await asyncio.gather(*(control.ask("POST", f"{tenant}/roles", body) for body in asked))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409, 409]


async def test_there_are_no_roles_of_no_tenant(control: Control) -> None:
    path = f"/tenants/{UNKNOWN['ten']}/roles"
    assert (await control.refused("GET", path))[0] == 404
    assert (await control.refused("POST", path, {"name": "r", "permissions": []}))[0] == 404
