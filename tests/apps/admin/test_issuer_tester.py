"""A token is judged thing by thing, for whoever set the issuer up: what is accepted, what is not, and why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, Final, final

import pytest

from bailiwick.identity import signing_keys
from bailiwick.identity.signing_keys import SigningKey
from tests.control import PUBLIC_URL, Control, controlled
from tests.database import TestDatabase
from tests.oidc import Provider

ISSUER: Final = "https://login.acme.example"
CLAIMS: Final = {"tier": "https://acme.example/plan", "tenant": "org"}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Trying:
    """A project that trusts an issuer, and a key that signs for it."""

    control: Control
    project: dict[str, Any]
    issuer: dict[str, Any]
    key: SigningKey

    def token(self, **claims: object) -> str:
        """A token that is good, but for these claims; None takes one away."""
        now = int(self.control.clock().timestamp())
        said = {
            "iss": ISSUER, "aud": "acme", "sub": "auth0|abc", "iat": now, "exp": now + 600, "sid": "s-1", "jti": "t-1",
            "org": self.project["tenant_id"], "https://acme.example/plan": "pro", **claims,
        }  # fmt: skip
        return self.key.sign({name: value for name, value in said.items() if value is not None}, typ="JWT")

    async def judge(self, token: str) -> tuple[dict[str, Any], dict[str, str]]:
        """The verdict, and of it the problems by what they are about."""
        answer = await self.control.ask("POST", f"/projects/{self.project['id']}/issuers/test", {"token": token})
        assert answer.status_code == 200, answer.text
        verdict = answer.json()
        problems = {each["about"]: each["problem"] for each in verdict["findings"] if not each["accepted"]}
        assert all(each["accepted"] is (each["problem"] is None) for each in verdict["findings"])
        assert verdict["accepted"] is (not problems)
        return verdict, problems


@pytest.fixture
async def trying(control: Control) -> Trying:
    project, key = await control.project(), signing_keys.make()
    issuer = await control.make(
        f"/projects/{project['id']}/issuers", issuer=ISSUER, jwks={"keys": [key.public_jwk()]}, audiences=["acme"],
        algorithms=["ES256"], claims=CLAIMS, user_prefix="acme:", required={"org": None},
    )  # fmt: skip
    return Trying(control=control, project=project, issuer=issuer, key=key)


async def test_of_a_good_token_everything_is_accepted(trying: Trying) -> None:
    verdict, problems = await trying.judge(trying.token())
    assert problems == {}
    assert verdict["issuer_id"] == trying.issuer["id"]
    assert [each["about"] for each in verdict["findings"]] == [
        "form", "issuer", "algorithm", "kind", "audience", "time", "required", "subject", "user", "session", "project",
        "tenant", "tier", "role", "scopes", "orgs", "token", "signature", "standing",
    ]  # fmt: skip
    expires = verdict["identity"].pop("expires_at")
    assert verdict["identity"] == {
        "user_id": "acme:auth0|abc", "session_id": "s-1", "tier": "pro", "role": None, "scopes": None,
    }  # fmt: skip
    assert expires.startswith("2026-11-21T12:1")


@pytest.mark.parametrize(
    ("claims", "about", "why"),
    [
        ({"aud": "other"}, "audience", "aud is none of the issuer's audiences"),
        ({"exp": 1}, "time", "exp"),
        ({"nonce": "n"}, "kind", "nonce is what ID tokens have; send the access token"),
        ({"sub": None}, "subject", "sub is missing"),
        ({"https://acme.example/plan": {}}, "tier", "is no text"),
        ({"org": "another"}, "tenant", "it is another, and not this one's id or slug"),
        ({"org": None}, "required", "org is required, and missing"),
    ],
)
async def test_each_claim_that_is_wrong_is_told_with_why(
    trying: Trying, claims: dict[str, object], about: str, why: str
) -> None:
    _, problems = await trying.judge(trying.token(**claims))
    assert why in problems[about]


async def test_everything_that_is_wrong_is_told_at_once(trying: Trying) -> None:
    verdict, problems = await trying.judge(trying.token(aud="other", sub="", nonce="n"))
    assert set(problems) == {"audience", "kind", "subject", "user"}
    assert verdict["identity"] is None


async def test_who_the_token_is_of_is_told_by_its_name(trying: Trying) -> None:
    for name, why in (
        (f"{ISSUER}/", f"iss is {ISSUER}/, and registered is {ISSUER}: they must be the same to the letter"),
        ("https://nobody.example", "iss is https://nobody.example, which neither the project nor the platform trusts"),
        (PUBLIC_URL, "it is of this installation itself, whose tokens need no issuer"),
        (None, "iss is missing, or no text"),
    ):
        verdict, problems = await trying.judge(trying.token(iss=name))
        assert (problems, verdict["issuer_id"]) == ({"issuer": why}, None)


@pytest.mark.parametrize(
    "text", ["", "x", "a.b.c", "e30.e30.e30", "x" * 9_000, "Bearer e30.e30.e30", "\u00fc.\u00fc.x"]
)
async def test_what_is_no_token_is_told_as_that(trying: Trying, text: str) -> None:
    _, problems = await trying.judge(text)
    assert set(problems) == {"form"}


async def test_a_signature_of_another_key_is_told(trying: Trying) -> None:
    stranger = Trying(control=trying.control, project=trying.project, issuer=trying.issuer, key=signing_keys.make())
    _, problems = await trying.judge(stranger.token())
    assert problems == {"signature": "its key is not in the issuer's set"}
    # A name can be anybody's, and a signature that was right is not one of other claims.
    first, other = trying.token().split("."), trying.token(sub="somebody-else").split(".")
    _, problems = await trying.judge(".".join((*first[:2], other[2])))
    assert problems == {"signature": "the signature is wrong"}


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("jti", "t-1", "it was revoked"),
        ("session_id", "s-1", "its session was revoked"),
        ("user_id", "acme:auth0|abc", "its user's were revoked"),
    ],
)
async def test_what_was_revoked_is_told(trying: Trying, field: str, value: str, problem: str) -> None:
    _, problems = await trying.judge(trying.token())
    assert problems == {}
    token = trying.token()
    await trying.control.make(f"/projects/{trying.project['id']}/revocations", **{field: value})
    assert (await trying.judge(token))[1] == {"standing": problem}


async def test_who_is_blocked_or_suspended_is_told(trying: Trying) -> None:
    project = f"/projects/{trying.project['id']}"
    await trying.control.change(f"{project}/users/acme:auth0%7Cabc", blocked=True)
    assert (await trying.judge(trying.token()))[1] == {"standing": "the user is blocked"}
    await trying.control.change(project, status="suspended")
    assert (await trying.judge(trying.token()))[1] == {"standing": "the project is suspended"}


async def test_the_platforms_issuers_are_asked_after_the_projects_own(trying: Trying) -> None:
    key = signing_keys.make()
    await trying.control.make(
        "/issuers", issuer="https://platform.example", jwks={"keys": [key.public_jwk()]}, audiences=["acme"],
        algorithms=["ES256"],
    )  # fmt: skip
    theirs = Trying(control=trying.control, project=trying.project, issuer=trying.issuer, key=key)
    _, problems = await trying.judge(theirs.token(iss="https://platform.example"))
    assert set(problems) == {"standing"}
    assert "member" in problems["standing"]


async def test_the_token_is_in_no_log_and_changes_nothing(trying: Trying, database: TestDatabase) -> None:
    before = database.rows("SELECT count(*) FROM bailiwick.audit")
    token = trying.token()
    await trying.judge(token)
    answer = await trying.control.ask(
        "POST", f"/projects/{trying.project['id']}/issuers/test", {"token": token, "x": 1}
    )
    assert answer.status_code == 422
    assert token not in answer.text
    kept = await trying.control.ask(
        "POST", f"/projects/{trying.project['id']}/issuers/test", {"token": token}, headers={"idempotency-key": "j-1"}
    )
    assert kept.status_code == 200
    assert token not in str(database.rows("SELECT convert_from(answer, 'UTF8'), key FROM bailiwick.idempotency"))
    assert token.split(".")[1] not in trying.control.log.getvalue()
    assert database.rows("SELECT count(*) FROM bailiwick.audit") == before


@pytest.fixture
async def opened(database: TestDatabase) -> AsyncIterator[Control]:
    async with controlled(database, outbound_allow=[IPv4Network("127.0.0.0/8")]) as made:
        yield made


async def test_keys_are_found_by_discovery_and_an_issuer_that_is_away_is_told(opened: Control) -> None:
    project = await opened.project()
    at = f"/projects/{project['id']}/issuers"
    with Provider().running() as provider:
        await opened.make(at, issuer=provider.url, audiences=["acme"], algorithms=["ES256"])
        token = provider.issue({"aud": "acme", "sub": "u"}, now=opened.clock().timestamp())
        verdict = (await opened.ask("POST", f"{at}/test", {"token": token})).json()
        assert verdict["accepted"], verdict
    with Provider().running() as provider:
        gone = provider.url
    await opened.make(at, issuer=gone, audiences=["acme"], algorithms=["ES256"], user_prefix="gone:")
    token = provider.issue({"aud": "acme", "sub": "u"}, now=opened.clock().timestamp())
    verdict = (await opened.ask("POST", f"{at}/test", {"token": token})).json()
    (problem,) = [each["problem"] for each in verdict["findings"] if not each["accepted"]]
    assert problem.startswith("it cannot be verified: the keys of an issuer: the provider cannot be asked")
