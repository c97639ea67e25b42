"""`/admin/v1/projects/{id}/keys` and `/admin/v1/keys/{id}`: a key's life."""

from __future__ import annotations

from typing import Any

import pytest

from bailiwick.domain import ids
from bailiwick.domain.permissions import Permission
from bailiwick.identity import api_keys
from tests.control import Audit, Control
from tests.database import GATEWAY_KEYS, TestDatabase

ALL = [permission.value for permission in Permission]
WITHOUT_ACT_AS = [scope for scope in ALL if scope != "users:act_as"]


def stored(database: TestDatabase, key: dict[str, Any]) -> tuple[Any, ...]:
    """Digest, digest before, and until when that one is good."""
    (row,) = database.rows(
        "SELECT digest, previous_digest, previous_until FROM bailiwick.api_keys WHERE id = %s",
        ids.parsed(ids.KEY, key["id"]),
    )
    return row


def digest(text: str) -> bytes:
    presented = api_keys.parse(text)
    assert presented is not None
    return api_keys.digest(GATEWAY_KEYS.pepper, presented)


async def test_a_key_is_made_read_changed_and_removed_at_both_addresses(control: Control, audit: Audit) -> None:
    project = await control.project()
    made = await control.ask("POST", f"/projects/{project['id']}/keys", {"name": "Backend"})
    assert made.status_code == 201
    key = made.json()
    assert made.headers["location"] == f"/admin/v1/projects/{project['id']}/keys/{key['id']}"
    assert made.headers["cache-control"] == "no-store"
    text = key.pop("key")
    assert api_keys.parse(text) is not None
    assert key == {
        "id": key["id"],
        "tenant_id": project["tenant_id"],
        "project_id": project["id"],
        "name": "Backend",
        "prefix": text[: len("bwk_live_") + 12],
        "status": "active",
        "scopes": ALL,
        "models": None,
        "agents": None,
        "tools": None,
        "act_as": True,
        "tier": None,
        "ip_allow": None,
        "expires_at": None,
        "revoked_at": None,
        "previous_until": None,
        "created_at": "2026-11-21T12:00:02Z",
        "created_by": control.operator_id,
    }
    own, below = f"/keys/{key['id']}", f"/projects/{project['id']}/keys/{key['id']}"
    assert await control.read(own) == await control.read(below) == key
    assert (await control.read(f"/projects/{project['id']}/keys"))["data"] == [key]
    assert (await control.change(own, name="A"))["name"] == "A"
    assert (await control.change(below, models=["gpt-*"]))["models"] == ["gpt-*"]
    assert (await control.change(own, tools={"deny": ["mcp"]}))["tools"] == {"deny": ["mcp"]}
    assert (await control.change(own, name="B"))["tools"] == {"deny": ["mcp"]}
    assert (await control.ask("DELETE", below)).status_code == 204
    assert (await control.ask("GET", own)).status_code == 404
    assert [entry.action for entry in audit(key["id"])] == ["key.create", *["key.change"] * 4, "key.remove"]


async def test_the_database_holds_only_a_peppered_digest_of_a_key(control: Control, database: TestDatabase) -> None:
    key = await control.key()
    assert stored(database, key) == (digest(key["key"]), None, None)


async def test_keys_are_listed_in_pages(control: Control) -> None:
    project = await control.project()
    path = f"/projects/{project['id']}/keys"
    made = [(await control.make(path, name=f"K{number}"))["id"] for number in range(3)]
    page = await control.read(f"{path}?limit=2")
    assert ([key["id"] for key in page["data"]], page["next"]) == (made[:2], made[1])
    page = await control.read(f"{path}?limit=2&after={page['next']}")
    assert ([key["id"] for key in page["data"]], page["has_more"]) == (made[2:], False)


@pytest.mark.parametrize(
    ("asked", "scopes"),
    [
        ({}, ALL),
        ({"scopes": None, "act_as": None}, ALL),
        ({"scopes": []}, []),
        ({"scopes": ["models:list", "chat:create", "chat:create"]}, ["chat:create", "models:list"]),
        ({"act_as": False}, WITHOUT_ACT_AS),
        ({"scopes": ["users:act_as", "chat:create"], "act_as": False}, ["chat:create"]),
        ({"scopes": ["users:act_as"], "act_as": True}, ["users:act_as"]),
    ],
)
async def test_a_key_holds_the_scopes_asked_for(control: Control, asked: dict[str, Any], scopes: list[str]) -> None:
    key = await control.key(**asked)
    assert key["scopes"] == scopes
    assert key["act_as"] == ("users:act_as" in scopes)


async def test_acting_for_users_can_be_taken_away_and_given_back(control: Control) -> None:
    key = await control.key(act_as=False)
    assert (await control.change(f"/keys/{key['id']}", name="B"))["act_as"] is False
    assert (await control.change(f"/keys/{key['id']}", act_as=None))["scopes"] == ALL


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({"scopes": ["chat:delete"]}, "scopes.0"),
        ({"scopes": "chat:create"}, "scopes"),
        ({"scopes": [1]}, "scopes.0"),
        ({"scopes": ["chat:create"], "act_as": True}, "act_as"),
        ({"act_as": "true"}, "act_as"),
        ({"act_as": 1}, "act_as"),
        ({"models": ["a", "a"]}, "models"),
        ({"models": [""]}, "models.0"),
        ({"models": ["m" * 256]}, "models.0"),
        ({"models": "gpt-4o"}, "models"),
        ({"expires_at": "2026-11-21T11:59:59Z"}, "expires_at"),
        ({"expires_at": "2027-01-01"}, "expires_at"),
        ({"expires_at": "2027-01-01 00:00:00Z"}, "expires_at"),
        ({"expires_at": "2027-02-30T00:00:00Z"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at"),
        ({"expires_at": 1798761600}, "expires_at"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "n" * 201}, "name"),
        ({"name": 5}, "name"),
        ({"agents": ["a b"]}, "agents.0"),
        ({"agents": ["a", "a"]}, "agents"),
        ({"agents": "support"}, "agents"),
        ({"ip_allow": []}, "ip_allow"),
        ({"ip_allow": ["10.0.0.0/8", "10.0.0.0/8"]}, "ip_allow"),
        ({"ip_allow": ["2001:db8::/32", "2001:DB8:0::/32"]}, "ip_allow"),
        ({"ip_allow": ["10.0.0.0/8", "10.0.0.1/8"]}, "ip_allow.1"),
        ({"ip_allow": ["10.0.0.0/33"]}, "ip_allow.0"),
        ({"ip_allow": ["example.com"]}, "ip_allow.0"),
        ({"ip_allow": [""]}, "ip_allow.0"),
        ({"ip_allow": ["fe80::1%eth0"]}, "ip_allow.0"),
        ({"ip_allow": ["::ffff:10.0.0.0/104"]}, "ip_allow.0"),
        ({"ip_allow": [" 10.0.0.0/8"]}, "ip_allow.0"),
        ({"ip_allow": ["10.0.0.0/8"] * 101}, "ip_allow"),
        ({"ip_allow": [167772160]}, "ip_allow.0"),
        ({"ip_allow": "10.0.0.0/8"}, "ip_allow"),
        ({"tier": ""}, "tier"),
        ({"tier": "a\n"}, "tier"),
        ({"tier": "x" * 256}, "tier"),
        ({"tier": 3}, "tier"),
        ({"secret": "x"}, "secret"),
        ({"id": "key_x"}, "id"),
    ],
)
async def test_a_key_that_cannot_be_is_refused_by_its_field(
    control: Control, asked: dict[str, Any], wrong: str
) -> None:
    project = await control.project()
    body = {"name": "Key", **asked}
    assert set(await control.wrong_fields("POST", f"/projects/{project['id']}/keys", body)) == {wrong}


async def test_addresses_are_kept_as_they_are_written_canonically(control: Control) -> None:
    asked = ["192.0.2.7", "10.0.0.0/255.0.0.0", "2001:DB8:0:0::/32", "::/0"]
    key = await control.key(ip_allow=asked, tier="pro")
    assert key["ip_allow"] == ["192.0.2.7/32", "10.0.0.0/8", "2001:db8::/32", "::/0"]
    own = f"/keys/{key['id']}"
    assert (await control.change(own, name="Same"))["ip_allow"] == key["ip_allow"]
    assert (await control.read(own))["tier"] == "pro"
    reset = await control.change(own, ip_allow=None, tier=None)
    assert (reset["ip_allow"], reset["tier"]) == (None, None)


async def test_every_wrong_field_is_told_at_once(control: Control) -> None:
    project = await control.project()
    body = {"name": "", "scopes": ["x", "chat:create", "y"], "models": ["a b"]}
    wrong = await control.wrong_fields("POST", f"/projects/{project['id']}/keys", body)
    assert set(wrong) == {"name", "scopes.0", "scopes.2", "models.0"}


async def test_an_expired_key_can_be_renamed_and_prolonged(control: Control) -> None:
    key = await control.key(expires_at="2026-11-21T13:00:00+00:30")
    address = f"/keys/{key['id']}"
    assert key["expires_at"] == "2026-11-21T12:30:00Z"
    control.clock.advance(hours=1)
    assert (await control.change(address, name="Old"))["status"] == "expired"
    assert set(await control.wrong_fields("PATCH", address, {"expires_at": "2026-11-21T12:45:00Z"})) == {"expires_at"}
    status, problem = await control.refused("POST", f"{address}/rotate", {})
    assert (status, problem["code"]) == (409, "conflict")
    assert (await control.change(address, expires_at="2027-01-01T00:00:00Z"))["status"] == "active"
    assert (await control.change(address, expires_at=None))["expires_at"] is None


async def test_a_rotation_without_grace_ends_the_text_before_at_once(control: Control, database: TestDatabase) -> None:
    key = await control.key()
    answer = await control.ask("POST", f"/keys/{key['id']}/rotate")
    rotated = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/admin/v1/keys/{key['id']}"
    assert rotated["key"] != key["key"]
    assert {**rotated, "key": None} == {**key, "key": None}
    assert stored(database, key) == (digest(rotated["key"]), None, None)


async def test_a_rotation_with_grace_keeps_the_text_before_until_its_end(
    control: Control, database: TestDatabase, audit: Audit
) -> None:
    key = await control.key()
    first = await control.make(f"/keys/{key['id']}/rotate", grace_seconds=60)
    assert first["previous_until"] == "2026-11-21T12:01:03Z"
    assert stored(database, key)[:2] == (digest(first["key"]), digest(key["key"]))

    second = await control.make(f"/projects/{key['project_id']}/keys/{key['id']}/rotate", grace_seconds=3600)
    assert stored(database, key)[:2] == (digest(second["key"]), digest(first["key"]))
    control.clock.advance(hours=2)
    assert (await control.read(f"/keys/{key['id']}"))["previous_until"] is None
    assert [entry.action for entry in audit(key["id"])] == ["key.create", "key.rotate", "key.rotate"]


@pytest.mark.parametrize("grace", [-1, 2_592_001, "60", 1.5, True, None, [60]])
async def test_a_grace_that_cannot_be_is_refused(control: Control, grace: object) -> None:
    key = await control.key()
    path = f"/keys/{key['id']}/rotate"
    assert set(await control.wrong_fields("POST", path, {"grace_seconds": grace})) == {"grace_seconds"}


async def test_revoking_ends_a_key_for_good(control: Control, audit: Audit) -> None:
    key = await control.key()
    address = f"/keys/{key['id']}"
    await control.make(f"{address}/rotate", grace_seconds=3600)
    answer = await control.ask("POST", f"{address}/revoke")
    revoked = answer.json()
    assert answer.status_code == 200
    assert (revoked["status"], revoked["revoked_at"]) == ("revoked", "2026-11-21T12:00:04Z")
    assert revoked["previous_until"] is None
    assert (await control.ask("POST", f"/projects/{key['project_id']}/keys/{key['id']}/revoke", {})).json() == revoked
    status, problem = await control.refused("POST", f"{address}/rotate", {})
    assert (status, problem["code"]) == (409, "conflict")
    assert [entry.action for entry in audit(key["id"])] == ["key.create", "key.rotate", "key.revoke"]


async def test_a_keys_text_is_in_no_later_answer_and_in_no_audit_entry(
    control: Control, database: TestDatabase
) -> None:
    key = await control.key()
    address = f"/keys/{key['id']}"
    rotated = await control.make(f"{address}/rotate", grace_seconds=60)
    secrets = [text.removeprefix(key["prefix"]) for text in (key["key"], rotated["key"])]
    answers = [
        await control.ask("GET", address),
        await control.ask("GET", f"/projects/{key['project_id']}/keys"),
        await control.ask("PATCH", address, {"name": "Other"}),
        await control.ask("POST", f"{address}/revoke"),
        await control.ask("DELETE", address),
    ]
    audited = database.rows("SELECT a::text FROM bailiwick.audit a")
    for secret in secrets:
        assert len(secret) > 40
        assert not [answer for answer in answers if secret in answer.text]
        assert not [row for row in audited if secret in row[0]]
        assert secret not in control.log.getvalue()


async def test_revoking_and_rotating_take_no_unknown_fields(control: Control) -> None:
    key = await control.key()
    for act in ("rotate", "revoke"):
        wrong = await control.wrong_fields("POST", f"/keys/{key['id']}/{act}", {"force": True})
        assert wrong == {"force": "unknown field"}
