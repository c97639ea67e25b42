"""Introspection and revocation: what clients are told of tokens, and which they may take away."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Final

import httpx2
import pytest

from bailiwick.domain import ids
from bailiwick.identity import jws, signing_keys
from tests.apps.gateway.oauth import ask, error_of, granted
from tests.apps.gateway.test_minted_tokens import holder, mint, signed, twin_of
from tests.serving import Caller, Site, until

INACTIVE: Final = {"active": False}


def judged(caller: Caller, token: str) -> dict[str, Any]:
    """What a client is told of a token."""
    answer = ask(caller, "/oauth/introspect", token=token, token_type_hint="access_token")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store"), answer.text
    document: dict[str, Any] = answer.json()
    return document


def taken_away(caller: Caller, token: str) -> httpx2.Response:
    """What a client is told that takes a token away."""
    return ask(caller, "/oauth/revoke", token=token)


def revocations(site: Site, caller: Caller) -> list[dict[str, Any]]:
    """What was taken away in the caller's project."""
    query = "SELECT kind, value, created_by FROM bailiwick.revocations WHERE project_id = %s"
    return site.database.execute(query, (ids.parsed(ids.PROJECT, caller.id),)).fetchall()


def test_a_token_of_the_clients_project_is_told_with_all_that_it_says(site: Site) -> None:
    caller = site.project()
    minted = mint(caller, session_id="s-1", tier="pro", scopes=["chat:create"])["token"]
    assert judged(site.caller(caller.project), minted) == {
        "active": True, "token_type": "Bearer", **jws.read(minted).claims,
    }  # fmt: skip
    machine = granted(caller)["access_token"]
    assert judged(caller, machine) == {"active": True, "token_type": "Bearer", **jws.read(machine).claims}


def test_what_is_told_is_what_the_token_may_now(site: Site) -> None:
    caller = site.project()
    asks, token = site.caller(caller.project), mint(caller, scopes=["chat:create", "models:list"])["token"]
    site.admin.change(f"/keys/{caller.key_id}", {"scopes": ["models:list", "tokens:mint"]})
    until(lambda: judged(asks, token).get("scope") == "models:list")


def test_a_bearer_whose_key_holds_the_scope_may_ask_too(site: Site) -> None:
    caller = site.project()
    token = mint(caller)["token"]
    assert caller.ask("POST", "/oauth/introspect", data={"token": token}).json()["active"] is True
    for header in ({"x-api-key": caller.key},):
        assert site.ask("POST", "/oauth/introspect", data={"token": token}, headers=header).json()["active"] is True


def test_whoever_may_not_ask_is_told_nothing(site: Site) -> None:
    caller = site.project()
    token = mint(caller)["token"]
    without = site.caller(caller.project, scopes=["tokens:mint", "chat:create"])
    assert error_of(ask(without, "/oauth/introspect", token=token)) == (400, "unauthorized_client")
    answer = without.ask("POST", "/oauth/introspect", data={"token": token})
    assert error_of(answer) == (403, "insufficient_scope")
    # A token asks nothing, not even of itself.
    answer = replace(caller, key=token).ask("POST", "/oauth/introspect", data={"token": token})
    assert error_of(answer) == (403, "insufficient_scope")
    answer = replace(caller, key="nobody").ask("POST", "/oauth/introspect", data={"token": token})
    assert error_of(answer) == (401, "invalid_token")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert error_of(site.ask("POST", "/oauth/introspect", data={"token": token})) == (401, "invalid_client")
    both = {"token": token, "client_id": caller.key_id, "client_secret": caller.key}
    assert error_of(caller.ask("POST", "/oauth/introspect", data=both)) == (400, "invalid_request")
    assert error_of(ask(caller, "/oauth/introspect")) == (400, "invalid_request")


def test_everything_else_is_not_active_and_nothing_more(site: Site) -> None:
    caller, other = site.project(), site.project()
    token = mint(caller)["token"]
    foreign = signing_keys.make().sign(dict(jws.read(token).claims))
    for text in ("x", "a.b.c", caller.key, foreign, token + "=", token + ".", "é", "x" * 9_000, mint(other)["token"]):
        assert judged(caller, text) == INACTIVE, text
    assert judged(other, token) == INACTIVE
    assert judged(caller, token)["active"] is True


def test_a_token_that_has_expired_is_not_active_though_clocks_are_given_leeway(site: Site) -> None:
    caller, now = site.project(), int(time.time())
    said = dict(jws.read(mint(caller)["token"]).claims)
    late = signed(site, {**said, "iat": now - 60, "exp": now - 1})
    assert replace(caller, key=late).chat().status_code == 200
    assert judged(caller, late) == INACTIVE
    assert judged(caller, signed(site, said))["active"] is True


@pytest.mark.parametrize("what", ["user", "key"])
def test_a_token_whose_user_is_blocked_or_whose_key_was_revoked_is_not_active(site: Site, what: str) -> None:
    caller = site.project()
    asks, token = site.caller(caller.project), mint(caller)["token"]
    assert judged(asks, token)["active"] is True
    if what == "user":
        site.admin.change(f"/projects/{caller.id}/users/user-123", {"blocked": True})
    else:
        site.admin.request("POST", f"/keys/{caller.key_id}/revoke")
    until(lambda: judged(asks, token) == INACTIVE, patience=1.0)


def test_a_client_takes_a_token_away_that_it_minted_and_no_other_goes_with_it(site: Site) -> None:
    caller = site.project()
    token, other = holder(caller, session_id="s-1"), holder(caller, session_id="s-1")
    machine = replace(caller, key=granted(caller)["access_token"])
    assert token.chat().status_code == machine.chat().status_code == 200
    for gone in (token, machine):
        answer = taken_away(caller, gone.key)
        assert (answer.status_code, answer.content) == (200, b"")
        until(lambda gone=gone: gone.chat().status_code == 401, patience=1.0)  # type: ignore[misc]
        assert gone.chat().json()["error"]["code"] == "revoked_credentials"
        assert judged(caller, gone.key) == INACTIVE
    assert replace(token, key=twin_of(token.key)).chat().status_code == 401
    assert other.chat().status_code == caller.chat().status_code == 200
    assert revocations(site, caller) == [
        {"kind": "token", "value": jws.read(gone.key).claims["jti"], "created_by": caller.key_id}
        for gone in (token, machine)
    ]
    # Again, it is the same as of an unknown one.
    assert taken_away(caller, token.key).status_code == 200
    assert len(revocations(site, caller)) == 2


def test_unknown_tokens_are_none_to_take_away(site: Site) -> None:
    caller = site.project()
    foreign = signing_keys.make().sign(dict(jws.read(mint(caller)["token"]).claims))
    for text in ("x", "a.b.c", foreign, caller.key):
        answer = taken_away(caller, text)
        assert (answer.status_code, answer.content) == (200, b"")
    assert revocations(site, caller) == []
    assert caller.chat().status_code == 200


def test_only_the_client_that_minted_a_token_takes_it_away(site: Site) -> None:
    caller = site.project()
    token = holder(caller)
    for other in (site.caller(caller.project), site.project()):
        assert error_of(taken_away(other, token.key)) == (400, "unauthorized_client")
    assert error_of(site.ask("POST", "/oauth/revoke", data={"token": token.key})) == (401, "invalid_client")
    answer = site.ask("POST", "/oauth/revoke", data={"token": token.key}, headers=token.bearer)
    assert error_of(answer) == (401, "invalid_client")
    assert revocations(site, caller) == []
    assert token.chat().status_code == 200


def test_a_projects_clients_take_ten_thousand_tokens_away_in_an_hour_and_no_more(site: Site) -> None:
    caller, neighbour = site.project(), site.project()
    site.database.execute(
        "INSERT INTO bailiwick.revocations"
        " (id, tenant_id, project_id, kind, value, revoked_at, created_at, created_by)"
        " SELECT encode(overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send(at) FROM 3) FROM 1 FOR 6),"
        " 'hex')::uuid, %s, %s, 'token', n::text, now(), now(), 'test'"
        " FROM generate_series(1, 10000) n,"
        " LATERAL (SELECT (extract(epoch FROM now()) * 1000)::bigint - n * 100 AS at) timed",
        (ids.parsed(ids.TENANT, caller.project["tenant_id"]), ids.parsed(ids.PROJECT, caller.id)),
    )
    token = holder(caller)
    answer = taken_away(caller, token.key)
    assert (error_of(answer), answer.headers["retry-after"]) == ((429, "temporarily_unavailable"), "600")
    assert token.chat().status_code == 200
    assert taken_away(neighbour, holder(neighbour).key).status_code == 200
    assert len(revocations(site, neighbour)) == 1
