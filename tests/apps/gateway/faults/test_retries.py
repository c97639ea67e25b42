"""When the same provider is asked a second time: if it never heard of the call, or refused it and says come back."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from bailiwick.domain.usage import Outcome, UsageSource
from tests.apps.gateway.faults.told import FAILED, passes, told
from tests.apps.gateway.wire import connect, request
from tests.installation import free_port
from tests.serving import ASK, MODEL, SETTINGS, Caller, Site, error_of, until
from tests.upstream import Behaviour, Ending, Upstream, scripts

# Before a provider is asked again that could not be reached, in seconds.
PAUSE = 0.25
BETWEEN_BYTES = float(SETTINGS["BAILIWICK_PROVIDER_BETWEEN_BYTES_SECONDS"])


def refusal(status: int = 503, retry_after: int | None = None, should_retry: str | None = None) -> Behaviour:
    behaviour = scripts.error(status, retry_after=retry_after)
    extra = () if should_retry is None else (("x-should-retry", should_retry),)
    return replace(behaviour, headers=(*behaviour.headers, *extra))


@pytest.mark.parametrize(
    "first",
    [refusal(429, 0), refusal(503, 0), refusal(500, 1), refusal(409, should_retry="true")],
    ids=["429", "503", "500 in a second", "x-should-retry"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_that_asks_to_come_back_soon(
    caller: Caller, upstream: Upstream, first: Behaviour, stream: bool
) -> None:
    upstream.on(MODEL, first, Behaviour())
    passes(caller, stream=stream)
    assert (len(upstream.requests), len(caller.rows)) == (2, 1)
    assert upstream.requests[0].body == upstream.requests[1].body


def test_a_refusal_that_comes_twice(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, refusal(429, 0))
    assert told(caller) == FAILED._replace(status=429)
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "behaviour",
    [refusal(429, 2), refusal(503), refusal(429, 0, "false"), refusal(503, 60, "true"), refusal(400, 0)],
    ids=["later", "no word", "x-should-retry false", "much later", "400"],
)
def test_a_refusal_that_does_not(caller: Caller, upstream: Upstream, behaviour: Behaviour) -> None:
    upstream.on(MODEL, behaviour, Behaviour())
    assert told(caller) == FAILED._replace(status=behaviour.status)
    assert len(upstream.requests) == 1


def test_a_provider_that_is_just_starting(site: Site) -> None:
    port = free_port()
    caller = site.project(provider={"base_url": f"http://127.0.0.1:{port}/v1"})
    with ThreadPoolExecutor(1) as background:
        for _ in range(20):  # Until it was too late for the first try, which nobody sees.
            began, answer = time.monotonic(), background.submit(passes, caller)
            until(lambda: site.open_calls(caller.id))
            with Upstream(port=port):
                answer.result()
            if time.monotonic() - began > PAUSE:
                break
    assert caller.rows[-1]["latency_ms"] >= PAUSE * 1000


def test_a_client_that_leaves_while_a_second_try_is_waited_for(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, refusal(503, 1), Behaviour())
    body = json.dumps({"model": MODEL, "messages": ASK}).encode()
    with connect(caller.site.installation.port) as sock:
        key = (b"authorization", b"Bearer " + caller.key.encode())
        sock.sendall(request("/v1/chat/completions", [key], method="POST", body=body))
        upstream.wait_for_blocking(lambda: any(record.finished_at for record in upstream.requests))
    row = caller.row()
    assert (row["outcome"], row["usage_source"]) == (Outcome.CLIENT_GONE, UsageSource.ESTIMATED)
    time.sleep(1.2)
    assert len(upstream.requests) == 1


def test_nobody_else_is_asked_for_a_client_that_has_left_though_it_is_heard_out(site: Site, upstream: Upstream) -> None:
    test_a_client_that_leaves_while_a_second_try_is_waited_for(site.project(on_disconnect="drain"), upstream)


def test_a_refusal_that_takes_its_time_is_not_waited_for(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, replace(refusal(503, 0), ending=Ending.STALL, after=0.5), Behaviour())
    passes(caller)
    # It would have been waited for a second, until it counts as silent.
    assert upstream.requests[1].received_at - upstream.requests[0].received_at < BETWEEN_BYTES


def test_a_second_refusal_keeps_what_it_says(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, refusal(429, 0), scripts.error(429, "Later.", retry_after=30))
    answer = caller.chat()
    assert (error_of(answer), answer.headers["retry-after"]) == ((429, "provider_error"), "30")
