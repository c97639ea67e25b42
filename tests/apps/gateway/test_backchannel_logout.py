"""Logout tokens of trusted issuers: they end what they name, once, and no other token passes for one."""

from __future__ import annotations

import json
import os
import time
from base64 import urlsafe_b64encode
from typing import Any, Final

import httpx2
import pytest

from bailiwick.domain import ids
from bailiwick.identity import signing_keys
from bailiwick.identity.signing_keys import SigningKey
from tests.apps.gateway.test_issuer_tokens import AUDIENCE, ISSUER, token, trust
from tests.serving import Caller, Site, until

EVENTS: Final = {"http://schemas.openid.net/event/backchannel-logout": {}}
SUBJECT: Final = "auth0|abc"


@pytest.fixture
def key() -> SigningKey:
    return signing_keys.make()


@pytest.fixture
def caller(site: Site, key: SigningKey) -> Caller:
    """A project that trusts the issuer."""
    made = site.project()
    trust(site, made, key)
    until(lambda: may(token(made, key)))
    return made


def may(user: Caller) -> bool:
    """Whether somebody is let in."""
    status: int = user.ask("GET", f"/p/{user.project['slug']}/v1/me").status_code
    assert status in (200, 401)
    return status == 200


def logout(key: SigningKey, *, typ: str = "logout+jwt", **claims: Any) -> str:
    """A logout token of the issuer; what is None is left out."""
    now = int(time.time())
    said = {
        "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 120, "jti": os.urandom(8).hex(), "events": EVENTS,
        **claims,
    }  # fmt: skip
    return key.sign({name: value for name, value in said.items() if value is not None}, typ=typ)


def send(caller: Caller, text: str) -> httpx2.Response:
    """The issuer tells the project."""
    return caller.site.ask("POST", f"/p/{caller.project['slug']}/oauth/backchannel-logout", data={"logout_token": text})


@pytest.mark.parametrize("typ", ["logout+jwt", "JWT"])
def test_a_session_that_ended_at_the_issuer_ends_here_and_no_other(
    site: Site, key: SigningKey, caller: Caller, typ: str
) -> None:
    one, other, stranger = (token(caller, key, sid=sid, sub=sub) for sid, sub in (("1", "u"), ("2", "u"), ("3", "v")))
    assert may(one)
    answer = send(caller, logout(key, sid="1", sub="u", typ=typ))
    assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (200, b"", "no-store")
    until(lambda: not may(one), patience=1.0)
    assert may(other)
    assert may(stranger)
    (revocation,) = site.admin.request("GET", f"/projects/{caller.id}/revocations").json()["data"]
    assert revocation["session_id"] == "1"
    assert ids.parsed(ids.ISSUER, revocation["created_by"]) is not None


def test_a_user_who_signed_out_at_the_issuer_loses_what_they_had_and_nothing_that_they_get_later(
    key: SigningKey, caller: Caller
) -> None:
    now = int(time.time())
    before, other = token(caller, key, iat=now - 60, sid="1"), token(caller, key, iat=now - 60, sub="another")
    assert may(before)
    told = logout(key, sub=SUBJECT, iat=now - 5)
    assert send(caller, told).status_code == 200
    until(lambda: not may(before), patience=1.0)
    assert may(other)
    later = token(caller, key, iat=now - 1)
    assert may(later)
    # Whoever has seen the logout token ends no session by it that was begun since.
    assert send(caller, told).status_code == 200
    assert send(caller, logout(key, sub=SUBJECT, iat=now - 5)).status_code == 200
    time.sleep(1.0)
    assert may(later)


def test_what_is_told_again_is_written_once(site: Site, key: SigningKey, caller: Caller) -> None:
    told = logout(key, sub=SUBJECT)
    for text in (
        told,
        told,
        logout(key, sub=SUBJECT, iat=int(time.time()) - 60),
        logout(key, sid="1"),
        logout(key, sid="1"),
    ):
        assert send(caller, text).status_code == 200
    assert len(site.admin.request("GET", f"/projects/{caller.id}/revocations").json()["data"]) == 2


def test_a_session_that_ended_so_long_ago_that_nobody_heeds_it_ends_again(
    site: Site, key: SigningKey, caller: Caller
) -> None:
    site.database.execute(
        """INSERT INTO bailiwick.revocations
               (id, tenant_id, project_id, kind, value, revoked_at, created_at, created_by)
           SELECT gen_random_uuid(), tenant_id, id, 'session', 'again', now() - interval '9 days', now(), 'test'
           FROM bailiwick.projects WHERE slug = %s""",
        (caller.project["slug"],),
    )
    again = token(caller, key, sid="again")
    until(lambda: may(again))
    assert send(caller, logout(key, sid="again")).status_code == 200
    until(lambda: not may(again), patience=1.0)


def test_tokens_that_were_minted_here_for_the_user_end_too(key: SigningKey, caller: Caller) -> None:
    minted = caller.ask("POST", "/v1/auth/mint", json={"user_id": SUBJECT}).json()["token"]
    assert caller.site.ask("GET", "/v1/me", headers={"authorization": f"Bearer {minted}"}).status_code == 200
    assert send(caller, logout(key, sub=SUBJECT)).status_code == 200
    until(
        lambda: caller.site.ask("GET", "/v1/me", headers={"authorization": f"Bearer {minted}"}).status_code == 401,
        patience=1.0,
    )


def test_users_are_those_of_the_issuers_prefix(site: Site, key: SigningKey) -> None:
    made = site.project()
    trust(site, made, key, user_prefix="acme:")
    user = token(made, key)
    until(lambda: may(user))
    assert send(made, logout(key, sub=SUBJECT)).status_code == 200
    until(lambda: not may(user), patience=1.0)


_NOW: Final = int(time.time())
ATTACKS: Final[dict[str, dict[str, Any]]] = {
    "no event, as an access token has none": {"events": None, "typ": "JWT"},
    "the type of an access token": {"typ": "at+jwt"},
    "another event": {"events": {"https://schemas.openid.net/secevent/risc/event-type/account-disabled": {}}},
    "an event that says nothing": {"events": {"http://schemas.openid.net/event/backchannel-logout": True}},
    "events in a list": {"events": list(EVENTS)},
    "a nonce, as an ID token has": {"nonce": "n"},
    "the type of a refresh token as a claim": {"claim_typ": "Refresh"},
    "another audience": {"aud": "https://else.example"},
    "no audience": {"aud": None},
    "the name of the issuer almost": {"iss": ISSUER + "/"},
    "an issuer that nobody trusts": {"iss": "https://nobody.example"},
    "told long ago": {"iat": _NOW - 400, "exp": _NOW + 3600},
    "told in the future": {"iat": _NOW + 300, "exp": _NOW + 600},
    "expired": {"iat": _NOW - 200, "exp": _NOW - 100},
    "no end": {"exp": None},
    "no id": {"jti": None},
    "nobody's": {"sub": None},
    "a session that is no text": {"sid": 7},
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_no_logout_token_of_the_issuer_ends_nothing(key: SigningKey, caller: Caller, attack: str) -> None:
    user = token(caller, key, iat=int(time.time()) - 60, sid="s")
    assert may(user)
    since = int(time.time()) - _NOW  # Tests are collected long before they run.
    changed = {
        name: value + since if name in {"iat", "exp"} and isinstance(value, int) else value
        for name, value in ATTACKS[attack].items()
    }
    if "claim_typ" in changed:
        text = logout_with_typ(key, changed["claim_typ"])
    else:
        text = logout(key, **{"sub": SUBJECT, **changed})
    assert_refused(caller, text)
    time.sleep(0.2)
    assert may(user)


def logout_with_typ(key: SigningKey, typ: str) -> str:
    """A logout token with a claim `typ`."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 60, "jti": "j", "events": EVENTS, "sub": SUBJECT}
    return key.sign({**claims, "typ": typ}, typ="JWT")


def assert_refused(caller: Caller, text: str) -> None:
    """It is refused, in the same words whatever is wrong."""
    answer = send(caller, text)
    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid_request", "error_description": "The logout_token is not accepted."}


def test_keycloaks_says_by_a_claim_what_it_is(key: SigningKey, caller: Caller) -> None:
    user = token(caller, key)
    assert may(user)
    assert send(caller, logout_with_typ(key, "Logout")).status_code == 200
    until(lambda: not may(user), patience=1.0)


def test_nobody_else_signs_for_the_issuer(site: Site, key: SigningKey, caller: Caller) -> None:
    user = token(caller, key, iat=int(time.time()) - 60)
    assert_refused(caller, logout(signing_keys.make(), sub=SUBJECT))
    whole = logout(key, sub=SUBJECT)
    header = urlsafe_b64encode(json.dumps({"alg": "none", "typ": "logout+jwt"}).encode()).rstrip(b"=").decode()
    for text in (f"{header}.{whole.split('.')[1]}.", whole[:-4] + "AAAA", whole + "=", "", "x", "x" * 9000):
        answer = send(caller, text)
        assert answer.status_code == 400, text
    # Another project's issuer of the same name, and the platform's, say nothing here.
    foreign, stranger = site.project(), signing_keys.make()
    trust(site, foreign, stranger)
    until(lambda: may(token(foreign, stranger)))
    assert_refused(caller, logout(stranger, sub=SUBJECT))
    trust(site, None, stranger, issuer="https://logout.platform.example", user_prefix="logout:")
    assert_refused(caller, logout(stranger, sub=SUBJECT, iss="https://logout.platform.example"))
    minted = caller.ask("POST", "/v1/auth/mint", json={"user_id": SUBJECT}).json()["token"]
    assert_refused(caller, minted)
    assert may(user)


def test_a_logout_token_opens_nothing(key: SigningKey, caller: Caller) -> None:
    for typ in ("logout+jwt", "JWT"):
        text = logout(key, sub=SUBJECT, typ=typ)
        path = f"/p/{caller.project['slug']}/v1/me"
        assert caller.site.ask("GET", path, headers={"authorization": f"Bearer {text}"}).status_code == 401


def test_it_is_told_at_a_projects_own_address_and_in_a_form(key: SigningKey, caller: Caller) -> None:
    text = logout(key, sub=SUBJECT)
    assert caller.site.ask("POST", "/oauth/backchannel-logout", data={"logout_token": text}).status_code == 400
    path = f"/p/{caller.project['slug']}/oauth/backchannel-logout"
    assert caller.site.ask("POST", path, json={"logout_token": text}).status_code == 400
    assert caller.site.ask("POST", path, data={}).status_code == 400
    assert caller.site.ask("GET", path).status_code == 405
    said = caller.site.ask("GET", "/.well-known/oauth-protected-resource").json()["backchannel_logout_uri_template"]
    assert said == f"{caller.site.installation.url}/p/{{slug}}/oauth/backchannel-logout"
