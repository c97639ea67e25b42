"""`/admin/v1/operator-keys`: an operator key's life, and that nobody gives more than they hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.control import UNKNOWN, Audit, Control, add_operator, controlled
from tests.database import TestDatabase, TestServer

SOON = "2026-11-22T00:00:00Z"


@pytest.fixture
async def alone(server: TestServer) -> AsyncIterator[Control]:
    """An installation with one owner."""
    async with controlled(server.create()) as control:
        yield control


async def made(control: Control, **fields: object) -> tuple[dict[str, Any], Control]:
    """A new operator key, and the control plane as it asks."""
    key = await control.make("/operator-keys", **{"name": "Made", **fields})
    return key, control.asked_by((key["id"], key["key"]))


async def test_an_operator_key_is_made_used_renamed_and_removed(control: Control, audit: Audit) -> None:
    answer = await control.ask("POST", "/operator-keys", {"name": "Deploys", "role": "admin", "expires_at": SOON})
    assert answer.status_code == 201
    key = answer.json()
    text = key.pop("key")
    assert answer.headers["location"] == f"/admin/v1/operator-keys/{key['id']}"
    assert key == {
        "id": key["id"],
        "name": "Deploys",
        "role": "admin",
        "tenant_id": None,
        "prefix": text[: len(key["prefix"])],
        "status": "active",
        "expires_at": SOON,
        "revoked_at": None,
        "previous_until": None,
        "created_at": "2026-11-21T12:00:00Z",
        "created_by": control.operator_id,
    }
    assert len(key["prefix"]) == len("bwa_live_") + 12
    address = f"/operator-keys/{key['id']}"
    assert await control.read(address) == key
    assert key in (await control.read("/operator-keys?limit=200"))["data"]
    made_by_it = await control.asked_by((key["id"], text)).tenant()
    assert made_by_it["created_by"] == key["id"]

    assert await control.change(address, name="Renamed") == {**key, "name": "Renamed"}
    assert (await control.ask("DELETE", address)).status_code == 204
    assert (await control.ask("GET", address)).status_code == 404
    assert (await control.asked_by((key["id"], text)).ask("GET", "/tenants")).json()["code"] == "invalid_credentials"
    assert [(entry.action, entry.actor) for entry in audit(key["id"]) if entry.action != "operator_key.read"] == [
        ("operator_key.create", control.operator_id),
        ("operator_key.change", control.operator_id),
        ("operator_key.remove", control.operator_id),
    ]
    assert text not in str(audit(key["id"]))


async def test_a_key_is_a_viewer_of_its_makers_reach_unless_it_says_more(control: Control) -> None:
    key, _ = await made(control)
    assert (key["role"], key["tenant_id"], key["expires_at"]) == ("viewer", None, None)
    tenant = await control.tenant()
    _, admin = await made(control, role="admin", tenant_id=tenant["id"], expires_at=SOON)
    key, viewer = await made(admin)
    assert (key["role"], key["tenant_id"], key["expires_at"]) == ("viewer", tenant["id"], SOON)
    assert (await viewer.refused("PATCH", f"/tenants/{tenant['id']}", {"name": "x"}))[0] == 403
    assert (await viewer.read(f"/tenants/{tenant['id']}"))["id"] == tenant["id"]


async def test_a_rotated_key_is_good_with_both_secrets_until_its_grace_ends(control: Control) -> None:
    key, before = await made(control)
    rotated = await control.make(f"/operator-keys/{key['id']}/rotate", grace_seconds=60)
    after = control.asked_by((rotated["id"], rotated["key"]))
    assert (rotated["id"], rotated["prefix"]) == (key["id"], key["prefix"])
    assert rotated["key"] != key["key"]
    assert rotated["previous_until"] == "2026-11-21T12:01:01Z"
    control.clock.advance(seconds=55)
    assert {(await each.ask("GET", "/tenants")).status_code for each in (before, after)} == {200}
    control.clock.advance(seconds=5)
    assert (await before.refused("GET", "/tenants"))[1]["code"] == "expired_credentials"
    assert (await after.ask("GET", "/tenants")).status_code == 200
    again = await control.make(f"/operator-keys/{key['id']}/rotate")
    assert (await after.refused("GET", "/tenants"))[1]["code"] == "invalid_credentials"
    assert (await control.asked_by((key["id"], again["key"])).ask("GET", "/tenants")).status_code == 200


async def test_a_revoked_key_is_over_at_once_and_for_good(control: Control) -> None:
    key, asking = await made(control)
    revoked = await control.ask("POST", f"/operator-keys/{key['id']}/revoke")
    assert (revoked.json()["status"], revoked.json()["revoked_at"]) == ("revoked", "2026-11-21T12:00:01Z")
    assert (await asking.refused("GET", "/tenants"))[1]["code"] == "revoked_credentials"
    assert (await control.ask("POST", f"/operator-keys/{key['id']}/revoke")).json() == revoked.json()
    assert (await control.refused("POST", f"/operator-keys/{key['id']}/rotate"))[0] == 409


async def test_an_expired_key_gets_no_other_secret(control: Control) -> None:
    key, _ = await made(control, expires_at="2026-11-21T12:00:30Z")
    control.clock.advance(seconds=60)
    assert (await control.refused("POST", f"/operator-keys/{key['id']}/rotate"))[0] == 409


@pytest.mark.parametrize(
    ("holder", "asked"),
    [
        ({"role": "admin"}, {"role": "owner"}),
        ({"role": "admin", "tenant": True}, {"role": "owner"}),
        ({"role": "owner", "tenant": True}, {"role": "viewer", "tenant_id": UNKNOWN["ten"]}),
        ({"role": "admin", "expires_at": SOON}, {"role": "viewer", "expires_at": "2026-11-22T00:00:00.000001Z"}),
    ],
)
async def test_nobody_gives_more_than_they_hold(
    control: Control, holder: dict[str, Any], asked: dict[str, Any]
) -> None:
    tenant = await control.tenant()
    fields = {**holder, "tenant_id": tenant["id"] if holder.pop("tenant", False) else None}
    fields.pop("tenant", None)
    _, asking = await made(control, **fields)
    seen = len((await control.read("/operator-keys?limit=200"))["data"])
    status, problem = await asking.refused("POST", "/operator-keys", {"name": "More", **asked})
    assert (status, problem["code"]) == (403, "forbidden")
    assert len((await control.read("/operator-keys?limit=200"))["data"]) == seen


async def test_a_foreign_tenant_and_an_unknown_one_are_refused_alike(control: Control) -> None:
    own, foreign = await control.tenant(), await control.tenant()
    _, asking = await made(control, role="admin", tenant_id=own["id"])
    answers = [
        await asking.ask("POST", "/operator-keys", {"name": "x", "tenant_id": tenant_id})
        for tenant_id in (foreign["id"], UNKNOWN["ten"])
    ]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].content == answers[1].content


async def test_nobody_touches_an_operator_of_a_higher_role(control: Control) -> None:
    owner, asking_owner = await made(control, role="owner")
    admin, asking = await made(control, role="admin")
    address = f"/operator-keys/{owner['id']}"
    for method, path, body in (
        ("PATCH", address, {"name": "Mine"}),
        ("POST", f"{address}/rotate", None),
        ("POST", f"{address}/revoke", None),
        ("DELETE", address, None),
    ):
        status, problem = await asking.refused(method, path, body)
        assert (status, problem["code"]) == (403, "forbidden"), (method, path)
    assert (await asking_owner.read(address))["name"] == "Made"
    assert (await asking.change(f"/operator-keys/{admin['id']}", name="My own"))["name"] == "My own"


async def test_nobody_takes_over_a_key_that_outlives_their_own(control: Control) -> None:
    lasting, _ = await made(control, role="admin")
    short, asking = await made(control, role="admin", expires_at=SOON)
    assert (await asking.refused("POST", f"/operator-keys/{lasting['id']}/rotate"))[0] == 403
    assert (await asking.ask("POST", f"/operator-keys/{short['id']}/rotate")).status_code == 201


async def test_a_tenants_operator_knows_of_no_other_operators(control: Control, database: TestDatabase) -> None:
    own, foreign = await control.tenant(), await control.tenant()
    mine, asking = await made(control, role="owner", tenant_id=own["id"])
    others = [(await made(control, tenant_id=foreign["id"]))[0], (await made(control))[0]]
    assert [key["id"] for key in (await asking.read("/operator-keys"))["data"]] == [mine["id"]]
    unknown = await asking.ask("GET", f"/operator-keys/{UNKNOWN['opk']}")
    for other in others:
        for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/revoke")):
            body = {"name": "Mine"} if method == "PATCH" else None
            answer = await asking.ask(method, f"/operator-keys/{other['id']}{path}", body)
            assert (answer.status_code, answer.content) == (404, unknown.content), (method, path)


async def test_what_a_key_is_for_cannot_be_changed(control: Control) -> None:
    key, asking = await made(control, role="admin")
    for patch in ({"role": "owner"}, {"tenant_id": None}, {"expires_at": None}, {"id": key["id"]}, {"digest": "00"}):
        assert await asking.wrong_fields("PATCH", f"/operator-keys/{key['id']}", patch) == {
            next(iter(patch)): "unknown field"
        }
    assert await control.read(f"/operator-keys/{key['id']}") == {k: v for k, v in key.items() if k != "key"}


async def test_fields_that_cannot_be_are_told(control: Control) -> None:
    assert await control.wrong_fields("POST", "/operator-keys", {"role": "root"}) == {
        "name": "is required", "role": "must be one of 'viewer', 'admin' or 'owner'",
    }  # fmt: skip
    assert await control.wrong_fields("POST", "/operator-keys", {"name": "", "expires_at": "2026-11-21T12:00:00Z"}) == {
        "name": "must not be empty", "expires_at": "must be in the future",
    }  # fmt: skip
    for tenant_id in (UNKNOWN["ten"], "ten_x", ""):
        assert await control.wrong_fields("POST", "/operator-keys", {"name": "x", "tenant_id": tenant_id}) == {
            "tenant_id": "must be a tenant of this installation"
        }


async def test_the_last_owner_stays(alone: Control) -> None:
    address = f"/operator-keys/{alone.operator_id}"
    # None of these would be an owner tomorrow.
    tenant = await alone.tenant()
    await made(alone, role="owner", expires_at=SOON)
    await made(alone, role="owner", tenant_id=tenant["id"])
    await made(alone, role="admin")
    ended, _ = await made(alone, role="owner")
    await alone.ask("POST", f"/operator-keys/{ended['id']}/revoke")
    await alone.make("/operators", email="a@example.com", name="Invited", role="owner")
    for method, path in (("POST", f"{address}/revoke"), ("DELETE", address)):
        status, problem = await alone.refused(method, path)
        assert (status, problem["code"]) == (409, "conflict")
    assert (await alone.read(address))["status"] == "active"
    await made(alone, role="owner")
    assert (await alone.ask("DELETE", address)).status_code == 204


async def test_of_two_owners_who_remove_each_other_one_stays(alone: Control) -> None:
    second, other = await made(alone, role="owner")
    first, one = await made(alone, role="owner")
    await alone.ask(
        "DELETE", f"/operator-keys/{alone.operator_id}", headers={"authorization": f"Bearer {first['key']}"}
    )
    answers = await asyncio.gather(
        one.ask("DELETE", f"/operator-keys/{second['id']}"), other.ask("DELETE", f"/operator-keys/{first['id']}")
    )
    # Who comes too late is not known any more, who comes at the same time is the last one.
    assert sorted(answer.status_code for answer in answers) in ([204, 401], [204, 409])
    stayed = one if answers[0].status_code == 204 else other
    assert (await stayed.ask("GET", "/operators")).status_code == 200


async def test_a_key_of_a_removed_tenant_is_gone(control: Control, database: TestDatabase) -> None:
    tenant = await control.tenant()
    key, asking = await made(control, tenant_id=tenant["id"])
    await control.ask("DELETE", f"/tenants/{tenant['id']}")
    assert (await asking.ask("GET", "/tenants")).status_code == 401
    assert (await control.ask("GET", f"/operator-keys/{key['id']}")).status_code == 404


async def test_looks_across_tenants_are_audited(control: Control, database: TestDatabase, audit: Audit) -> None:
    key, _ = await made(control)
    await control.read(f"/operator-keys/{key['id']}")
    assert [entry.action for entry in audit(key["id"])] == ["operator_key.create", "operator_key.read"]
    _, text = add_operator(database, expires_at=datetime(2027, 1, 1, tzinfo=UTC))
    await control.asked_by(("", text)).read("/operator-keys")
    assert "operator_key.list" in [entry.action for entry in audit("installation")]
