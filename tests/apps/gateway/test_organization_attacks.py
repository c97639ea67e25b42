"""Attempts to enter an organization that is not one's own, with tokens that are good elsewhere."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from bailiwick.identity import signing_keys
from bailiwick.identity.signing_keys import SigningKey
from tests.apps.gateway.people import (
    AUDIENCE,
    REFUSED,
    address,
    enroll,
    let_in,
    me,
    organization,
    platform,
    tenant_of,
)
from tests.serving import Caller, Site, error_of, until


@pytest.fixture
def key() -> SigningKey:
    return signing_keys.make()


def org(caller: Caller) -> dict[str, str]:
    return {"x-org-id": tenant_of(caller)}


def project_issuer(site: Site, at: Caller, key: SigningKey, issuer: str, **claims: str) -> None:
    asked = {
        "issuer": issuer, "jwks": {"keys": [key.public_jwk()]}, "audiences": [AUDIENCE], "algorithms": ["ES256"],
        "claims": claims,
    }  # fmt: skip
    site.admin.make(f"/projects/{at.id}/issuers", asked)


def signed(project: Caller, key: SigningKey, **claims: Any) -> Caller:
    now = int(time.time())
    return replace(project, key=key.sign({"aud": AUDIENCE, "iat": now, "exp": now + 600, **claims}, typ="JWT"))


def minted(caller: Caller, user: str = "ada") -> Caller:
    answer = caller.ask("POST", "/v1/auth/mint", json={"user_id": user})
    return replace(caller, key=answer.json()["token"])


def test_the_credentials_of_a_project_stay_in_its_tenant_whoever_is_a_member_elsewhere(
    site: Site, key: SigningKey
) -> None:
    a, b = organization(site), organization(site)
    issuer = f"https://own.{a.project['slug']}.example"
    project_issuer(site, a, key, issuer, orgs="orgs", project="pid")
    for fields in ({}, {"issuer": issuer}, {"issuer": f"https://{tenant_of(b)}.example"}):
        enroll(b, **fields)  # type: ignore[arg-type]
    foreign = signed(a, key, iss=issuer, sub="ada", orgs=[tenant_of(a), tenant_of(b)], pid=a.id)
    let_in(foreign)
    for credential in (a, minted(a), foreign):
        assert me(credential, org(a)).json()["project_id"] == a.id  # Its own tenant changes nothing.
        crossings = [me(credential, org(b)), me(credential, {"x-org-id": "ten_" + "0" * 26})]
        assert [error_of(answer) for answer in crossings] == [REFUSED, REFUSED]
        assert crossings[0].content == crossings[1].content
        assert error_of(me(credential, {"x-project-id": b.id})) == (403, "forbidden")
        assert error_of(me(credential, at=address(b))) == (401, "invalid_credentials")
        assert error_of(me(credential, org(b), at=address(b))) == (401, "invalid_credentials")


def test_the_same_subject_of_another_issuer_is_somebody_else(site: Site, key: SigningKey) -> None:
    one, other = platform(site, key, orgs="orgs"), platform(site, signing_keys.make(), orgs="orgs")
    a = organization(site)
    enroll(a, issuer=one.issuer)
    let_in(one.person(a, orgs=[tenant_of(a)]), org(a))
    eve = other.person(a, orgs=[tenant_of(a)])
    assert error_of(me(eve, org(a))) == REFUSED
    assert error_of(me(eve, at=address(a))) == REFUSED


@pytest.mark.parametrize("subject", ["Ada", "ada ", "аda", "ada\u200b", "ａda", "å", "a\u030a"])  # noqa: RUF001
def test_a_subject_that_looks_like_a_members_is_somebody_else(site: Site, key: SigningKey, subject: str) -> None:
    idp = platform(site, key)
    a = organization(site)
    enroll(a, "å" if subject == "a\u030a" else "a\u030a" if subject == "å" else "ada", issuer=idp.issuer)
    until(lambda: me(idp.person(a, subject), at=address(a)).status_code == 403)
    assert error_of(me(idp.person(a, subject), at=address(a))) == REFUSED


def test_an_issuer_that_looks_like_the_platforms_is_nobodys(site: Site, key: SigningKey) -> None:
    idp = platform(site, key)
    a = organization(site)
    enroll(a, issuer=idp.issuer)
    let_in(idp.person(a), at=address(a))
    for issuer in (idp.issuer + "/", idp.issuer.upper(), idp.issuer.replace("https", "http")):
        assert error_of(me(idp.person(a, iss=issuer), at=address(a))) == (401, "invalid_credentials")


def test_a_member_of_an_issuer_that_the_platform_does_not_trust_is_not_let_in(site: Site, key: SigningKey) -> None:
    a = organization(site)
    issuer = f"https://untrusted.{a.project['slug']}.example"
    enroll(a, issuer=issuer)
    eve = signed(a, key, iss=issuer, sub="ada")
    assert error_of(me(eve, at=address(a))) == (401, "invalid_credentials")
    # Another tenant's project that trusts it opens no way into this one.
    b = organization(site)
    project_issuer(site, b, key, issuer)
    let_in(signed(b, key, iss=issuer, sub="ada"), at=address(b))
    assert error_of(me(eve, at=address(a))) == (401, "invalid_credentials")
    assert error_of(me(eve, org(a), at=address(b))) == REFUSED


def test_what_a_token_says_of_itself_confines_it(site: Site, key: SigningKey) -> None:
    idp = platform(site, key, tenant="org_id", orgs="orgs")
    a, b, c = (organization(site) for _ in range(3))
    for one in (a, b, c):
        enroll(one, issuer=idp.issuer)
    ada = idp.person(a, org_id=tenant_of(a), orgs=[tenant_of(b)])
    assert let_in(ada)["project_id"] == a.id  # The active tenant is in the token.
    assert me(ada, org(a)).json()["project_id"] == a.id
    assert me(ada, org(b)).json()["project_id"] == b.id
    assert me(ada, at=address(b)).json()["project_id"] == b.id
    assert error_of(me(ada, org(c))) == REFUSED
    assert error_of(me(ada, {"x-project-id": c.id})) == REFUSED
    assert error_of(me(ada, at=address(c))) == (401, "invalid_credentials")


def test_a_token_that_names_its_project_stays_there_unless_it_switches(site: Site, key: SigningKey) -> None:
    idp = platform(site, key, project="pid", orgs="orgs")
    a, b = organization(site), organization(site)
    second = site.project(tenant_id=tenant_of(a))
    for one in (a, b):
        enroll(one, issuer=idp.issuer)
    ada = idp.person(a, pid=second.project["slug"], orgs=[tenant_of(b)])
    assert let_in(ada)["project_id"] == second.id
    assert me(ada, org(a)).json()["project_id"] == second.id
    assert me(ada, org(b)).json()["project_id"] == b.id
    assert error_of(me(ada, at=address(a))) == (401, "invalid_credentials")
    assert error_of(me(ada, {"x-project-id": a.id})) == REFUSED
    assert error_of(me(ada, {**org(a), "x-project-id": a.id})) == REFUSED


def test_a_tenant_whose_slug_looks_like_anothers_id_is_not_it(site: Site, key: SigningKey) -> None:
    """Ids and slugs are never looked for in one another's place."""
    idp = platform(site, key, orgs="orgs")
    a = organization(site)
    uuid = str(site.database.execute("SELECT id FROM bailiwick.projects WHERE slug = %s", (a.project["slug"],))
               .fetchone()["id"])  # type: ignore[index]  # fmt: skip
    trap = site.project(tenant_id=site.admin.tenant()["id"], slug=uuid)
    enroll(a, issuer=idp.issuer)
    ada = idp.person(a)
    assert let_in(ada, {"x-project-id": a.id})["project_id"] == a.id
    assert error_of(me(ada, at=address(trap))) == REFUSED


def test_a_token_of_the_platforms_is_not_exchanged_for_one_that_outlives_its_membership(
    site: Site, key: SigningKey
) -> None:
    idp = platform(site, key)
    a = organization(site)
    enroll(a, issuer=idp.issuer)
    ada = idp.person(a)
    let_in(ada, at=address(a))
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": ada.key,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    }  # fmt: skip
    answer = site.http.post("/oauth/token", data=form, auth=(a.key_id, a.key))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
