"""The order in which a call is decided: the first refusal wins, and nothing that comes later has been touched.

credential → tenant and project alive → organization, acting-as and who is blocked → permission → body → model →
limits → provider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.serving import ASK, MODEL, Caller, Site, error_of, until
from tests.upstream import Upstream

ONE = {"requests": 1, "per": "31d"}
ALL_LEVELS = dict.fromkeys(("ip", "project", "key", "user"), ONE)

# Every fault that a call can have, in the order of decision: what makes it, and the refusal that it meets.
# A fault is a setting of the tenant, the project or the key, or something in the request.
TENANT = "tenant_suspended"
PROJECT = "project_suspended"
REQUEST: dict[str, tuple[tuple[int, str], dict[str, str], dict[str, Any]]] = {
    "two identities": ((400, "invalid_request"), {"x-session-id": ""}, {}),
    "organization": ((403, "not_a_member"), {"x-org-id": "ten_" + "0" * 26}, {}),
    "acting": ((403, "act_as_not_allowed"), {"x-end-user-id": "alice"}, {}),
    "blocked": ((403, "user_blocked"), {"x-end-user-id": "alice"}, {}),
    "body": ((400, "invalid_request"), {}, {"messages": []}),
    "model": ((404, "model_not_found"), {}, {"model": "up/absent"}),
}


def ask(caller: Caller, faults: Mapping[str, object]) -> tuple[int, str]:
    headers: dict[str, str] = {}
    fields: dict[str, Any] = {}
    for name in faults:
        if name in REQUEST:
            headers |= REQUEST[name][1]
            fields |= REQUEST[name][2]
    return error_of(caller.chat(headers=headers, **fields))


@pytest.fixture
def tenant(site: Site) -> str:
    return str(site.admin.tenant()["id"])


def exhausted(site: Site, tenant: str, **key: object) -> Caller:
    """A project whose limits have no room at any level, and another key of it."""
    caller = site.project(tenant_id=tenant, limits=ALL_LEVELS, provider={"models": [MODEL, "gpt-4o"]})
    assert caller.chat(headers={"x-end-user-id": "alice"}).status_code == 200
    assert error_of(caller.chat(headers={"x-end-user-id": "alice"})) == (429, "rate_limited")
    return site.caller(caller.project, **key) if key else caller


ORDER = [
    ("credential", (401, "revoked_credentials")),
    ("tenant", (403, "tenant_suspended")),
    ("project", (403, "project_suspended")),
    ("organization", (403, "not_a_member")),
    ("acting", (403, "act_as_not_allowed")),
    ("blocked", (403, "user_blocked")),
    ("scope", (403, "forbidden")),
    ("body", (400, "invalid_request")),
    ("model", (404, "model_not_found")),
    ("limits", (429, "rate_limited")),
]
KEYS: dict[str, dict[str, object]] = {"acting": {"act_as": False}, "scope": {"scopes": ["models:list", "users:act_as"]}}


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_the_first_refusal_wins(site: Site, upstream: Upstream, tenant: str, first: int) -> None:
    """A call with this fault and every later one is told of this one, and goes nowhere."""
    faults = dict(ORDER[first:])
    key: dict[str, object] = {}
    for name in faults:
        key |= KEYS.get(name, {})
    if "acting" in faults:
        key["scopes"] = ["models:list"]
    caller = exhausted(site, tenant, **key)
    if "tenant" in faults:
        site.admin.change(f"/tenants/{tenant}", {"status": "suspended"})
    if "blocked" in faults:
        site.admin.change(f"/projects/{caller.id}/users/alice", {"blocked": True})
    if "project" in faults:
        caller.change(status="suspended")
    if "credential" in faults:
        site.admin.request("POST", f"/keys/{caller.key_id}/revoke")
    upstream.clear()
    until(lambda: ask(caller, faults) == ORDER[first][1], patience=1.0)
    for _ in range(3):
        assert ask(caller, faults) == ORDER[first][1]
    assert upstream.requests == []
    assert len(caller.rows) == 1
    assert site.open_calls(caller.id) == 0


def end_user_required(site: Site) -> Caller:
    return site.project(limits=ALL_LEVELS, require_end_user=True)


def confined(site: Site) -> Caller:
    return site.project(limits=ALL_LEVELS, key={"models": ["gpt-4o"]}, provider={"models": [MODEL, "gpt-4o"]})


REFUSED: dict[str, tuple[Callable[[Site], Caller], dict[str, Any], tuple[int, str]]] = {
    "an identity of no form": (Site.project, {"headers": {"x-end-user-id": ""}}, (400, "invalid_request")),
    "an end user is required": (end_user_required, {}, (403, "end_user_required")),
    "another model": (confined, {"headers": {"x-end-user-id": "a"}}, (403, "model_not_allowed")),
    "no such model": (confined, {"model": "up/x", "headers": {"x-end-user-id": "a"}}, (404, "model_not_found")),
    "a body of no form": (confined, {"model": "gpt-4o", "n": 0}, (400, "invalid_request")),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refusal_before_the_limits_takes_nothing_from_them(site: Site, upstream: Upstream, kind: str) -> None:
    """There is room for one call at each level, and it is still there afterwards."""
    make, asked, refusal = REFUSED[kind]
    caller = make(site) if make is not Site.project else site.project(limits=ALL_LEVELS)
    for _ in range(5):
        assert error_of(caller.chat(**asked)) == refusal
    caller.assert_untouched()
    assert caller.chat(model="gpt-4o", headers={"x-end-user-id": "a"}).status_code == 200
    assert error_of(caller.chat(model="gpt-4o", headers={"x-end-user-id": "a"})) == (429, "rate_limited")


def test_what_is_suspended_serves_nothing_and_keeps_everything(site: Site, tenant: str) -> None:
    caller = site.project(tenant_id=tenant)
    assert caller.chat().status_code == 200
    for suspend, path, code in (
        (caller.change, f"/projects/{caller.id}", "project_suspended"),
        (lambda **patch: site.admin.change(f"/tenants/{tenant}", patch), f"/tenants/{tenant}", "tenant_suspended"),
    ):
        suspend(status="suspended")
        until(lambda: caller.ask("GET", "/v1/me").status_code == 403, patience=1.0)
        assert error_of(caller.chat()) == (403, code)
        for method, address in (("GET", "/v1/me"), ("GET", "/v1/models"), ("GET", "/v1/usage")):
            assert error_of(caller.ask(method, address)) == (403, code)
        site.admin.change(path, {"status": "active"})
        until(lambda: caller.ask("GET", "/v1/me").status_code == 200, patience=1.0)
        assert caller.chat().status_code == 200
    assert len(caller.rows) == 3


SCOPES = {
    "chat:create": ("POST", "/v1/chat/completions"),
    "models:list": ("GET", "/v1/models"),
    "usage:read": ("GET", "/v1/usage"),
}


@pytest.mark.parametrize("scope", SCOPES)
def test_each_scope_opens_its_own_address_and_no_other(site: Site, scope: str) -> None:
    caller = site.project(key={"scopes": [scope]})
    for needed, (method, path) in SCOPES.items():
        body = {"model": MODEL, "messages": ASK} if method == "POST" else None
        answer = caller.ask(method, path, json=body)
        if needed == scope:
            assert answer.status_code == 200
        else:
            assert error_of(answer) == (403, "forbidden")


def test_a_key_that_may_act_for_nobody_names_nobody_anywhere(site: Site) -> None:
    for key in ({"act_as": False}, {"scopes": ["chat:create", "models:list", "usage:read"]}):
        caller = site.project(key=key)
        for method, path in (("GET", "/v1/me"), *SCOPES.values()):
            answer = caller.ask(
                method, path, headers={"x-end-user-id": "alice"}, json={"model": MODEL, "messages": ASK}
            )
            assert error_of(answer) == (403, "act_as_not_allowed")
        assert caller.chat(headers={"x-session-id": "s"}).status_code == 200
        assert [(row["uid"], row["sid"]) for row in caller.rows] == [(None, "s")]


def test_an_end_user_is_required_of_calls_to_models_alone(site: Site) -> None:
    caller = site.project(require_end_user=True)
    assert error_of(caller.chat()) == (403, "end_user_required")
    assert caller.ask("GET", "/v1/models").status_code == 200
    assert caller.ask("GET", "/v1/me").status_code == 200
    assert caller.chat(headers={"x-end-user-id": "alice"}).status_code == 200
