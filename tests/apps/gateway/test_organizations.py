"""One user in several organizations: who enters which, with what, and for how long."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from bailiwick.domain.usage import Outcome
from bailiwick.identity import signing_keys
from bailiwick.identity.signing_keys import SigningKey
from tests.apps.gateway.people import (
    REFUSED,
    Platform,
    address,
    dismiss,
    enroll,
    let_in,
    me,
    organization,
    platform,
    refused,
    tenant_of,
)
from tests.serving import ASK, MODEL, Caller, Site, error_of, until
from tests.upstream import Behaviour, Upstream

UNKNOWN = "ten_" + "0" * 26


@pytest.fixture
def key() -> SigningKey:
    return signing_keys.make()


@pytest.fixture
def idp(site: Site, key: SigningKey) -> Platform:
    """An issuer of the platform, whose tokens list organizations."""
    return platform(site, key, orgs="orgs")


def org(caller: Caller) -> dict[str, str]:
    return {"x-org-id": tenant_of(caller)}


def test_a_member_enters_a_project_by_its_address(site: Site, idp: Platform) -> None:
    a, b = organization(site), organization(site)
    ada = idp.person(a)
    enroll(a, issuer=idp.issuer)
    found = let_in(ada, at=address(a))
    assert (found["credential"], found["tenant_id"], found["project_id"]) == ("issuer_token", tenant_of(a), a.id)
    assert ada.chat(path=f"{address(a)}/v1/chat/completions").status_code == 200
    assert a.row()["uid"].endswith(":ada")
    assert error_of(me(ada, at=address(b))) == REFUSED


def test_a_header_switches_to_another_organization_of_the_token(site: Site, idp: Platform) -> None:
    a, b = organization(site), organization(site)
    ada = idp.person(a, orgs=[tenant_of(a), b.project["slug"], tenant_of(b)])
    for one in (a, b):
        enroll(one, issuer=idp.issuer)
    for one in (a, b):
        for name in ("X-Org-ID", "X-Tenant-ID", "OpenAI-Organization"):
            assert let_in(ada, {name: tenant_of(one)})["project_id"] == one.id
        assert ada.chat(headers=org(one)).status_code == 200
        assert one.row()["outcome"] == Outcome.COMPLETED


def test_organizations_may_be_listed_by_their_slugs(site: Site, idp: Platform) -> None:
    tenant = site.admin.tenant()
    a = site.project(tenant_id=tenant["id"])
    enroll(a, issuer=idp.issuer)
    assert let_in(idp.person(a, orgs=tenant["slug"]), org(a))["tenant_id"] == tenant["id"]


def test_a_call_runs_in_the_project_that_is_named_else_in_the_default_one(site: Site, idp: Platform) -> None:
    first = organization(site)
    second = site.project(tenant_id=tenant_of(first))
    ada = idp.person(first, orgs=[tenant_of(first)])
    enroll(first, issuer=idp.issuer)
    assert let_in(ada, org(first))["project_id"] == first.id
    for name in ("X-Project-Id", "OpenAI-Project"):
        assert let_in(ada, {**org(first), name: second.id})["project_id"] == second.id
        assert let_in(ada, {name: second.id})["project_id"] == second.id
    site.admin.change(f"/tenants/{tenant_of(first)}", {"default_project": second.id})
    until(lambda: me(ada, org(first)).json()["project_id"] == second.id)


def test_a_project_of_another_tenant_is_refused_as_one_that_is_not_there(site: Site, idp: Platform) -> None:
    a, b = organization(site), organization(site)
    ada = idp.person(a, orgs=[tenant_of(a)])
    enroll(a, issuer=idp.issuer)
    enroll(b, issuer=idp.issuer)
    let_in(ada, org(a))
    answers = [me(ada, {**org(a), "x-project-id": named}) for named in (b.id, "prj_" + "0" * 26, "nonsense")]
    assert {error_of(answer) for answer in answers} == {(403, "forbidden")}
    assert len({answer.content for answer in answers}) == 1


def test_nothing_is_inferred_from_a_membership(site: Site, idp: Platform) -> None:
    a = organization(site)
    enroll(a, issuer=idp.issuer)
    ada = idp.person(a, orgs=[tenant_of(a)])
    let_in(ada, org(a))
    assert error_of(me(ada)) == (400, "project_required")


def test_an_organization_without_a_project_has_nowhere_to_call(site: Site, idp: Platform) -> None:
    tenant = site.admin.tenant()["id"]
    site.admin.make(f"/tenants/{tenant}/members", {"issuer": idp.issuer, "subject": "ada", "role": "member"})
    ada = idp.person(organization(site), orgs=[tenant])
    until(lambda: refused(me(ada, {"x-org-id": tenant})) == (400, "project_required"))


def test_no_member_not_listed_and_no_such_tenant_are_the_same_bytes(site: Site, idp: Platform) -> None:
    a, b, c, suspended = (organization(site) for _ in range(4))
    enroll(a, issuer=idp.issuer)
    enroll(b, issuer=idp.issuer)  # But the token does not list it.
    site.admin.change(f"/tenants/{tenant_of(suspended)}", {"status": "suspended"})
    listed = [tenant_of(one) for one in (a, c, suspended)]
    ada = idp.person(a, orgs=[*listed, UNKNOWN])
    let_in(ada, org(a))
    asked: list[tuple[dict[str, str], str]] = [
        *(({"x-org-id": named}, "") for named in (*listed[1:], tenant_of(b), UNKNOWN, "?", tenant_of(a).upper())),
        ({"x-project-id": c.id}, ""), ({"x-project-id": "prj_" + "0" * 26}, ""),
        ({}, address(c)), ({}, address(suspended)), ({}, "/p/nobody-has-this"), ({}, "/p/%00"),
        (org(b), address(a)),
    ]  # fmt: skip
    answers = [me(ada, headers, at=at) for headers, at in asked]
    for (headers, at), answer in zip(asked, answers, strict=True):
        assert error_of(answer) == REFUSED, (headers, at)
    assert len({answer.content for answer in answers}) == 1
    assert not site.upstream.requests


def test_two_headers_that_differ_are_a_bad_request(site: Site, idp: Platform) -> None:
    a, b = organization(site), organization(site)
    for one in (a, b):
        enroll(one, issuer=idp.issuer)
    ada = idp.person(a, orgs=[tenant_of(a), tenant_of(b)])
    let_in(ada, org(a))
    for name in ("X-Tenant-ID", "OpenAI-Organization"):
        assert error_of(me(ada, {**org(a), name: tenant_of(b)})) == (400, "invalid_request")
        assert me(ada, {**org(a), name: tenant_of(a)}).status_code == 200
    assert me(ada, {**org(a), "openai-organization": "org-of-openai"}).status_code == 200
    twice = ada.ask("GET", "/v1/me", headers=[("x-org-id", tenant_of(a)), ("x-org-id", tenant_of(a))])
    assert error_of(twice) == (400, "invalid_request")


def test_a_suspended_tenant_says_so_to_its_members_alone(site: Site, idp: Platform) -> None:
    a = organization(site)
    enroll(a, issuer=idp.issuer)
    ada, eve = idp.person(a, orgs=[tenant_of(a)]), idp.person(a, "eve", orgs=[tenant_of(a)])
    let_in(ada, org(a))
    site.admin.change(f"/tenants/{tenant_of(a)}", {"status": "suspended"})
    until(lambda: refused(me(ada, org(a))) == (403, "tenant_suspended"), patience=1.0)
    assert error_of(me(eve, org(a))) == REFUSED
    assert error_of(me(eve, at=address(a))) == REFUSED


def test_role_and_scopes_are_those_of_the_membership(site: Site, idp: Platform) -> None:
    a, b, c = (organization(site) for _ in range(3))
    enroll(a, issuer=idp.issuer, role="viewer")
    enroll(b, issuer=idp.issuer, role="owner", scopes=["models:list", "chat:create"])
    enroll(c, issuer=idp.issuer, role="viewer", scopes=["models:list", "chat:create"])
    ada = idp.person(a, orgs=[tenant_of(one) for one in (a, b, c)], role="owner", scope="chat:create")
    held = [let_in(ada, org(one))["scopes"] for one in (a, b, c)]
    assert held == [["models:list", "threads:read", "usage:read"], ["chat:create", "models:list"], ["models:list"]]
    assert error_of(ada.chat(headers=org(a))) == (403, "forbidden")
    assert ada.chat(headers=org(b)).status_code == 200


def test_a_change_of_role_holds_within_a_second_for_tokens_that_are_out(site: Site, idp: Platform) -> None:
    a = organization(site)
    membership = enroll(a, issuer=idp.issuer)
    ada = idp.person(a)
    let_in(ada, at=address(a))
    chat = f"{address(a)}/v1/chat/completions"
    assert ada.chat(path=chat).status_code == 200
    site.admin.change(membership, {"role": "viewer"})
    until(lambda: refused(ada.chat(path=chat)) == (403, "forbidden"), patience=1.0)
    site.admin.change(membership, {"role": "member"})
    until(lambda: ada.chat(path=chat).status_code == 200, patience=1.0)


def test_the_tier_of_a_membership_stands_before_that_of_the_token(site: Site, key: SigningKey) -> None:
    idp = platform(site, key, tier="plan")
    a = organization(site)
    for name in ("free", "pro"):
        site.admin.make(f"/projects/{a.id}/tiers", {"name": name})
    membership = enroll(a, issuer=idp.issuer)
    ada = idp.person(a, plan="free")
    assert let_in(ada, at=address(a))["tier"] == "free"
    site.admin.change(membership, {"tier": "pro"})
    until(lambda: me(ada, at=address(a)).json()["tier"] == "pro")


def test_a_removed_member_is_refused_within_a_second_with_a_token_that_is_still_valid(
    site: Site, idp: Platform
) -> None:
    a = organization(site)
    membership = enroll(a, issuer=idp.issuer)
    ada = idp.person(a, orgs=[tenant_of(a)])
    for headers, at in ((org(a), ""), ({}, address(a))):
        let_in(ada, headers, at=at)
    dismiss(site, membership)
    until(lambda: refused(me(ada, org(a))) == REFUSED, patience=1.0)
    assert error_of(me(ada, at=address(a))) == REFUSED
    enroll(a, issuer=idp.issuer)
    until(lambda: me(ada, org(a)).status_code == 200, patience=1.0)


def test_an_answer_on_its_way_ends_with_the_membership(site: Site, idp: Platform, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(chunks=200, gap=0.05))
    a = organization(site)
    membership = enroll(a, issuer=idp.issuer)
    ada = idp.person(a, orgs=[tenant_of(a)])
    let_in(ada, org(a))
    events: list[str] = []
    body = {"model": MODEL, "messages": ASK, "stream": True}
    with site.http.stream("POST", "/v1/chat/completions", headers={**ada.bearer, **org(a)}, json=body) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                events.append(line.removeprefix("data: "))
                if len(events) == 3:
                    dismiss(site, membership)
    assert json.loads(events[-1])["error"]["code"] == "not_a_member"
    assert 3 < len(events) < 40
    assert a.row()["outcome"] == Outcome.TAKEN_AWAY


def test_a_whole_answer_on_its_way_ends_with_the_membership(site: Site, idp: Platform, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(delay=0.9))
    a = organization(site)
    membership = enroll(a, issuer=idp.issuer)
    ada = idp.person(a, orgs=[tenant_of(a)])
    let_in(ada, org(a))
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(ada.chat(headers=org(a))))
    thread.start()
    until(lambda: upstream.requests)
    dismiss(site, membership)
    thread.join()
    assert error_of(answers[0]) == REFUSED
