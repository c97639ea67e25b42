"""Tokens of trusted issuers: every claim that decides who somebody is, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from bailiwick.domain.access_tokens import RefusedToken
from bailiwick.domain.errors import Code
from bailiwick.domain.foreign_tokens import ForeignIdentity, judged, read_foreign
from bailiwick.domain.issuers import IssuerSpec, issuer_spec
from bailiwick.domain.permissions import Permission

NOW = 1_800_000_000
ISSUER = "https://issuer.example/"
HEADER = {"alg": "RS256", "typ": "JWT", "kid": "k1"}
CLAIMS: dict[str, Any] = {"iss": ISSUER, "aud": "api", "sub": "auth0|ada", "iat": NOW - 60, "exp": NOW + 3600}


def trusted(**fields: Any) -> IssuerSpec:
    return issuer_spec(**{"issuer": ISSUER, "audiences": ["api"], "algorithms": ["RS256"], **fields})


def read(
    spec: IssuerSpec | None = None, *, header: dict[str, Any] | None = None, now: float = NOW, **claims: Any
) -> ForeignIdentity:
    said = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ...}
    return read_foreign(spec or trusted(), {**HEADER, **(header or {})}, said, now)


def refused(spec: IssuerSpec | None = None, **changes: Any) -> RefusedToken:
    with pytest.raises(RefusedToken) as raised:
        read(spec, **changes)
    assert raised.value.status == 401
    assert raised.value.message in ("The token is not valid.", "The token has expired.")
    return raised.value


def test_a_plain_token_says_who_somebody_is_and_nothing_more() -> None:
    assert read() == ForeignIdentity(
        issuer=ISSUER, subject="auth0|ada", uid="auth0|ada", sid=None, jti=None, issued_at=NOW - 60,
        expires_at=NOW + 3600, project=None, tenant=None, tier=None, role=None, scopes=None, orgs=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        *(("iss", value) for value in (..., "", [ISSUER], ISSUER.rstrip("/"), ISSUER.upper(), {"iss": ISSUER}, 7)),
        *(("aud", value) for value in (..., None, "", "other", {"api": 1}, [], ["other"], ["api", 7], "API")),
        *(("exp", value) for value in (..., None, str(NOW + 9), True, float("nan"), float("inf"), 1e300, 10**400, -1)),
        *(("iat", value) for value in (..., None, str(NOW), True, float("nan"), NOW + 31, 10**400, -1e300)),
        *(("nbf", value) for value in (NOW + 31, "0", None, True)),
        *(("sub", value) for value in (..., None, "", 7, "a\0b", "a\n", "x" * 256, ["ada"], {"id": 1}, True,
                                         "\ud800")),
        *(("sid", value) for value in ("", 7, "a\0", ["s"])), *(("jti", value) for value in ("", 7, None, "x" * 256)),
    ],
)  # fmt: skip
def test_a_standard_claim_that_is_missing_or_wrong_refuses_the_token(claim: str, value: Any) -> None:
    raised = refused(**{claim: value})
    assert (raised.claim, raised.code) == (claim, Code.INVALID_CREDENTIALS)
    said = {name: one for name, one in {**CLAIMS, claim: value}.items() if one is not ...}
    assert [finding.problem for finding in judged(trusted(), HEADER, said, NOW) if finding.problem]


def test_our_audience_may_stand_among_others() -> None:
    assert read(aud=["https://other.example", "api"]).uid == "auth0|ada"


def test_by_whom_it_was_asked_for_counts_where_it_is_said() -> None:
    clerk = trusted(audiences=[], authorized_parties=["https://app.example"])
    assert read(clerk, aud=..., azp="https://app.example").uid == "auth0|ada"
    for party in (..., None, "https://evil.example", ["https://app.example"]):
        assert refused(clerk, aud=..., azp=party).claim == "azp"
    both = trusted(authorized_parties=["app"])
    assert refused(both, azp="other").claim == "azp"
    assert refused(both, azp="app", aud="other").claim == "aud"


@pytest.mark.parametrize("late", [0, 29, 30])
def test_a_token_that_expired_within_the_leeway_is_taken(late: int) -> None:
    assert read(now=NOW + 3600 + late).uid == "auth0|ada"


@pytest.mark.parametrize("late", [31, 61, 100_000])
def test_a_token_that_expired_before_is_told_so(late: int) -> None:
    assert refused(now=NOW + 3600 + late).code is Code.EXPIRED_CREDENTIALS


def test_times_may_have_fractions_and_clocks_may_differ_by_the_leeway() -> None:
    found = read(iat=NOW + 29.5, nbf=NOW + 30, exp=NOW + 100.9)
    assert (found.issued_at, found.expires_at) == (NOW + 29, NOW + 100)


def test_no_token_lives_longer_than_its_issuer_may_let_it() -> None:
    short = trusted(max_lifetime=600)
    assert read(short, iat=NOW, exp=NOW + 600).uid == "auth0|ada"
    assert "600" in refused(short, iat=NOW, exp=NOW + 601).reason
    assert refused(short, iat=NOW - 3600, exp=NOW + 10).claim == "exp"
    assert refused(exp=NOW + 25 * 3600).claim == "exp"


@pytest.mark.parametrize("alg", ["ES256", "PS256", "HS256", "none", None, ["RS256"]])
def test_an_algorithm_that_is_not_on_the_issuers_list_is_refused(alg: Any) -> None:
    assert refused(header={"alg": alg}).claim == "alg"


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
def test_access_tokens_say_what_they_are_or_nothing(typ: str) -> None:
    assert read(header={"typ": typ}).uid == "auth0|ada"
    assert read_foreign(trusted(), {"alg": "RS256"}, CLAIMS, NOW).uid == "auth0|ada"
    assert read(header={"typ": "at+jwt"}, nonce="of an issuer that says it is none of an ID token").uid == "auth0|ada"
    assert read(typ="Bearer", nonce="of Keycloak before 24").uid == "auth0|ada"
    assert read(token_use="access").uid == "auth0|ada"


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        *(({"header": {"typ": typ}}, "typ") for typ in ("logout+jwt", "id+jwt", "secevent+jwt", "dpop+jwt", "", 7, None,
                                                   ["JWT"])),
        *(({name: "x"}, name) for name in ("nonce", "at_hash", "c_hash", "s_hash")),
        ({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}, "events"),
        ({"header": {"typ": "at+jwt"}, "events": {}}, "events"),
        *(({"typ": value}, "typ") for value in ("ID", "Refresh", "Offline", "Logout", 7, None)),
        *(({"token_use": value}, "token_use") for value in ("id", "refresh", 7)),
        ({"typ": "ID", "header": {"typ": "at+jwt"}}, "typ"),
    ],
)  # fmt: skip
def test_id_refresh_and_logout_tokens_are_no_access_tokens(changes: dict[str, Any], claim: str) -> None:
    assert refused(**changes).claim == claim


def test_claims_are_found_by_dotted_paths_and_by_names_that_are_urls() -> None:
    mapped = trusted(
        claims={
            "user": "user.id", "tier": "https://acme.com/plan", "role": ["realm.access", "role"], "session": "ses.id",
            "scopes": "scp", "orgs": "groups", "tenant": "org.id", "project": "pid",
        }
    )  # fmt: skip
    said: dict[str, Any] = {
        "user": {"id": "u1"}, "https://acme.com/plan": "pro", "realm.access": {"role": "admin"}, "ses": {"id": "s1"},
        "scp": ["chat:create", "openid", "threads:read"], "groups": "ten_1 ten_2", "org": {"id": "acme"},
        "pid": "prj_1", "jti": "j",
    }  # fmt: skip
    assert read(mapped, **said) == ForeignIdentity(
        issuer=ISSUER, subject="auth0|ada", uid="u1", sid="s1", jti="j", issued_at=NOW - 60, expires_at=NOW + 3600,
        project="prj_1", tenant="acme", tier="pro", role="admin", orgs=("ten_1", "ten_2"),
        scopes=frozenset({Permission.CHAT_CREATE, Permission.THREADS_READ}),
    )  # fmt: skip
    assert refused(mapped, **{**said, "user": {"id": 7}}).claim == "user.id"
    assert refused(mapped, **{**said, "user": "u1"}).claim == "user.id"


@pytest.mark.parametrize("target", ["tenant", "project"])
@pytest.mark.parametrize("value", [..., None, [], "", {}, True, "a\0"])
def test_who_leaves_out_a_tenant_or_a_project_that_is_mapped_does_not_get_in(target: str, value: Any) -> None:
    assert refused(trusted(claims={target: "org"}), org=value).claim == "org"
    fallen_back = trusted(claims={target: {"claim": "org", "default": "acme"}})
    assert getattr(read(fallen_back, org=...), target) == "acme"


def test_the_user_is_prefixed_so_that_equal_subjects_of_two_issuers_never_meet() -> None:
    found = read(trusted(user_prefix="acme|"))
    assert (found.uid, found.subject) == ("acme|auth0|ada", "auth0|ada")
    assert refused(trusted(user_prefix="p" * 64), sub="x" * 192).claim == "sub"


@pytest.mark.parametrize(
    ("value", "tier"), [("pro", "pro"), (2, "2"), (..., "free"), (None, "free"), ([], "free"), (["x"], "x")]
)
def test_tiers_are_texts_and_integers_and_have_a_default(value: Any, tier: str) -> None:
    assert read(trusted(claims={"tier": {"claim": "plan", "default": "free"}}), plan=value).tier == tier


@pytest.mark.parametrize("value", [True, 1.5, {"a": 1}, ["a", "b"], "", "a\nb", [None], "x" * 256])
def test_a_tier_that_is_something_else_refuses_the_token(value: Any) -> None:
    assert refused(trusted(claims={"tier": "plan"}), plan=value).claim == "plan"


def test_of_many_roles_the_first_that_counts_is_taken() -> None:
    spec = trusted(claims={"role": {"claim": "realm_access.roles", "one_of": ["admin", "editor"], "default": "viewer"}})
    for roles, role in (
        (["offline_access", "editor", "admin"], "admin"), (["editor"], "editor"), ("editor", "editor"),
        (["offline_access"], "viewer"), ([], "viewer"),
    ):  # fmt: skip
        assert read(spec, realm_access={"roles": roles}).role == role


def test_scopes_that_are_mapped_and_missing_are_none_and_malformed_ones_refuse_the_token() -> None:
    spec = trusted(claims={"scopes": "scope"})
    assert read(spec).scopes == frozenset()
    assert read(spec, scope="openid profile chat:create").scopes == {Permission.CHAT_CREATE}
    for value in (7, {"chat:create": True}, ["chat:create", 7], True):
        assert refused(spec, scope=value).claim == "scope"
    assert refused(trusted(claims={"orgs": "orgs"}), orgs=[f"ten_{n}" for n in range(101)]).claim == "orgs"


@pytest.mark.parametrize(
    ("required", "said", "taken"),
    [
        ({"org": None}, {"org": "x"}, True), ({"org": None}, {"org": False}, True), ({"org": None}, {}, False),
        ({"org": None}, {"org": None}, False), ({"v": [True]}, {"v": True}, True), ({"v": [True]}, {"v": 1}, False),
        ({"v": [True]}, {"v": "true"}, False), ({"v": [1]}, {"v": True}, False), ({"v": 1}, {"v": 1}, True),
        ({"firebase.tenant": ["t1", "t2"]}, {"firebase": {"tenant": "t2"}}, True),
        ({"firebase.tenant": ["t1"]}, {"firebase": {"tenant": "t2"}}, False),
        ({"firebase.tenant": ["t1"]}, {"firebase": {}}, False),
        ({"firebase.tenant": ["t1"]}, {"firebase": "t1"}, False),
        ({"roles": ["user"]}, {"roles": ["user", "admin"]}, True), ({"roles": ["user"]}, {"roles": ["admin"]}, False),
        ({"roles": ["user"]}, {"roles": []}, False), ({"tid": ["ours"]}, {"tid": "foreign"}, False),
    ],
)  # fmt: skip
def test_what_is_required_must_be_there(required: dict[str, Any], said: dict[str, Any], taken: bool) -> None:
    spec = trusted(required=required)
    if taken:
        assert read(spec, **said).uid == "auth0|ada"
    else:
        assert refused(spec, **said).claim == next(iter(required))


def test_a_person_is_told_of_every_thing_that_is_wrong() -> None:
    spec = trusted(claims={"tier": "plan", "tenant": "org_id"})
    findings = {f.about: f.problem for f in judged(spec, {"alg": "ES256"}, {**CLAIMS, "aud": "x", "plan": "pro"}, NOW)}
    assert findings == {
        "issuer": None, "algorithm": "alg is none of the issuer's algorithms", "kind": None,
        "audience": "aud is none of the issuer's audiences", "time": None, "required": None, "subject": None,
        "user": None, "session": None, "project": None, "tenant": "org_id is missing, and names the tenant",
        "tier": None, "role": None, "scopes": None, "orgs": None, "token": None,
    }  # fmt: skip
    assert all(finding.problem is None for finding in judged(trusted(), HEADER, CLAIMS, NOW))
