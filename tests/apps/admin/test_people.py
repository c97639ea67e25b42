"""`/admin/v1/operators`: persons who administer, from their invitation to their removal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from bailiwick.domain import ids
from tests.control import UNKNOWN, Audit, Control, add_operator, controlled
from tests.database import TestDatabase, TestServer
from tests.people import add_person, signed_in


@pytest.fixture
async def alone(server: TestServer) -> AsyncIterator[Control]:
    """An installation with one owner."""
    async with controlled(server.create()) as control:
        yield control


async def invited(control: Control, email: str, **fields: object) -> dict[str, Any]:
    return await control.make("/operators", **{"email": email, "name": "Ada", **fields})


async def test_a_person_is_invited_read_changed_and_removed(alone: Control) -> None:
    answer = await alone.ask("POST", "/operators", {"email": "Ada@Example.com", "name": "Ada", "role": "admin"})
    assert answer.status_code == 201
    person = answer.json()
    assert answer.headers["location"] == f"/admin/v1/operators/{person['id']}"
    assert person == {
        "id": person["id"],
        "email": "ada@example.com",
        "name": "Ada",
        "role": "admin",
        "tenant_id": None,
        "status": "invited",
        "created_at": "2026-11-21T12:00:00Z",
        "created_by": alone.operator_id,
    }
    address = f"/operators/{person['id']}"
    assert await alone.read(address) == person
    assert (await alone.read("/operators"))["data"] == [person]
    assert await alone.change(address, name="Ada L.", role="viewer") == {**person, "name": "Ada L.", "role": "viewer"}
    assert (await alone.ask("DELETE", address)).status_code == 204
    assert (await alone.ask("GET", address)).status_code == 404


async def test_changes_are_audited(control: Control, audit: Audit) -> None:
    person = await invited(control, "audited@example.com")
    await control.change(f"/operators/{person['id']}", role="admin")
    await control.ask("DELETE", f"/operators/{person['id']}")
    entries = audit(person["id"])
    assert [entry.action for entry in entries] == ["operator.invite", "operator.change", "operator.remove"]
    assert entries[1].detail == {"before": {"role": "viewer"}, "after": {"role": "admin"}}


async def test_whoever_has_not_come_yet_is_neither_active_nor_suspended(control: Control) -> None:
    person = await invited(control, "waiting@example.com")
    for status in ("active", "suspended"):
        assert await control.wrong_fields("PATCH", f"/operators/{person['id']}", {"status": status}) == {
            "status": "must be absent until the invitation is taken"
        }
    assert (await control.change(f"/operators/{person['id']}", status=None))["status"] == "invited"


@pytest.mark.parametrize(
    "email",
    ["", "ada", "@example.com", "ada@", "ada@localhost", "a b@example.com", "ada@exa mple.com", "İ@example.com",
     "ada@example.com\n", "ada@exämple.com", f"{'a' * 65}@example.com", "a@" + "b" * 249 + ".com", '"a b"@example.com',
     "<script>@example.com", "ada@example.com,eve@example.com"],
)  # fmt: skip
async def test_what_is_no_address_of_mail_is_refused(control: Control, email: str) -> None:
    assert await control.wrong_fields("POST", "/operators", {"email": email, "name": "x"}) == {
        "email": "must be an e-mail address such as name@example.com"
    }


async def test_an_address_of_mail_is_one_persons_whatever_its_case(control: Control) -> None:
    tenant = await control.tenant()
    await invited(control, "one@example.com")
    status, problem = await control.refused(
        "POST", "/operators", {"email": "ONE@example.com", "name": "x", "tenant_id": tenant["id"]}
    )
    assert (status, problem["code"], problem["errors"][0]["field"]) == (409, "conflict", "email")


async def test_nobody_invites_more_than_they_are(control: Control) -> None:
    tenant = await control.tenant()
    key = await control.make("/operator-keys", name="x", role="owner", tenant_id=tenant["id"])
    own = control.asked_by((key["id"], key["key"]))
    assert (await invited(own, "own@example.com", role="owner"))["tenant_id"] == tenant["id"]
    for tenant_id in ((await control.tenant())["id"], UNKNOWN["ten"]):
        body = {"email": "more@example.com", "name": "x", "tenant_id": tenant_id}
        assert (await own.refused("POST", "/operators", body))[0] == 403
    ending = await control.make("/operator-keys", name="x", role="owner", expires_at="2026-11-22T00:00:00Z")
    asking = control.asked_by((ending["id"], ending["key"]))
    assert (await asking.refused("POST", "/operators", {"email": "more@example.com", "name": "x"}))[0] == 403
    person = await invited(control, "raised@example.com")
    assert (await asking.refused("PATCH", f"/operators/{person['id']}", {"role": "admin"}))[0] == 403
    assert (await asking.change(f"/operators/{person['id']}", name="Renamed"))["name"] == "Renamed"


async def test_a_tenants_owner_knows_of_no_other_persons(control: Control) -> None:
    own, foreign = await control.tenant(), await control.tenant()
    mine = await invited(control, "mine@example.com", tenant_id=own["id"])
    others = [await invited(control, "b@example.com", tenant_id=foreign["id"]), await invited(control, "i@example.com")]
    key = await control.make("/operator-keys", name="x", role="owner", tenant_id=own["id"])
    asking = control.asked_by((key["id"], key["key"]))
    assert (await asking.read("/operators"))["data"] == [mine]
    unknown = await asking.ask("GET", f"/operators/{UNKNOWN['opr']}")
    for other in others:
        for method in ("GET", "PATCH", "DELETE"):
            body = {"role": "viewer"} if method == "PATCH" else None
            answer = await asking.ask(method, f"/operators/{other['id']}", body)
            assert (answer.status_code, answer.content) == (404, unknown.content), method


async def test_nothing_else_of_a_person_can_be_changed(control: Control) -> None:
    person = await invited(control, "fixed@example.com")
    for field in ("email", "tenant_id", "id", "created_by", "password"):
        told = await control.wrong_fields("PATCH", f"/operators/{person['id']}", {field: "x@example.com"})
        assert told == {field: "unknown field"}
        body = {"email": "new@example.com", "name": "x", "status": "active"}
        assert await control.wrong_fields("POST", "/operators", body) == {"status": "unknown field"}


async def test_the_last_active_owner_stays_one(server: TestServer) -> None:
    database = server.create()
    async with controlled(database) as control:
        person = await invited(control, "owner@example.com", role="owner")
        address = f"/operators/{person['id']}"
        database.run("UPDATE bailiwick.operators SET status = 'active'")
        assert (await control.ask("POST", f"/operator-keys/{control.operator_id}/revoke")).status_code == 200
        # The person is the last one now; another owner, whose time is short, tries.
        short = control.asked_by(add_operator(database, expires_at=datetime(2026, 11, 22, tzinfo=UTC)))
        for method, body in (
            ("DELETE", None),
            ("PATCH", {"role": "admin"}),
            ("PATCH", {"status": "suspended"}),
        ):
            status, problem = await short.refused(method, address, body)
            assert (status, problem["code"]) == (409, "conflict"), body
        assert (await short.change(address, name="Renamed"))["status"] == "active"
        add_operator(database)
        assert (await short.change(address, status="suspended"))["status"] == "suspended"
        assert (await short.ask("DELETE", address)).status_code == 204


async def test_a_change_of_role_or_status_ends_the_persons_sessions_and_one_of_name_does_not(
    control: Control, database: TestDatabase
) -> None:
    for patch, ends in (({"name": "Another"}, False), ({"role": "viewer"}, True), ({"status": "suspended"}, True)):
        person = add_person(database, role="admin")
        token = (await signed_in(control, person)).token
        await control.change(f"/operators/{ids.shown(ids.OPERATOR, person.id)}", **patch)
        assert (await control.plane.person.sessions.find(token) is None) is ends
        await control.change(f"/operators/{ids.shown(ids.OPERATOR, person.id)}", role="admin", status="active")
        assert (await control.plane.person.sessions.find(token) is None) is ends
