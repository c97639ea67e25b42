"""Tokens that were minted here, at the doors: what they may, whose they are, and when they end."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import httpx2
import openai
import pytest

from bailiwick.domain import ids
from bailiwick.domain.permissions import FOR_KEYS_ALONE, Permission
from bailiwick.identity import jws, signing_keys
from bailiwick.identity.keyring import MasterKey
from bailiwick.identity.sealing import signing_key_row_identity, unseal
from tests.serving import ASK, MODEL, Caller, Site, error_of, until

UID: Final = "user-123"


def mint(caller: Caller, **fields: object) -> dict[str, Any]:
    """What minting answers."""
    answer = caller.ask("POST", "/v1/auth/mint", json={"user_id": UID, **fields})
    assert answer.status_code == 200, answer.text
    minted: dict[str, Any] = answer.json()
    return minted


def holder(caller: Caller, **fields: object) -> Caller:
    """Whoever holds a token of a user of the project."""
    return replace(caller, key=mint(caller, **fields)["token"])


def claims(token: str) -> dict[str, Any]:
    """What a token says, its signature checked with what is published."""
    return dict(jws.read(token).claims)


def refused(answer: httpx2.Response) -> tuple[int, str]:
    return error_of(answer)


def test_a_token_says_who_it_is_for_and_is_verified_with_what_is_published(site: Site) -> None:
    caller = site.project()
    minted = mint(caller, tier="pro", ttl=60, session_id="s-1", scopes=["chat:create"], role="editor")
    assert set(minted) == {"token", "token_type", "ttl", "session_id", "expires_at", "project_id"}
    assert (minted["token_type"], minted["ttl"], minted["session_id"]) == ("Bearer", 60, "s-1")
    assert minted["project_id"] == caller.id
    published = site.ask("GET", "/.well-known/jwks.json")
    assert published.headers["content-type"] == "application/jwk-set+json"
    token = jws.read(minted["token"])
    jws.PublicKeys.parse(published.json()).choose(token.kid, token.alg).verify(token)
    said = dict(token.claims)
    assert dict(token.header) == {"alg": "ES256", "typ": "at+jwt", "kid": token.kid}
    assert abs(said.pop("iat") - time.time()) < 5
    assert said.pop("exp") == minted["expires_at"] == token.claims["iat"] + 60
    assert said.pop("jti")
    assert said.pop("iss") == said.pop("aud") == site.installation.url
    assert said == {
        "sub": UID, "uid": UID, "sid": "s-1", "tier": "pro", "role": "editor", "scope": "chat:create",
        "tid": caller.project["tenant_id"], "pid": caller.id, "client_id": caller.key_id,
    }  # fmt: skip


def test_without_anything_said_a_token_is_good_for_a_quarter_of_an_hour_and_may_what_its_key_may(site: Site) -> None:
    caller = site.project()
    minted = mint(caller)
    said = claims(minted["token"])
    assert minted["ttl"] == said["exp"] - said["iat"] == 900
    assert minted["session_id"] == said["sid"] != mint(caller)["session_id"]
    assert set(said["scope"].split()) == {scope.value for scope in set(Permission) - FOR_KEYS_ALONE}


def test_openais_client_calls_with_a_token_in_the_keys_place(site: Site) -> None:
    token = holder(site.project(), session_id="s-1")
    answer = token.sdk().chat.completions.create(model=MODEL, messages=ASK)  # type: ignore[arg-type]
    assert answer.choices[0].message.content
    row = token.row()
    assert (row["uid"], row["sid"], row["key_id"]) == (UID, "s-1", ids.parsed(ids.KEY, token.key_id))


def test_a_refreshing_client_gets_its_token_from_a_function(site: Site) -> None:
    caller = site.project()
    client = openai.OpenAI(base_url=f"{site.installation.url}/v1", api_key=lambda: mint(caller)["token"], max_retries=0)
    assert client.models.list().data


def test_me_tells_a_token_what_it_is(site: Site) -> None:
    token = holder(site.project(), session_id="s-1", scopes=["models:list"])
    said = token.ask("GET", "/v1/me").json()
    assert (said["credential"], said["user_id"], said["session_id"]) == ("user_token", UID, "s-1")
    assert (said["scopes"], said["act_as"], said["project_id"]) == (["models:list"], False, token.id)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b"{}", b'{"user_id": 7}', b'{"user_id": ""}', b'{"user_id": null}',
        b'{"user_id": "a\\u0000"}',
        json.dumps({"user_id": "x" * 256}).encode(), b'{"user_id": "u", "ttl": 59}', b'{"user_id": "u", "ttl": 86401}',
        b'{"user_id": "u", "ttl": true}', b'{"user_id": "u", "ttl": "900"}', b'{"user_id": "u", "ttl": 900.5}',
        b'{"user_id": "u", "tier": []}', b'{"user_id": "u", "tier": true}', b'{"user_id": "u", "session_id": ""}',
        b'{"user_id": "u", "scopes": "chat:create"}', b'{"user_id": "u", "scopes": ["chat:delete"]}',
        b'{"user_id": "u", "scopes": [[]]}', b'{"user_id": "u", "role": 1}', b'{"user_id": "u", "ttI": 900}',
        b'{"user_id": "u", "user_id": "v"}', b'{"user_id": "u", "scopes": ["models:list"], "sc\\u006fpes": null}',
        b'{"user_id": "u", "tier": %s}' % (b"9" * 256),
    ],
)  # fmt: skip
def test_what_cannot_be_minted_is_a_malformed_request(site: Site, body: bytes) -> None:
    assert refused(site.project().ask("POST", "/v1/auth/mint", content=body)) == (400, "invalid_request")


def test_integers_are_tiers_by_their_decimal_string(site: Site) -> None:
    assert claims(mint(site.project(), tier=3)["token"])["tier"] == "3"


@pytest.mark.parametrize("scope", sorted(FOR_KEYS_ALONE))
def test_a_token_never_holds_what_is_for_keys_alone(site: Site, scope: str) -> None:
    assert refused(site.project().ask("POST", "/v1/auth/mint", json={"user_id": UID, "scopes": [scope]})) == (
        403, "forbidden",
    )  # fmt: skip


def test_a_key_mints_nothing_that_it_does_not_hold(site: Site) -> None:
    caller = site.project(key={"scopes": ["chat:create", "tokens:mint", "users:act_as"]})
    assert refused(caller.ask("POST", "/v1/auth/mint", json={"user_id": UID, "scopes": ["usage:read"]})) == (
        403, "forbidden",
    )  # fmt: skip
    assert claims(mint(caller)["token"])["scope"] == "chat:create"


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ({"scopes": ["chat:create", "users:act_as"]}, "forbidden"),
        ({"scopes": ["chat:create", "tokens:mint"]}, "act_as_not_allowed"),
        ({"act_as": False}, "act_as_not_allowed"),
    ],
)
def test_minting_takes_the_scope_to_mint_and_the_right_to_speak_for_users(site: Site, key: Any, code: str) -> None:
    assert refused(site.project(key=key).ask("POST", "/v1/auth/mint", json={"user_id": UID})) == (403, code)


def test_a_token_mints_no_token(site: Site) -> None:
    assert refused(holder(site.project()).ask("POST", "/v1/auth/mint", json={"user_id": UID})) == (403, "forbidden")


def test_headers_may_say_what_the_token_says_and_nothing_else(site: Site) -> None:
    token = holder(site.project(), session_id="s-1")
    assert token.chat(headers={"x-end-user-id": UID, "x-session-id": "s-1"}).status_code == 200
    assert refused(token.chat(headers={"x-end-user-id": "other"})) == (403, "act_as_not_allowed")
    assert refused(token.chat(headers={"x-session-id": "other"})) == (403, "forbidden")


def test_a_token_takes_no_other_scope_than_it_was_given(site: Site) -> None:
    token = holder(site.project(), scopes=["models:list"])
    assert refused(token.chat()) == (403, "forbidden")
    token.assert_untouched()


def test_a_token_is_good_in_its_own_project_alone(site: Site) -> None:
    token, other = holder(site.project()), site.project()
    own = f"/p/{token.project['slug']}/v1/models"
    assert token.ask("GET", own).status_code == 200
    assert refused(token.ask("GET", f"/p/{other.project['slug']}/v1/models")) == (401, "invalid_credentials")


def test_a_token_never_does_what_its_key_may_no_longer_do(site: Site) -> None:
    token = holder(site.project())
    assert token.chat().status_code == 200
    site.admin.change(f"/keys/{token.key_id}", {"scopes": ["models:list", "tokens:mint"]})
    until(lambda: token.chat().status_code == 403)
    site.admin.change(f"/keys/{token.key_id}", {"scopes": None, "models": ["other-*"]})
    until(lambda: token.chat().json().get("error", {}).get("code") == "model_not_allowed")


@pytest.mark.parametrize("act", ["revoke", "remove"])
def test_a_key_that_ends_takes_its_tokens_along(site: Site, act: str) -> None:
    token = holder(site.project())
    assert token.chat().status_code == 200
    if act == "revoke":
        site.admin.request("POST", f"/keys/{token.key_id}/revoke")
    else:
        site.admin.request("DELETE", f"/keys/{token.key_id}")
    until(lambda: token.chat().status_code == 401, patience=1.0)
    assert refused(token.chat())[1] == ("revoked_credentials" if act == "revoke" else "invalid_credentials")


def test_a_key_that_was_rotated_keeps_its_tokens(site: Site) -> None:
    token = holder(site.project())
    assert site.admin.request("POST", f"/keys/{token.key_id}/rotate", {"grace_seconds": 0}).status_code == 201
    time.sleep(1.0)
    assert token.chat().status_code == 200


def test_a_blocked_user_is_refused_with_a_token_and_is_minted_none(site: Site) -> None:
    caller = site.project()
    token = holder(caller)
    site.admin.change(f"/projects/{caller.id}/users/{UID}", {"blocked": True})
    until(lambda: token.chat().status_code == 403, patience=1.0)
    assert refused(token.chat()) == (403, "user_blocked")
    assert refused(caller.ask("POST", "/v1/auth/mint", json={"user_id": UID})) == (403, "user_blocked")


@pytest.mark.parametrize(("field", "claim"), [("jti", "jti"), ("session_id", "sid"), ("user_id", "uid")])
def test_what_was_revoked_is_refused_within_a_second_and_nothing_else_is(site: Site, field: str, claim: str) -> None:
    caller = site.project()
    token, other = holder(caller, session_id="s-1"), holder(caller, user_id="another", session_id="s-2")
    assert token.chat().status_code == other.chat().status_code == 200
    revoke(site, caller, field, claims(token.key)[claim])
    until(lambda: token.chat().status_code == 401, patience=1.0)
    assert refused(token.chat()) == (401, "revoked_credentials")
    assert other.chat().status_code == 200
    assert caller.chat().status_code == 200


def test_what_a_user_gets_after_a_revocation_is_good(site: Site) -> None:
    caller = site.project()
    revoke(site, caller, "user_id", UID)
    time.sleep(1.1)
    assert holder(caller).chat().status_code == 200


def test_the_other_spelling_of_a_revoked_token_is_refused_too(site: Site) -> None:
    caller = site.project()
    token = holder(caller)
    twin = replace(token, key=twin_of(token.key))
    assert token.chat().status_code == twin.chat().status_code == 200
    revoke(site, caller, "jti", claims(token.key)["jti"])
    until(lambda: token.chat().status_code == 401, patience=1.0)
    assert refused(twin.chat()) == (401, "revoked_credentials")


@pytest.mark.parametrize(
    "change",
    [
        {"exp": int(time.time()) - 61}, {"exp": None}, {"aud": "https://other.example"}, {"iss": "https://nobody.example"},
        {"pid": ids.shown(ids.PROJECT, UUID(int=7))}, {"client_id": ids.shown(ids.KEY, UUID(int=7))},
        {"client_id": None}, {"uid": "other"}, {"jti": None},
    ],
)  # fmt: skip
def test_what_our_own_key_signed_is_still_read_claim_by_claim(site: Site, change: dict[str, Any]) -> None:
    token = holder(site.project())
    said = {name: value for name, value in (claims(token.key) | change).items() if value is not None}
    if "exp" in change and change["exp"] is not None:
        said["iat"] = change["exp"] - 60
    forged = replace(token, key=signed(site, said))
    assert refused(forged.chat())[0] == 401
    assert replace(token, key=signed(site, claims(token.key))).chat().status_code == 200


@pytest.mark.parametrize("typ", ["JWT", "dpop+jwt", None])
def test_a_token_of_another_type_is_refused(site: Site, typ: str | None) -> None:
    token = holder(site.project())
    key = signing_key(site)
    other = key.sign(claims(token.key), typ=typ or "")
    assert refused(replace(token, key=other).chat()) == (401, "invalid_credentials")


def test_a_strangers_signature_gets_the_answer_of_an_unknown_key(site: Site) -> None:
    token = holder(site.project())
    stranger = replace(token, key=signing_keys.make().sign(claims(token.key)))
    header, payload, _ = token.key.split(".")
    none = urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
    unknown = replace(token, key="bwk_live_" + "a" * 61).chat()
    for answer in (stranger.chat(), replace(token, key=f"{none}.{payload}.").chat(), replace(token, key="a.b.c").chat(),
                   replace(token, key=f"{header}.{payload}.{'A' * 86}").chat()):  # fmt: skip
        assert answer.status_code == 401
        assert answer.content == unknown.content


def test_a_tier_says_what_holds_for_its_tokens(site: Site) -> None:
    caller = site.project(limits={"user": {"requests": 1, "per": "1h"}}, key={"act_as": True})
    tier(site, caller, "pro", {"user": {"requests": 3, "per": "1h"}})
    tier(site, caller, "tiny", {}, models=["nothing-*"])
    pro, plain, tiny = (holder(caller, user_id=name, tier=name) for name in ("pro", "plain", "tiny"))
    until(lambda: pro.ask("GET", "/v1/me").json()["tier"] == "pro")
    assert [pro.chat().status_code for _ in range(4)] == [200, 200, 200, 429]
    assert [plain.chat().status_code for _ in range(2)] == [200, 429]
    until(lambda: refused(tiny.chat()) == (403, "model_not_allowed"))
    caller.change(default_tier="tiny")
    unknown = holder(caller, user_id="u", tier="platinum")
    until(lambda: refused(unknown.chat()) == (403, "model_not_allowed"))


def test_a_change_of_a_tier_holds_within_a_second_for_tokens_that_are_out(site: Site) -> None:
    caller = site.project()
    made = site.admin.make(f"/projects/{caller.id}/tiers", {"name": "pro"})
    token = holder(caller, tier="pro")
    assert token.chat().status_code == 200
    own = f"/projects/{caller.id}/tiers/{made['id']}"
    site.admin.change(own, {"models": ["nothing-*"]})
    until(lambda: token.chat().status_code == 403, patience=1.0)
    assert refused(token.chat()) == (403, "model_not_allowed")
    site.admin.request("DELETE", own)
    until(lambda: token.chat().status_code == 200, patience=1.0)
    assert token.ask("GET", "/v1/me").json()["tier"] is None


def test_a_key_with_a_tier_mints_that_one_and_no_other(site: Site) -> None:
    caller = site.project(key={"tier": "free"})
    assert claims(mint(caller)["token"])["tier"] == "free"
    assert refused(caller.ask("POST", "/v1/auth/mint", json={"user_id": UID, "tier": "pro"})) == (403, "forbidden")


def test_a_key_is_good_from_its_own_addresses_and_so_are_its_tokens(site: Site) -> None:
    caller = site.project()
    token = holder(caller)
    site.admin.change(f"/keys/{caller.key_id}", {"ip_allow": ["192.0.2.0/24"]})
    for who in (caller, token):
        until(lambda who=who: who.chat().status_code == 403)  # type: ignore[misc]
        assert refused(who.chat()) == (403, "forbidden")
        # The tests' own address is no trusted proxy's: what it says of others is not believed.
        assert who.chat(headers={"x-forwarded-for": "192.0.2.7"}).status_code == 403
    site.admin.change(f"/keys/{caller.key_id}", {"ip_allow": ["192.0.2.0/24", "127.0.0.1"]})
    for who in (caller, token):
        until(lambda who=who: who.chat().status_code == 200)  # type: ignore[misc]


def revoke(site: Site, caller: Caller, field: str, value: str) -> None:
    site.admin.make(f"/projects/{caller.id}/revocations", {field: value})


def tier(site: Site, caller: Caller, name: str, limits: dict[str, Any], models: list[str] | None = None) -> None:
    site.admin.make(f"/projects/{caller.id}/tiers", {"name": name, "limits": limits, "models": models})


def signing_key(site: Site) -> signing_keys.SigningKey:
    """The installation's own, as only its master key opens it."""
    row = site.database.execute("SELECT id, secret FROM bailiwick.signing_keys").fetchone()
    assert row is not None
    sealing = MasterKey.parse((site.installation.folder / "master.key").read_text()).sealing()
    return signing_keys.from_private_pem(unseal(sealing, signing_key_row_identity(row["id"]), bytes(row["secret"])))


def signed(site: Site, said: dict[str, Any]) -> str:
    return signing_key(site).sign(said)


def twin_of(token: str) -> str:
    """The same signature in its other spelling, (r, n - s)."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    signed_part, _, signature = token.rpartition(".")
    octets = urlsafe_b64decode(signature + "==")
    s = order - int.from_bytes(octets[32:])
    return f"{signed_part}." + urlsafe_b64encode(octets[:32] + s.to_bytes(32)).rstrip(b"=").decode()
