"""Waiting in place of a refusal, as a client meets it: `overflow: "queue"`."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx2
import pytest

from tests.apps.gateway.wire import connect, request
from tests.patience import process_lag
from tests.serving import Caller, Site, error_of, until
from tests.upstream import Upstream

USER = {"x-end-user-id": "a"}


def queued(site: Site, requests: int = 1, per: str = "2s", **fields: object) -> Caller:
    return site.project(
        limits={"user": {"requests": requests, "per": per, "overflow": "queue", "max_wait": "5s", **fields}}
    )


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def start_waiting(pool: ThreadPoolExecutor, caller: Caller, count: int = 1) -> list[Future[httpx2.Response]]:
    """Take the user's only place, and let calls wait for the next."""
    assert caller.chat(headers=USER).status_code == 200
    before = waiting(caller.site)
    started = [pool.submit(caller.chat, headers=USER) for _ in range(count)]
    until(lambda: waiting(caller.site) == before + count)
    return started


def waiting(site: Site) -> int:
    """How many calls wait."""
    found = re.search(r"^bailiwick_queue_calls (\d+)", site.ask("GET", "/metrics").text, re.MULTILINE)
    assert found is not None
    return round(float(found[1]))


def test_a_call_over_the_limit_waits_and_is_answered(site: Site, background: ThreadPoolExecutor) -> None:
    caller = queued(site)
    began = time.monotonic()
    with process_lag() as lag:
        (waits,) = start_waiting(background, caller)
        answer = waits.result()

    assert answer.status_code == 200
    # Its place is there two seconds after the first; the one after it would be two later.
    assert 1.9 < time.monotonic() - began < 3.9 + lag.seconds
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    assert answer.headers["ratelimit-policy"] == '"user";q=1;w=2'
    assert len(caller.rows) == 2
    # Waiting, of two seconds, is no part of the call.
    assert caller.rows[1]["latency_ms"] < 1_000 * (1 + lag.seconds)


def test_whoever_cannot_come_in_within_its_wait_is_refused_at_once(site: Site, background: ThreadPoolExecutor) -> None:
    caller = queued(site, max_wait="3s")
    began = time.monotonic()
    (waits,) = start_waiting(background, caller)
    with process_lag() as lag:
        asked = time.monotonic()
        refused = caller.chat(headers=USER)
        told = time.monotonic()

    assert told - asked < 1.5 + lag.seconds  # before anybody's turn has come
    assert error_of(refused) == (429, "rate_limited")
    # Two seconds each, and one is before it.
    wait = int(refused.headers["retry-after"])
    assert 4 - (told - began) <= wait <= 4
    assert refused.headers["ratelimit"] == f'"user";r=0;t={wait}'
    assert waits.result().status_code == 200
    assert len(caller.rows) == 2


def revoked(caller: Caller) -> None:
    answer = caller.site.admin.request("POST", f"/keys/{caller.key_id}/revoke")
    assert answer.status_code == 200, answer.text


def suspended(caller: Caller) -> None:
    caller.change(status="suspended")


@pytest.mark.parametrize(
    ("end", "error"), [(revoked, (401, "revoked_credentials")), (suspended, (403, "project_suspended"))]
)
def test_whoever_may_no_longer_call_when_its_turn_comes_is_refused(
    site: Site, upstream: Upstream, background: ThreadPoolExecutor, end: Callable[[Caller], None], error: object
) -> None:
    caller = queued(site)
    (waits,) = start_waiting(background, caller)
    end(caller)

    assert error_of(waits.result()) == error
    assert len(upstream.requests) == len(caller.rows) == 1


def test_a_call_that_was_refused_when_its_turn_came_has_taken_nothing(
    site: Site, background: ThreadPoolExecutor
) -> None:
    caller = queued(site, per="3s")
    (waits,) = start_waiting(background, caller)
    suspended(caller)
    assert waits.result().status_code == 403
    came_back = time.monotonic()
    with process_lag() as lag:
        caller.change(status="active")
        until(lambda: caller.chat(headers=USER).status_code == 200)

    # The next place but one would have come three seconds later.
    assert time.monotonic() - came_back < 2.5 + lag.seconds


def test_a_client_that_leaves_frees_its_place_and_has_taken_nothing(
    site: Site, upstream: Upstream, background: ThreadPoolExecutor
) -> None:
    caller = queued(site, max_wait="3s")
    body = b'{"model":"echo","messages":[{"role":"user","content":"hi"}]}'
    headers = [(b"authorization", b"Bearer " + caller.key.encode()), (b"x-end-user-id", b"a")]
    began, before = time.monotonic(), waiting(site)
    with process_lag() as lag:
        assert caller.chat(headers=USER).status_code == 200
        with connect(site.installation.port) as sock:
            sock.sendall(request("/v1/chat/completions", headers, method="POST", body=body))
            until(lambda: waiting(site) == before + 1)
        until(lambda: waiting(site) == before)

        # Behind the one that left it would be four seconds, and refused at once.
        assert caller.chat(headers=USER).status_code == 200
    # And if it had taken its place, two seconds later.
    assert 1.9 < time.monotonic() - began < 3.9 + lag.seconds
    assert len(upstream.requests) == len(caller.rows) == 2


def test_users_of_a_project_take_turns(site: Site, upstream: Upstream, background: ThreadPoolExecutor) -> None:
    caller = site.project(
        limits={"project": {"requests": 2, "per": "1s", "burst": 1, "overflow": "queue", "max_wait": "10s"}}
    )
    assert caller.chat().status_code == 200
    order: list[str] = []
    lock = threading.Lock()

    def call(user: str) -> int:
        status = caller.chat(headers={"x-end-user-id": user}).status_code
        with lock:
            order.append(user)
        return status

    greedy = [background.submit(call, "greedy") for _ in range(5)]
    time.sleep(0.1)
    modest = background.submit(call, "modest")

    assert {started.result() for started in [*greedy, modest]} == {200}
    assert order.index("modest") <= 2
    assert len(upstream.requests) == 7


def test_the_fields_are_kept_as_they_were_sent(site: Site) -> None:
    caller = queued(site)
    shown = site.admin.request("GET", f"/projects/{caller.id}").json()["limits"]

    assert shown == {"user": {"requests": 1, "per": "2s", "overflow": "queue", "max_wait": "5s"}}
