"""What a role lets, of whatever credential it is: it narrows, and nothing widens it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bailiwick.identity import signing_keys
from tests.apps.gateway.people import address, enroll, let_in, me, organization, platform, refused, tenant_of
from tests.apps.gateway.test_operator_minting import holder, operator
from tests.domain.tool_bodies import function
from tests.serving import Caller, Site, error_of, until

VIEWER = ["models:list", "threads:read", "usage:read"]


def minted(caller: Caller, **fields: Any) -> Caller:
    """Whoever holds a token that was minted with the project's key."""
    answer = caller.ask("POST", "/v1/auth/mint", json={"user_id": "ada", **fields})
    return replace(caller, key=answer.json()["token"])


def own_role(caller: Caller, name: str = "analyst", **fields: Any) -> str:
    """A role of the tenant's own; returns its address."""
    path = f"/tenants/{tenant_of(caller)}/roles"
    made = caller.site.admin.make(path, {"name": name, "permissions": ["chat:create", "models:list"], **fields})
    return f"{path}/{made['id']}"


def by_key(caller: Caller, role: str | None) -> Caller:
    return minted(caller, role=role)


def by_operator(caller: Caller, role: str | None) -> Caller:
    return holder(caller, str(operator(caller.site)["key"]), role=role)


def by_issuer(caller: Caller, role: str | None) -> Caller:
    key = signing_keys.make()
    asked = {
        "issuer": "https://role.example", "jwks": {"keys": [key.public_jwk()]}, "audiences": ["https://api.example"],
        "algorithms": ["ES256"], "claims": {"role": "role", "project": "pid"},
    }  # fmt: skip
    caller.site.admin.make(f"/projects/{caller.id}/issuers", asked)
    idp = platform(caller.site, signing_keys.make())
    made = replace(idp, key=key, issuer="https://role.example")
    return made.person(caller, role=role, pid=caller.id)


@pytest.mark.parametrize("by", [by_key, by_operator, by_issuer])
def test_the_role_of_a_token_narrows_it(site: Site, by: Any) -> None:
    caller = organization(site)
    own_role(caller, models=["gpt-3*"])
    viewer, analyst = by(caller, "viewer"), None
    assert let_in(viewer)["scopes"] == VIEWER
    assert me(viewer).json()["role"] == "viewer"
    assert error_of(viewer.chat()) == (403, "forbidden")
    if by is not by_issuer:
        analyst = by(caller, "analyst")
        found = let_in(analyst)
        assert (found["role"], found["scopes"]) == ("analyst", ["chat:create", "models:list"])
        scopes = {one["source"]: one["scopes"] for one in found["resolved"]["scopes"]}
        assert scopes.pop("the role 'analyst'") == ["chat:create", "models:list"]
        assert all(set(found["scopes"]) < set(other) for other in scopes.values())
        assert found["resolved"]["models"] == [{"source": "the role 'analyst'", "globs": ["gpt-3*"]}]
        assert error_of(analyst.chat()) == (403, "model_not_allowed")


def test_tools_are_offered_within_the_rules_of_a_role(site: Site) -> None:
    caller = organization(site)
    own_role(caller, tools={"deny": ["delete_*"]})
    tools = [function("delete_all"), function("search")]
    let_in(analyst := minted(caller, role="analyst"))
    answer = analyst.chat(tools=tools)
    assert (answer.status_code, answer.headers["x-bailiwick-tools-removed"]) == (200, "delete_all")
    assert [tool["function"]["name"] for tool in site.upstream.requests[-1].json["tools"]] == ["search"]


def test_a_role_that_nobody_knows_counts_as_member_and_is_told(site: Site) -> None:
    caller = organization(site, key={"scopes": ["tokens:mint", "users:act_as", "chat:create", "models:list"]})
    without, unknown = let_in(minted(caller)), let_in(minted(caller, role="editor"))
    assert unknown["scopes"] == without["scopes"] == ["chat:create", "models:list"]
    assert (without["role"], unknown["role"]) == (None, "member")
    assert unknown["resolved"]["role"] == {"value": "member", "asked": "editor", "by": "the token"}
    assert without["resolved"]["role"] == {"value": None, "asked": None, "by": None}


def test_a_role_that_was_removed_holds_nothing_until_it_is_there_again(site: Site) -> None:
    caller = organization(site)
    role = own_role(caller)
    user = minted(caller, role="analyst")
    assert let_in(user)["scopes"] == ["chat:create", "models:list"]
    assert site.admin.request("DELETE", role).status_code == 204
    until(lambda: me(user).json()["scopes"] == [], patience=1.0)
    assert error_of(user.chat()) == (403, "forbidden")
    assert let_in(minted(caller, role="analyst"))["scopes"] == []
    own_role(caller, permissions=["usage:read"])
    until(lambda: me(user).json()["scopes"] == ["usage:read"], patience=1.0)


def test_a_role_of_another_tenant_is_none_here(site: Site) -> None:
    a, b = organization(site), organization(site)
    own_role(b, permissions=[])
    assert let_in(minted(a, role="analyst"))["role"] == "member"


def test_a_members_own_role_confines_them_and_a_change_of_it_holds_within_a_second(site: Site) -> None:
    idp = platform(site, signing_keys.make())
    a = organization(site)
    role = own_role(a)
    enroll(a, issuer=idp.issuer, role="analyst")
    ada = idp.person(a)
    assert let_in(ada, at=address(a))["resolved"]["role"] == {
        "value": "analyst", "asked": "analyst", "by": "the membership",
    }  # fmt: skip
    chat = f"{address(a)}/v1/chat/completions"
    assert ada.chat(path=chat).status_code == 200
    site.admin.change(role, {"models": ["gpt-3*"]})
    until(lambda: refused(ada.chat(path=chat)) == (403, "model_not_allowed"), patience=1.0)
    site.admin.change(role, {"models": None, "permissions": ["models:list"]})
    until(lambda: refused(ada.chat(path=chat)) == (403, "forbidden"), patience=1.0)


def test_no_role_gives_a_token_what_it_does_not_hold(site: Site) -> None:
    caller = organization(site)
    own_role(caller)
    for role in ("owner", "admin", "analyst"):
        assert let_in(minted(caller, role=role, scopes=["models:list"]))["scopes"] == ["models:list"]


def test_resolved_says_whose_limits_hold(site: Site) -> None:
    caller = organization(site, limits={level: {"requests": 99, "per": "1m"} for level in ("user", "project")})
    site.admin.make(f"/projects/{caller.id}/tiers", {"name": "pro", "limits": {"user": {"requests": 5, "per": "1m"}}})
    site.admin.change(f"/projects/{caller.id}", {"default_tier": "pro"})
    user = minted(caller, tier="gold")
    until(lambda: me(user).json()["tier"] == "pro")
    resolved = me(user).json()["resolved"]
    assert resolved["limits"] == {"project": "the project", "user": "the tier 'pro'"}
    assert resolved["tier"] == {"value": "pro", "asked": "gold", "by": "the token"}


def test_resolved_says_who_lets_which_scopes_and_tools_and_how_long_an_answer_may_be(site: Site) -> None:
    caller = organization(site, tools={"allow": ["se*"], "mode": "refuse"})
    pro = {"name": "pro", "max_output_tokens": 90, "tools": {"deny": ["send"]}}
    site.admin.make(f"/projects/{caller.id}/tiers", pro)
    user = minted(caller, tier="pro", scopes=["chat:create", "usage:read"], role="viewer")
    until(lambda: me(user).json()["tier"] == "pro")
    found = me(user).json()
    resolved = found["resolved"]
    assert found["scopes"] == ["usage:read"]
    assert [one["source"] for one in resolved["scopes"]] == ["the key", "the token", "the role 'viewer'"]
    assert resolved["scopes"][1]["scopes"] == ["chat:create", "usage:read"]
    assert resolved["scopes"][2]["scopes"] == ["models:list", "threads:read", "usage:read"]
    assert resolved["tools"] == [
        {"source": "the project", "allow": ["se*"], "deny": [], "mode": "refuse"},
        {"source": "the tier 'pro'", "deny": ["send"]},
    ]
    assert resolved["max_output_tokens"] == {"value": 90, "by": "the tier 'pro'"}


def test_resolved_says_what_a_membership_lets(site: Site) -> None:
    idp = platform(site, signing_keys.make())
    a = organization(site)
    enroll(a, issuer=idp.issuer, role="member", scopes=["chat:create"])
    found = let_in(idp.person(a), at=address(a))
    assert found["scopes"] == ["chat:create"]
    assert {"source": "the membership", "scopes": ["chat:create"]} in found["resolved"]["scopes"]
