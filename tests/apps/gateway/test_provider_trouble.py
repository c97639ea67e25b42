"""A provider that misbehaves: the contract's status and code for the caller, one settled row, and nothing secret.

`Told` is what a call comes to whose answer had not begun: status and code, outcome and usage source of its row.
"""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import NamedTuple

import pytest

from bailiwick.domain.usage import Outcome, UsageSource
from tests.installation import free_port
from tests.serving import ASK, MODEL, PROVIDER_SECRET, Caller, Site, error_of, events_of, uuid_of
from tests.upstream import Behaviour, Ending, Upstream, scripts
from tests.upstream.payloads import event
from tests.upstream.scripts import INTERNAL_ADDRESS


class Told(NamedTuple):
    status: int
    code: str
    outcome: Outcome
    source: UsageSource


FAILED = Told(502, "provider_error", Outcome.PROVIDER_ERROR, UsageSource.NOTHING)
LATE = Told(504, "provider_timeout", Outcome.PROVIDER_TIMEOUT, UsageSource.NOTHING)


@pytest.fixture
def caller(site: Site) -> Caller:
    return site.project()


def told(caller: Caller, *, stream: bool = False, **fields: object) -> Told:
    """What a call comes to that must be refused; its one row is settled when the answer is here."""
    answer = caller.chat(stream=stream, **fields)
    assert caller.site.open_calls(caller.id) == 0
    assert caller.ask("GET", "/v1/usage").json()["total"]["requests"] == 1
    (row,) = caller.rows
    return Told(*error_of(answer), Outcome(row["outcome"]), UsageSource(row["usage_source"]))


def body(content: object, status: int = 200) -> Behaviour:
    return Behaviour(status=status, body=content if isinstance(content, bytes) else json.dumps(content).encode())


WHOLE: dict[str, tuple[Behaviour, Told]] = {
    "stalls before its answer": (scripts.stall(), LATE),
    "stalls after the head": (replace(scripts.stall(0.01), framing="chunked"), LATE),
    "stalls in its answer": (scripts.stall(0.5), LATE),
    "resets before its answer": (scripts.reset(), FAILED),
    "resets in its answer": (scripts.reset(0.5), FAILED),
    "closes before its answer": (scripts.close(), FAILED),
    "closes in its answer": (scripts.close(0.5), FAILED),
    "ends half an answer well": (scripts.truncated_json(), FAILED),
    "answers garbage": (scripts.garbage(), FAILED),
    "answers a page": (scripts.html(), FAILED),
    "speaks no HTTP": (replace(scripts.not_http(), ending=Ending.CLOSE), FAILED),
    "announces more than it sends": (Behaviour(declared_length=10_000, ending=Ending.CLOSE, after=1.0), FAILED),
    "answers nothing": (body(b""), FAILED),
    "answers an empty object": (body({}), FAILED),
    "answers an array": (body([]), FAILED),
    "answers null": (body(b"null"), FAILED),
    "answers without choices": (body({"choices": None, "usage": None}), FAILED),
    "answers choices that are none": (body({"choices": "x"}), FAILED),
    "answers too deep": (body(b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), FAILED),
    "answers an error as if all were well": (scripts.error_in_200(), FAILED),
    "answers 204": (Behaviour(status=204, body=b"", framing="length"), FAILED),
    "answers 201": (Behaviour(status=201), FAILED),
    "answers in a stream": (Behaviour(frames=(event({"choices": []}), b"data: [DONE]\n\n")), FAILED),
    "sends a head without an end": (Behaviour(headers=(("x-a", "a" * 100_000),)), FAILED),
    "sends a status that is none": (Behaviour(wire=b"HTTP/1.1 99 X\r\ncontent-length: 0\r\n\r\n"), FAILED),
    "sends two lengths": (
        Behaviour(wire=b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
        FAILED,
    ),
    "switches protocols": (Behaviour(wire=b"HTTP/1.1 101 Switching\r\nupgrade: h2c\r\n\r\n"), FAILED),
}  # fmt: skip


@pytest.mark.parametrize("trouble", WHOLE)
def test_trouble_with_a_whole_answer(caller: Caller, upstream: Upstream, trouble: str) -> None:
    behaviour, expected = WHOLE[trouble]
    upstream.on(MODEL, behaviour)
    assert told(caller) == expected


BEFORE_A_STREAM: dict[str, tuple[Behaviour, Told]] = {
    "stalls before its answer": (scripts.stall(), LATE),
    "stalls after the head": (scripts.stall(0.01), LATE),
    "resets before its answer": (scripts.reset(), FAILED),
    "closes after the head": (scripts.close(0.01), FAILED),
    "answers garbage": (scripts.garbage(), FAILED),
    "answers a page": (scripts.html(), FAILED),
    "answers no stream": (body({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}), FAILED),
    "streams nothing": (Behaviour(frames=()), FAILED),
    "streams no event": (Behaviour(frames=(b"hello\n",)), FAILED),
    "streams what is no JSON": (Behaviour(frames=(b"data: {nonsense\n\n",)), FAILED),
    "streams an error first": (scripts.error_in_stream(0), FAILED),
}  # fmt: skip


@pytest.mark.parametrize("trouble", BEFORE_A_STREAM)
def test_trouble_before_a_stream_has_begun(caller: Caller, upstream: Upstream, trouble: str) -> None:
    behaviour, expected = BEFORE_A_STREAM[trouble]
    upstream.on(MODEL, behaviour)
    assert told(caller, stream=True) == expected


WORDS = tuple(event({"choices": [{"index": n % 2, "delta": {"content": f" word{n}"}}]}) for n in range(3))
ENDS_ONE = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
IN_A_STREAM: dict[str, tuple[Behaviour, str]] = {
    "resets": (scripts.reset(3), "provider_error"),
    "closes": (scripts.close(3), "provider_error"),
    "stalls": (scripts.stall(3), "provider_timeout"),
    "ends in the middle of an event": (scripts.half_frame(3), "provider_error"),
    "ends before its answer does": (Behaviour(ending=Ending.EARLY, after=3), "provider_error"),
    "ends one of two answers": (Behaviour(frames=(*WORDS[:2], ENDS_ONE)), "provider_error"),
    "says that it failed": (scripts.error_in_stream(3), "provider_error"),
    "streams what is no JSON": (Behaviour(frames=(*WORDS, b"data: {\n\n")), "provider_error"),
}  # fmt: skip


@pytest.mark.parametrize("trouble", IN_A_STREAM)
def test_trouble_in_a_stream_is_an_error_event_and_no_done(caller: Caller, upstream: Upstream, trouble: str) -> None:
    behaviour, code = IN_A_STREAM[trouble]
    upstream.on(MODEL, replace(behaviour, gap=0.02))
    answer = caller.chat(stream=True)
    assert answer.status_code == 200
    *frames, last = events_of(answer.content)
    assert len(frames) == 3
    assert last["error"]["code"] == code
    row = caller.row()
    assert Outcome(row["outcome"]) is (
        Outcome.PROVIDER_TIMEOUT if code == "provider_timeout" else Outcome.PROVIDER_ERROR
    )
    assert (UsageSource(row["usage_source"]), row["status"]) == (UsageSource.ESTIMATED, 200)
    assert row["input_tokens"] > 0
    assert row["output_tokens"] > 0


SHORT = b'{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}'


@pytest.mark.parametrize(
    ("behaviour", "stream"),
    [
        (Behaviour(drip=0.001, body=SHORT), False),
        (Behaviour(drip=0.001, frames=(b"data: " + SHORT + b"\n\n", b"data: [DONE]\n\n")), True),
        (Behaviour(delay=0.5), False),
        (Behaviour(interim=(100, 103)), False),
        (Behaviour(framing="close"), False),
        (Behaviour(framing="chunked"), False),
        (Behaviour(version="1.0", framing="close"), True),
        (Behaviour(keep_alive=False), True),
        (Behaviour(trailers=(("x-usage", "0"),)), True),
        (Behaviour(surplus=b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"), False),
        (scripts.no_done(), True),
        (Behaviour(usage_unasked=True), True),
        (Behaviour(framing="close"), True),
    ],
)
def test_an_unusual_answer_that_is_right_passes(
    caller: Caller, upstream: Upstream, behaviour: Behaviour, stream: bool
) -> None:
    upstream.on(MODEL, behaviour)
    for _ in range(2):
        answer = caller.chat(stream=stream)
        assert answer.status_code == 200
        assert not stream or events_of(answer.content)[-1] == "[DONE]"
    assert [(row["outcome"], row["usage_source"]) for row in caller.rows] == [(0, 0)] * 2


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


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_it_cannot_send_us_elsewhere(caller: Caller, upstream: Upstream, status: int) -> None:
    upstream.on(MODEL, scripts.redirect(f"{upstream.base_url}/elsewhere", status))
    assert told(caller) == FAILED
    assert len(upstream.requests) == 1


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


def test_a_provider_that_refuses_the_connection(site: Site) -> None:
    caller = site.project(provider={"base_url": f"http://127.0.0.1:{free_port()}/v1"})
    assert told(caller) == FAILED


@pytest.mark.slow
def test_a_provider_that_does_not_accept_the_connection_in_time(site: Site) -> None:
    """Its queue of connections is full, so the system does not answer; nothing of the call has been sent."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
            fillers.append(filler)
        caller = site.project(provider={"base_url": f"http://127.0.0.1:{server.getsockname()[1]}/v1"})
        assert told(caller) == LATE
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET, Ending.STALL])
def test_a_provider_that_ends_every_connection(caller: Caller, upstream: Upstream, ending: Ending) -> None:
    upstream.drop_connections()
    upstream.wait_for_blocking(lambda: upstream.open_connections() == 0)
    upstream.reject_connections(ending)
    assert told(caller) == (LATE if ending is Ending.STALL else FAILED)


@pytest.mark.parametrize("host", ["localhost.invalid", "no-such-name.invalid"])
def test_a_provider_whose_name_leads_nowhere(site: Site, host: str) -> None:
    caller = site.project(provider={"base_url": f"https://{host}/v1"})
    assert told(caller) == FAILED


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


def test_a_call_is_never_sent_twice(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, scripts.reset(), Behaviour())
    assert caller.chat().status_code == 502
    assert len(upstream.requests) == 1
    assert caller.chat(messages=ASK).status_code == 200
