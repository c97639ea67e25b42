"""`Idempotency-Key`: what was done once is answered again, and not done again."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from bailiwick.domain.audit import UPKEEP
from tests.control import Control, add_operator, controlled
from tests.database import TestDatabase
from tests.holdings import body_for, every_address, filled, holding


async def post(control: Control, path: str, body: object, key: str) -> httpx2.Response:
    return await control.ask("POST", path, body, headers={"idempotency-key": key})


async def named(control: Control, name: str) -> int:
    """How many tenants have this name."""
    return sum(tenant["name"] == name for tenant in (await control.read("/tenants?limit=200"))["data"])


async def test_what_is_sent_again_is_answered_again_and_not_done_again(control: Control) -> None:
    first = await post(control, "/tenants", {"name": "Once"}, "a-1")
    again = await post(control, "/tenants", {"name": "Once"}, "a-1")
    assert first.status_code == again.status_code == 201
    assert again.json() == first.json()
    for header in ("location", "etag", "content-type"):
        assert again.headers[header] == first.headers[header]
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert await named(control, "Once") == 1


async def test_every_post_takes_a_key(control: Control) -> None:
    own = await holding(control, "own")
    platform = await control.make("/providers", name="platform", kind="echo")
    await control.plane.signing_keys.look_after(UPKEEP)
    tried = 0
    for method, path in await every_address(control):
        if method != "post":
            continue
        body = body_for(method, path)
        if "name" in (body or {}):
            body = {**(body or {}), "name": f"once-{tried}"}
        if "email" in (body or {}):
            body = {**(body or {}), "email": f"once-{tried}@example.com"}
        if "issuer" in (body or {}):
            body = {**(body or {}), "issuer": f"https://once-{tried}.example"}
        if path == "/admin/v1/auth/mint":
            body = {**(body or {}), "project_id": own.ids["project_id"]}
        values = own.at(path)
        if path.startswith("/admin/v1/providers/"):
            values["provider_id"] = platform["id"]
        at = filled(path, values)
        first, again = [await post(control, at, body, f"every-{tried}") for _ in range(2)]
        assert first.status_code in (200, 201), (path, first.text)
        assert again.status_code == first.status_code, path
        assert again.headers.get("idempotent-replayed") == "true", path
        secret = {name: None for name in ("key", "link", "secret", "token") if name in first.json()}
        assert again.json() == {**first.json(), **secret}, path
        tried += 1
    assert tried >= 12


async def test_a_secret_is_neither_shown_a_second_time_nor_kept(control: Control, database: TestDatabase) -> None:
    project = await control.project()
    first, again = [await post(control, f"/projects/{project['id']}/keys", {"name": "K"}, "s") for _ in range(2)]
    secret = first.json()["key"]
    assert (again.json()["key"], again.json()["id"]) == (None, first.json()["id"])
    kept = str(database.rows("SELECT convert_from(answer, 'UTF8'), key, route FROM bailiwick.idempotency"))
    assert first.json()["id"] in kept
    assert secret not in kept


async def test_the_same_key_with_another_body_is_422(control: Control) -> None:
    await post(control, "/tenants", {"name": "One", "status": "active"}, "b")
    same = await post(control, "/tenants", {"status": "active", "name": "One"}, "b")
    assert same.headers["idempotent-replayed"] == "true"
    other = await post(control, "/tenants", {"name": "Another"}, "b")
    assert (other.status_code, other.json()["errors"]) == (
        422,
        [{"field": "Idempotency-Key", "message": "was used with another body"}],
    )
    assert await named(control, "Another") == 0


async def test_a_key_is_one_operators_and_one_address_s(control: Control, database: TestDatabase) -> None:
    tenant = await control.tenant()
    paths = [f"/tenants/{tenant['id']}/projects", f"/tenants/{(await control.tenant())['id']}/projects"]
    other = control.asked_by(add_operator(database))
    answers = [await post(asking, path, {"name": "P"}, "c") for asking in (control, other) for path in paths]
    assert len({answer.json()["id"] for answer in answers}) == 4


async def test_of_many_at_once_one_is_done(control: Control) -> None:
    answers = await asyncio.gather(*(post(control, "/tenants", {"name": "Many"}, "d") for _ in range(12)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert await named(control, "Many") == 1


async def test_of_many_at_once_in_several_processes_one_is_done(control: Control, database: TestDatabase) -> None:
    async with controlled(database) as second, controlled(database) as third:
        authorization = {"authorization": control.http.headers["authorization"], "idempotency-key": "e"}
        answers = await asyncio.gather(
            *(
                each.ask("POST", "/tenants", {"name": "Several"}, headers=authorization)
                for each in (control, second, third) * 3
            )
        )
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    assert await named(control, "Several") == 1


async def test_what_was_done_without_an_answer_kept_is_not_done_again(control: Control, database: TestDatabase) -> None:
    await post(control, "/tenants", {"name": "Lost"}, "f")
    # As a process leaves it that ends right after the act.
    database.run("UPDATE bailiwick.idempotency SET status = NULL, answer = NULL WHERE key = 'f'")
    again = await post(control, "/tenants", {"name": "Lost"}, "f")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert await named(control, "Lost") == 1


async def test_a_refusal_is_not_kept(control: Control) -> None:
    taken = await control.tenant(slug="taken-by-one")
    body = {"name": "Retried", "slug": "taken-by-one"}
    assert (await post(control, "/tenants", body, "g")).status_code == 409
    await control.ask("DELETE", f"/tenants/{taken['id']}")
    assert (await post(control, "/tenants", body, "g")).status_code == 201
    assert (await post(control, "/tenants", body, "g")).headers["idempotent-replayed"] == "true"


async def test_a_key_is_kept_for_a_day(control: Control, database: TestDatabase) -> None:
    first = await post(control, "/tenants", {"name": "Daily"}, "h")
    control.clock.advance(hours=23, minutes=59)
    assert (await post(control, "/tenants", {"name": "Daily"}, "h")).json() == first.json()
    control.clock.advance(minutes=1)
    anew = await post(control, "/tenants", {"name": "Daily"}, "h")
    assert anew.json()["id"] != first.json()["id"]
    assert database.rows("SELECT count(*) FROM bailiwick.idempotency WHERE key = 'h'") == [(1,)]


async def test_an_operator_of_a_tenant_repeats_too(control: Control, database: TestDatabase) -> None:
    tenant = await control.tenant()
    own = control.asked_by(add_operator(database, tenant=tenant["id"]))
    path = f"/tenants/{tenant['id']}/projects"
    first, again = [await post(own, path, {"name": "Own"}, "i") for _ in range(2)]
    assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")


async def test_whoever_may_no_longer_is_answered_nothing_again(control: Control, database: TestDatabase) -> None:
    key = await control.make("/operator-keys", name="Leaver", role="admin")
    leaver = control.asked_by((key["id"], key["key"]))
    await post(leaver, "/tenants", {"name": "Left"}, "j")
    database.run("UPDATE bailiwick.operator_keys SET role = 'viewer' WHERE name = 'Leaver'")
    assert (await post(leaver, "/tenants", {"name": "Left"}, "j")).status_code == 403


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é", "a\x7f"])
async def test_what_is_no_key_is_400(control: Control, key: str) -> None:
    headers: list[Any] = [("idempotency-key", key.encode("latin-1"))]
    answer = await control.ask("POST", "/tenants", {"name": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "Idempotency-Key")


async def test_two_keys_are_400(control: Control) -> None:
    headers = [("idempotency-key", "a"), ("idempotency-key", "a")]
    assert (await control.refused("POST", "/tenants", {"name": "x"}, headers=headers))[0] == 400


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_only_post_takes_a_key(control: Control, method: str) -> None:
    tenant = await control.tenant()
    body = {"name": "x"} if method == "PATCH" else None
    path = f"/tenants/{tenant['id']}"
    status, problem = await control.refused(method, path, body, headers={"idempotency-key": "k"})
    assert (status, problem["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert (await control.read(path))["name"] == "Tenant"
