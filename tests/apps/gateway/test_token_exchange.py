"""Token exchange (RFC 8693): a token of a trusted issuer for one of our own, never wider and never longer."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from typing import Any, Final

import httpx2
import pytest

from bailiwick.domain import ids
from bailiwick.domain.oauth import ACCESS_TOKEN, JWT, TOKEN_EXCHANGE
from bailiwick.domain.permissions import FOR_KEYS_ALONE, Permission
from bailiwick.identity import jws, signing_keys
from bailiwick.identity.signing_keys import SigningKey
from tests.apps.gateway.oauth import ask, error_of, granted
from tests.apps.gateway.test_backchannel_logout import logout, send
from tests.apps.gateway.test_issuer_tokens import ISSUER, token, trust
from tests.apps.gateway.test_minted_tokens import mint, revoke
from tests.serving import Caller, Site, until

TIER: Final = "https://myapp.com/plan"


@pytest.fixture
def key() -> SigningKey:
    return signing_keys.make()


def exchange(caller: Caller, subject: str, /, **form: str) -> httpx2.Response:
    """What a client gets for a token."""
    form = {"subject_token": subject, "subject_token_type": ACCESS_TOKEN, **form}
    return ask(caller, "/oauth/token", grant_type=TOKEN_EXCHANGE, **{name: said for name, said in form.items() if said})


def exchanged(caller: Caller, subject: str, **form: str) -> dict[str, Any]:
    """The same, where it must be something."""
    answer = exchange(caller, subject, **form)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def trusting(site: Site, issuers: SigningKey, *, key: dict[str, Any] | None = None, **spec: Any) -> Caller:
    """A client of a project that trusts an issuer, and knows that it does."""
    caller = site.project(key=key)
    trust(site, caller, issuers, **spec)
    path = f"/p/{caller.project['slug']}/v1/models"
    until(lambda: token(caller, issuers, pid=caller.id, **_known(spec)).ask("GET", path).status_code != 401)
    return caller


def _known(spec: dict[str, Any]) -> dict[str, Any]:
    return {"iss": spec["issuer"]} if "issuer" in spec else {}


def test_a_foreign_token_becomes_one_of_our_own_for_the_same_user(site: Site, key: SigningKey) -> None:
    caller = trusting(site, key, claims={"tier": TIER, "role": "role"})
    subject = token(caller, key, sid="s-1", jti="t-1", role="editor", **{TIER: "pro"})
    answer = exchange(caller, subject.key)
    document = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert (document["issued_token_type"], document["token_type"]) == (ACCESS_TOKEN, "Bearer")
    said = dict(jws.read(document["access_token"]).claims)
    assert said["src"] == {"iss": ISSUER, "iat": jws.read(subject.key).claims["iat"], "jti": "t-1"}
    assert (said["iss"], said["client_id"]) == (site.installation.url, caller.key_id)
    assert (said["sub"], said["uid"], said["sid"], said["tier"], said["role"]) == (
        "auth0|abc", "auth0|abc", "s-1", "pro", "editor",
    )  # fmt: skip
    assert set(said["scope"].split()) == {scope.value for scope in set(Permission) - FOR_KEYS_ALONE}
    assert said["jti"] != "t-1"
    user = replace(caller, key=document["access_token"])
    assert user.chat().status_code == 200
    row = user.row()
    assert (row["uid"], row["sid"], row["key_id"]) == ("auth0|abc", "s-1", ids.parsed(ids.KEY, caller.key_id))
    assert user.ask("GET", "/v1/me").json()["credential"] == "user_token"


def test_a_session_is_made_where_none_was_named_and_the_type_is_called_as_it_is_asked_for(
    site: Site, key: SigningKey
) -> None:
    caller = trusting(site, key)
    document = exchanged(caller, token(caller, key).key, subject_token_type=JWT, requested_token_type=JWT)
    assert document["issued_token_type"] == JWT
    assert jws.read(document["access_token"]).claims["sid"].startswith("sess_")


def test_it_is_good_for_no_longer_than_the_foreign_one(site: Site, key: SigningKey) -> None:
    caller, now = trusting(site, key), int(time.time())
    short = exchanged(caller, token(caller, key, exp=now + 100).key)
    assert jws.read(short["access_token"]).claims["exp"] == now + 100
    assert short["expires_in"] <= 100
    assert exchanged(caller, token(caller, key, exp=now + 80_000).key)["expires_in"] == 900
    # What our doors would still take, for the clocks' sake, is given no new life.
    late = exchange(caller, token(caller, key, iat=now - 60, exp=now - 1).key)
    assert error_of(late) == (400, "invalid_request")


def test_it_is_never_wider_than_the_foreign_one_the_key_or_what_was_asked(site: Site, key: SigningKey) -> None:
    scopes = ["tokens:mint", "users:act_as", "chat:create", "models:list"]
    caller = trusting(site, key, key={"scopes": scopes}, claims={"scopes": "scope"})
    subject = token(caller, key, scope="chat:create usage:read tokens:mint")
    assert exchanged(caller, subject.key)["scope"] == "chat:create"
    wide = token(caller, key, scope="chat:create models:list")
    assert exchanged(caller, wide.key)["scope"] == "chat:create models:list"
    assert exchanged(caller, wide.key, scope="models:list")["scope"] == "models:list"
    for widened in ("models:list", "usage:read", "tokens:mint", "chat:create models:list"):
        assert error_of(exchange(caller, subject.key, scope=widened)) == (400, "invalid_scope"), widened
    nothing = token(caller, key, scope="")
    assert error_of(exchange(caller, nothing.key)) == (400, "invalid_scope")


def test_the_key_has_the_say_over_the_tier(site: Site, key: SigningKey) -> None:
    caller = trusting(site, key, claims={"tier": TIER})
    site.database.execute(
        "UPDATE bailiwick.api_keys SET tier = 'free' WHERE id = %s", (ids.parsed(ids.KEY, caller.key_id),)
    )
    plain = token(caller, key).key
    until(lambda: jws.read(exchanged(caller, plain)["access_token"]).claims.get("tier") == "free")
    assert error_of(exchange(caller, token(caller, key, **{TIER: "pro"}).key)) == (400, "invalid_request")


def test_our_own_tokens_are_never_exchanged(site: Site, key: SigningKey) -> None:
    caller = trusting(site, key)
    own = [mint(caller)["token"], granted(caller)["access_token"], exchanged(caller, token(caller, key).key)]
    # Not even if this installation itself came to be trusted, which the control plane refuses.
    us = site.installation.url
    document = {
        "issuer": us, "jwks": site.ask("GET", "/.well-known/jwks.json").json(), "audiences": [us],
        "algorithms": ["ES256"], "user_prefix": "us:",
    }  # fmt: skip
    site.database.execute(
        "INSERT INTO bailiwick.issuers"
        " (id, tenant_id, project_id, issuer, user_prefix, document, created_at, created_by)"
        " VALUES (%s, %s, %s, %s, 'us:', %s, now(), 'test')",
        (
            ids.uuid7(1, os.urandom(10)),
            ids.parsed(ids.TENANT, caller.project["tenant_id"]),
            ids.parsed(ids.PROJECT, caller.id),
            us,
            json.dumps(document),
        ),
    )
    time.sleep(1.1)
    for subject in (*own[:2], own[2]["access_token"]):
        assert error_of(exchange(caller, subject)) == (400, "invalid_request")


def test_what_the_project_would_not_take_is_not_exchanged(site: Site, key: SigningKey) -> None:
    caller = trusting(site, key)
    wrong: list[dict[str, Any]] = [
        {"iss": "https://nobody.example"}, {"iss": ISSUER + "/"}, {"aud": "https://else.example"}, {"exp": 1},
        {"exp": None}, {"sub": ""}, {"nonce": "n"}, {"events": {}},
    ]  # fmt: skip
    for claims in wrong:
        assert error_of(exchange(caller, token(caller, key, **claims).key)) == (400, "invalid_request"), claims


def test_a_forged_token_and_one_that_another_project_trusts_are_not_exchanged(site: Site, key: SigningKey) -> None:
    caller, other = trusting(site, key), site.project()
    for subject in (token(caller, signing_keys.make()).key, "a.b.c", "x", caller.key):
        assert error_of(exchange(caller, subject)) == (400, "invalid_request")
    assert error_of(exchange(other, token(other, key).key)) == (400, "invalid_request")
    # That the token names a project that trusts its issuer changes nothing.
    shared = trusting(site, key, issuer="https://shared.example", claims={"project": "pid"})
    named = token(other, key, iss="https://shared.example", pid=shared.id)
    assert error_of(exchange(other, named.key)) == (400, "invalid_request")
    assert exchange(shared, named.key).status_code == 200


def test_nobody_is_exchanged_for_the_machine_itself(site: Site, key: SigningKey) -> None:
    caller = trusting(site, key)
    assert error_of(exchange(caller, token(caller, key, sub=caller.key_id).key)) == (400, "invalid_request")


@pytest.mark.parametrize(
    "held", [{"scopes": ["chat:create", "tokens:mint"]}, {"scopes": ["chat:create", "users:act_as"]}, {"act_as": False}]
)
def test_a_client_must_be_allowed_to_mint_for_users(site: Site, key: SigningKey, held: dict[str, Any]) -> None:
    caller = trusting(site, key, key=held)
    assert error_of(exchange(caller, token(caller, key).key)) == (400, "unauthorized_client")


def test_without_a_client_nothing_is_exchanged(site: Site, key: SigningKey) -> None:
    caller = trusting(site, key)
    subject = token(caller, key)
    form = {"grant_type": TOKEN_EXCHANGE, "subject_token": subject.key, "subject_token_type": ACCESS_TOKEN}
    for headers in ({}, subject.bearer, caller.bearer):
        assert error_of(site.ask("POST", "/oauth/token", data=form, headers=headers)) == (401, "invalid_client")


def test_what_is_asked_must_be_what_there_is(site: Site, key: SigningKey) -> None:
    caller = trusting(site, key)
    subject, types = token(caller, key).key, "urn:ietf:params:oauth:token-type"
    wrong: list[dict[str, str]] = [
        {"subject_token_type": ""}, {"subject_token": ""}, {"subject_token_type": f"{types}:id_token"},
        {"subject_token_type": f"{types}:refresh_token"}, {"requested_token_type": f"{types}:refresh_token"},
        {"actor_token": "a.b.c"},
    ]  # fmt: skip
    for form in wrong:
        assert error_of(exchange(caller, subject, **form)) == (400, "invalid_request"), form
    assert error_of(exchange(caller, subject, audience="https://else.example")) == (400, "invalid_target")


@pytest.mark.parametrize(("field", "value"), [("jti", "t-1"), ("session_id", "s-1"), ("user_id", "auth0|abc")])
def test_what_is_revoked_is_not_exchanged_and_takes_along_what_was(
    site: Site, key: SigningKey, field: str, value: str
) -> None:
    caller = trusting(site, key)
    subject = token(caller, key, jti="t-1", sid="s-1").key
    user = replace(caller, key=exchanged(caller, subject)["access_token"])
    assert user.chat().status_code == 200
    revoke(site, caller, field, value)
    until(lambda: user.chat().status_code == 401, patience=1.0)
    assert user.chat().json()["error"]["code"] == "revoked_credentials"
    assert error_of(exchange(caller, subject)) == (400, "invalid_request")


def test_what_was_exchanged_counts_as_given_when_the_foreign_token_was(site: Site, key: SigningKey) -> None:
    caller, now = trusting(site, key), int(time.time())
    user = replace(caller, key=exchanged(caller, token(caller, key, iat=now - 60).key)["access_token"])
    assert user.chat().status_code == 200
    # The user signed out at the issuer before the exchange, of which nobody here had heard by then.
    assert send(caller, logout(key, sub="auth0|abc", iat=now - 5)).status_code == 200
    until(lambda: user.chat().status_code == 401, patience=1.0)
    assert user.chat().json()["error"]["code"] == "revoked_credentials"


def test_an_issuer_that_is_removed_takes_along_what_its_tokens_were_exchanged_for(site: Site, key: SigningKey) -> None:
    caller = trusting(site, key)
    user = replace(caller, key=exchanged(caller, token(caller, key).key)["access_token"])
    assert user.chat().status_code == 200
    site.database.execute("DELETE FROM bailiwick.issuers WHERE project_id = %s", (ids.parsed(ids.PROJECT, caller.id),))
    until(lambda: user.chat().status_code == 401, patience=1.0)
    assert user.chat().json()["error"]["code"] == "revoked_credentials"
    assert caller.chat().status_code == 200


def test_a_blocked_user_is_exchanged_no_token(site: Site, key: SigningKey) -> None:
    caller = trusting(site, key)
    subject = token(caller, key, sub=f"u-{os.getpid()}").key
    assert exchanged(caller, subject)
    site.admin.change(f"/projects/{caller.id}/users/u-{os.getpid()}", {"blocked": True})
    until(lambda: exchange(caller, subject).status_code == 400, patience=1.0)
