"""Tokens that are minted with an operator key: in any project that it administers, and for as long as it lives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import httpx2
import pytest

from bailiwick.domain import ids
from bailiwick.domain.permissions import ALL_SCOPES, FOR_KEYS_ALONE
from bailiwick.identity import jws
from tests.serving import Caller, Site, error_of, until

UID: Final = "user-123"
_MADE_UP: Final = "bwa_live_000000000000_" + "0" * 49


def operator(site: Site, *, tenant: str | None = None, role: str = "admin", **fields: Any) -> dict[str, Any]:
    """A new operator key, of the installation unless it is a tenant's."""
    asked = {"name": "Minter", "role": role, **({} if tenant is None else {"tenant_id": tenant}), **fields}
    return site.admin.make("/operator-keys", asked)


def ask(
    site: Site, key: str, body: object, *, headers: Mapping[str, str] = {}, path: str = "/v1/auth/mint"
) -> httpx2.Response:
    return site.ask("POST", path, headers={"authorization": f"Bearer {key}", **headers}, json=body)


def holder(caller: Caller, key: str, **fields: Any) -> Caller:
    """Whoever holds a token that was minted so."""
    answer = ask(caller.site, key, {"project_id": caller.id, "user_id": UID, **fields})
    assert answer.status_code == 200, answer.text
    return replace(caller, key=answer.json()["token"])


def test_an_operator_key_mints_for_a_project_that_it_administers(site: Site) -> None:
    caller = site.project()
    key = operator(site)
    other = site.admin.tenant("Other")["id"]
    answer = ask(site, key["key"], {
        "project_id": caller.id, "user_id": UID, "tier": 3, "ttl": 60, "session_id": "s-1", "role": "editor",
        "scopes": ["chat:create"], "orgs": [other, caller.project["tenant_id"], other],
    })  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    minted = answer.json()
    assert set(minted) == {"token", "token_type", "ttl", "session_id", "expires_at", "project_id"}
    assert (minted["token_type"], minted["ttl"], minted["session_id"]) == ("Bearer", 60, "s-1")
    said = dict(jws.read(minted["token"]).claims)
    assert said.pop("exp") == said.pop("iat") + 60 == minted["expires_at"]
    jti = said.pop("jti")
    assert said.pop("iss") == said.pop("aud") == site.installation.url
    assert said == {
        "sub": UID, "uid": UID, "sid": "s-1", "tier": "3", "role": "editor", "scope": "chat:create",
        "tid": caller.project["tenant_id"], "pid": caller.id, "client_id": key["id"],
        "orgs": [other, caller.project["tenant_id"]],
    }  # fmt: skip
    entry = site.admin.request("GET", f"/tenants/{caller.project['tenant_id']}/audit?action=token.mint").json()["data"][
        0
    ]
    assert (entry["actor"], entry["target"], entry["detail"]["jti"]) == (key["id"], caller.id, jti)
    assert minted["token"] not in str(entry)


def test_such_a_token_calls_as_its_user_with_all_that_a_token_may_hold(site: Site) -> None:
    caller = site.project()
    user = holder(caller, operator(site, tenant=caller.project["tenant_id"])["key"], session_id="s-1")
    assert user.chat().status_code == 200
    row = user.row()
    assert (row["uid"], row["sid"], row["key_id"]) == (UID, "s-1", None)
    me = user.ask("GET", "/v1/me").json()
    assert (me["credential"], me["user_id"], me["project_id"]) == ("user_token", UID, caller.id)
    assert set(me["scopes"]) == {scope.value for scope in ALL_SCOPES - FOR_KEYS_ALONE}
    assert error_of(user.chat(path=f"/p/{site.project().project['slug']}/v1/chat/completions")) == (
        401, "invalid_credentials",
    )  # fmt: skip
    assert error_of(user.ask("POST", "/v1/auth/mint", json={"user_id": UID}))[0] == 403


@pytest.mark.parametrize("end", ["revoke", "remove", "expire"])
def test_a_token_ends_with_the_operator_key_that_minted_it(site: Site, end: str) -> None:
    caller = site.project()
    one, other = operator(site), operator(site)
    user, safe = (holder(caller, key["key"]) for key in (one, other))
    assert user.chat().status_code == safe.chat().status_code == 200
    if end == "revoke":
        assert site.admin.request("POST", f"/operator-keys/{one['id']}/revoke", {}).status_code == 200
    elif end == "remove":
        assert site.admin.request("DELETE", f"/operator-keys/{one['id']}").status_code == 204
    else:
        site.database.execute(
            "UPDATE bailiwick.operator_keys SET expires_at = now() WHERE id = %s",
            (ids.parsed(ids.OPERATOR_KEY, one["id"]),),
        )
    until(lambda: user.chat().status_code == 401, patience=1.0)
    code = {"revoke": "revoked_credentials", "remove": "invalid_credentials", "expire": "expired_credentials"}[end]
    assert error_of(user.chat()) == (401, code)
    assert safe.chat().status_code == 200


def test_a_key_that_is_rotated_keeps_its_tokens(site: Site) -> None:
    caller = site.project()
    key = operator(site)
    user = holder(caller, key["key"])
    assert site.admin.request("POST", f"/operator-keys/{key['id']}/rotate", {"grace_seconds": 0}).status_code == 201
    assert error_of(ask(site, key["key"], {"project_id": caller.id, "user_id": UID})) == (401, "invalid_credentials")
    assert user.chat().status_code == 200


def test_what_it_does_not_administer_does_not_exist_for_it(site: Site) -> None:
    own, foreign = site.project(), site.project(tenant_id=site.admin.tenant("Foreign")["id"])
    key = operator(site, tenant=own.project["tenant_id"])["key"]
    unknown = ids.shown(ids.PROJECT, ids.uuid7(1, b"0123456789"))
    nobody = ids.shown(ids.TENANT, ids.uuid7(1, b"0123456789"))
    answers = [
        ask(site, key, {"user_id": UID, **asked})
        for asked in (
            {"project_id": foreign.id}, {"project_id": unknown}, {"project_id": "prj_?"},
            {"project_id": own.id, "orgs": [foreign.project["tenant_id"]]},
            {"project_id": own.id, "orgs": [nobody]}, {"project_id": own.id, "orgs": ["ten_?"]},
        )
    ]  # fmt: skip
    assert {error_of(answer) for answer in answers} == {(404, "not_found")}
    assert len({answer.content for answer in answers}) == 1
    assert ask(site, key, {"user_id": UID, "project_id": own.id}).status_code == 200


@pytest.mark.parametrize("key", ["bwa_", "bwa_live_x", _MADE_UP, "bwa_x\r\nx-forwarded-for: 1.1.1.1", "bwa_é"])
def test_no_other_text_mints(site: Site, key: str) -> None:
    body = {"project_id": site.project().id, "user_id": UID}
    answer = site.http.request(
        "POST", "/v1/auth/mint", headers=[(b"x-api-key", key.encode("latin-1").replace(b"\r\n", b"\t"))], json=body
    )
    assert error_of(answer) == (401, "invalid_credentials")


def test_a_viewer_mints_nothing_and_an_ended_key_is_told_so(site: Site) -> None:
    body = {"project_id": site.project().id, "user_id": UID}
    assert error_of(ask(site, operator(site, role="viewer")["key"], body)) == (403, "forbidden")
    key = operator(site)
    site.admin.request("POST", f"/operator-keys/{key['id']}/revoke", {})
    assert error_of(ask(site, key["key"], body)) == (401, "revoked_credentials")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"project_id": None}, "project_id"), ({"user_id": ""}, "user_id"), ({"user_id": 7}, "user_id"),
        ({"ttl": 59}, "ttl"), ({"ttl": 86_401}, "ttl"), ({"ttl": "900"}, "ttl"), ({"ttl": True}, "ttl"),
        ({"tier": []}, "tier"), ({"scopes": ["chat:delete"]}, "scopes"), ({"orgs": "all"}, "orgs"),
        ({"orgs": [7]}, "orgs.0"), ({"ttI": 900}, "ttI"),
        ({"orgs": ["ten_00000000000000000000000000"] * 101}, "orgs"),
    ],
)  # fmt: skip
def test_what_cannot_be_minted_is_a_malformed_request(site: Site, fields: dict[str, Any], param: str) -> None:
    asked = {"project_id": site.project().id, "user_id": UID, **fields}
    answer = ask(site, site.installation.keys["admin_key"], {n: v for n, v in asked.items() if v is not None})
    assert error_of(answer) == (400, "invalid_request")
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("scope", sorted(FOR_KEYS_ALONE))
def test_no_such_token_makes_more_of_itself(site: Site, scope: str) -> None:
    body = {"project_id": site.project().id, "user_id": UID, "scopes": [scope]}
    assert error_of(ask(site, site.installation.keys["admin_key"], body)) == (403, "forbidden")


def test_nobody_is_minted_a_token_in_the_operator_keys_own_name(site: Site) -> None:
    key = operator(site)
    answer = ask(site, key["key"], {"project_id": site.project().id, "user_id": key["id"]})
    assert error_of(answer) == (400, "invalid_request")


@pytest.mark.parametrize("name", ["x-end-user-id", "x-session-id", "x-org-id", "x-project-id"])
def test_headers_that_say_for_whom_have_no_place(site: Site, name: str) -> None:
    body = {"project_id": site.project().id, "user_id": UID}
    answer = ask(site, site.installation.keys["admin_key"], body, headers={name: "somebody"})
    assert error_of(answer) == (400, "invalid_request")


def test_at_a_projects_own_address_an_operator_key_is_nobodys(site: Site) -> None:
    caller = site.project()
    body = {"project_id": caller.id, "user_id": UID}
    path = f"/p/{caller.project['slug']}/v1/auth/mint"
    assert error_of(ask(site, site.installation.keys["admin_key"], body, path=path)) == (401, "invalid_credentials")
