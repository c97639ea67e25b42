"""The stand-in itself: what a well-behaved answer looks like to the real SDK, and that it misbehaves as told."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.upstream import Behaviour, Ending, Record, ToolCall, Upstream, Usage, scripts

ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture
def client(upstream: Upstream) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=upstream.base_url, api_key="sk-canary", max_retries=0) as made:
        yield made


def exchange(upstream: Upstream, *, model: str = "m", **fields: object) -> bytes:
    """Send one request over a bare socket and return all that comes until the other side closes or 0.1 s pass."""
    body = json.dumps({"model": model, **fields}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    received = b""
    with socket.create_connection((upstream.host, upstream.port)) as sock, suppress(TimeoutError):
        sock.settimeout(0.1)
        sock.sendall(head + body)
        while data := sock.recv(65536):
            received += data
    return received


def test_the_sdk_reads_a_completion(upstream: Upstream, client: openai.OpenAI) -> None:
    upstream.on("m", Behaviour(text="Paris.", usage=Usage(prompt=20, completion=3, cached=8, reasoning=2)))
    answer = client.chat.completions.create(model="m", messages=ASK)
    assert answer.choices[0].message.content == "Paris."
    assert answer.usage is not None
    assert answer.usage.total_tokens == 23
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 8


def test_the_sdk_reads_a_stream_and_its_usage(upstream: Upstream, client: openai.OpenAI) -> None:
    upstream.on("m", Behaviour(text="The capital is Paris.", chunks=3))
    stream = client.chat.completions.create(
        model="m", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    frames = list(stream)
    assert "".join(f.choices[0].delta.content or "" for f in frames if f.choices) == "The capital is Paris."
    assert frames[-1].usage is not None
    assert frames[-1].usage.completion_tokens == 7


def test_a_stream_tells_no_usage_unasked(upstream: Upstream) -> None:
    assert b'"usage"' not in exchange(upstream, stream=True)


def test_the_sdk_reads_streamed_tool_calls(upstream: Upstream, client: openai.OpenAI) -> None:
    upstream.on("m", Behaviour(tool_calls=(ToolCall("look", '{"at": "it"}'),), chunks=2))
    stream = client.chat.completions.create(model="m", messages=ASK, stream=True)
    calls = [call.function for f in stream for call in f.choices[0].delta.tool_calls or [] if call.function]
    assert calls[0].name == "look"
    assert "".join(call.arguments or "" for call in calls) == '{"at": "it"}'


def test_the_sdk_lists_the_scripted_models(upstream: Upstream, client: openai.OpenAI) -> None:
    upstream.on("m", Behaviour())
    assert [model.id for model in client.models.list()] == ["m"]


def test_a_script_gives_one_behaviour_a_call_and_the_last_for_ever(upstream: Upstream) -> None:
    upstream.on("m", scripts.error(429, retry_after=2), Behaviour())
    first, second, third = (exchange(upstream) for _ in range(3))
    assert b"429" in first.split(b"\r\n")[0]
    assert b"retry-after: 2" in first
    assert b"200" in second.split(b"\r\n")[0]
    assert b"200" in third.split(b"\r\n")[0]


def test_an_unscripted_address_is_not_found_and_a_scripted_one_answers(
    upstream: Upstream, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="m", input="x")
    upstream.on("/v1/embeddings", Behaviour(body=b'{"object":"list","data":[{"embedding":[0.5]}]}'))
    assert client.embeddings.create(model="m", input="x", encoding_format="float").data[0].embedding == [0.5]


def test_an_error_can_repeat_the_key_and_an_internal_address(upstream: Upstream, client: openai.OpenAI) -> None:
    upstream.on("m", scripts.leaky_error())
    with pytest.raises(openai.AuthenticationError, match="sk-canary") as caught:
        client.chat.completions.create(model="m", messages=ASK)
    assert scripts.INTERNAL_ADDRESS in str(caught.value)


def test_a_request_is_recorded_as_it_came(upstream: Upstream) -> None:
    exchange(upstream, stream=True)
    record = upstream.requests[0]
    assert (record.method, record.path, record.model) == ("POST", "/v1/chat/completions", "m")
    assert ("host", "x") in record.headers
    assert record.raw.endswith(record.body)
    assert record.raw.startswith(b"POST /v1/")
    assert record.first_byte_at is not None
    assert record.finished_at is not None
    assert record.opened_at <= record.received_at <= record.first_byte_at <= record.finished_at
    assert record.chunks_sent == 8
    upstream.clear()
    assert upstream.requests == []


def test_a_chunked_request_is_decoded(upstream: Upstream) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    with socket.create_connection((upstream.host, upstream.port)) as sock:
        sock.sendall(head + b'6\r\n{"mode\r\n7;ext=1\r\nl":"m"}\r\n0\r\n\r\n')
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
    assert upstream.requests[0].json == {"model": "m"}


def test_a_peer_that_leaves_early_is_noticed(upstream: Upstream) -> None:
    upstream.on("m", scripts.stall(2))
    exchange(upstream, stream=True)
    upstream.wait_for_blocking(lambda: upstream.open_connections() == 0)
    record = upstream.requests[0]
    assert record.peer_closed_early
    assert record.chunks_sent == 2
    assert record.finished_at is None
    assert record.closed_at is not None


@pytest.mark.parametrize("after", [None, 0, 2])
def test_a_reset_is_a_reset(upstream: Upstream, after: float | None) -> None:
    upstream.on("m", scripts.reset(after))
    with pytest.raises(ConnectionResetError):
        exchange(upstream, stream=True)
    assert upstream.requests[0].chunks_sent == (after or 0)
    assert not upstream.requests[0].peer_closed_early


def test_every_connection_can_be_reset_at_once(upstream: Upstream) -> None:
    upstream.reject_connections(Ending.RESET)
    with pytest.raises(ConnectionError):
        exchange(upstream)
    assert upstream.requests == []


def test_a_half_frame_is_half_a_frame(upstream: Upstream) -> None:
    upstream.on("m", scripts.half_frame())
    received = exchange(upstream, stream=True)
    assert received.count(b"data: ") == 3
    assert received.endswith(b"0\r\n\r\n")
    upstream.on("m", scripts.close(2.5))
    assert not exchange(upstream, stream=True).endswith(b"\r\n")


def test_half_a_body_keeps_the_whole_ones_length(upstream: Upstream) -> None:
    upstream.on("m", scripts.half_body())
    head, _, body = exchange(upstream).partition(b"\r\n\r\n")
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    assert len(body) == length // 2


def test_a_drip_comes_byte_by_byte(upstream: Upstream) -> None:
    upstream.on("m", Behaviour(body=b"0123456789", drip=0.002))
    before = time.monotonic()
    assert exchange(upstream).endswith(b"0123456789")
    assert time.monotonic() - before > 0.1


def test_an_answer_can_be_made_from_its_request(upstream: Upstream) -> None:
    def echo(request: Record) -> bytes:
        return request.body

    upstream.on("m", Behaviour(body=echo))
    assert exchange(upstream, x=1).endswith(b'{"model": "m", "x": 1}')


@pytest.mark.parametrize(
    "name", sorted(set(scripts.CATALOGUE) - {"drip", "long-stream", "slow-stream", "slow-start", "huge"})
)
def test_every_trouble_of_the_catalogue_is_recorded(upstream: Upstream, name: str) -> None:
    upstream.on("m", scripts.CATALOGUE[name])
    with suppress(ConnectionResetError):
        exchange(upstream, stream=not name.endswith(("json", "body")))
    assert len(upstream.requests) == 1
