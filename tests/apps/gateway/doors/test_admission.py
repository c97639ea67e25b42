"""Enforcement does not depend on the door: every refusal at every address of the app's own table, and no byte beyond.

The table is `DOORS`, from which the app makes its routes; `test_doors` holds that no route is beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bailiwick.domain.permissions import ALL_SCOPES
from bailiwick.services.doors import DOORS, Door
from tests.apps.gateway.doors.cases import CASES, project
from tests.serving import Caller, Site
from tests.upstream import Upstream

ONE = {"requests": 1, "per": "1h"}
USER = [("x-end-user-id", "u1")]


def without_scope(site: Site, door: Door) -> Caller:
    others = sorted(scope.value for scope in ALL_SCOPES if scope is not door.permission)
    return project(site, door, key={"scopes": others})


def limited(level: str) -> Callable[[Site, Door], Caller]:
    return lambda site, door: project(site, door, limits={level: ONE})


def suspended(what: str) -> Callable[[Site, Door], Caller]:
    def make(site: Site, door: Door) -> Caller:
        if what == "project":
            return project(site, door, status="suspended")
        tenant = site.admin.tenant()
        caller = project(site, door, tenant_id=tenant["id"])
        site.admin.change(f"/tenants/{tenant['id']}", {"status": "suspended"})
        return caller

    return make


def with_blocked_user(site: Site, door: Door) -> Caller:
    caller = project(site, door)
    site.admin.change(f"/projects/{caller.id}/users/u1", {"blocked": True})
    return caller


def with_key(**fields: Any) -> Callable[[Site, Door], Caller]:
    return lambda site, door: project(site, door, key=fields)


REFUSALS: dict[str, tuple[Callable[[Site, Door], Caller], int, str, bool]] = {
    "scope missing": (without_scope, 403, "forbidden", False),
    "model not allowed": (with_key(models=["another"]), 403, "model_not_allowed", False),
    "may not act for users": (with_key(act_as=False), 403, "act_as_not_allowed", False),
    "user blocked": (with_blocked_user, 403, "user_blocked", False),
    "user limit": (limited("user"), 429, "rate_limited", True),
    "key limit": (limited("key"), 429, "rate_limited", True),
    "project limit": (limited("project"), 429, "rate_limited", True),
    "ip limit": (limited("ip"), 429, "rate_limited", True),
    "project suspended": (suspended("project"), 403, "project_suspended", False),
    "tenant suspended": (suspended("tenant"), 403, "tenant_suspended", False),
}  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.path)
def test_a_refusal_at_any_door_reaches_no_provider(site: Site, upstream: Upstream, door: Door, refusal: str) -> None:
    make, status, code, exhausts = REFUSALS[refusal]
    case = CASES[door.path]
    caller = make(site, door)
    upstream.on(f"/v1{door.path}", case.behaviour)
    if exhausts:
        assert case.ask(door, caller, headers=USER).status_code == 200
        assert len(upstream.requests) == 1
    answer = case.ask(door, caller, headers=USER)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert ("retry-after" in answer.headers) is (status == 429)
    assert len(upstream.requests) == len(caller.rows) == (1 if exhausts else 0)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.path)
@pytest.mark.parametrize("credential", [None, "Bearer bwk_live_nothing", "Basic abc"])
def test_without_a_credential_no_door_opens(site: Site, door: Door, credential: str | None) -> None:
    caller = project(site, door)
    headers = [] if credential is None else [("authorization", credential)]
    answer = CASES[door.path].ask(door, caller, headers=headers, site=site)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == ("missing_credentials" if credential is None else "invalid_credentials")
    caller.assert_untouched()


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.path)
def test_an_operator_key_is_no_credential_of_any_door(site: Site, door: Door) -> None:
    caller = project(site, door)
    key = site.installation.keys["admin_key"]
    for header in (("authorization", f"Bearer {key}"), ("x-api-key", key)):
        answer = CASES[door.path].ask(door, caller, headers=[header], site=site)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_credentials")
    caller.assert_untouched()


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.path)
def test_a_key_is_the_same_in_either_header_and_in_both_is_refused(site: Site, upstream: Upstream, door: Door) -> None:
    case, caller = CASES[door.path], without_scope(site, door)
    upstream.on(f"/v1{door.path}", case.behaviour)
    bearer, plain = ("authorization", f"Bearer {caller.key}"), ("x-api-key", caller.key)
    for headers, status, code in (
        ([plain], 403, "forbidden"), ([bearer], 403, "forbidden"), ([bearer, plain], 400, "ambiguous_credentials"),
    ):  # fmt: skip
        answer = case.ask(door, caller, headers=headers, site=site)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    caller.assert_untouched()


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.path)
def test_a_key_of_another_project_opens_no_door_at_an_address(site: Site, door: Door) -> None:
    caller, other = project(site, door), project(site, door)
    case = CASES[door.path]
    path = f"/p/{other.project['slug']}/v1{door.path}"
    answer = caller.ask("POST", path, content=case.body(), headers={"content-type": case.request_type})
    assert answer.status_code == 401
    caller.assert_untouched()
    other.assert_untouched()
