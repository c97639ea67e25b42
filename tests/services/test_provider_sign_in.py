"""Signing in by an OpenID provider: by the real one, and by ones that do wrong."""

from __future__ import annotations

import base64
import hmac
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from bailiwick.domain import ids
from bailiwick.domain.errors import Refused
from bailiwick.domain.ids import SignInProviderId
from bailiwick.domain.operators import OperatorRole
from bailiwick.domain.sign_in import SignInMethod
from bailiwick.services.provider_sign_in import Answer, Departure
from bailiwick.services.sessions import SignedIn
from tests.control import PUBLIC_URL, Audit, Control, controlled
from tests.database import TestDatabase
from tests.installation import free_port
from tests.oidc import Provider
from tests.people import add_person, browser
from tests.serving import until

LOOPBACK = (IPv4Network("127.0.0.0/8"),)
RULES = [
    {"claim": "groups", "value": "owners", "role": "owner"},
    {"email_domain": "Example.com", "role": "viewer"},
]


@pytest.fixture
async def control(database: TestDatabase) -> AsyncIterator[Control]:
    """The control plane, which may ask providers on this machine."""
    async with controlled(database, outbound_allow=LOOPBACK) as made:
        yield made


@pytest.fixture
def provider(control: Control) -> Iterator[Provider]:
    with Provider(now=lambda: control.clock().timestamp()).running() as made:
        yield made


async def registered(control: Control, issuer: str, **fields: object) -> SignInProviderId:
    body = {
        "name": "Test",
        "issuer": issuer,
        "client_id": "bailiwick",
        "client_secret": "hush",
        "rules": RULES,
        **fields,
    }
    made = await control.make("/sign-in/providers", **body)
    found = ids.parsed(ids.SIGN_IN_PROVIDER, made["id"])
    assert found is not None
    return SignInProviderId(found)


async def begin(control: Control, provider_id: SignInProviderId) -> Departure:
    return await control.plane.person.provider_sign_in.begin(provider_id, "/dashboard/projects")


def answered(kept: str, query: str) -> Answer:
    said = {name: values[0] for name, values in parse_qs(query).items()}
    return Answer(
        kept=kept,
        state=said.get("state", ""),
        code=said.get("code", ""),
        issuer=said.get("iss"),
        error=said.get("error", ""),
    )


async def come(control: Control, provider: Provider, provider_id: SignInProviderId, **claims: object) -> SignedIn:
    departure = await begin(control, provider_id)
    answer = answered(departure.kept, provider.consent(departure.address, **claims))
    return (await control.plane.person.provider_sign_in.finish(provider_id, answer, browser()))[0]


async def refused(control: Control, provider_id: SignInProviderId, answer: Answer, *, status: int = 401) -> str:
    with pytest.raises(Refused) as raised:
        await control.plane.person.provider_sign_in.finish(provider_id, answer, browser())
    assert raised.value.status == status
    return raised.value.message


@contextmanager
def real_provider(claims: dict[str, Any]) -> Iterator[str]:
    """The server of `oidc-provider-mock`, in a process of its own, which knows one person."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port),
         "--require-nonce", "true", "--user-claims", json.dumps(claims)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    issuer = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx2.get(f"{issuer}/jwks").status_code == 200
        except httpx2.TransportError:
            return False

    try:
        until(answers, patience=30)
        yield issuer
    finally:
        process.terminate()
        process.wait(10)


async def test_somebody_whom_the_real_provider_knows_comes_in_and_is_known_again(control: Control) -> None:
    claims = {"sub": "mock-1", "email": "grace@example.com", "email_verified": True}
    with real_provider(claims) as issuer:
        provider_id = await registered(control, issuer)
        found = []
        for _ in range(2):
            # The provider's clock is the machine's.
            control.clock.time = datetime.now(UTC)
            departure = await begin(control, provider_id)
            async with httpx2.AsyncClient() as http:
                sent = await http.post(departure.address, data={"sub": "mock-1"})
            assert sent.status_code in (302, 303), sent.text
            back = urlsplit(sent.headers["location"])
            assert f"{back.scheme}://{back.netloc}" == PUBLIC_URL
            answer = answered(departure.kept, back.query)
            opened, onward = await control.plane.person.provider_sign_in.finish(provider_id, answer, browser())
            assert onward == "/dashboard/projects"
            found.append(opened.session.person)
    assert found[0].id == found[1].id
    assert (found[0].email, found[0].role, opened.session.method) == (
        "grace@example.com", OperatorRole.VIEWER, SignInMethod.OIDC,
    )  # fmt: skip


async def test_the_browser_is_sent_with_a_challenge_a_state_and_a_nonce_that_are_new_each_time(
    control: Control, provider: Provider
) -> None:
    provider_id = await registered(control, provider.url)
    first, second = await begin(control, provider_id), await begin(control, provider_id)
    asked, again = ({k: v[0] for k, v in parse_qs(urlsplit(d.address).query).items()} for d in (first, second))
    assert (
        asked["redirect_uri"]
        == f"{PUBLIC_URL}/dashboard/sign-in/callback/{ids.shown(ids.SIGN_IN_PROVIDER, provider_id)}"
    )
    assert (asked["response_type"], asked["scope"], asked["code_challenge_method"]) == (
        "code", "openid email profile", "S256",
    )  # fmt: skip
    assert all(asked[name] != again[name] for name in ("state", "nonce", "code_challenge"))
    for secret in ("state", "nonce"):
        assert asked[secret] not in first.kept


async def test_the_client_names_itself_by_its_secret_and_the_verifier_goes_with_the_code(
    control: Control, provider: Provider
) -> None:
    provider_id = await registered(control, provider.url)
    await come(control, provider, provider_id, sub="named")
    (form,) = provider.asked
    assert form["authorization"] == "Basic " + base64.b64encode(b"bailiwick:hush").decode()
    assert len(form["code_verifier"]) == 43
    assert "client_secret" not in form


async def test_rules_say_role_and_tenant_at_each_sign_in(control: Control, provider: Provider, audit: Audit) -> None:
    tenant = (await control.tenant())["id"]
    rules = [{"claim": "org", "value": "acme", "role": "admin", "tenant_id": tenant}, *RULES]
    provider_id = await registered(control, provider.url, rules=rules)
    tenants = (await come(control, provider, provider_id, sub="t", email="t@other.org", org="acme")).session.person
    assert (tenants.role, ids.shown(ids.TENANT, tenants.tenant_id or tenants.id)) == (OperatorRole.ADMIN, tenant)
    first = await come(control, provider, provider_id, sub="o", email="o@example.com")
    again = await come(control, provider, provider_id, sub="o", email="changed@example.com", groups=["owners", "x"])
    assert (first.session.person.id, again.session.person.role) == (again.session.person.id, OperatorRole.OWNER)
    assert await control.plane.person.sessions.find(first.token) is None
    entries = {entry.action for entry in audit(ids.shown(ids.OPERATOR, again.session.person.id))}
    assert entries == {"operator.create", "operator.change", "session.end_all"}


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "ada@elsewhere.org"},
        {"email": "ada@notexample.com"},
        {"email": "ada@example.com.evil.org"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": None},
        {"email": "ada@elsewhere.org", "groups": "owners-of-nothing"},
        {"email": "ada@elsewhere.org", "groups": {"owners": True}},
    ],
)
async def test_whom_no_rule_fits_or_whose_address_is_not_verified_does_not_come_in(
    control: Control, provider: Provider, claims: dict[str, Any]
) -> None:
    provider_id = await registered(control, provider.url)
    departure = await begin(control, provider_id)
    answer = answered(departure.kept, provider.consent(departure.address, **claims))
    assert "Nobody has given you access" in await refused(control, provider_id, answer, status=403)


async def test_an_address_that_is_somebodys_makes_nobody_them(
    control: Control, provider: Provider, database: TestDatabase
) -> None:
    person = add_person(database)
    provider_id = await registered(control, provider.url)
    departure = await begin(control, provider_id)
    answer = answered(departure.kept, provider.consent(departure.address, sub="thief", email=person.email))
    assert "already" in await refused(control, provider_id, answer, status=409)


async def test_who_is_suspended_stays_out(control: Control, provider: Provider) -> None:
    provider_id = await registered(control, provider.url)
    person = (await come(control, provider, provider_id, sub="later", email="later@example.com")).session.person
    await control.change(f"/operators/{ids.shown(ids.OPERATOR, person.id)}", status="suspended")
    departure = await begin(control, provider_id)
    answer = answered(departure.kept, provider.consent(departure.address, sub="later", email="later@example.com"))
    await refused(control, provider_id, answer, status=403)


async def test_an_answer_is_good_in_the_browser_that_asked_and_once(control: Control, provider: Provider) -> None:
    """State replay, a stolen code, and a sign-in that somebody else began (login CSRF)."""
    provider_id = await registered(control, provider.url)
    victim, attacker = await begin(control, provider_id), await begin(control, provider_id)
    code = provider.consent(attacker.address, sub="attacker")
    other = code.replace("state=", "state=x")
    for kept, query in ((victim.kept, code), ("", code), ("forged", code), (attacker.kept, other)):
        assert "not begun" in await refused(control, provider_id, answered(kept, query))
    assert provider.asked == []  # The code was not so much as shown to anybody.
    stolen = f"{code.partition('&')[0]}&state={parse_qs(urlsplit(victim.address).query)['state'][0]}"
    await refused(control, provider_id, answered(victim.kept, stolen))
    fresh = await begin(control, provider_id)
    answer = answered(fresh.kept, provider.consent(fresh.address))
    await control.plane.person.provider_sign_in.finish(provider_id, answer, browser())
    await refused(control, provider_id, answer)
    # A provider that takes a code twice does not make a sign-in good twice.
    again = provider.consent(fresh.address)
    assert "is over" in await refused(control, provider_id, answered(fresh.kept, again))


async def test_a_sign_in_takes_ten_minutes_at_most(control: Control, provider: Provider) -> None:
    provider_id = await registered(control, provider.url)
    departure = await begin(control, provider_id)
    control.clock.advance(minutes=10)
    await refused(control, provider_id, answered(departure.kept, provider.consent(departure.address)))


async def test_one_provider_cannot_pass_for_another(control: Control, provider: Provider) -> None:
    """Mix-up (RFC 9700 §4.4): an answer at the wrong address, of another issuer, or a token of another issuer."""
    with Provider(now=provider.now).running() as other:
        mine, evil = await registered(control, provider.url), await registered(control, other.url, name="Evil")
        departure = await begin(control, mine)
        query = provider.consent(departure.address)
        assert "not begun" in await refused(control, evil, answered(departure.kept, query))
        await refused(control, mine, replace(answered(departure.kept, query), issuer=other.url))
        provider.bend_claims = lambda claims: claims.update(iss=other.url)
        await refused(control, mine, answered(departure.kept, provider.consent(departure.address)))


async def test_a_provider_that_says_whose_answers_are_must_say_it(control: Control, provider: Provider) -> None:
    provider.bend_configuration = lambda said: said.update(authorization_response_iss_parameter_supported=True)
    provider_id = await registered(control, provider.url)
    departure = await begin(control, provider_id)
    await refused(control, provider_id, answered(departure.kept, provider.consent(departure.address)))
    right = replace(answered(departure.kept, provider.consent(departure.address)), issuer=provider.url)
    await control.plane.person.provider_sign_in.finish(provider_id, right, browser())


@pytest.mark.parametrize(
    "bend",
    [
        lambda claims: claims.update(aud="another"),
        lambda claims: claims.update(aud=["bailiwick", "another"]),
        lambda claims: claims.update(aud=["bailiwick", "another"], azp="another"),
        lambda claims: claims.update(azp="another"),
        lambda claims: claims.update(aud={"bailiwick": 1}),
        lambda claims: claims.pop("aud"),
        lambda claims: claims.update(nonce="another"),
        lambda claims: claims.pop("nonce"),
        lambda claims: claims.update(exp=claims["iat"] - 31),
        lambda claims: claims.update(exp=True),
        lambda claims: claims.update(exp="later"),
        lambda claims: claims.pop("exp"),
        lambda claims: claims.update(iat=claims["iat"] + 60),
        lambda claims: claims.update(iat=claims["iat"] - 3600),
        lambda claims: claims.update(sub=""),
        lambda claims: claims.update(sub=7),
        lambda claims: claims.update(sub="x" * 256),
        lambda claims: claims.update(sub="a\0b"),
        lambda claims: claims.update(iss=claims["iss"] + "/"),
        lambda claims: claims.update(iss=[claims["iss"]]),
    ],
)
async def test_a_token_that_is_not_for_this_very_sign_in_is_refused(
    control: Control, provider: Provider, bend: Callable[[dict[str, Any]], None]
) -> None:
    provider.bend_claims = bend
    provider_id = await registered(control, provider.url)
    departure = await begin(control, provider_id)
    message = await refused(control, provider_id, answered(departure.kept, provider.consent(departure.address)))
    assert "did not work" in message


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(token: str) -> str:
    return ".".join((part({"alg": "none"}), token.split(".")[1], ""))


def unsigned_but_full(token: str) -> str:
    return ".".join((part({"alg": "none"}), *token.split(".")[1:]))


def with_the_public_key(token: str) -> str:
    """HS256, keyed with what everybody knows."""
    signed = f"{part({'alg': 'HS256', 'kid': 'k1'})}.{token.split('.')[1]}"
    digest = hmac.digest(b"-----BEGIN PUBLIC KEY-----", signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def bent(**header: object) -> Callable[[str], str]:
    return lambda token: ".".join((part({"alg": "ES256", "kid": "k1", **header}), *token.split(".")[1:]))


@pytest.mark.parametrize(
    "forge",
    [
        unsigned, unsigned_but_full, with_the_public_key,
        bent(kid="k2"), bent(alg="ES384"), bent(crit=["x"], x=1), bent(jku="https://evil.example"), bent(jwk={}),
        lambda token: token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"),
        lambda token: f"{token}.", lambda token: token + "=", lambda _: "x" * 20_000, lambda _: "a.b.c",
        lambda _: "é.é.é", lambda token: ".".join((token.split(".")[0], part([]), token.split(".")[2])),
    ],
)  # fmt: skip
async def test_a_forged_token_is_refused(control: Control, provider: Provider, forge: Callable[[str], str]) -> None:
    provider.token = forge
    provider_id = await registered(control, provider.url)
    departure = await begin(control, provider_id)
    await refused(control, provider_id, answered(departure.kept, provider.consent(departure.address)))


async def test_an_answer_without_a_code_is_told_plainly(control: Control, provider: Provider, audit: Audit) -> None:
    provider_id = await registered(control, provider.url)
    departure = await begin(control, provider_id)
    state = parse_qs(urlsplit(departure.address).query)["state"][0]
    answer = answered(departure.kept, f"error=access_denied&state={state}")
    assert "did not let you in" in await refused(control, provider_id, answer)
    assert "provider: the provider did not let you in" in [
        entry.detail.get("wrong") for entry in audit("installation") if entry.action == "sign_in.fail"
    ]


@pytest.mark.parametrize(
    ("bend", "told"),
    [
        (lambda said: said.update(issuer="https://another.example"), "names another issuer"),
        (lambda said: said.update(issuer=said["issuer"] + "/"), "names another issuer"),
        (lambda said: said.pop("token_endpoint"), "lacks an address"),
        (lambda said: said.update(token_endpoint="http://169.254.169.254/token"), "not public"),
        (lambda said: said.update(jwks_uri="http://10.0.0.1/keys"), "not public"),
        (lambda said: said.update(jwks_uri="file:///etc/passwd"), "https://"),
        (lambda said: said.update(authorization_endpoint="javascript:alert(1)"), "https://"),
    ],
)
async def test_a_provider_cannot_say_that_it_is_another_or_lead_us_elsewhere(
    control: Control, provider: Provider, bend: Callable[[dict[str, Any]], None], told: str
) -> None:
    provider.bend_configuration = bend
    provider_id = await registered(control, provider.url)
    with pytest.raises(Refused, match=told):
        await begin(control, provider_id)


@pytest.mark.parametrize("issuer", ["http://10.1.2.3", "https://localhost:1", "http://169.254.169.254", "ftp://x", "x"])
async def test_an_issuer_that_may_not_be_asked_cannot_be_registered(database: TestDatabase, issuer: str) -> None:
    async with controlled(database) as control:
        body = {"name": "T", "issuer": issuer, "client_id": "c"}
        assert "issuer" in await control.wrong_fields("POST", "/sign-in/providers", body)


async def test_a_provider_that_is_down_is_trouble_of_its_own(control: Control) -> None:
    with Provider().running() as gone:
        provider_id = await registered(control, gone.url)
    with pytest.raises(Refused, match="cannot be asked"):
        await begin(control, provider_id)
