"""`/admin/v1/tenants/{id}/members`: who belongs to a tenant."""

from __future__ import annotations

from typing import Any

import pytest

from tests.control import PUBLIC_URL, UNKNOWN, Audit, Control

OKTA = "https://acme.okta.com"


async def added(control: Control, **fields: object) -> tuple[str, dict[str, Any]]:
    """A member of a new tenant, and the address of the tenant's members."""
    path = f"/tenants/{(await control.tenant())['id']}/members"
    return path, await control.make(path, **{"subject": "ada", "role": "member", **fields})


async def test_a_member_is_added_read_changed_and_removed(control: Control, audit: Audit) -> None:
    tenant = await control.tenant()
    path = f"/tenants/{tenant['id']}/members"
    asked = {
        "issuer": OKTA,
        "subject": "00u1",
        "role": "viewer",
        "scopes": ["usage:read", "models:list"],
        "tier": "pro",
    }
    answer = await control.ask("POST", path, asked)
    member = answer.json()
    own = f"{path}/{member['id']}"
    assert (answer.status_code, answer.headers["location"]) == (201, f"/admin/v1{own}")
    assert member == {
        "id": member["id"],
        "tenant_id": tenant["id"],
        "issuer": OKTA,
        "subject": "00u1",
        "role": "viewer",
        "scopes": ["models:list", "usage:read"],
        "tier": "pro",
        "created_at": "2026-11-21T12:00:01Z",
        "created_by": control.operator_id,
    }
    assert await control.read(own) == member
    assert (await control.read(path))["data"] == [member]
    changed = await control.change(own, role="owner", scopes=None, tier=None)
    assert changed == {**member, "role": "owner", "scopes": None, "tier": None}
    assert (await control.ask("DELETE", own)).status_code == 204
    assert (await control.ask("GET", own)).status_code == 404
    entries = audit(member["id"])
    assert [entry.action for entry in entries] == ["member.add", "member.change", "member.remove"]
    assert entries[0].detail["after"] == member
    assert {entry.actor for entry in entries} == {control.operator_id}


async def test_without_an_issuer_it_is_a_user_of_this_installations_own_tokens(control: Control) -> None:
    path, member = await added(control)
    assert member["issuer"] == PUBLIC_URL
    same = {"issuer": PUBLIC_URL, "subject": "ada", "role": "viewer"}
    assert (await control.refused("POST", path, same))[0] == 409
    assert (await control.change(f"{path}/{member['id']}", issuer=None, role="viewer"))["role"] == "viewer"


async def test_somebody_is_a_member_of_a_tenant_once_and_of_several_tenants(control: Control) -> None:
    path, member = await added(control, issuer=OKTA)
    status, problem = await control.refused("POST", path, {"issuer": OKTA, "subject": "ada", "role": "owner"})
    assert (status, problem["code"], problem["detail"]) == (
        409, "conflict", "There is a member of this issuer and subject already.",
    )  # fmt: skip
    other, elsewhere = await added(control, issuer=OKTA, role="viewer")
    assert (elsewhere["role"], (await control.read(f"{path}/{member['id']}"))["role"]) == ("viewer", "member")
    assert (await control.ask("GET", f"{other}/{member['id']}")).status_code == 404


@pytest.mark.parametrize("issuer", [None, OKTA, OKTA + "/", OKTA.upper()])
@pytest.mark.parametrize("subject", ["Ada", "ada ", "аda", "a\u0308da"])  # noqa: RUF001 - a Cyrillic one
async def test_whoever_only_looks_like_a_member_is_another_one(
    control: Control, issuer: str | None, subject: str
) -> None:
    path, member = await added(control, issuer=OKTA)
    other = await control.make(path, issuer=issuer, subject=subject, role="viewer")
    assert other["id"] != member["id"]
    assert [found["id"] for found in (await control.read(f"{path}?subject=ada"))["data"]] == [member["id"]]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"subject": ""}, "subject"),
        ({"subject": "a\n"}, "subject"),
        ({"subject": "ü" * 128}, "subject"),
        ({"subject": 3}, "subject"),
        ({"issuer": ""}, "issuer"),
        ({"issuer": "https://a b"}, "issuer"),
        ({"issuer": "x" * 501}, "issuer"),
        ({"role": ""}, "role"),
        ({"role": "Owner"}, "role"),
        ({"role": "root"}, "role"),
        ({"role": None}, "role"),
        ({"scopes": ["chat:create", "chat"]}, "scopes.1"),
        ({"scopes": ["tokens:mint"]}, "scopes.0"),
        ({"scopes": ["users:act_as"]}, "scopes.0"),
        ({"scopes": "chat:create"}, "scopes"),
        ({"tier": ""}, "tier"),
        ({"roles": ["owner"]}, "roles"),
    ],
)
async def test_a_member_that_cannot_be_is_refused_by_its_field(
    control: Control, fields: dict[str, Any], field: str
) -> None:
    path, member = await added(control)
    assert list(await control.wrong_fields("POST", path, {"subject": "bob", "role": "member", **fields})) == [field]
    assert list(await control.wrong_fields("PATCH", f"{path}/{member['id']}", fields)) == [field]
    assert await control.read(f"{path}/{member['id']}") == member


@pytest.mark.parametrize("fields", [{"subject": "bob"}, {"issuer": OKTA}, {"issuer": PUBLIC_URL + "/"}])
async def test_who_it_is_cannot_be_changed(control: Control, fields: dict[str, str]) -> None:
    path, member = await added(control)
    wrong = await control.wrong_fields("PATCH", f"{path}/{member['id']}", fields)
    assert wrong == dict.fromkeys(fields, "cannot be changed: it says who it is")


async def test_members_are_listed_in_pages_and_found_by_their_subject(control: Control) -> None:
    path, first = await added(control)
    others = [await control.make(path, issuer=OKTA, subject=name, role="viewer") for name in ("bob", "ada")]
    page = await control.read(f"{path}?limit=2")
    assert (page["data"], page["has_more"]) == ([first, others[0]], True)
    assert (await control.read(f"{path}?limit=2&after={page['next']}"))["data"] == [others[1]]
    assert (await control.read(f"{path}?subject=ada"))["data"] == [first, others[1]]
    assert (await control.read(f"{path}?subject=nobody"))["data"] == []
    assert list(await control.wrong_fields("GET", f"{path}?subject=%00", None)) == ["subject"]


async def test_there_are_no_members_of_no_tenant(control: Control) -> None:
    path = f"/tenants/{UNKNOWN['ten']}/members"
    assert (await control.refused("GET", path))[0] == 404
    assert (await control.refused("POST", path, {"subject": "ada", "role": "member"}))[0] == 404
