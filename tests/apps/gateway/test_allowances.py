"""`GET /v1/me` says what is left in each limit and budget, to each caller of its own."""

from __future__ import annotations

from typing import Any

from tests.serving import Caller, Site, until

LIMITS = {"user": {"requests": 5, "tokens": 1000, "per": "1h"}, "project": {"requests": 50, "per": "1h"}}


def me(site: Site, token: str) -> dict[str, Any]:
    found: dict[str, Any] = site.ask("GET", "/v1/me", headers={"authorization": f"Bearer {token}"}).json()
    return found


def minted(caller: Caller, uid: str, **fields: str) -> str:
    token: str = caller.ask("POST", "/v1/auth/mint", json={"user_id": uid, **fields}).json()["token"]
    return token


def scopes(found: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return sorted((one["scope"], one.get("subject")) for one in found)


def test_without_limits_and_budgets_there_is_nothing_to_tell(site: Site) -> None:
    found = site.project().ask("GET", "/v1/me").json()
    assert (found["limits"], found["budgets"]) == ([], [])


def test_what_is_left_of_each_limit_is_told_and_nothing_of_it_taken(site: Site) -> None:
    caller = site.project(limits=LIMITS)
    token = minted(caller, "ada")
    headers = {"authorization": f"Bearer {token}"}
    body = {"model": "echo", "messages": [{"role": "user", "content": "x"}], "max_tokens": 5}
    assert site.ask("POST", "/v1/chat/completions", headers=headers, json=body).status_code == 200
    for _ in range(3):
        left = me(site, token)["limits"]
    assert [(one["scope"], one["unit"], one["limit"]) for one in left] == [
        ("user", "requests", 5), ("user", "tokens", 1000),
    ]  # fmt: skip
    assert left[0]["remaining"] == 4
    assert 900 < left[1]["remaining"] < 1000
    assert left[0]["frees_at"] is not None
    assert me(site, minted(caller, "bob"))["limits"][0] == {
        "scope": "user", "unit": "requests", "limit": 5, "remaining": 5, "frees_at": None,
    }  # fmt: skip
    assert [one["scope"] for one in caller.ask("GET", "/v1/me").json()["limits"]] == ["project"]


def test_each_caller_is_told_of_its_own_budgets_alone(site: Site) -> None:
    caller = site.project()
    for scope, subject, fields in (
        ("project", None, {"limit": {"usd": "100"}, "window": "month"}),
        ("key", "*", {"limit": {"tokens": 7}, "window": "24h", "models": ["gpt-*"]}),
        ("user", "*", {"limit": {"usd": "5"}, "window": "day"}),
        ("user", "bob", {"limit": {"usd": "3"}, "window": "day"}),
        ("session", "*", {"limit": {"tokens": 9}, "window": "total"}),
    ):
        subject_of = {} if subject is None else {"subject": subject}
        site.admin.make(f"/projects/{caller.id}/budgets", {"scope": scope, **subject_of, **fields})
    until(lambda: len(caller.ask("GET", "/v1/me").json()["budgets"]) == 2)
    known = caller.ask("GET", "/v1/me").json()
    assert scopes(known["budgets"]) == [("key", known["key_id"]), ("project", None)]
    for one in known["budgets"]:
        if one["scope"] == "project":
            assert one == {
                "scope": "project", "subject": None, "limit": {"usd": "100.00"}, "window": "month", "models": None,
                "used": {"usd": "0.00"}, "in_flight": {"usd": "0.00"}, "remaining": {"usd": "100.00"},
                "frees_at": one["frees_at"],
            }  # fmt: skip
            assert one["frees_at"].endswith("-01T00:00:00Z")
    ada, bob = (me(site, minted(caller, uid, session_id="s-1"))["budgets"] for uid in ("ada", "bob"))
    assert scopes(ada) == [("session", "s-1"), ("user", "ada")]
    assert scopes(bob) == [("session", "s-1"), ("user", "bob"), ("user", "bob")]


def test_a_tiers_budgets_are_told_to_who_is_on_it(site: Site) -> None:
    caller = site.project()
    site.admin.make(f"/projects/{caller.id}/budgets", {
        "scope": "user", "subject": "*", "limit": {"usd": "1"}, "window": "day",
    })  # fmt: skip
    site.admin.make(f"/projects/{caller.id}/tiers", {
        "name": "pro", "budgets": [{"limit": {"usd": "9"}, "window": "day"}],
    })  # fmt: skip
    on_tier, without = minted(caller, "ada", tier="pro"), minted(caller, "ada")
    until(lambda: [one["limit"] for one in me(site, on_tier)["budgets"]] == [{"usd": "9.00"}])
    until(lambda: [one["limit"] for one in me(site, without)["budgets"]] == [{"usd": "1.00"}])
