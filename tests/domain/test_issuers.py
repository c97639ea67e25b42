"""What can be asked of a trusted issuer, and what is told about each wrong field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bailiwick.domain.fields import Invalid
from bailiwick.domain.issuers import IssuerSpec, issuer_spec

ISSUER = "https://issuer.example/tenant"
LEAST: dict[str, Any] = {"issuer": ISSUER, "audiences": ["api"], "algorithms": ["RS256"]}
PUBLIC_KEY = {"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}
ALL: dict[str, Any] = {
    "issuer": ISSUER,
    "jwks": {"keys": [PUBLIC_KEY]},
    "audiences": ["api", "https://api.example"],
    "authorized_parties": ["https://app.example"],
    "algorithms": ["ES256", "EdDSA"],
    "max_lifetime": 3600,
    "user_prefix": "acme|",
    "claims": {
        "user": "user.id", "tier": {"claim": "https://acme.com/plan", "default": 2}, "session": "session_id",
        "role": {"claim": ["realm.access", "roles"], "one_of": ["admin", "editor"], "default": "viewer"},
        "tenant": "org_id", "project": "pid", "scopes": "scp", "orgs": {"claim": "orgs", "default": "ten_1"},
    },
    "required": {"email_verified": [True], "firebase.tenant": ["t1", "t2"], "org_id": None, "level": 2},
}  # fmt: skip


def wrong(**fields: Any) -> set[str]:
    with pytest.raises(Invalid) as raised:
        issuer_spec(**{**LEAST, **fields})
    return {error.field for error in raised.value.errors}


def test_the_least_that_can_be_said_is_found_by_discovery_and_lives_a_day() -> None:
    spec = issuer_spec(**LEAST)
    assert (spec.asked_at, spec.max_lifetime, dict(spec.claims), spec.required) == (ISSUER, 86_400, {}, ())


def test_keys_come_from_an_address_from_the_issuer_or_from_nowhere() -> None:
    assert issuer_spec(**LEAST, jwks_url="https://keys.example/jwks").asked_at == "https://keys.example/jwks"
    assert issuer_spec(**LEAST, jwks={"keys": [PUBLIC_KEY]}).asked_at is None


@pytest.mark.parametrize("fields", [LEAST, ALL])
def test_what_is_written_is_read_again(fields: dict[str, Any]) -> None:
    spec = issuer_spec(**fields)
    kept: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(spec.written()))
    assert issuer_spec(**kept) == spec
    assert isinstance(spec, IssuerSpec)


def test_paths_are_split_at_dots_unless_they_are_urls_or_lists() -> None:
    claims = issuer_spec(**ALL).claims
    assert claims["user"].path == ("user", "id")
    assert claims["tier"].path == ("https://acme.com/plan",)
    assert claims["role"].path == ("realm.access", "roles")
    assert claims["tier"].default == "2"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        *(({"issuer": value}, "issuer") for value in (
            "", "issuer", "file:///etc/passwd", "ftp://x", "javascript:alert(1)", "https://", "https://x y",
            "https://x?a=b",
            "https://x#y", "https://é.example", "https://x/" + "y" * 500, "https://x\n",
        )),
        ({"jwks_url": "file:///etc/passwd"}, "jwks_url"), ({"jwks_url": "keys.example"}, "jwks_url"),
        ({"jwks_url": "https://x", "jwks": {"keys": [PUBLIC_KEY]}}, "jwks"),
        *(({"jwks": value}, "jwks") for value in ({}, {"keys": []}, {"keys": {}}, {"keys": [1]}, {"keys": [{}] * 51})),
        *(({"jwks": {"keys": [{**PUBLIC_KEY, name: "s"}]}}, "jwks.keys.0") for name in ("d", "p", "q", "k")),
        ({"audiences": []}, "audiences"), ({"audiences": [""]}, "audiences"), ({"audiences": ["a\0"]}, "audiences"),
        ({"audiences": ["a"] * 51}, "audiences"), ({"authorized_parties": [""]}, "authorized_parties"),
        *(({"algorithms": value}, "algorithms") for value in ([], ["none"], ["HS256"], ["RS256", "HS256"], ["rs256"])),
        *(({"max_lifetime": value}, "max_lifetime") for value in (0, -1, 59, 7 * 86_400 + 1)),
        *(({"user_prefix": value}, "user_prefix") for value in ("", "a\n", "x" * 65, "é" * 33, "\ud800")),
        *(({"claims": {"user": value}}, "claims.user") for value in (
            "", "a..b", ".", 7, None, [], [""], [7], "a\0", "x" * 501, {"claim": "sub", "default": "x"},
            {"claim": "sub", "one_of": ["x"]}, {"claim": "sub", "other": 1},
        )),
        ({"claims": {"user": {}}}, "claims.user.claim"), ({"claims": {"sid": "sid"}}, "claims.sid"),
        *(({"claims": {"tier": {"claim": "t", "default": value}}}, "claims.tier.default")
          for value in ("", 1.5, True, [])),
        *(({"claims": {"role": {"claim": "t", "one_of": value}}}, "claims.role.one_of") for value in ("x", [7], [""])),
        ({"claims": {"scopes": {"claim": "t", "one_of": ["x"]}}}, "claims.scopes.one_of"),
        ({"claims": {"role": {"claim": "t", "default": 7}}}, "claims.role.default"),
        *(({"required": {"a": value}}, "required.a") for value in ([], 1.5, [None], {"b": 1}, [["x"]])),
        ({"required": {"": None}}, "required."), ({"required": {str(n): None for n in range(51)}}, "required"),
    ],
)  # fmt: skip
def test_each_wrong_field_is_told(fields: dict[str, Any], field: str) -> None:
    assert wrong(**fields) == {field}


def test_several_wrong_fields_are_told_at_once() -> None:
    assert wrong(issuer="", algorithms=[], claims={"tier": "", "x": "y"}) == {
        "issuer", "algorithms", "claims.tier", "claims.x",
    }  # fmt: skip


@pytest.mark.parametrize("issuer", [ISSUER, f"{ISSUER}/", ISSUER.upper().replace("HTTPS", "https")])
def test_an_issuer_that_is_reserved_or_looks_like_it_cannot_be_registered(issuer: str) -> None:
    assert wrong(issuer=issuer, reserved=["https://other.example", ISSUER]) == {"issuer"}
    assert wrong(issuer=issuer, reserved=[f"{ISSUER}/"]) == {"issuer"}


def test_without_an_audience_an_authorized_party_is_needed() -> None:
    assert issuer_spec(**{**LEAST, "audiences": [], "authorized_parties": ["https://app.example"]}).audiences == ()


def test_an_issuer_whose_keys_are_given_may_be_any_name() -> None:
    assert issuer_spec(**{**LEAST, "issuer": "acme-backend", "jwks": {"keys": [PUBLIC_KEY]}}).issuer == "acme-backend"
    assert issuer_spec(**{**LEAST, "issuer": "accounts.google.com", "jwks_url": "https://x"}).jwks_url == "https://x"
