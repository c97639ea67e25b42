"""A blocked end user: 403 at every address within a second, on every process, in its place in the order; nobody else.

Every door is tried by `doors/test_admission.py`; here it is who is meant, how fast, and what it takes.
"""

from __future__ import annotations

from urllib.parse import quote

from tests.apps.gateway.test_order import ALL_LEVELS
from tests.serving import Caller, Site, error_of, until
from tests.upstream import Upstream

BLOCKED = (403, "user_blocked")


def named(uid: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-end-user-id", uid.encode())]


def set_blocked(caller: Caller, uid: str, blocked: bool = True) -> None:
    path = f"/projects/{caller.id}/users/{quote(uid, safe='')}"
    assert caller.site.admin.change(path, {"blocked": blocked})["blocked"] is blocked


def is_blocked(caller: Caller, uid: str) -> bool:
    answer = caller.ask("GET", "/v1/me", headers=named(uid))
    if answer.status_code == 200:
        return False
    assert error_of(answer) == BLOCKED
    return True


def test_a_block_and_its_end_take_effect_within_a_second(site: Site) -> None:
    caller = site.project()
    for uid in ("alice", "naïve 🦊/x"):
        assert not is_blocked(caller, uid)
        for blocked in (True, False, True):
            set_blocked(caller, uid, blocked)
            until(lambda uid=uid, blocked=blocked: is_blocked(caller, uid) is blocked, patience=1.0)  # type: ignore[misc]
    assert is_blocked(caller, "alice")


def test_the_same_name_elsewhere_and_names_like_it_are_not_meant(site: Site) -> None:
    caller = site.project()
    sibling = site.project(tenant_id=caller.project["tenant_id"])
    set_blocked(caller, "alice")
    until(lambda: is_blocked(caller, "alice"), patience=1.0)
    assert is_blocked(site.caller(caller.project), "alice")
    for other in ("Alice", "alice2", "alic"):
        assert not is_blocked(caller, other)
    assert not is_blocked(sibling, "alice")
    assert caller.chat().status_code == 200


def test_reports_lists_and_calls_are_refused_alike_and_cost_nothing(site: Site, upstream: Upstream) -> None:
    caller = site.project(limits=ALL_LEVELS)
    set_blocked(caller, "alice")
    for path in ("/v1/models", "/v1/me", "/v1/usage"):
        assert error_of(caller.ask("GET", path, headers=named("alice"))) == BLOCKED
    for _ in range(3):
        assert error_of(caller.chat(headers=named("alice"))) == BLOCKED
    caller.assert_untouched()
    # No limit was touched: the one call that each of them has room for is still there.
    assert caller.chat(headers=named("bob")).status_code == 200


def test_its_place_is_after_acting_for_a_user_and_before_what_the_call_asks(site: Site) -> None:
    caller = site.project()
    set_blocked(caller, "alice")
    silent = site.caller(caller.project, act_as=False, scopes=["models:list"])
    assert error_of(silent.chat(headers=named("alice"))) == (403, "act_as_not_allowed")
    scoped = site.caller(caller.project, scopes=["models:list", "users:act_as"])
    assert error_of(scoped.chat(headers=named("alice"))) == BLOCKED
    assert error_of(caller.chat(headers=named("alice"), model="up/absent")) == BLOCKED
    elsewhere = [*named("alice"), (b"x-org-id", b"ten_" + b"0" * 26)]
    assert error_of(caller.chat(headers=elsewhere)) == (403, "not_a_member")
    caller.change(status="suspended")
    until(lambda: error_of(caller.chat(headers=named("alice"))) == (403, "project_suspended"), patience=1.0)
