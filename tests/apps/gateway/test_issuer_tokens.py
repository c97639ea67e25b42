"""Tokens of trusted issuers at the doors: by which project they are taken, for whom they speak, and when they end."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any, Final

import pytest

from bailiwick.domain import ids
from bailiwick.identity import signing_keys
from bailiwick.identity.signing_keys import SigningKey
from tests.serving import Caller, Site, error_of, until

ISSUER: Final = "https://login.example"
AUDIENCE: Final = "https://api.example"


def trust(
    site: Site, project: Caller | None, key: SigningKey, *, issuer: str = ISSUER, **fields: Any
) -> dict[str, Any]:
    """A project, or the platform, trusts an issuer that signs with `key`; returns what was registered."""
    asked = {
        "issuer": issuer, "jwks": {"keys": [key.public_jwk()]}, "audiences": [AUDIENCE], "algorithms": ["ES256"],
        **fields,
    }  # fmt: skip
    return site.admin.make("/issuers" if project is None else f"/projects/{project.id}/issuers", asked)


def token(caller: Caller, key: SigningKey, **claims: Any) -> Caller:
    """Whoever holds a token of the issuer."""
    now = int(time.time())
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "auth0|abc", "iat": now, "exp": now + 600, **claims}
    return replace(caller, key=key.sign({name: value for name, value in said.items() if value is not None}, typ="JWT"))


def path(caller: Caller) -> str:
    """The chat completions of the caller's project, at its own address."""
    return f"/p/{caller.project['slug']}/v1/chat/completions"


@pytest.fixture
def key() -> SigningKey:
    return signing_keys.make()


def refused(caller: Caller, **options: Any) -> tuple[int, str]:
    return error_of(caller.chat(**options))


def test_a_project_takes_the_tokens_of_the_issuer_that_it_trusts_at_its_own_address(
    site: Site, key: SigningKey
) -> None:
    caller = site.project()
    user = token(caller, key, sid="s-1", jti="t-1")
    assert refused(user, path=path(caller)) == (401, "invalid_credentials")
    trust(site, caller, key)
    until(lambda: user.chat(path=path(caller)).status_code == 200)
    row = user.row()
    assert (row["uid"], row["sid"], row["key_id"]) == ("auth0|abc", "s-1", None)
    me = user.ask("GET", f"/p/{caller.project['slug']}/v1/me").json()
    assert (me["credential"], me["key_id"], me["user_id"]) == ("issuer_token", None, "auth0|abc")
    # A second call goes by what is remembered.
    assert user.chat(path=path(caller)).status_code == 200


def test_nothing_is_inferred_without_an_address(site: Site, key: SigningKey) -> None:
    caller = site.project()
    trust(site, caller, key, issuer="https://only.example")
    user = token(caller, key, iss="https://only.example")
    until(lambda: user.chat(path=path(caller)).status_code == 200)
    assert refused(user) == (400, "project_required")
    assert refused(token(caller, key, iss="https://nobody.example")) == (401, "invalid_credentials")


def test_a_signed_claim_names_the_project_and_chooses_among_those_who_trust_the_issuer(
    site: Site, key: SigningKey
) -> None:
    one, other, wrong = site.project(), site.project(), signing_keys.make()
    for project in (one, other):
        trust(site, project, key, issuer="https://shared.example", claims={"project": "pid"})
    users = [
        token(one, key, iss="https://shared.example", pid=one.id),
        token(other, key, iss="https://shared.example", pid=other.project["slug"]),
    ]
    for user in users:
        until(lambda user=user: user.chat().status_code == 200)  # type: ignore[misc]
        assert user.row()["uid"] == "auth0|abc"
    forged = token(one, wrong, iss="https://shared.example", pid=other.id)
    assert refused(forged) == (401, "invalid_credentials")
    assert refused(users[0], path=path(other)) == (401, "invalid_credentials")
    nowhere = token(one, key, iss="https://shared.example", pid="elsewhere")
    assert refused(nowhere) == (400, "project_required")


def test_the_same_key_id_at_two_issuers_opens_each_ones_own_only(site: Site, key: SigningKey) -> None:
    one, other = site.project(), site.project()
    trust(site, one, key, issuer="https://one.example")
    stranger = signing_keys.make()
    jwk = {**stranger.public_jwk(), "kid": key.kid}
    trust(site, other, key, issuer="https://other.example", jwks={"keys": [jwk]})
    own = token(one, key, iss="https://one.example")
    until(lambda: own.chat(path=path(one)).status_code == 200)
    crossed = token(other, key, iss="https://other.example")
    assert refused(crossed, path=path(other)) == (401, "invalid_credentials")


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://else.example"}, {"aud": None}, {"exp": int(time.time()) - 61}, {"exp": None}, {"sub": ""},
        {"sub": None}, {"iss": ISSUER + "/"}, {"iss": ISSUER.upper()}, {"iss": [ISSUER]}, {"nonce": "n"},
        {"events": {}}, {"exp": int(time.time()) + 90_000}, {"tenant": "another"}, {"tenant": None},
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_whatever_the_signature(
    site: Site, key: SigningKey, claims: dict[str, Any]
) -> None:
    caller = site.project()
    mapped = {"tenant": "tenant"} if "tenant" in claims else {}
    trust(site, caller, key, claims=mapped)
    good = {"tenant": caller.project["tenant_id"]}
    until(lambda: token(caller, key, **good).chat(path=path(caller)).status_code == 200)
    assert refused(token(caller, key, **{**good, **claims}), path=path(caller))[0] == 401


def test_scopes_and_tiers_are_those_that_are_mapped(site: Site, key: SigningKey) -> None:
    caller = site.project()
    trust(site, caller, key, claims={"scopes": "scope", "tier": "https://myapp.com/plan"})
    user = token(caller, key, scope="models:list tokens:mint users:act_as", **{"https://myapp.com/plan": 2})
    me = f"/p/{caller.project['slug']}/v1/me"
    until(lambda: user.ask("GET", me).status_code == 200)
    assert user.ask("GET", me).json()["scopes"] == ["models:list"]
    assert refused(user, path=path(caller)) == (403, "forbidden")


def test_prefixes_keep_the_users_of_two_issuers_apart(site: Site, key: SigningKey) -> None:
    caller = site.project()
    trust(site, caller, key, user_prefix="acme:")
    user = token(caller, key)
    until(lambda: user.chat(path=path(caller)).status_code == 200)
    assert user.row()["uid"] == "acme:auth0|abc"
    assert refused(user, path=path(caller), headers={"x-end-user-id": "auth0|abc"}) == (403, "act_as_not_allowed")


@pytest.mark.parametrize("kind", ["token", "session", "user"])
def test_what_was_revoked_is_refused_within_a_second(site: Site, key: SigningKey, kind: str) -> None:
    caller = site.project()
    trust(site, caller, key)
    user, other = (token(caller, key, jti=f"t-{n}", sid=f"s-{n}", sub=f"u-{n}") for n in (1, 2))
    until(lambda: user.chat(path=path(caller)).status_code == other.chat(path=path(caller)).status_code == 200)
    site.database.execute(
        "INSERT INTO bailiwick.revocations"
        " (id, tenant_id, project_id, kind, value, revoked_at, created_at, created_by)"
        " VALUES (%s, %s, %s, %s, %s, now(), now(), 'test')",
        (
            ids.uuid7(1, os.urandom(10)),
            ids.parsed(ids.TENANT, caller.project["tenant_id"]),
            ids.parsed(ids.PROJECT, caller.id),
            kind,
            {"token": "t-1", "session": "s-1", "user": "u-1"}[kind],
        ),
    )
    until(lambda: user.chat(path=path(caller)).status_code == 401, patience=1.0)
    assert refused(user, path=path(caller)) == (401, "revoked_credentials")
    assert other.chat(path=path(caller)).status_code == 200


def test_an_issuer_that_is_removed_takes_its_tokens_along_within_a_second(site: Site, key: SigningKey) -> None:
    caller = site.project()
    trusted = trust(site, caller, key)
    user = token(caller, key)
    until(lambda: user.chat(path=path(caller)).status_code == 200)
    site.admin.request("DELETE", f"/projects/{caller.id}/issuers/{trusted['id']}")
    until(lambda: user.chat(path=path(caller)).status_code == 401, patience=1.0)


def test_an_issuer_that_is_changed_judges_the_tokens_that_it_let_in(site: Site, key: SigningKey) -> None:
    caller = site.project()
    trusted = trust(site, caller, key)
    user = token(caller, key)
    until(lambda: user.chat(path=path(caller)).status_code == 200)
    for audiences, status in ((["https://new.example"], 401), ([AUDIENCE, "https://new.example"], 200)):
        site.admin.change(f"/projects/{caller.id}/issuers/{trusted['id']}", {"audiences": audiences})
        until(lambda status=status: user.chat(path=path(caller)).status_code == status, patience=1.0)  # type: ignore[misc]


def test_a_platforms_issuer_lets_nobody_in_who_is_no_member(site: Site, key: SigningKey) -> None:
    caller = site.project()
    trust(site, None, key, issuer="https://platform.example", user_prefix="platform:")
    user = token(caller, key, iss="https://platform.example")
    until(lambda: user.chat(path=path(caller)).status_code == 403)
    assert refused(user, path=path(caller)) == (403, "not_a_member")
    forged = token(caller, signing_keys.make(), iss="https://platform.example")
    assert refused(forged, path=path(caller)) == (401, "invalid_credentials")


def test_keys_that_cannot_be_fetched_are_our_trouble_and_not_the_callers(site: Site, key: SigningKey) -> None:
    caller = site.project()
    trust(site, caller, key, issuer="https://away.example", jwks=None, jwks_url="https://keys.invalid/jwks")
    user = token(caller, key, iss="https://away.example")
    until(lambda: user.chat(path=path(caller)).status_code == 503)
    assert refused(user, path=path(caller)) == (503, "unavailable")
