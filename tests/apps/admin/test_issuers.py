"""Trusted issuers of a project and of the platform: made, read, changed, removed, and what cannot be one."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from ipaddress import IPv4Network
from typing import Any, Final

import pytest

from bailiwick.identity import signing_keys
from tests.control import PUBLIC_URL, Audit, Control, controlled
from tests.database import TestDatabase

AUTH0: Final = {
    "issuer": "https://acme.eu.auth0.com/",
    "audiences": ["https://api.acme.com"],
    "algorithms": ["RS256"],
    "claims": {"user": "sub", "tier": {"claim": "https://acme.com/plan", "default": "free"}},
}


def inline(**fields: object) -> dict[str, Any]:
    """An issuer whose keys are given."""
    jwks = {"keys": [signing_keys.make().public_jwk()]}
    return {"issuer": "acme-backend", "jwks": jwks, "audiences": ["x"], "algorithms": ["ES256"], **fields}


@pytest.fixture
async def at(control: Control) -> str:
    """The issuers of a project."""
    return f"/projects/{(await control.project())['id']}/issuers"


async def test_an_issuer_is_made_read_changed_and_removed(control: Control, at: str) -> None:
    made = await control.ask("POST", at, AUTH0)
    issuer = made.json()
    project = at.split("/")[2]
    assert issuer == {
        "id": issuer["id"],
        "tenant_id": issuer["tenant_id"],
        "project_id": project,
        **AUTH0,
        "jwks_url": None,
        "jwks": None,
        "authorized_parties": [],
        "max_lifetime": 86_400,
        "user_prefix": None,
        "required": {},
        "created_at": issuer["created_at"],
        "created_by": control.operator_id,
    }
    assert made.headers["location"] == f"/admin/v1{at}/{issuer['id']}"
    assert await control.read(f"{at}/{issuer['id']}") == issuer
    assert (await control.read(at))["data"] == [issuer]
    changed = await control.change(f"{at}/{issuer['id']}", claims={"tier": None, "org": None}, max_lifetime=3600)
    assert (changed["claims"], changed["max_lifetime"]) == ({"user": "sub"}, 3600)
    assert (await control.ask("DELETE", f"{at}/{issuer['id']}")).status_code == 204
    assert (await control.read(at))["data"] == []


async def test_keys_are_given_at_an_address_or_in_the_request_and_change_from_one_to_the_other(
    control: Control, at: str
) -> None:
    given = inline()
    made = await control.make(at, **given)
    assert made["jwks"] == given["jwks"]
    path = f"{at}/{made['id']}"
    elsewhere = await control.change(path, jwks=None, jwks_url="https://acme.example/jwks.json")
    assert (elsewhere["jwks"], elsewhere["jwks_url"]) == (None, "https://acme.example/jwks.json")
    wrong = await control.wrong_fields("PATCH", path, {"jwks_url": None})
    assert set(wrong) == {"issuer"}  # Nothing is found by discovery of what is no URL.


async def test_what_is_required_is_replaced_as_a_whole(control: Control, at: str) -> None:
    made = await control.make(at, **AUTH0, required={"email_verified": [True], "org_id": None})
    path = f"{at}/{made['id']}"
    assert made["required"] == {"email_verified": [True], "org_id": None}
    assert (await control.change(path, max_lifetime=600))["required"] == made["required"]
    assert (await control.change(path, required={"acr": None}))["required"] == {"acr": None}
    assert (await control.change(path, required=None))["required"] == {}


async def test_an_issuer_keeps_its_name(control: Control, at: str) -> None:
    made = await control.make(at, **AUTH0)
    assert await control.wrong_fields("PATCH", f"{at}/{made['id']}", {"issuer": "https://other.example/"}) == {
        "issuer": "cannot be changed: whoever came by it would be somebody else's"
    }


@pytest.mark.parametrize(
    ("field", "url"),
    [
        (field, url)
        for url in (
            "http://127.0.0.1:8080/", "https://localhost/", "https://169.254.169.254/latest", "https://10.1.2.3/",
            "https://[::1]/", "https://[fd00::1]/", "http://acme.example/", "https://2130706433/",
        )
        for field in ("issuer", "jwks_url")
    ] + [("issuer", "file:///etc/passwd"), ("jwks_url", "file:///etc/passwd"), ("jwks_url", "https://u:p@x.example/")],
)  # fmt: skip
async def test_what_only_this_server_can_reach_is_nobodys_address(
    control: Control, at: str, field: str, url: str
) -> None:
    for path in (at, "/issuers"):
        assert field in await control.wrong_fields("POST", path, {**AUTH0, field: url})
    made = await control.make(at, **AUTH0)
    if field == "jwks_url":
        assert set(await control.wrong_fields("PATCH", f"{at}/{made['id']}", {field: url})) == {field}


@pytest.fixture
async def opened(database: TestDatabase) -> AsyncIterator[Control]:
    async with controlled(database, outbound_allow=[IPv4Network("127.0.0.0/8")]) as made:
        yield made


async def test_a_network_that_the_platform_opens_can_hold_issuers(opened: Control) -> None:
    at = f"/projects/{(await opened.project())['id']}/issuers"
    await opened.make(at, **{**AUTH0, "issuer": "http://127.0.0.1:8080/realms/acme"})
    assert "issuer" in await opened.wrong_fields("POST", at, {**AUTH0, "issuer": "http://10.0.0.1/realms/acme"})


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"jwks": {}}, "jwks"),
        ({"jwks": {"keys": []}}, "jwks"),
        ({"jwks": {"keys": [{"kty": "EC"}]}}, "jwks"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}, "jwks.keys.0"),
        ({"jwks": {"keys": [{"kty": "EC", "d": "x"}]}}, "jwks.keys.0"),
        ({"algorithms": ["RS256"]}, "algorithms"),
        ({"jwks_url": "https://acme.example/"}, "jwks"),
        ({"algorithms": ["HS256"]}, "algorithms"),
        ({"algorithms": []}, "algorithms"),
        ({"audiences": []}, "audiences"),
        ({"claims": {"email": "email"}}, "claims.email"),
        ({"claims": {"user": {"claim": "sub", "default": "x"}}}, "claims.user"),
        ({"max_lifetime": 5}, "max_lifetime"),
        ({"user_prefix": ""}, "user_prefix"),
        ({"required": {"a": []}}, "required.a"),
        ({"discovery": "https://x"}, "discovery"),
    ],
)
async def test_an_issuer_that_cannot_be_is_refused_by_its_field(
    control: Control, at: str, fields: dict[str, Any], wrong: str
) -> None:
    assert set(await control.wrong_fields("POST", at, inline(**fields))) == {wrong}
    assert (await control.read(at))["data"] == []


async def test_keys_with_much_beside_them_are_refused(control: Control, at: str) -> None:
    given = inline()
    given["jwks"]["keys"][0]["x5t"] = "x" * 70_000
    assert set(await control.wrong_fields("POST", at, given)) == {"jwks"}


async def test_the_installation_itself_is_nobodys_issuer(control: Control, at: str) -> None:
    for path in (at, "/issuers"):
        for name in (PUBLIC_URL, f"{PUBLIC_URL}/", PUBLIC_URL.upper()):
            assert set(await control.wrong_fields("POST", path, inline(issuer=name))) == {"issuer"}


async def test_what_the_platform_trusts_no_project_registers(control: Control, at: str) -> None:
    name = f"https://{os.urandom(4).hex()}.example"
    await control.make("/issuers", **{**AUTH0, "issuer": name, "user_prefix": name})
    for spelled in (name, f"{name}/", name.upper()):
        assert await control.wrong_fields("POST", at, inline(issuer=spelled)) == {
            "issuer": "is trusted already, by this installation"
        }


async def test_an_issuer_is_registered_once_in_a_project(control: Control, at: str) -> None:
    await control.make(at, **AUTH0)
    status, problem = await control.refused("POST", at, {**AUTH0, "user_prefix": "other:"})
    assert (status, problem["code"], problem["errors"][0]["field"]) == (409, "conflict", "issuer")
    elsewhere = f"/projects/{(await control.project())['id']}/issuers"
    assert (await control.make(elsewhere, **AUTH0))["issuer"] == AUTH0["issuer"]


async def test_no_two_issuers_of_a_project_share_their_users(control: Control, at: str) -> None:
    await control.make(at, **AUTH0)
    other = {**AUTH0, "issuer": "https://clerk.acme.com"}
    status, problem = await control.refused("POST", at, other)
    assert (status, problem["errors"][0]["field"]) == (409, "user_prefix")
    made = await control.make(at, **other, user_prefix="clerk:")
    status, problem = await control.refused("PATCH", f"{at}/{made['id']}", {"user_prefix": None})
    assert (status, problem["errors"][0]["field"]) == (409, "user_prefix")
    third = {**AUTH0, "issuer": "https://third.acme.com", "user_prefix": "clerk:"}
    assert (await control.refused("POST", at, third))[0] == 409


async def test_a_project_has_so_many_issuers_and_no_more(control: Control, at: str) -> None:
    for number in range(50):
        await control.make(at, **inline(issuer=f"issuer-{number}", user_prefix=f"{number}:"))
    assert (await control.refused("POST", at, inline(issuer="one-more")))[0] == 409


async def test_every_act_is_in_the_audit_log(control: Control, at: str, audit: Audit) -> None:
    made = await control.make(at, **AUTH0)
    await control.change(f"{at}/{made['id']}", max_lifetime=600)
    await control.ask("DELETE", f"{at}/{made['id']}")
    entries = audit(made["id"])
    assert [entry.action for entry in entries] == ["issuer.create", "issuer.change", "issuer.remove"]
    assert entries[1].detail == {"before": {"max_lifetime": 86_400}, "after": {"max_lifetime": 600}}
    assert all(entry.tenant_id is not None for entry in entries)
    platform = await control.make("/issuers", **inline(issuer="audited", user_prefix="audited"))
    await control.read(f"/issuers/{platform['id']}")
    entries = audit(platform["id"])
    assert [(entry.action, entry.tenant_id) for entry in entries] == [("issuer.create", None), ("issuer.read", None)]
    assert json.dumps(platform["jwks"]) in json.dumps(entries[0].detail)
