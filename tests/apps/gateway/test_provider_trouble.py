"""A provider that refuses: the contract's status and code for the caller, one settled row, and nothing secret.

What a provider does wrong besides is in `faults`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.apps.gateway.faults.told import FAILED, body, told
from tests.serving import MODEL, PROVIDER_SECRET, Caller, Site, error_of, events_of, uuid_of
from tests.upstream import Behaviour, Upstream, scripts
from tests.upstream.payloads import event
from tests.upstream.scripts import INTERNAL_ADDRESS


@pytest.fixture
def caller(site: Site) -> Caller:
    return site.project()


# What it refuses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 413, 422, 429, 500, 501, 502, 503, 504, 529, 599])
@pytest.mark.parametrize("stream", [False, True])
def test_its_refusals_that_are_the_callers_pass_on(
    caller: Caller, upstream: Upstream, status: int, stream: bool
) -> None:
    upstream.on(MODEL, scripts.error(status, "Because."))
    assert told(caller, stream=stream) == FAILED._replace(status=status)
    assert caller.rows[0]["status"] == status


@pytest.mark.parametrize("status", [401, 402, 403, 405, 407, 408, 409, 418, 451])
def test_its_refusals_that_are_ours_do_not(caller: Caller, upstream: Upstream, status: int) -> None:
    upstream.on(MODEL, scripts.error(status, "The organization org-secret has no credit."))
    assert told(caller) == FAILED
    assert "org-secret" not in caller.chat().text
    assert caller.rows[0]["status"] == status


@pytest.mark.parametrize("status", [429, 503, 500])
def test_its_retry_after_passes_on(caller: Caller, upstream: Upstream, status: int) -> None:
    upstream.on(MODEL, scripts.error(status, retry_after=17))
    assert caller.chat().headers["retry-after"] == "17"


def test_its_retry_after_passes_on_as_seconds_when_it_is_a_date(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, scripts.error(429, retry_after=format_datetime(datetime.now(UTC) + timedelta(seconds=60), True)))
    assert 55 <= int(caller.chat().headers["retry-after"]) <= 60


@pytest.mark.parametrize("waiting", ["-1", "soon", "1" * 40, "", "1, 2", "NaN", "99999999"])
def test_a_retry_after_that_is_none_does_not(caller: Caller, upstream: Upstream, waiting: str) -> None:
    upstream.on(MODEL, scripts.error(429, retry_after=waiting))
    answer = caller.chat()
    assert answer.status_code == 429
    assert "retry-after" not in answer.headers or int(answer.headers["retry-after"]) <= 86_400


# What it must not give away ------------------------------------------------------------------------------------------

LEAKS = {
    "the key and an address": scripts.leaky_error,
    "its name": lambda status: scripts.error(
        status, "No route to 127.0.0.1 at http://localhost:8080/v1, [fe80::1]:443"
    ),
    "in the code": lambda status: scripts.error(status, code=PROVIDER_SECRET, kind=f"x {INTERNAL_ADDRESS}"),
    "in the parameter": lambda status: scripts.error(status, param=f"Bearer {PROVIDER_SECRET}"),
    "as plain text": lambda status: body(f'"{PROVIDER_SECRET} {INTERNAL_ADDRESS}"'.encode(), status),
    "as an error that is a text": lambda status: body(
        {"error": f"bad key {PROVIDER_SECRET} {INTERNAL_ADDRESS}"}, status
    ),
    "outside of the error": lambda status: body({"message": PROVIDER_SECRET, "debug": INTERNAL_ADDRESS}, status),
    "in its headers": lambda status: replace(
        scripts.error(status), headers=(("x-debug", PROVIDER_SECRET), ("server", INTERNAL_ADDRESS))
    ),
}


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("status", [400, 401, 429, 500, 200])
@pytest.mark.parametrize("stream", [False, True])
def test_no_key_and_no_address_in_its_errors_reach_the_caller(
    caller: Caller, upstream: Upstream, leak: str, status: int, stream: bool
) -> None:
    if status == 200 and leak in {"outside of the error", "in its headers"}:
        return
    upstream.on(MODEL, LEAKS[leak](status))
    answer = caller.chat(stream=stream)
    assert answer.status_code == (502 if status in {200, 401} else status)
    whole = str(answer.headers) + answer.text
    for secret in (
        PROVIDER_SECRET,
        INTERNAL_ADDRESS,
        "10.11.12.13",
        "127.0.0.1",
        "localhost",
        "fe80::",
        str(upstream.port),
    ):
        assert secret not in whole


def test_a_key_of_no_usual_form_is_known_all_the_same(site: Site, upstream: Upstream) -> None:
    secret = "Zq9/plain+canary==0815"
    caller = site.project(provider={"api_key": secret})
    upstream.on(MODEL, scripts.error(400, f"The key {secret} is wrong.", code=secret))
    answer = caller.chat()
    assert answer.json()["error"]["message"] == "The key [removed] is wrong."
    assert "canary" not in answer.text


def test_no_key_and_no_address_in_an_error_event_reach_the_caller(caller: Caller, upstream: Upstream) -> None:
    failure = {"error": {"message": f"{PROVIDER_SECRET} at http://{INTERNAL_ADDRESS}", "code": PROVIDER_SECRET}}
    frames = (event({"choices": [{"delta": {"content": "hi"}}]}), event(failure))
    upstream.on(MODEL, Behaviour(frames=frames, gap=0.05))
    last = events_of(caller.chat(stream=True).content)[-1]
    assert last["error"]["message"] == "[removed] at [removed]"
    assert last["error"]["provider"]["code"] == "[removed]"


def test_a_message_without_measure_is_cut(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, scripts.error(400, "x" * 100_000))
    assert len(caller.chat().content) < 5000


def test_nothing_of_its_headers_reaches_the_caller(caller: Caller, upstream: Upstream) -> None:
    foreign = {"set-cookie": "a=b", "x-ratelimit-limit-requests": "7", "openai-organization": "org-x", "via": "1.1 x"}
    upstream.on(MODEL, Behaviour(headers=tuple(foreign.items())))
    for stream in (False, True):
        assert not set(foreign) & set(caller.chat(stream=stream).headers)


# Where it is ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["[::1]", "[::ffff:10.0.0.1]", "169.254.169.254", "10.0.0.1", "0.0.0.0", "2130706433"])
def test_a_provider_that_moved_inside_is_not_connected_to(site: Site, host: str) -> None:
    """Whoever changes the row without the control plane still meets the guard at each connection."""
    with Upstream(host="::1") as inside:
        caller = site.project()
        site.database.execute(
            "UPDATE bailiwick.providers SET base_url = %s WHERE project_id = %s",
            (f"http://{host}:{inside.port}/v1", uuid_of("prj", caller.id)),
        )
        answer = caller.chat()
        assert error_of(answer) == (502, "provider_error")
        assert host not in answer.text
        assert inside.accepted == 0
