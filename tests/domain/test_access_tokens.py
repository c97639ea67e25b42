"""What our own access tokens say, and that nothing else is taken for one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.access_tokens import IssuedFor, RefusedToken, Source, TokenClaims, read_own
from bailiwick.domain.errors import Code
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.permissions import Permission

ISSUER = "https://gateway.example"
HEADER = {"alg": "ES256", "typ": "at+jwt", "kid": "k"}
NOW = 1_800_000_000
IDENTIFIERS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=60)
TEXTS = st.none() | IDENTIFIERS
TOKENS = st.builds(
    TokenClaims,
    issuer=st.just(ISSUER),
    uid=IDENTIFIERS,
    issued_at=st.integers(NOW - 1000, NOW),
    expires_at=st.integers(NOW + 1, NOW + 86_400),
    jti=IDENTIFIERS,
    tenant_id=st.uuids().map(TenantId),
    project_id=st.uuids().map(ProjectId),
    sid=TEXTS,
    client_id=IDENTIFIERS,
    scopes=st.frozensets(st.sampled_from(Permission)),
    tier=TEXTS,
    role=TEXTS,
    orgs=st.lists(IDENTIFIERS, max_size=3).map(tuple),
    source=st.none() | st.builds(Source, issuer=IDENTIFIERS, issued_at=st.integers(NOW - 86_400, NOW), jti=TEXTS),
)
SAMPLE = TokenClaims(
    issuer=ISSUER,
    uid="ada",
    issued_at=NOW,
    expires_at=NOW + 900,
    jti="j1",
    tenant_id=TenantId(UUID(int=1)),
    project_id=ProjectId(UUID(int=2)),
    sid="s1",
    client_id="key_1",
    scopes=frozenset({Permission.CHAT_CREATE, Permission.MODELS_LIST}),
    tier="pro",
)


@given(TOKENS)
def test_what_is_written_is_read_again(token: TokenClaims) -> None:
    assert read_own(HEADER, token.written(), issuer=ISSUER, now=NOW) == token


def test_the_claims_are_those_of_the_contract() -> None:
    assert SAMPLE.written() == {
        "iss": ISSUER, "aud": ISSUER, "sub": "ada", "iat": NOW, "exp": NOW + 900, "jti": "j1",
        "tid": "ten_00000000000000000000000001", "pid": "prj_00000000000000000000000002", "uid": "ada", "sid": "s1",
        "tier": "pro", "scope": "chat:create models:list", "client_id": "key_1",
    }  # fmt: skip
    assert SAMPLE.issued_for is IssuedFor.END_USER


def test_a_machine_is_its_own_client() -> None:
    claims = {**SAMPLE.written(), "sub": "key_1", "uid": "key_1"}
    assert read_own(HEADER, claims, issuer=ISSUER, now=NOW).issued_for is IssuedFor.MACHINE


def test_a_scope_that_is_not_known_here_is_none() -> None:
    claims = {**SAMPLE.written(), "scope": "chat:create later:invented  "}
    assert read_own(HEADER, claims, issuer=ISSUER, now=NOW).scopes == {Permission.CHAT_CREATE}


@pytest.mark.parametrize("late", [-900, 0, 29, 30])
def test_a_token_lives_until_it_has_expired_by_more_than_the_leeway(late: int) -> None:
    assert read_own(HEADER, SAMPLE.written(), issuer=ISSUER, now=NOW + 900 + late) == SAMPLE


@pytest.mark.parametrize("late", [30.5, 31, 61, 1e9])
def test_an_expired_token_is_told_so(late: float) -> None:
    with pytest.raises(RefusedToken) as raised:
        read_own(HEADER, SAMPLE.written(), issuer=ISSUER, now=NOW + 900 + late)
    assert (raised.value.code, raised.value.status) == (Code.EXPIRED_CREDENTIALS, 401)


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        *(("iss", value) for value in (None, "", f"{ISSUER}/", ISSUER.upper(), [ISSUER], 7)),
        *(("aud", value) for value in (None, "", f"{ISSUER}/", [ISSUER], {ISSUER: 1})),
        *(("exp", value) for value in (None, "1800000900", True, 1e300, 10**400, float("nan"), float("inf"), -1, NOW)),
        *(("iat", value) for value in (None, "1800000000", False, 1e300, float("nan"), NOW + 31, NOW + 900)),
        *(("nbf", value) for value in ("x", NOW + 31, True)),
        *((name, value) for name in ("uid", "jti", "client_id") for value in (None, "", 7, "a\0b", "x" * 256, ["a"])),
        *(("sub", value) for value in (None, "", "eve", 7)),
        *(("tid", value) for value in (None, "", 7, "prj_00000000000000000000000001", "ten_1")),
        *(("pid", value) for value in (None, "", 7, "ten_00000000000000000000000002", "prj_1")),
        *(("sid", value) for value in ("", 7, "a\nb")),
        *(("scope", value) for value in (7, ["chat:create"])),
        *((name, 7) for name in ("tier", "role", "orgs", "src")),
        ("orgs", ["ten_1", 7]), ("src", {"iss": 7, "iat": 1}), ("src", {"iss": "x", "iat": 1, "jti": 7}),
        ("src", {"iss": "x"}), ("src", {"iss": "x", "iat": "1"}),
    ],
)  # fmt: skip
def test_a_claim_that_is_missing_wrong_or_of_another_type_is_refused(claim: str, value: Any) -> None:
    claims = {name: said for name, said in {**SAMPLE.written(), claim: value}.items() if said is not None}
    with pytest.raises(RefusedToken) as raised:
        read_own(HEADER, claims, issuer=ISSUER, now=NOW)
    assert (raised.value.code, raised.value.status) == (Code.INVALID_CREDENTIALS, 401)
    assert raised.value.claim in (
        claim,
        {"uid": "sub", "iat": "exp", "src": "iss"}.get(claim),
        *(["iat", "jti"] * (claim == "src")),
    )


@pytest.mark.parametrize(
    "header",
    [{"typ": "JWT"}, {"typ": "logout+jwt"}, {"typ": None}, {"typ": "AT+JWT"}, {"typ": ["at+jwt"]}, {"alg": "RS256"}],
)  # fmt: skip
def test_no_other_kind_of_token_passes_for_an_access_token(header: dict[str, Any]) -> None:
    with pytest.raises(RefusedToken) as raised:
        read_own({**HEADER, **header}, SAMPLE.written(), issuer=ISSUER, now=NOW)
    assert raised.value.claim == next(iter(header))
    with pytest.raises(RefusedToken):
        read_own({}, SAMPLE.written(), issuer=ISSUER, now=NOW)
