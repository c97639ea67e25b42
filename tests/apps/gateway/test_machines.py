"""Client credentials: which tokens machines get, what these may, and when they end."""

from __future__ import annotations

import time
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from bailiwick.domain.permissions import FOR_KEYS_ALONE, Permission
from bailiwick.identity import jws
from tests.apps.gateway.oauth import ask, error_of, granted
from tests.serving import Caller, Site, until

GRANT: Final = {"grant_type": "client_credentials"}
URL: Final = "/oauth/token"


def machine(caller: Caller, **form: str) -> Caller:
    """The holder of a machine's token."""
    return replace(caller, key=granted(caller, **form)["access_token"])


@pytest.mark.parametrize("basic", [True, False])
def test_a_key_gets_a_token_of_its_own_whichever_way_it_proves_itself(site: Site, basic: bool) -> None:
    caller = site.project()
    answer = ask(caller, URL, basic=basic, **GRANT)
    document = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert (document["token_type"], document["expires_in"]) == ("Bearer", 900)
    held = {scope.value for scope in set(Permission) - FOR_KEYS_ALONE}
    assert set(document) == {"access_token", "token_type", "expires_in", "scope"}
    assert set(document["scope"].split()) == held
    token = jws.read(document["access_token"])
    published = jws.PublicKeys.parse(site.ask("GET", "/.well-known/jwks.json").json())
    published.choose(token.kid, token.alg).verify(token)
    said = dict(token.claims)
    assert said["sub"] == said["uid"] == said["client_id"] == caller.key_id
    assert said["exp"] - said["iat"] == document["expires_in"]
    assert said["iss"] == said["aud"] == site.installation.url


def test_a_machine_calls_and_is_always_the_same_user(site: Site) -> None:
    caller = site.project(require_end_user=True)
    one, other = machine(caller), machine(caller)
    assert one.key != other.key
    for token in (one, other):
        assert token.chat().status_code == 200
        me = token.ask("GET", "/v1/me").json()
        assert (me["credential"], me["user_id"], me["key_id"]) == ("machine", caller.key_id, caller.key_id)
    until(lambda: len(caller.rows) == 2)
    assert [row["uid"] for row in caller.rows] == [caller.key_id] * 2


def test_a_machine_speaks_for_nobody_else(site: Site) -> None:
    token = machine(site.project())
    assert token.chat(headers={"x-end-user-id": "user-123"}).json()["error"]["code"] == "act_as_not_allowed"
    assert token.ask("POST", "/v1/auth/mint", json={"user_id": "user-123"}).status_code == 403


def test_a_scope_that_is_asked_for_is_all_that_the_token_holds(site: Site) -> None:
    caller = site.project()
    assert granted(caller, scope="models:list")["scope"] == "models:list"
    token = machine(caller, scope="models:list")
    assert token.ask("GET", "/v1/models").status_code == 200
    assert token.chat().status_code == 403


def test_nothing_is_granted_that_the_key_does_not_hold_or_no_token_may(site: Site) -> None:
    caller = site.project(key={"scopes": ["chat:create", "tokens:mint", "users:act_as"]})
    for scope in (
        "usage:read", "chat:create usage:read", "tokens:mint", "users:act_as", "admin", "Chat:create", " ",
    ):  # fmt: skip
        assert error_of(ask(caller, URL, **GRANT, scope=scope)) == (400, "invalid_scope"), scope
    assert granted(caller)["scope"] == "chat:create"


def test_a_key_that_holds_nothing_for_tokens_is_granted_none(site: Site) -> None:
    caller = site.project(key={"scopes": ["tokens:mint"]})
    assert error_of(ask(caller, URL, **GRANT)) == (400, "invalid_scope")


def test_whoever_is_not_known_gets_one_answer(site: Site) -> None:
    caller, other = site.project(), site.project()
    wrong = caller.key[:-1] + ("a" if caller.key[-1] != "a" else "b")
    strangers = [
        replace(caller, key=wrong), replace(caller, key="x"), replace(caller, key_id=other.key_id),
        replace(caller, key_id="key_0"), replace(caller, key=machine(caller).key),
    ]  # fmt: skip
    answers = [ask(stranger, URL, basic=basic, **GRANT) for stranger in strangers for basic in (True, False)]
    assert {(*error_of(answer), answer.content) for answer in answers} == {(401, "invalid_client", answers[0].content)}
    assert {answer.headers["www-authenticate"] for answer in answers} == {'Basic realm="bailiwick"'}


@pytest.mark.parametrize("authorization", ["Basic", "Basic !", "Basic bm9jb2xvbg==", "Bearer x", "Digest x"])
def test_what_cannot_be_read_as_a_client_is_an_unknown_client(site: Site, authorization: str) -> None:
    answer = site.ask("POST", URL, data=GRANT, headers={"authorization": authorization})
    assert error_of(answer) == (401, "invalid_client")


def test_a_client_that_proves_itself_twice_or_as_two_is_refused(site: Site) -> None:
    caller = site.project()
    both = {"client_id": caller.key_id, "client_secret": caller.key}
    assert error_of(ask(caller, URL, **GRANT, client_secret=caller.key)) == (400, "invalid_request")
    assert error_of(site.ask("POST", URL, data={**GRANT, **both}, headers=caller.bearer)) == (400, "invalid_request")
    assert error_of(ask(caller, URL, **GRANT, client_id="key_other")) == (400, "invalid_request")
    assert ask(caller, URL, **GRANT, client_id=caller.key_id).status_code == 200
    basic = b64encode(f"{caller.key_id}:{caller.key}".encode()).decode()
    twice = [("authorization", f"Basic {basic}")] * 2
    assert error_of(site.ask("POST", URL, data=GRANT, headers=twice)) == (400, "invalid_request")


def test_a_form_that_could_be_read_in_two_ways_or_none_is_malformed(site: Site) -> None:
    caller, form = site.project(), "application/x-www-form-urlencoded; charset=utf-8"
    wrong: list[tuple[bytes, str]] = [
        (b"grant_type=client_credentials&grant_type=client_credentials", form),
        (b"grant_type=client_credentials&scope=chat%3Acreate&scope=", form),
        (b"", form), (b"grant_type=", form), (b"grant_type", form), (b"grant_type=%ff", form), (b"\xff=1", form),
        (b"grant_type=client_credentials&" + b"&".join(b"f%d=1" % n for n in range(50)), form),
        (b"grant_type=client_credentials", "text/plain"),
        (b'{"grant_type": "client_credentials"}', "application/json"),
    ]  # fmt: skip
    for body, kind in wrong:
        answer = site.ask("POST", URL, content=body, headers={"content-type": kind}, auth=(caller.key_id, caller.key))
        assert error_of(answer) == (400, "invalid_request"), body


def test_a_large_form_is_refused_before_anybody_is_recognized(site: Site) -> None:
    answer = site.ask("POST", URL, data={**GRANT, "more": "x" * 33_000})
    assert error_of(answer) == (413, "invalid_request")


def test_other_grants_and_other_places_are_refused(site: Site) -> None:
    caller = site.project()
    assert error_of(ask(caller, URL, grant_type="password")) == (400, "unsupported_grant_type")
    assert error_of(ask(caller, URL, **GRANT, audience="https://other.example")) == (400, "invalid_target")
    assert granted(caller, resource=site.installation.url)


def test_a_secret_in_the_query_string_is_not_looked_at(site: Site) -> None:
    caller = site.project()
    answer = site.ask("POST", f"{URL}?client_id={caller.key_id}&client_secret={caller.key}", data=GRANT)
    assert error_of(answer) == (401, "invalid_client")


def test_a_client_speaks_for_itself_and_in_its_own_project(site: Site) -> None:
    caller, other = site.project(), site.project()
    assert error_of(ask(caller, URL, **GRANT, headers={"x-end-user-id": "u"})) == (400, "invalid_request")
    assert error_of(ask(caller, f"/p/{other.project['slug']}{URL}", **GRANT)) == (401, "invalid_client")
    assert ask(caller, f"/p/{caller.project['slug']}{URL}", **GRANT).status_code == 200


def test_whatever_else_is_wrong_is_told_as_oauth_tells_it(site: Site) -> None:
    answer = site.ask("GET", URL)
    assert (error_of(answer), answer.headers["allow"]) == ((405, "invalid_request"), "POST")
    assert error_of(site.ask("POST", "/oauth/nothing")) == (404, "invalid_request")


@pytest.mark.parametrize("act", ["revoke", "remove"])
def test_a_key_that_ends_takes_its_machine_along(site: Site, act: str) -> None:
    caller = site.project()
    token = machine(caller)
    assert token.chat().status_code == 200
    method, path = (
        ("POST", f"/keys/{caller.key_id}/revoke") if act == "revoke" else ("DELETE", f"/keys/{caller.key_id}")
    )
    site.admin.request(method, path)
    until(lambda: token.chat().status_code == 401, patience=1.0)
    assert error_of(ask(caller, URL, **GRANT)) == (401, "invalid_client")


def test_a_rotated_key_stays_the_same_machine(site: Site) -> None:
    caller = site.project()
    token = machine(caller)
    rotated = site.admin.request("POST", f"/keys/{caller.key_id}/rotate", {"grace_seconds": 0}).json()["key"]
    until(lambda: ask(caller, URL, **GRANT).status_code == 401)
    assert token.chat().status_code == 200
    assert jws.read(machine(replace(caller, key=rotated)).key).claims["uid"] == caller.key_id


def test_a_machine_never_outlives_its_key(site: Site) -> None:
    caller = site.project()
    ends = datetime.now(UTC) + timedelta(seconds=5)
    site.admin.change(f"/keys/{caller.key_id}", {"expires_at": ends.isoformat()})
    until(lambda: granted(caller)["expires_in"] <= 6)
    token = machine(caller)
    time.sleep(max(0.0, (ends - datetime.now(UTC)).total_seconds()))
    assert token.chat().json()["error"]["code"] == "expired_credentials"
    assert error_of(ask(caller, URL, **GRANT)) == (401, "invalid_client")


def test_a_suspended_project_grants_nothing_and_says_why(site: Site) -> None:
    caller = site.project()
    caller.change(status="suspended")
    until(lambda: ask(caller, URL, **GRANT).status_code == 400)
    assert error_of(ask(caller, URL, **GRANT)) == (400, "unauthorized_client")


def test_nobody_mints_a_user_who_would_be_taken_for_the_key_itself(site: Site) -> None:
    caller = site.project()
    answer = caller.ask("POST", "/v1/auth/mint", json={"user_id": caller.key_id})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "user_id")


def test_metadata_says_what_there_is_and_goes_by_the_public_url_alone(site: Site) -> None:
    url = site.installation.url
    server: dict[str, Any] = site.ask(
        "GET", "/.well-known/oauth-authorization-server", headers={"host": "evil.example", "x-forwarded-host": "evil"}
    ).json()
    resource = site.ask("GET", "/.well-known/oauth-protected-resource", headers={"host": "evil.example"}).json()
    assert (server["issuer"], resource["resource"], resource["authorization_servers"]) == (url, url, [url])
    # Every address is there, every way to authenticate works, every grant is known, every scope can be had.
    caller = site.project()
    addresses = {name: said.removeprefix(url) for name, said in server.items() if name.endswith(("_endpoint", "_uri"))}
    for name, address in addresses.items():
        answer = site.ask("GET", address)
        assert answer.status_code == (405 if name.endswith("_endpoint") else 200), name
    assert server["token_endpoint_auth_methods_supported"] == ["client_secret_basic", "client_secret_post"]
    for grant in server["grant_types_supported"]:
        assert error_of(ask(caller, URL, grant_type=grant, scope="none"))[1] != "unsupported_grant_type"
    assert granted(caller)["scope"].split() == server["scopes_supported"] == resource["scopes_supported"]
