"""Faults in a stream: before its first event a clean status; after it one error event, and no `[DONE]`."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest

from bailiwick.domain.usage import Outcome, UsageSource
from tests.apps.gateway.faults.told import FAILED, LATE, SHORT, WORDS, Told, body, broken_stream, passes, told
from tests.serving import MODEL, Caller, events_of
from tests.upstream import Behaviour, Ending, Upstream, Usage, scripts
from tests.upstream.payloads import DONE, encoded, event

END = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
SECOND = event({"choices": [{"index": 1, "delta": {"content": " word"}}]})


def usage(read: int, wrote: int) -> bytes:
    """The event that tells what was used."""
    return event({"choices": [], "usage": Usage(prompt=read, completion=wrote).as_json()})


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (scripts.stall(0.01), LATE),
        (scripts.close(0.01), FAILED),
        (scripts.reset(0.01), FAILED),
        (Behaviour(frames=()), FAILED),
        (Behaviour(frames=(b"hello\n",)), FAILED),
        (Behaviour(frames=(b"data: {nonsense\n\n",)), FAILED),
        (scripts.error_in_stream(0), FAILED),
    ],
    ids=["silence", "closed", "reset", "nothing", "no event", "no JSON", "an error"],
)
def test_a_stream_that_fails_before_its_first_event(
    caller: Caller, upstream: Upstream, behaviour: Behaviour, expected: Told
) -> None:
    upstream.on(MODEL, behaviour)
    assert told(caller, stream=True) == expected


@pytest.mark.parametrize(
    "behaviour",
    [
        scripts.html(),
        scripts.garbage(),
        Behaviour(body=b"<p>\n\n" + b"".join(WORDS) + DONE, headers=(("content-type", "text/html"),)),
        Behaviour(frames=(*WORDS, END, DONE), headers=(("content-type", "application/octet-stream"),)),
    ],
    ids=["page", "garbage", "events in a page", "events of no type"],
)
def test_a_stream_of_another_kind(caller: Caller, upstream: Upstream, behaviour: Behaviour) -> None:
    upstream.on(MODEL, behaviour)
    assert told(caller, stream=True) == FAILED


def test_a_whole_answer_in_the_place_of_a_stream(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, body(SHORT))
    answer = caller.chat(stream=True)
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "application/json", SHORT)
    row = caller.row()
    assert (row["outcome"], row["usage_source"], row["input_tokens"], row["output_tokens"]) == (0, 0, 1, 1)


def test_an_error_in_the_place_of_a_stream(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, scripts.error_in_200())
    assert told(caller, stream=True) == FAILED
    assert caller.chat(stream=True).json()["error"]["message"] == "The model is overloaded."


def test_a_stream_that_is_compressed(caller: Caller, upstream: Upstream) -> None:
    packed = gzip.compress(b"".join((*WORDS, END, DONE)))
    upstream.on(MODEL, Behaviour(frames=(packed,), headers=(("content-encoding", "gzip"),)))
    assert told(caller, stream=True) == FAILED


@pytest.mark.parametrize("ending", [scripts.close(3), scripts.reset(3)], ids=["closed", "reset"])
def test_a_stream_that_breaks_off(caller: Caller, upstream: Upstream, ending: Behaviour) -> None:
    upstream.on(MODEL, replace(ending, gap=0.02))
    broken_stream(caller, "provider_error")


def test_a_stream_that_falls_silent(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, scripts.stall(3))
    broken_stream(caller, "provider_timeout")
    upstream.wait_for_blocking(lambda: upstream.requests[0].peer_closed_early)


def test_a_stream_that_never_ends(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(frames=(WORDS[0],) * 500, gap=0.05))
    answer = caller.chat(stream=True)
    assert events_of(answer.content)[-1]["error"]["code"] == "provider_timeout"
    row = caller.row()
    assert (row["outcome"], row["usage_source"]) == (Outcome.PROVIDER_TIMEOUT, UsageSource.ESTIMATED)
    assert 2_900 <= row["latency_ms"] <= 5_000


def test_a_stream_that_drips(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(drip=0.001, frames=(b"data: " + SHORT + b"\n\n", DONE)))
    passes(caller, stream=True)


@pytest.mark.parametrize(
    "behaviour",
    [scripts.half_frame(3), Behaviour(ending=Ending.EARLY, after=3), Behaviour(frames=(WORDS[0], SECOND, END))],
    ids=["in the middle of an event", "before its answer does", "before one of two answers does"],
)
def test_a_stream_that_ends_too_early(caller: Caller, upstream: Upstream, behaviour: Behaviour) -> None:
    upstream.on(MODEL, replace(behaviour, gap=0.02))
    broken_stream(caller, "provider_error")


@pytest.mark.parametrize("last", [b"data: {\n\n", b"data: \xff\n\n", b'data: "text"\n\n'])
def test_a_stream_with_an_event_that_is_none(caller: Caller, upstream: Upstream, last: bytes) -> None:
    upstream.on(MODEL, Behaviour(frames=(*WORDS, last, END, DONE), gap=0.02))
    broken_stream(caller, "provider_error")


def test_an_error_in_the_middle_of_a_stream(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, replace(scripts.error_in_stream(3), gap=0.02))
    broken_stream(caller, "provider_error")


def test_a_line_of_ten_megabytes(caller: Caller, upstream: Upstream) -> None:
    line = event({"choices": [{"index": 0, "delta": {"content": "x" * 10_000_000}}]})
    upstream.on(MODEL, Behaviour(frames=(line, END, usage(11, 7), DONE)))
    answer = passes(caller, stream=True)
    assert answer.startswith(line)
    assert (caller.rows[0]["input_tokens"], caller.rows[0]["output_tokens"]) == (11, 7)


@pytest.mark.parametrize("begun", [False, True])
def test_a_line_without_measure(caller: Caller, upstream: Upstream, begun: bool) -> None:
    line = b'data: {"x":"' + b"x" * (17 << 20)
    upstream.on(MODEL, Behaviour(frames=(*WORDS, line) if begun else (line,), gap=0.02))
    if begun:
        broken_stream(caller, "provider_error")
    else:
        assert told(caller, stream=True) == FAILED


@pytest.mark.parametrize("frames", [(*WORDS, END), (*WORDS, END, usage(11, 7))], ids=["without usage", "with usage"])
def test_a_stream_without_done(caller: Caller, upstream: Upstream, frames: tuple[bytes, ...]) -> None:
    upstream.on(MODEL, Behaviour(frames=frames))
    answer = caller.chat(stream=True)
    assert events_of(answer.content)[-1] == "[DONE]"
    row = caller.row()
    source = UsageSource.ESTIMATED if len(frames) == len(WORDS) + 1 else UsageSource.REPORTED
    assert (row["outcome"], row["usage_source"]) == (Outcome.COMPLETED, source)


def test_a_stream_that_goes_on_after_done(caller: Caller, upstream: Upstream) -> None:
    late = event({"choices": [{"index": 0, "delta": {"content": "late"}}], "usage": {"prompt_tokens": 10**6}})
    upstream.on(MODEL, Behaviour(frames=(*WORDS, END, usage(11, 7), DONE + late, late)))
    assert b"late" not in passes(caller, stream=True)
    assert caller.rows[0]["input_tokens"] == 11


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ((usage(11, 7), usage(11, 7)), (11, 7)),
        ((usage(11, 0), usage(11, 3), usage(11, 7)), (11, 7)),
    ],
    ids=["the same", "growing"],
)
def test_a_stream_that_tells_its_usage_twice(
    caller: Caller, upstream: Upstream, reports: tuple[bytes, ...], expected: tuple[int, int]
) -> None:
    upstream.on(MODEL, Behaviour(frames=(*WORDS, END, *reports, DONE)))
    assert b"usage" not in passes(caller, stream=True)
    assert (caller.rows[0]["input_tokens"], caller.rows[0]["output_tokens"]) == expected


def test_a_stream_that_tells_no_usage(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(usage=None))
    assert caller.chat(stream=True).status_code == 200
    row = caller.row()
    assert (row["outcome"], row["usage_source"]) == (Outcome.COMPLETED, UsageSource.ESTIMATED)
    assert row["input_tokens"] > 0
    assert row["output_tokens"] > 0


def test_usage_that_nobody_asked_for(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(usage_unasked=True))
    passes(caller, stream=True)


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(trailers=(("x-usage", "0"),)),
        Behaviour(version="1.0", framing="close"),
        Behaviour(framing="close"),
        Behaviour(keep_alive=False),
    ],
    ids=["trailers", "HTTP/1.0", "until the connection ends", "connection: close"],
)
def test_a_stream_in_an_unusual_frame(caller: Caller, upstream: Upstream, behaviour: Behaviour) -> None:
    upstream.on(MODEL, behaviour)
    passes(caller, stream=True)
    passes(caller, stream=True)


def test_comments_and_unknown_fields_pass(caller: Caller, upstream: Upstream) -> None:
    frames = (b": processing\n\n", b"retry: 1000\n\n", b"event: x\nid: 7\n" + WORDS[0], END, usage(11, 7), DONE)
    upstream.on(MODEL, Behaviour(frames=frames))
    assert caller.chat(stream=True).content == b"".join((*frames[:4], DONE))
    assert caller.row()["usage_source"] == UsageSource.REPORTED


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_events_that_end_otherwise(caller: Caller, upstream: Upstream, end: str) -> None:
    text = b"".join((*WORDS, END, usage(11, 7), DONE)).replace(b"\n", end.encode())
    upstream.on(MODEL, Behaviour(frames=(text,)))
    answer = caller.chat(stream=True)
    assert answer.content.count(b"word") == 3
    assert caller.row()["usage_source"] == UsageSource.REPORTED


def test_an_event_of_several_lines(caller: Caller, upstream: Upstream) -> None:
    spread = b"".join(b"data: %b\n" % line for line in json.dumps(json.loads(SHORT), indent=1).encode().split(b"\n"))
    assert encoded(json.loads(SHORT)) not in spread
    upstream.on(MODEL, Behaviour(frames=(spread + b"\n", DONE)))
    assert caller.chat(stream=True).content == spread + b"\n" + DONE
    assert caller.row()["usage_source"] == UsageSource.REPORTED
