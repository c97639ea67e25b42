"""Faults in a whole answer: it is read to its end before anything of it leaves, so each is still a clean status."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace

import pytest

from bailiwick.domain.usage import MAX_TOKENS, Outcome, UsageSource
from tests.apps.gateway.faults.told import FAILED, LATE, SHORT, body, passes, told
from tests.serving import MODEL, Caller
from tests.upstream import Behaviour, Ending, Upstream, Usage, scripts
from tests.upstream.payloads import event

# `{}` as brotli and zstd write it, without compression: a meta-block, a frame, of two bytes.
BROTLI = b"\x8b\x00\x80{}\x03"
ZSTD = b"\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00{}"


@pytest.mark.parametrize(
    "behaviour",
    [replace(scripts.stall(0.01), framing="chunked"), scripts.stall(0.5)],
    ids=["after the head", "in the body"],
)
def test_an_answer_that_falls_silent(caller: Caller, upstream: Upstream, behaviour: Behaviour) -> None:
    upstream.on(MODEL, behaviour)
    assert told(caller) == LATE


def test_an_answer_that_drips_for_ever(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(body=b" " * 10_000 + SHORT, drip=0.005))
    assert told(caller) == LATE
    assert 2_900 <= caller.rows[0]["latency_ms"] <= 5_000


def test_an_answer_that_drips_and_ends(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(body=SHORT, drip=0.001))
    passes(caller)


@pytest.mark.parametrize(
    "behaviour",
    [
        scripts.close(0.5),
        scripts.reset(0.5),
        replace(scripts.close(0.5), framing="chunked"),
        Behaviour(declared_length=10_000, ending=Ending.CLOSE, after=1.0),
    ],
    ids=["closed", "reset", "closed in chunks", "longer announced than sent"],
)
def test_an_answer_that_breaks_off(caller: Caller, upstream: Upstream, behaviour: Behaviour) -> None:
    upstream.on(MODEL, behaviour)
    assert told(caller) == FAILED
    assert len(upstream.requests) == 1


def test_an_answer_longer_than_announced(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(declared_length=20))
    assert told(caller) == FAILED


@pytest.mark.parametrize(
    "behaviour",
    [
        scripts.truncated_json(),
        scripts.garbage(),
        body(b""),
        body({}),
        body([]),
        body(b"null"),
        body({"choices": None, "usage": None}),
        body({"choices": "x"}),
        body(b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ],
    ids=["half", "garbage", "empty", "object", "array", "null", "no choices", "wrong choices", "deep"],
)
def test_an_answer_that_is_none(caller: Caller, upstream: Upstream, behaviour: Behaviour) -> None:
    upstream.on(MODEL, behaviour)
    assert told(caller) == FAILED


@pytest.mark.parametrize(
    "behaviour",
    [scripts.html(), Behaviour(frames=(event({"choices": []}), b"data: [DONE]\n\n"))],
    ids=["a page", "a stream"],
)
def test_an_answer_of_another_kind(caller: Caller, upstream: Upstream, behaviour: Behaviour) -> None:
    upstream.on(MODEL, behaviour)
    assert told(caller) == FAILED


def test_an_answer_under_a_wrong_name(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(headers=(("content-type", "text/plain"),)))
    passes(caller)


def test_an_error_in_the_place_of_an_answer(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, scripts.error_in_200())
    assert told(caller) == FAILED
    assert caller.chat().json()["error"]["message"] == "The model is overloaded."


@pytest.mark.parametrize("behaviour", [Behaviour(status=204, body=b"", framing="length"), Behaviour(status=201)])
def test_a_success_that_is_not_200(caller: Caller, upstream: Upstream, behaviour: Behaviour) -> None:
    upstream.on(MODEL, behaviour)
    assert told(caller) == FAILED


@pytest.mark.parametrize(
    ("coding", "content"),
    [("gzip", gzip.compress(SHORT)), ("deflate", zlib.compress(SHORT)), ("br", BROTLI), ("zstd", ZSTD)],
    ids=["gzip", "deflate", "br", "zstd"],
)
def test_an_answer_that_is_compressed(caller: Caller, upstream: Upstream, coding: str, content: bytes) -> None:
    upstream.on(MODEL, replace(body(content), headers=(("content-encoding", coding),)))
    assert told(caller) == FAILED


def test_an_answer_that_would_swell(caller: Caller, upstream: Upstream) -> None:
    """A gigabyte of zeros in a megabyte: nothing is ever taken apart."""
    packer = zlib.compressobj(9, wbits=31)
    head, block = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    bomb = head + block * 1023 + packer.flush()
    upstream.on(MODEL, replace(body(bomb), headers=(("content-encoding", "gzip"),)))
    assert told(caller) == FAILED
    assert caller.rows[0]["latency_ms"] < 1_000


def test_trailers_after_the_chunks(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(framing="chunked", trailers=(("x-usage", "0"), ("server-timing", "db;dur=53"))))
    passes(caller)
    passes(caller)


@pytest.mark.parametrize("delay", [0.0, 0.02])
def test_bytes_after_the_end(caller: Caller, upstream: Upstream, delay: float) -> None:
    """They might be taken for the next answer: the connection serves nobody again."""
    surplus = b'HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{"choices": [{}]} '
    upstream.on(MODEL, Behaviour(surplus=surplus, surplus_delay=delay, text="one"), Behaviour(text="two"))
    assert b"one" in passes(caller)
    upstream.wait_for_blocking(lambda: upstream.requests[0].closed_at)
    assert b"two" in passes(caller)


@pytest.mark.parametrize("behaviour", [Behaviour(framing="close"), Behaviour(version="1.0", framing="close")])
def test_an_answer_that_ends_with_its_connection(caller: Caller, upstream: Upstream, behaviour: Behaviour) -> None:
    upstream.on(MODEL, behaviour)
    passes(caller)
    passes(caller)


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "many"}, {"prompt_tokens": None}])
def test_an_answer_without_usage(caller: Caller, upstream: Upstream, usage: dict[str, object] | None) -> None:
    upstream.on(MODEL, Behaviour(usage=usage))
    assert caller.chat().status_code == 200
    row = caller.row()
    assert (row["outcome"], row["usage_source"]) == (Outcome.COMPLETED, UsageSource.ESTIMATED)
    assert row["input_tokens"] > 0
    assert row["output_tokens"] > 0


def test_an_answer_with_all_the_usage_that_is_believed(caller: Caller, upstream: Upstream) -> None:
    most = MAX_TOKENS
    upstream.on(MODEL, Behaviour(usage=Usage(prompt=most, completion=most, audio_prompt=most, audio_completion=most)))
    passes(caller)
    row = caller.row()
    assert (row["input_audio_tokens"], row["output_audio_tokens"]) == (most, most)


def test_an_answer_with_usage_beyond_reason(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(usage=Usage(prompt=10**15, completion=-5)))
    assert caller.chat().status_code == 200
    row = caller.row()
    assert (row["outcome"], row["usage_source"]) == (Outcome.COMPLETED, UsageSource.ESTIMATED)
    assert 0 < row["input_tokens"] < 1000
    assert 0 < row["output_tokens"] < 1000
