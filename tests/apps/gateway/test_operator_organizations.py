"""Tokens that were minted with an operator key, and the organizations that their users turn to."""

from __future__ import annotations

import pytest

from tests.apps.gateway.people import REFUSED, address, dismiss, enroll, let_in, me, organization, refused, tenant_of
from tests.apps.gateway.test_operator_minting import UID, holder, operator
from tests.serving import Caller, Site, error_of, until

UNKNOWN = "ten_" + "0" * 26


@pytest.fixture
def key(site: Site) -> str:
    """An operator key of the installation."""
    return str(operator(site)["key"])


def org(caller: Caller) -> dict[str, str]:
    return {"x-org-id": tenant_of(caller)}


def test_its_user_turns_to_another_organization_as_a_member_of_that(site: Site, key: str) -> None:
    a, b = organization(site), organization(site)
    second = site.project(tenant_id=tenant_of(b))
    for project in (a, b):
        site.admin.make(f"/projects/{project.id}/tiers", {"name": "pro"})
    enroll(b, UID, scopes=["chat:create", "models:list"])
    user = holder(a, key, orgs=[tenant_of(b)], tier="pro", scopes=["chat:create", "usage:read"])
    assert let_in(user)["tier"] == "pro"  # Where it was minted for, it needs no membership.
    found = let_in(user, org(b))
    assert (found["credential"], found["project_id"], found["user_id"]) == ("user_token", b.id, UID)
    assert (found["scopes"], found["tier"]) == (["chat:create"], None)
    assert me(user, {**org(b), "x-project-id": second.id}).json()["project_id"] == second.id
    assert me(user, org(b), at=address(second)).json()["project_id"] == second.id
    assert user.chat(headers=org(b)).status_code == 200
    assert b.row()["uid"] == UID
    assert me(user, org(a)).json()["project_id"] == a.id


def test_no_member_not_listed_and_no_such_tenant_are_the_same_bytes(site: Site, key: str) -> None:
    a, b, c = (organization(site) for _ in range(3))
    sibling = site.project(tenant_id=tenant_of(a))
    enroll(b, UID)
    enroll(c, UID, issuer="https://somebody.example")
    user = holder(a, key, orgs=[tenant_of(c)])
    let_in(user)
    asked = [org(b), org(c), {"x-org-id": UNKNOWN}, {"x-org-id": "x"}, {**org(a), "x-project-id": sibling.id}]
    answers = [me(user, headers) for headers in asked]
    assert [error_of(answer) for answer in answers] == [REFUSED] * len(asked)
    assert len({answer.content for answer in answers}) == 1
    assert error_of(me(user, {"x-project-id": sibling.id})) == (403, "forbidden")
    assert error_of(me(user, at=address(b))) == (401, "invalid_credentials")
    assert error_of(me(user, org(b), at=address(b))) == REFUSED


def test_a_removed_member_is_refused_within_a_second(site: Site, key: str) -> None:
    a, b = organization(site), organization(site)
    membership = enroll(b, UID)
    user = holder(a, key, orgs=[tenant_of(b)])
    let_in(user, org(b))
    dismiss(site, membership)
    until(lambda: refused(me(user, org(b))) == REFUSED, patience=1.0)
    assert me(user).status_code == 200


def test_a_sibling_project_is_entered_as_a_member(site: Site, key: str) -> None:
    a = organization(site)
    sibling = site.project(tenant_id=tenant_of(a))
    enroll(a, UID, role="viewer")
    user = holder(a, key, orgs=[tenant_of(a)])
    found = let_in(user, {**org(a), "x-project-id": sibling.id})
    assert (found["project_id"], found["scopes"]) == (sibling.id, ["models:list", "threads:read", "usage:read"])


def test_what_was_revoked_where_it_was_minted_for_is_revoked_everywhere(site: Site, key: str) -> None:
    a, b = organization(site), organization(site)
    enroll(b, UID)
    user = holder(a, key, orgs=[tenant_of(b)], session_id="s-1")
    let_in(user, org(b))
    site.admin.make(f"/projects/{a.id}/revocations", {"session_id": "s-1"})
    until(lambda: refused(me(user, org(b))) == (401, "revoked_credentials"), patience=1.0)
    other = holder(a, key, orgs=[tenant_of(b)], session_id="s-2")
    let_in(other, org(b))
    site.admin.make(f"/projects/{b.id}/revocations", {"session_id": "s-2"})
    until(lambda: refused(me(other, org(b))) == (401, "revoked_credentials"), patience=1.0)
    assert me(other).status_code == 200


def test_a_tenants_operator_speaks_for_nobody_elsewhere(site: Site) -> None:
    a, b = organization(site), organization(site)
    enroll(b, UID)
    made = operator(site)
    user = holder(a, made["key"], orgs=[tenant_of(b)])
    let_in(user, org(b))
    # As if it had been a tenant's all along: the mint refuses such an `orgs`, and so does each call.
    site.database.execute(
        "UPDATE bailiwick.operator_keys SET tenant_id = (SELECT tenant_id FROM bailiwick.projects WHERE slug = %s)"
        " WHERE name = 'Minter' AND lookup_id = %s",
        (a.project["slug"], made["key"].split("_")[2]),
    )
    site.database.execute("UPDATE bailiwick.epoch SET value = value + 1")
    until(lambda: refused(me(user, org(b))) == REFUSED)
    assert me(user).status_code == 200
