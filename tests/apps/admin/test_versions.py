"""Two who change one thing: `ETag`, `If-Match`, and 412 with what is there."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from tests.control import Control
from tests.holdings import Holding, body_for, every_address, filled, holding

TRUSTED = {"audiences": ["x"], "algorithms": ["ES256"]}
OTHER = '"00000000000000000000000000000000"'


async def things(control: Control) -> tuple[Holding, list[tuple[str, str, str]]]:
    """What one tenant has; each method and address that changes one thing, with the address of the thing."""
    own = await holding(control, "own")
    platform = await control.make("/providers", name=f"p{own.ids['tenant_id'][-8:]}", kind="echo")
    trusted = await control.make(
        "/issuers",
        **{**TRUSTED, "issuer": f"https://{os.urandom(6).hex()}.example", "user_prefix": os.urandom(4).hex()},
    )
    found: list[tuple[str, str, str]] = []
    for method, path in await every_address(control):
        values = own.at(path)
        if path.startswith("/admin/v1/providers/"):
            values["provider_id"] = platform["id"]
        elif path.startswith("/admin/v1/issuers/"):
            values["issuer_id"] = trusted["id"]
        at = filled(path, values)
        if "/sessions/" in path:
            continue  # A session is ended, and there is nothing in it to change.
        if method in ("patch", "delete") or path.endswith(("/rotate", "/revoke")):
            found.append((method.upper(), at, at.removesuffix("/rotate").removesuffix("/revoke")))
    return own, found


def wanted(method: str, path: str) -> dict[str, Any] | None:
    return body_for(method.lower(), path)


async def test_every_change_of_one_thing_takes_if_match(control: Control) -> None:
    _, changing = await things(control)
    assert len(changing) >= 24
    for method, path, thing in changing:
        before = await control.ask("GET", thing)
        answer = await control.ask(method, path, wanted(method, path), headers={"if-match": OTHER})
        assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed"), (method, path)
        assert answer.headers["etag"] == before.headers["etag"]
        assert answer.json()["current"] == before.json()
        after = await control.ask("GET", thing)
        assert after.content == before.content, (method, path)


async def test_the_version_that_was_read_is_taken_once(control: Control) -> None:
    _, changing = await things(control)
    for method, path, thing in sorted(changing, key=lambda at: (at[0] == "DELETE", "/revoke" in at[1], -len(at[1]))):
        read = await control.ask("GET", thing)
        if read.status_code == 404:  # Its parent is gone.
            continue
        headers = {"if-match": f"{OTHER}, {read.headers['etag']}"}
        body = wanted(method, path)
        if body is not None and method == "PATCH" and "name" in body:
            body = {"name": f"again-{len(path)}"}
        answer = await control.ask(method, path, body, headers=headers)
        assert answer.status_code in (200, 201, 204), (method, path, answer.text)
        if method != "DELETE":
            assert answer.headers["etag"] == (await control.ask("GET", thing)).headers["etag"], (method, path)


async def test_what_is_made_carries_its_version(control: Control) -> None:
    tenant = await control.ask("POST", "/tenants", {"name": "Versioned"})
    address = tenant.headers["location"].removeprefix("/admin/v1")
    assert tenant.headers["etag"] == (await control.ask("GET", address)).headers["etag"]
    assert tenant.headers["etag"].startswith('"')
    assert "etag" not in (await control.ask("GET", "/tenants")).headers
    assert "etag" not in (await control.ask("DELETE", address)).headers


async def test_of_two_changes_of_one_version_one_is_made(control: Control) -> None:
    project = await control.project()
    path = f"/projects/{project['id']}"
    version = (await control.ask("GET", path)).headers["etag"]
    answers = await asyncio.gather(
        *(control.ask("PATCH", path, {"name": f"Mine {n}"}, headers={"if-match": version}) for n in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412, 412]
    made = next(answer.json() for answer in answers if answer.status_code == 200)
    assert await control.read(path) == made
    assert {answer.json()["current"]["name"] for answer in answers if answer.status_code == 412} == {made["name"]}


@pytest.mark.parametrize("header", ["*", " * "])
async def test_any_version_is_one_that_is_there(control: Control, header: str) -> None:
    project = await control.project()
    headers = {"if-match": header}
    answer = await control.ask("PATCH", f"/projects/{project['id']}", {"name": "x"}, headers=headers)
    assert answer.status_code == 200
    assert (await control.ask("DELETE", f"/projects/{project['id']}", headers=headers)).status_code == 204
    assert (await control.ask("DELETE", f"/projects/{project['id']}", headers=headers)).status_code == 404


async def test_a_weak_version_is_none(control: Control) -> None:
    project = await control.project()
    path = f"/projects/{project['id']}"
    weak = f"W/{(await control.ask('GET', path)).headers['etag']}"
    assert (await control.refused("PATCH", path, {"name": "x"}, headers={"if-match": weak}))[0] == 412


@pytest.mark.parametrize("header", ["", "abc", '"a', 'a"b"', '"a" "b"', '"a", *', "'a'", '"a\tb"'])
async def test_what_is_no_version_is_400(control: Control, header: str) -> None:
    project = await control.project()
    status, problem = await control.refused(
        "PATCH", f"/projects/{project['id']}", {"name": "x"}, headers={"if-match": header}
    )
    assert (status, problem["errors"][0]["field"]) == (400, "If-Match")
