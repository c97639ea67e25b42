"""Limits on tokens as a client meets them: taken by estimate, corrected to what the ledger says, told in headers."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from math import ceil
from typing import Any

import httpx2
import openai
import pytest

from bailiwick.domain.usage import estimated_tokens
from bailiwick.services.doors import DOORS, Door
from tests.apps.gateway.doors.cases import BY_PATH, CASES, project
from tests.apps.gateway.test_refunds import when_opening
from tests.serving import ASK, MODEL, Caller, Site, error_of, first_refusal, until
from tests.upstream import Behaviour, Upstream, scripts
from tests.upstream.behaviour import Usage

LONG = "31d"
A_DAY = 86_400


def tokens(amount: int, per: str = LONG, **fields: object) -> dict[str, object]:
    return {"tokens": amount, "per": per, **fields}


def body(**fields: object) -> bytes:
    return json.dumps({"model": MODEL, "messages": ASK, **fields}).encode()


def left(answer: httpx2.Response) -> int:
    return int(answer.headers["x-ratelimit-remaining-tokens"])


def used(caller: Caller) -> int:
    """What the ledger says."""
    until(lambda: not caller.site.open_calls(caller.id))
    return sum(row["input_tokens"] + row["output_tokens"] for row in caller.rows)


PLAIN = estimated_tokens(len(body()))
CAPPED = estimated_tokens(len(body(max_tokens=100))) + 100


def test_a_call_takes_its_text_and_the_maximum_it_asks_for_and_in_the_end_what_it_used(site: Site) -> None:
    caller = site.project(limits={"user": tokens(1000, "1h"), "project": tokens(5000)})
    user = {"x-end-user-id": "a"}
    answers = [caller.send(body(max_tokens=100), headers=user) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert left(answers[0]) == 1000 - CAPPED
    # Eleven tokens read and seven written, and what an hour's thousand pay back in the meantime.
    assert left(answers[1]) in {1000 - 18 - CAPPED, 1000 - 18 - CAPPED + 1}
    for answer in answers:
        assert answer.headers["x-ratelimit-limit-tokens"] == "1000"
        assert answer.headers["x-ratelimit-reset-tokens"]
        assert answer.headers["ratelimit-policy"] == '"user-tokens";q=1000;w=3600;qu="tokens"'
        assert answer.headers["ratelimit"].startswith(f'"user-tokens";r={left(answer)};t=')
        assert "x-ratelimit-remaining-requests" not in answer.headers


def test_requests_and_tokens_are_told_beside_each_other(site: Site) -> None:
    caller = site.project(limits={"key": {"requests": 5, "tokens": 1000, "per": "1h"}, "project": tokens(900, "1h")})
    headers = caller.send(body()).headers

    assert headers["x-ratelimit-remaining-requests"] == "4"
    assert headers["x-ratelimit-remaining-tokens"] == str(900 - PLAIN)
    assert headers["ratelimit-policy"] == '"key";q=5;w=3600, "project-tokens";q=900;w=3600;qu="tokens"'
    assert headers["ratelimit"].startswith('"key";r=4;t=720, "project-tokens";r=')


@pytest.mark.parametrize(
    ("asked", "estimate"),
    [
        ({}, 0),
        ({"max_completion_tokens": 70}, 70),
        ({"max_tokens": 30, "max_completion_tokens": 20}, 30),
        ({"max_tokens": 30, "n": 3}, 90),
        ({"max_tokens": None, "n": None}, 0),
    ],
)
def test_what_is_taken_is_what_a_call_could_write(site: Site, asked: dict[str, Any], estimate: int) -> None:
    caller = site.project(limits={"key": tokens(1000)})

    assert left(caller.send(body(**asked))) == 1000 - estimated_tokens(len(body(**asked))) - estimate


@pytest.mark.parametrize("stream", [False, True])
async def test_of_200_calls_at_once_exactly_those_that_fit_are_admitted_and_the_bucket_says_what_the_ledger_says(
    site: Site, upstream: Upstream, stream: bool
) -> None:
    content = body(max_tokens=100, stream=stream)
    estimate = estimated_tokens(len(content)) + 100
    fitting = 60
    caller = site.project(limits={"user": tokens(fitting * estimate + estimate - 1), "project": tokens(100_000)})
    upstream.on(MODEL, Behaviour(delay=0.5))
    headers = {**caller.bearer, "x-end-user-id": "one", "content-type": "application/json"}
    async with httpx2.AsyncClient(
        base_url=site.installation.url, headers=headers, limits=httpx2.Limits(max_connections=200), verify=False
    ) as client:
        asked = [client.post("/v1/chat/completions", content=content, timeout=60) for _ in range(200)]
        answers = await asyncio.gather(*asked)

    assert Counter(answer.status_code for answer in answers) == {200: fitting, 429: 200 - fitting}
    assert len(upstream.requests) == len(caller.rows) == fitting
    assert used(caller) == fitting * 18
    capacity = fitting * estimate + estimate - 1
    assert left(caller.send(body(), headers={"x-end-user-id": "one"})) == capacity - fitting * 18 - PLAIN
    gone = used(caller)
    assert left(caller.send(body())) == 100_000 - gone - PLAIN


def test_what_was_used_beyond_the_estimate_is_owed(site: Site, upstream: Upstream) -> None:
    caller = site.project(limits={"key": tokens(1000, "1d")})
    upstream.on(MODEL, Behaviour(usage=Usage(prompt=11, completion=5000)))
    assert caller.send(body()).status_code == 200
    refused = caller.send(body())

    assert error_of(refused) == (429, "rate_limited")
    assert left(refused) == 0
    # Owed are 5,011, and the next call wants room for itself: at a thousand a day.
    wait = (5011 + PLAIN - 1000) * A_DAY / 1000
    assert ceil(wait) - 3 <= int(refused.headers["retry-after"]) <= ceil(wait)
    assert refused.headers["ratelimit"] == f'"key-tokens";r=0;t={refused.headers["retry-after"]}'
    assert "limit on tokens" in refused.json()["error"]["message"]


def test_whoever_waits_as_told_is_admitted_though_it_was_below_zero(site: Site, upstream: Upstream) -> None:
    caller = site.project(limits={"key": tokens(100, "1s")})
    upstream.on(MODEL, Behaviour(usage=Usage(prompt=11, completion=160)))
    refused = first_refusal(lambda: caller.send(body()))
    time.sleep(int(refused.headers["retry-after"]))

    assert caller.send(body()).status_code == 200


def test_a_call_that_can_never_fit_is_told_so_takes_nothing_and_is_not_tried_again(
    site: Site, upstream: Upstream
) -> None:
    caller = site.project(limits={"key": {"requests": 9, "tokens": 1000, "per": "31d"}})
    refused = caller.send(body(max_tokens=1000))

    assert error_of(refused) == (429, "rate_limited")
    wanted = estimated_tokens(len(body(max_tokens=1000))) + 1000
    message = refused.json()["error"]["message"]
    assert f"may take {wanted} tokens" in message
    assert "at most 1000" in message
    assert "retry-after" not in refused.headers
    with pytest.raises(openai.RateLimitError):
        caller.sdk(max_retries=2).chat.completions.create(model=MODEL, messages=ASK, max_tokens=1000)  # type: ignore[arg-type]
    caller.assert_untouched()
    good = caller.send(body())
    assert (left(good), good.headers["x-ratelimit-remaining-requests"]) == (1000 - PLAIN, "8")


def test_a_refusal_of_tokens_takes_no_request_and_the_other_way_round(site: Site) -> None:
    caller = site.project(limits={"key": {"requests": 3, "tokens": 10**6, "per": LONG}, "user": tokens(PLAIN)})
    user = {"x-end-user-id": "a"}
    assert [caller.send(body(), headers=user).status_code for _ in range(3)] == [200, 429, 429]
    answer = caller.send(body())
    assert answer.headers["x-ratelimit-remaining-requests"] == "1"
    assert [caller.send(body()).status_code for _ in range(3)] == [200, 429, 429]
    caller.change(limits={"key": {"requests": 10}})
    until(lambda: caller.send(body()).status_code == 200, patience=1.0)
    assert left(caller.send(body())) == 10**6 - used(caller) - PLAIN + 18


def test_a_call_that_the_ledger_cannot_open_takes_no_tokens(site: Site) -> None:
    caller = site.project(limits={"key": tokens(1000)})
    with when_opening(caller, "RAISE 'not now'"):
        assert error_of(caller.send(body(max_tokens=500))) == (503, "unavailable")

    assert left(caller.send(body())) == 1000 - PLAIN


@pytest.mark.parametrize("failure", [scripts.error(500), scripts.reset(), scripts.error(400)])
def test_a_call_of_which_the_provider_made_nothing_takes_no_tokens(
    site: Site, upstream: Upstream, failure: Behaviour
) -> None:
    caller = site.project(limits={"key": {"requests": 9, "tokens": 1000, "per": "31d"}})
    upstream.on(MODEL, failure)
    assert caller.send(body(max_tokens=500)).status_code >= 400
    upstream.clear()
    answer = caller.send(body())

    assert left(answer) == 1000 - PLAIN
    assert answer.headers["x-ratelimit-remaining-requests"] == "7"


def test_calls_that_name_nobody_take_no_users_tokens(site: Site) -> None:
    caller = site.project(limits={"user": tokens(PLAIN)})

    assert [caller.send(body()).status_code for _ in range(3)] == [200] * 3


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.path)
def test_at_every_door_the_tokens_that_are_gone_are_those_of_the_ledger(
    site: Site, upstream: Upstream, door: Door
) -> None:
    """Also where nobody reports tokens: there the ledger has an estimate, and for what is not billed nothing."""
    caller = project(site, door, limits={"key": tokens(100_000)})
    case = CASES[door.path]
    upstream.on(f"/v1{door.path}", case.behaviour)
    first, second = (case.ask(door, caller) for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 200)
    assert used(caller) == 2 * sum(case.counted)
    if not door.billed:
        assert "x-ratelimit-remaining-tokens" not in first.headers
        return
    assert left(first) - left(second) == sum(case.counted)


def test_what_is_not_billed_is_answered_when_no_tokens_are_left(site: Site, upstream: Upstream) -> None:
    door = BY_PATH["/messages/count_tokens"]
    caller = project(site, door, limits={"key": {"tokens": 1, "requests": 2, "per": LONG}})
    upstream.on(f"/v1{door.path}", CASES[door.path].behaviour)
    answers = [CASES[door.path].ask(door, caller) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
