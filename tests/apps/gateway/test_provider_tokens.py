"""Tokens of seven identity providers, as each of them writes them, by the mappings of the how-to.

The providers run on this machine: their keys are found by discovery, or where the mapping says. Of a mapping only the
addresses are changed, from the provider's to this machine's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from bailiwick.apps.dashboard.issuer_presets import PRESETS
from tests.oidc import Provider
from tests.serving import Caller, Site, error_of, until

PAGE: Final = Path(__file__).parents[3] / "docs" / "how-to" / "trust-an-identity-provider.md"
MAPPING: Final = re.compile(r"<!-- mapping: (\w+) -->\n```json\n(.*?)```", re.DOTALL)
MAPPINGS: Final[Mapping[str, dict[str, Any]]] = {
    name: json.loads(text) for name, text in MAPPING.findall(PAGE.read_text("utf-8"))
}
NOBODY: Final = {"user_id": None, "session_id": None}
Claims = dict[str, Any]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A provider's access token, beside `iss`, `iat` and `exp`; who it speaks for; and changes after which it is none.

    A change of None takes a claim away; `header` is what the provider has besides `alg` and `kid`.
    """

    claims: Claims
    user: str
    session: str | None = None
    header: Claims
    refused: tuple[Claims, ...]
    scopes: tuple[str, ...] | None = None
    alg: str = "RS256"


JWT: Final = {"typ": "JWT"}
SHAPES: Final = {
    "auth0": Shape(
        header=JWT,
        claims={
            "https://acme.com/plan": "pro", "sub": "auth0|65f1c0ffee", "azp": "hU5hQ3sT9", "scope": "openid profile",
            "aud": ["https://api.acme.com", "https://acme.eu.auth0.com/userinfo"], "permissions": ["read:reports"],
        },
        user="auth0|65f1c0ffee",
        refused=(
            {"aud": "hU5hQ3sT9", "nonce": "n-1", "email": "ada@acme.com"},  # the ID token
            {"aud": ["https://acme.eu.auth0.com/userinfo"]},
            {"https://acme.com/plan": {"name": "pro"}},
        ),
    ),
    "clerk": Shape(
        header={**JWT, "cat": "cl_B7d4PD111AAA"},
        claims={
            "azp": "https://app.acme.com", "fva": [7, -1], "jti": "1f2e3d", "nbf": 1_700_000_000, "sid": "sess_2abc",
            "o": {"id": "org_1", "rol": "admin", "slg": "acme", "per": "read"}, "pla": "u:pro", "sts": "active",
            "sub": "user_2abc", "v": 2,
        },
        user="user_2abc",
        session="sess_2abc",
        refused=({"azp": "https://evil.example"}, {"azp": None}, {"nbf": 4_000_000_000}, {"o": {"rol": ["a", "b"]}}),
    ),
    "supabase": Shape(
        header=JWT,
        alg="ES256",
        claims={
            "aud": "authenticated", "sub": "4e6b0b8e-9c1d-4b6a-8f55-0f5d7c1a2b3c", "email": "ada@acme.com", "phone": "",
            "app_metadata": {"provider": "email", "providers": ["email"], "plan": "pro"}, "aal": "aal1",
            "user_metadata": {"plan": "enterprise"}, "role": "authenticated", "is_anonymous": False,
            "amr": [{"method": "password", "timestamp": 1_700_000_000}],
            "session_id": "0c5a9c58-7f1e-4b0e-9d53-1f0d6a5f7d11",
        },
        user="4e6b0b8e-9c1d-4b6a-8f55-0f5d7c1a2b3c",
        session="0c5a9c58-7f1e-4b0e-9d53-1f0d6a5f7d11",
        refused=({"is_anonymous": True}, {"role": "anon"}, {"role": "service_role"}, {"aud": "anon"}, {"sub": None}),
    ),
    "firebase": Shape(
        header=JWT,
        claims={
            "name": "Ada", "aud": "acme-prod", "auth_time": 1_700_000_000, "user_id": "Jk3xYz", "sub": "Jk3xYz",
            "email": "ada@acme.com", "email_verified": True, "plan": "pro",
            "firebase": {
                "identities": {"email": ["ada@acme.com"]}, "sign_in_provider": "password", "tenant": "acme-x1y2z",
            },
        },
        user="Jk3xYz",
        refused=(
            {"firebase": {"sign_in_provider": "password", "tenant": "another-tenant"}},
            {"firebase": {"sign_in_provider": "anonymous"}},
            {"aud": "another-project"},
        ),
    ),
    "okta": Shape(
        header={},
        claims={
            "ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "aud": "api://default",
            "cid": "0oa1abcd", "uid": "00u1abcd", "scp": ["openid", "chat:create", "models:list"],
            "auth_time": 1_700_000_000, "sub": "ada@acme.com",
        },
        user="00u1abcd",
        scopes=("chat:create", "models:list"),
        refused=(
            {"uid": None, "sub": "0oa1abcd"},  # of an application, without a person
            {"aud": "https://acme.okta.com"},  # of the org's own server
            {"aud": "0oa1abcd", "at_hash": "x"},  # the ID token
        ),
    ),
    "entra": Shape(
        header=JWT,
        claims={
            "aud": "00001111-aaaa-2222-bbbb-3333cccc4444", "nbf": 1_700_000_000, "aio": "AXQAi/8TAAAA", "azpacr": "0",
            "azp": "22223333-cccc-4444-dddd-5555eeee6666", "name": "Ada", "preferred_username": "ada@acme.com",
            "oid": "33334444-dddd-5555-eeee-6666ffff7777", "rh": "0.AAAA", "roles": ["Reader", "User", "Admin"],
            "scp": "access_as_user Files.Read", "sid": "001122", "sub": "pairwise-subject", "uti": "x-1",
            "tid": "aaaabbbb-0000-cccc-1111-dddd2222eeee", "ver": "2.0",
        },
        user="33334444-dddd-5555-eeee-6666ffff7777",
        session="001122",
        refused=(
            {"tid": "99998888-0000-cccc-1111-dddd2222eeee"},
            {"scp": None, "idtyp": "app"},
            {"ver": "1.0"},
            {"aud": "api://00001111-aaaa-2222-bbbb-3333cccc4444"},
        ),
    ),
    "keycloak": Shape(
        header=JWT,
        claims={
            "auth_time": 1_700_000_000, "jti": "onrtac:9d1f", "aud": ["acme-api", "account"], "typ": "Bearer",
            "sub": "f1d2d2f9-24e9-4b4e-9f1a-2b3c4d5e6f70", "azp": "web", "sid": "b2c3", "acr": "1",
            "allowed-origins": ["https://app.acme.com"], "scope": "openid profile email", "email_verified": True,
            "realm_access": {"roles": ["offline_access", "user", "uma_authorization"]},
            "resource_access": {"account": {"roles": ["view-profile"]}}, "preferred_username": "ada",
        },
        user="f1d2d2f9-24e9-4b4e-9f1a-2b3c4d5e6f70",
        session="b2c3",
        refused=(
            {"typ": "ID", "aud": "acme-api"}, {"typ": "Refresh"}, {"aud": "account"},
            {"typ": "Logout", "events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
        ),
    ),
}  # fmt: skip


@cache
def rsa() -> RSAKey:
    """A key as Entra publishes its own: for signatures, without `alg`."""
    return RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})


def provider_for(name: str) -> Provider:
    """The provider on this machine, at the path that it has."""
    shape = SHAPES[name]
    path = urlsplit(MAPPINGS[name]["issuer"]).path
    provider = Provider(path=path, alg=shape.alg)
    if shape.alg == "RS256":
        provider.key = rsa()
    return provider


def moved(mapping: Mapping[str, Any], provider: Provider) -> dict[str, Any]:
    """The mapping with its addresses on this machine."""
    given = {**mapping, "issuer": provider.url}
    if "jwks_url" in mapping:
        given["jwks_url"] = mapping["jwks_url"].replace(mapping["issuer"], provider.url)
    return given


@pytest.mark.parametrize("name", SHAPES)
def test_a_token_of_the_providers_form_is_taken_and_what_is_not_meant_for_us_is_not(site: Site, name: str) -> None:
    shape, caller = SHAPES[name], site.project()
    address = f"/p/{caller.project['slug']}/v1"
    with provider_for(name).running() as provider:
        site.admin.make(f"/projects/{caller.id}/issuers", moved(MAPPINGS[name], provider))

        def holding(**changed: Any) -> Caller:
            claims = {name: value for name, value in {**shape.claims, **changed}.items() if value is not None}
            header = {"typ": None, **shape.header}
            return replace(caller, key=provider.issue(claims, **header))

        verdict = site.admin.request("POST", f"/projects/{caller.id}/issuers/test", {"token": holding().key}).json()
        assert verdict["accepted"], verdict["findings"]
        until(lambda: holding().ask("GET", f"{address}/me").status_code == 200)
        me = holding().ask("GET", f"{address}/me").json()
        assert (me["credential"], me["user_id"], me["session_id"]) == ("issuer_token", shape.user, shape.session)
        if shape.scopes is not None:
            assert sorted(me["scopes"]) == sorted(shape.scopes)
        assert holding().chat(path=f"{address}/chat/completions").status_code == 200
        assert caller.row()["uid"] == shape.user
        for changed in shape.refused:
            refused = holding(**changed).ask("GET", f"{address}/me")
            assert error_of(refused) == (401, "invalid_credentials"), changed


def test_what_was_signed_with_the_legacy_secret_of_supabase_is_not_taken(site: Site) -> None:
    caller = site.project()
    with provider_for("supabase").running() as provider:
        site.admin.make(f"/projects/{caller.id}/issuers", moved(MAPPINGS["supabase"], provider))
        address = f"/p/{caller.project['slug']}/v1/me"
        user = replace(caller, key=provider.issue(SHAPES["supabase"].claims))
        until(lambda: user.ask("GET", address).status_code == 200)
        claims = {**SHAPES["supabase"].claims, "iss": provider.url, "iat": 1_700_000_000, "exp": 4_000_000_000}
        secret = OctKey.import_key("super-secret-jwt-token-with-at-least-32-characters-long")
        legacy = jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, secret, algorithms=["HS256"])
        assert error_of(replace(caller, key=legacy).ask("GET", address)) == (401, "invalid_credentials")


def test_the_role_and_the_tier_are_read_where_the_mapping_says(site: Site) -> None:
    expected = {
        "auth0": ("pro", None), "clerk": ("u:pro", "admin"), "supabase": ("pro", None), "firebase": ("pro", None),
        "okta": (None, None), "entra": (None, "Admin"), "keycloak": (None, "user"),
    }  # fmt: skip
    assert set(expected) == set(SHAPES) == set(MAPPINGS)
    for name, (tier, role) in expected.items():
        project = site.admin.project()
        with provider_for(name).running() as provider:
            site.admin.make(f"/projects/{project['id']}/issuers", moved(MAPPINGS[name], provider))
            token = provider.issue(SHAPES[name].claims)
            verdict = site.admin.request("POST", f"/projects/{project['id']}/issuers/test", {"token": token}).json()
        assert (verdict["identity"]["tier"], verdict["identity"]["role"]) == (tier, role), name


def test_the_presets_of_the_dashboard_are_the_mappings_of_the_page() -> None:
    """But for the names of one's own, which the presets leave open."""
    assert {preset.name for preset in PRESETS} == set(MAPPINGS)
    for preset in PRESETS:
        mapping = MAPPINGS[preset.name]
        assert set(preset.asked) == set(mapping), preset.name
        same = ("algorithms", "max_lifetime")
        assert [preset.asked.get(name) for name in same] == [mapping.get(name) for name in same]
        assert set(preset.asked["claims"]) == set(mapping["claims"])
        assert set(preset.asked.get("required", {})) == set(mapping.get("required", {}))
