"""`/v1/usage` and `/v1/me`: what the caller is and has spent; every number is that of the ledger."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bailiwick.domain.permissions import Permission
from tests.ledger import told_percentile
from tests.serving import MODEL, Caller, Rows, Site, error_of, until, uuid_of
from tests.upstream import Behaviour, Usage, scripts

GROUPS = ("day", "hour", "project", "user", "model", "provider", "key", "session", "agent", "tier")
USERS = ["alice", "bob", None, "naïve 🦊"]


@pytest.fixture(scope="module")
def spender(running_site: Site) -> Caller:
    """A project that has spent something, with two keys, by several users and sessions, well and badly."""
    upstream = running_site.upstream
    upstream.clear()
    upstream.on("gpt-4o", Behaviour(usage=Usage(prompt=1000, completion=500, cached=200)))
    upstream.on("broken", scripts.error(400))
    upstream.on("silent", Behaviour(usage=None))
    prices = {"broken": {"input_usd_per_million": 1, "output_usd_per_million": 1}}
    caller = running_site.project(provider={"prices": prices})
    other = running_site.caller(caller.project)
    running_site.project().chat(model="echo", headers={"x-end-user-id": "alice"})  # a sibling's is not this one's
    for place, user in enumerate(USERS):
        headers = [] if user is None else [(b"x-end-user-id", user.encode())]
        for model in ("gpt-4o", MODEL, "broken", "silent", "echo")[: place + 2]:
            caller.chat(model=model, headers=[*headers, (b"x-session-id", b"s%d" % place)])
            other.chat(model=model, headers=headers, stream=True)
    return caller


@pytest.fixture
def caller(site: Site, spender: Caller) -> Caller:
    return spender


def usage(caller: Caller, query: str = "", **options: Any) -> dict[str, Any]:
    answer = caller.ask("GET", f"/v1/usage{query}", **options)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def counted(rows: Rows) -> dict[str, Any]:
    """What some ledger rows come to, reckoned apart from the code that is tested."""
    latencies = [row["latency_ms"] for row in rows]
    cost = Decimal(sum(row["cost_nano"] or 0 for row in rows)).scaleb(-9)
    return {
        "requests": len(rows),
        "input_tokens": sum(row["input_tokens"] for row in rows),
        "output_tokens": sum(row["output_tokens"] for row in rows),
        "cost_usd": cost,
        "latency_p50_ms": told_percentile(latencies, 50),
        "latency_p95_ms": told_percentile(latencies, 95),
    }


def read(document: dict[str, Any]) -> dict[str, Any]:
    assert re.fullmatch(r"\d+\.\d{2,9}", document["cost_usd"])
    return {
        name: Decimal(value) if name == "cost_usd" else value
        for name, value in document.items()
        if name not in {"key", "name"}
    }


def grouped(rows: Rows, by: str) -> dict[Any, Rows]:
    groups: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        groups[row[by]].append(row)
    return dict(groups)


def test_the_total_is_the_ledgers(caller: Caller) -> None:
    assert read(usage(caller)["total"]) == counted(caller.rows)
    assert counted(caller.rows)["requests"] == 28


@pytest.mark.parametrize(("group_by", "column"), [("user", "uid"), ("session", "sid")])
def test_each_groups_numbers_are_the_ledgers(caller: Caller, group_by: str, column: str) -> None:
    groups = usage(caller, f"?group_by={group_by}")["data"]
    expected = {key: counted(rows) for key, rows in grouped(caller.rows, column).items()}
    assert {group["key"]: read(group) for group in groups} == expected


def test_models_and_keys_are_told_by_their_names(caller: Caller) -> None:
    rows = caller.rows
    models = {f"{row['provider']}/{row['model']}" for row in rows}
    assert {group["key"] for group in usage(caller, "?group_by=model")["data"]} == models
    keys = {uuid_of("key", group["key"]): group for group in usage(caller, "?group_by=key")["data"]}
    assert {key: read(group) for key, group in keys.items()} == {
        key: counted(found) for key, found in grouped(rows, "key_id").items()
    }


def test_calls_are_told_by_their_agent_and_by_their_tier(site: Site) -> None:
    caller = site.project()
    site.admin.make(f"/projects/{caller.id}/tiers", {"name": "pro"})
    agent = site.admin.make(f"/projects/{caller.id}/agents", {"name": "support", "model": "echo"})
    on_pro = site.caller(caller.project, tier="pro")
    until(lambda: on_pro.chat(model="agent/support").status_code == 200)
    on_pro.chat(model="echo")
    caller.chat(model="agent/support", stream=True)
    caller.chat(model="echo")
    rows = caller.rows
    for group_by, column in (("agent", "agent_id"), ("tier", "tier")):
        expected = {key: counted(found) for key, found in grouped(rows, column).items()}
        assert len(expected) == 2
        told = {group["key"]: read(group) for group in usage(caller, f"?group_by={group_by}")["data"]}
        keys = {agent["id"]: uuid_of("agt", agent["id"])}
        assert {keys.get(key, key): group for key, group in told.items()} == expected
    assert {group["key"]: group["name"] for group in usage(caller, "?group_by=agent")["data"]} == {
        None: None, agent["id"]: "support",
    }  # fmt: skip


def test_days_are_those_of_utc(caller: Caller) -> None:
    (day,) = usage(caller, "?group_by=day")["data"]
    assert day["key"] in {f"{datetime.now(UTC) - timedelta(minutes=minutes):%Y-%m-%d}" for minutes in (0, 5)}


@pytest.mark.parametrize("user", [user for user in USERS if user is not None] + ["nobody"])
def test_an_end_user_is_told_of_their_own_alone(caller: Caller, user: str) -> None:
    headers = [(b"x-end-user-id", user.encode())]
    own = [row for row in caller.rows if row["uid"] == user]
    for group_by in GROUPS:
        report = usage(caller, f"?group_by={group_by}", headers=headers)
        assert read(report["total"]) == counted(own)
        assert sum(group["requests"] for group in report["data"]) == len(own)
    assert {group["key"] for group in usage(caller, "?group_by=user", headers=headers)["data"]} == {
        user for _ in own[:1]
    }


def test_both_planes_say_the_same(site: Site, caller: Caller) -> None:
    span = f"from=2026-01-01T00:00:00Z&to={datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    for group_by in GROUPS:
        query = f"?{span}&group_by={group_by}"
        report = site.admin.request("GET", f"/projects/{caller.id}/usage{query}").json()
        assert usage(caller, query) == report


def test_pages_come_to_the_whole(caller: Caller) -> None:
    whole = usage(caller, "?group_by=user")
    seen, following = [], ""
    while True:
        page = usage(caller, f"?group_by=user&limit=1{following}")
        assert page["total"] == whole["total"]
        seen += page["data"]
        if not page["has_more"]:
            break
        following = f"&after={page['next']}"
    assert seen == whole["data"]


def test_a_span_counts_its_beginning_and_not_its_end(site: Site, caller: Caller) -> None:
    opened = site.database.execute(
        "SELECT min(opened_at) AS first, max(opened_at) AS last FROM bailiwick.ledger WHERE project_id = %s",
        (uuid_of("prj", caller.id),),
    ).fetchone()
    assert opened is not None
    first, last = (opened[name].astimezone(UTC).isoformat().replace("+00:00", "Z") for name in ("first", "last"))
    later = (opened["last"] + timedelta(microseconds=1)).astimezone(UTC).isoformat().replace("+00:00", "Z")
    count = len(caller.rows)
    assert usage(caller, f"?from={first}&to={later}")["total"]["requests"] == count
    assert usage(caller, f"?from={first}&to={last}")["total"]["requests"] == count - 1
    assert usage(caller, f"?from={later}&to={later}")["total"] == {
        "requests": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": "0.00",
        "latency_p50_ms": None, "latency_p95_ms": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "query",
    ["group_by=tenant", "group_by=", "group_by=uid", "group_by=user&group_by=key", "limit=0", "limit=-1", "limit=1e3",
     "limit=201", "limit=\u0661", "after=x", "after=dT0A", "after=%00", "from=yesterday", "from=2026-13-01T00:00:00Z",
     "from=2026-01-01", "to=9999-12-31T23:59:60Z", "from=2027-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "unknown=1",
     "tenant_id=x", "project_id=x", "uid=alice", "user=alice", "from", "&", "=", "from=%ff",
     "from=0001-01-01T00:00:00%2B14:00"],
)  # fmt: skip
def test_a_query_that_cannot_be_is_refused(caller: Caller, query: str) -> None:
    answer = caller.ask("GET", f"/v1/usage?{query}")
    assert error_of(answer) == (400, "invalid_request"), answer.text


def test_a_session_of_another_grouping_is_no_cursor(caller: Caller) -> None:
    following = usage(caller, "?group_by=user&limit=1")["next"]
    assert error_of(caller.ask("GET", f"/v1/usage?group_by=key&after={following}")) == (400, "invalid_request")


# Who am I ------------------------------------------------------------------------------------------------------------


def test_a_caller_is_told_who_it_is(site: Site) -> None:
    caller = site.project(key={"models": ["gpt-4o*"], "scopes": ["chat:create", "users:act_as"]})
    answer = caller.ask("GET", "/v1/me", headers={"x-end-user-id": "alice", "x-session-id": "s"})
    assert answer.json() == {
        "credential": "api_key",
        "tenant_id": caller.project["tenant_id"],
        "project_id": caller.id,
        "project_slug": caller.project["slug"],
        "key_id": caller.key_id,
        "tier": None,
        "role": None,
        "scopes": ["chat:create", "users:act_as"],
        "models": ["gpt-4o*"],
        "agents": None,
        "act_as": True,
        "user_id": "alice",
        "session_id": "s",
        "resolved": {
            "tier": {"value": None, "asked": None, "by": None},
            "role": {"value": None, "asked": None, "by": None},
            "limits": {},
            "scopes": [{"source": "the key", "scopes": ["chat:create", "users:act_as"]}],
            "models": [{"source": "the key", "globs": ["gpt-4o*"]}],
            "agents": [],
            "tools": [],
            "max_output_tokens": {"value": None, "by": None},
        },
        "limits": [],
        "budgets": [],
    }


def test_a_key_without_scopes_of_its_own_holds_all_but_what_act_as_takes(site: Site) -> None:
    everything = {str(permission) for permission in Permission}
    for act_as in (True, False):
        document = site.project(key={"act_as": act_as}).ask("GET", "/v1/me").json()
        assert set(document["scopes"]) == (everything if act_as else everything - {"users:act_as"})
        assert (document["act_as"], document["user_id"]) == (act_as, None)
