"""Rate limits as a client meets them: exact, told in every header, and consuming nothing where they refuse."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from tests.apps.gateway.wire import exchange, request
from tests.serving import ASK, MODEL, STRANGER, TRUSTED_PROXY, Caller, Site, error_of, first_refusal, until
from tests.upstream import Behaviour, Upstream, scripts

LONG = "31d"
TOLD = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests")


def limit(requests: int, per: str = LONG, **fields: object) -> dict[str, object]:
    return {"requests": requests, "per": per, **fields}


def remaining(answer: httpx2.Response) -> tuple[str, int]:
    """The strictest level and how many calls it has left."""
    match = re.fullmatch(r'"(\w+)";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
    assert match is not None
    assert answer.headers["x-ratelimit-remaining-requests"] == match[2]
    return match[1], int(match[2])


def as_user(name: str) -> dict[str, str]:
    return {"x-end-user-id": name}


def test_every_metered_answer_tells_where_the_caller_stands(site: Site, upstream: Upstream) -> None:
    caller = site.project(limits={"user": limit(3, "1h"), "project": limit(100)})
    upstream.on("broken", scripts.error(500))
    upstream.on("mute", scripts.reset())
    answers = [
        caller.chat(headers=as_user("a")),
        caller.chat(headers=as_user("a"), stream=True),
        caller.chat(headers=as_user("a"), model="broken"),
        caller.chat(headers=as_user("b"), model="mute"),
        caller.chat(headers=as_user("c"), model="echo"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 500, 502, 200]
    assert [remaining(answer) for answer in answers] == [("user", left) for left in (2, 1, 0, 2, 2)]
    for answer in answers:
        assert answer.headers["x-ratelimit-limit-requests"] == "3"
        assert answer.headers["ratelimit-policy"] == '"user";q=3;w=3600'
        assert re.fullmatch(r"[0-9hms.]+", answer.headers["x-ratelimit-reset-requests"])
        assert "retry-after" not in answer.headers


def test_a_refusal_tells_the_same_and_when_to_come_back(site: Site) -> None:
    caller = site.project(limits={"user": limit(2, "1h"), "project": limit(100)})
    for _ in range(2):
        assert caller.chat(headers=as_user("a")).status_code == 200
    answer = caller.chat(headers=as_user("a"))
    assert error_of(answer) == (429, "rate_limited")
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert remaining(answer) == ("user", 0)
    assert answer.headers["ratelimit-policy"] == '"user";q=2;w=3600'
    assert 1795 <= int(answer.headers["retry-after"]) <= 1800
    assert all(name in answer.headers for name in TOLD)
    assert len(caller.rows) == 2


def test_what_is_not_limited_tells_nothing(site: Site) -> None:
    headers = site.project().chat().headers
    assert not [name for name in headers if "ratelimit" in name]


def test_whoever_waits_as_told_is_admitted(site: Site) -> None:
    caller = site.project(limits={"key": limit(1, "1s")})
    for _ in range(2):
        refused = first_refusal(caller.chat)
        time.sleep(int(refused.headers["retry-after"]))
    assert caller.chat().status_code == 200


def test_a_burst_of_its_own_is_admitted_and_told(site: Site) -> None:
    caller = site.project(limits={"key": limit(1, burst=3)})
    answers = [caller.chat() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "3"
    assert "bailiwick-burst=3" in answers[0].headers["ratelimit-policy"]


async def flood(caller: Caller, count: int, headers: Mapping[str, str], **fields: object) -> Counter[int]:
    """So many calls at once, each on a connection of its own or the next that is free."""
    body: dict[str, Any] = {"model": MODEL, "messages": ASK, **fields}
    limits = httpx2.Limits(max_connections=100)
    async with httpx2.AsyncClient(
        base_url=caller.site.installation.url,
        headers={**caller.bearer, **headers},
        limits=limits,
        timeout=60,
        verify=False,
    ) as client:
        answers = await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for _ in range(count)))
    return Counter(answer.status_code for answer in answers)


@pytest.mark.parametrize("stream", [False, True])
async def test_of_300_calls_at_once_exactly_the_users_50_are_admitted(
    site: Site, upstream: Upstream, stream: bool
) -> None:
    caller = site.project(limits={"user": limit(50, "1h"), "project": limit(1000)})
    upstream.on(MODEL, Behaviour(delay=0.2))
    statuses = await flood(caller, 300, as_user("one"), stream=stream)
    assert statuses == {200: 50, 429: 250}
    assert len(upstream.requests) == len(caller.rows) == 50
    assert remaining(caller.chat()) == ("project", 1000 - 50 - 1)
    assert remaining(caller.chat(headers=as_user("another"))) == ("user", 49)


LEVELS = ("ip", "project", "key", "user")


@pytest.mark.parametrize("refusing", LEVELS)
async def test_a_refusal_at_one_level_takes_nothing_at_another(site: Site, upstream: Upstream, refusing: str) -> None:
    """The level that refuses is then lifted; the others must have lost only what was admitted."""
    limits = {level: limit(3 if level == refusing else 20) for level in LEVELS}
    caller = site.project(limits=limits)
    assert await flood(caller, 10, as_user("one")) == {200: 3, 429: 7}
    caller.change(limits={refusing: None})
    until(lambda: remaining(caller.chat(headers=as_user("one")))[0] != refusing, patience=1.0)
    admitted = len(caller.rows)
    assert remaining(caller.chat(headers=as_user("one")))[1] == 20 - admitted - 1
    assert len(upstream.requests) == admitted + 1


def test_each_level_counts_what_is_its_own(site: Site) -> None:
    caller = site.project(limits={"key": limit(5), "user": limit(2), "project": limit(9)})
    other = site.caller(caller.project)
    assert [caller.chat(headers=as_user("a")).status_code for _ in range(3)] == [200, 200, 429]
    assert [other.chat(headers=as_user("a")).status_code for _ in range(1)] == [429]
    assert [caller.chat(headers=as_user("b")).status_code for _ in range(3)] == [200, 200, 429]
    assert [caller.chat().status_code for _ in range(2)] == [200, 429]
    assert [other.chat().status_code for _ in range(5)] == [200, 200, 200, 200, 429]
    assert len(caller.rows) == 9


def test_equal_users_of_two_projects_do_not_meet(site: Site) -> None:
    first, second = (site.project(limits={"user": limit(1), "ip": limit(3)}) for _ in range(2))
    for caller in (first, second):
        assert [caller.chat(headers=as_user("a")).status_code for _ in range(2)] == [200, 429]


def test_a_limit_that_is_changed_holds_at_once_and_keeps_what_was_taken(site: Site) -> None:
    caller = site.project(limits={"key": limit(3)})
    for _ in range(3):
        caller.chat()
    assert caller.chat().status_code == 429
    caller.change(limits={"key": limit(5)})
    until(lambda: caller.chat().status_code == 200, patience=1.0)
    assert [caller.chat().status_code for _ in range(2)] == [200, 429]


# Addresses -----------------------------------------------------------------------------------------------------------


def call_from(caller: Caller, source: str, *forwarded: str) -> int:
    headers = [(b"authorization", b"Bearer " + caller.key.encode())]
    headers.extend((b"x-forwarded-for", text.encode()) for text in forwarded)
    body = b'{"model":"echo","messages":[{"role":"user","content":"hi"}]}'
    raw = request("/v1/chat/completions", headers, method="POST", body=body)
    return exchange(caller.site.installation.port, raw, source=source).status


@pytest.fixture
def by_address(site: Site) -> Caller:
    """One call an address."""
    return site.project(limits={"ip": limit(1)})


def test_addresses_are_counted_apart(by_address: Caller) -> None:
    sources = ["127.0.0.1", "127.0.0.1", STRANGER, STRANGER, "127.0.0.4"]
    assert [call_from(by_address, source) for source in sources] == [200, 429, 200, 429, 200]


def test_a_strangers_word_on_where_it_comes_from_is_ignored(by_address: Caller) -> None:
    statuses = [call_from(by_address, STRANGER, f"203.0.113.{number}") for number in range(5)]
    assert statuses == [200, 429, 429, 429, 429]
    assert call_from(by_address, TRUSTED_PROXY, "203.0.113.0") == 200


def test_a_trusted_proxys_word_is_believed(by_address: Caller) -> None:
    clients = ["203.0.113.1", "203.0.113.2", "203.0.113.1", "203.0.113.2"]
    assert [call_from(by_address, TRUSTED_PROXY, client) for client in clients] == [200, 200, 429, 429]


def test_only_the_last_word_that_is_not_a_proxys_counts(by_address: Caller) -> None:
    """What stands left of it is the client's own invention."""
    chains = [
        ("198.51.100.1, 203.0.113.1",),
        ("198.51.100.2, 203.0.113.1",),
        ("198.51.100.3", "203.0.113.1"),
        ("198.51.100.4, 203.0.113.1, 127.0.0.2",),
        ("198.51.100.5", "203.0.113.1", "127.0.0.2,127.0.0.2"),
        ("203.0.113.1:4711",),
        ("[203.0.113.1]",),
        ("::ffff:203.0.113.1",),
    ]
    assert [call_from(by_address, TRUSTED_PROXY, *chain) for chain in chains] == [200] + [429] * 7


def test_what_is_no_address_is_one_address(by_address: Caller) -> None:
    words = ["unknown", "x" * 1000, "1.2.3", "203.0.113.1 203.0.113.2", "\u0661.2.3.4"]
    assert [call_from(by_address, TRUSTED_PROXY, word) for word in words] == [200] + [429] * 4


def test_an_ipv6_subscriber_is_one_address(by_address: Caller) -> None:
    clients = ["2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:0DB8:0001:0002::9", "2001:db8:1:3::1"]
    assert [call_from(by_address, TRUSTED_PROXY, client) for client in clients] == [200, 429, 429, 200]
