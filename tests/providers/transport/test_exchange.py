"""One request and its response, when all is well."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from bailiwick.providers.transport import ResponseTooLarge, Transport
from tests.providers.transport.calls import ENOUGH, PATIENT, ask, ask_and_read, chat, chunks_of, origin_of
from tests.upstream import Behaviour, Upstream, scripts

GAP = 0.1


async def test_a_response_has_status_headers_and_content(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", Behaviour(status=418, headers=(("X-Mixed-Case", "Kept"), ("x-empty", ""), ("x-mixed-case", "2"))))
    response = await ask(transport, upstream)
    assert response.status == 418
    assert [pair for pair in response.headers if pair[0].startswith((b"x-m", b"x-e"))] == [
        (b"x-mixed-case", b"Kept"),
        (b"x-empty", b""),
        (b"x-mixed-case", b"2"),
    ]
    assert json.loads(await response.read(ENOUGH))["object"] == "chat.completion"


@pytest.mark.parametrize("parts", [1, 3])
async def test_a_request_goes_out_as_it_is(transport: Transport, upstream: Upstream, parts: int) -> None:
    request = chat()
    pieces = request if parts == 1 else [request[:20], request[20:90], request[90:]]
    response = await transport.send(origin_of(upstream), pieces, timeouts=PATIENT)
    await response.read(ENOUGH)
    assert upstream.requests[0].raw == request


async def test_a_large_request_arrives_whole(transport: Transport, upstream: Upstream) -> None:
    padding = "x" * 5_000_000
    await ask_and_read(transport, upstream, padding=padding)
    assert upstream.requests[0].json["padding"] == padding


async def test_a_large_response_arrives_whole(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", scripts.huge(20_000_000))
    response = await ask(transport, upstream)
    assert len(await response.read(20_000_000)) == 20_000_000


async def test_a_stream_is_handed_on_chunk_by_chunk_without_delay(transport: Transport, upstream: Upstream) -> None:
    frames = tuple(b"data: %d\n\n" % place for place in range(8))
    upstream.on("m", Behaviour(frames=frames, gap=GAP))
    response = await ask(transport, upstream, stream=True)
    arrived_at = []
    for frame in frames:
        assert await response.next_chunk() == frame
        arrived_at.append(time.monotonic())
    assert await response.next_chunk() is None
    assert await response.next_chunk() is None
    delays = [arrived - sent for arrived, sent in zip(arrived_at, upstream.requests[0].sent_at, strict=True)]
    # Whoever waits for the next chunk, or for a buffer to be full, waits as long as this at least.
    assert sorted(delays)[len(delays) // 2] < GAP / 2


async def test_what_arrived_together_is_handed_on_together(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", Behaviour(frames=tuple(b"data: %d\n\n" % n for n in range(8))))
    response = await ask(transport, upstream, stream=True)
    await upstream.wait_for(lambda: upstream.requests[0].finished_at)
    await asyncio.sleep(0.05)
    assert len(await chunks_of(response)) == 1


async def test_the_head_is_handed_on_before_the_content_is_there(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", Behaviour(frames=(b"", b"data: late\n\n"), gap=0.3))
    response = await ask(transport, upstream, stream=True)
    assert upstream.requests[0].chunks_sent <= 1
    assert upstream.requests[0].finished_at is None
    assert await response.read(ENOUGH) == b"data: late\n\n"


async def test_read_takes_what_next_chunk_left(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", Behaviour(frames=(b"a", b"b", b"c"), gap=0.02))
    response = await ask(transport, upstream, stream=True)
    first = await response.next_chunk()
    assert first == b"a"
    assert await response.read(ENOUGH) == b"bc"
    assert await response.read(ENOUGH) == b""


@pytest.mark.parametrize("stream", [False, True])
async def test_bytes_may_come_one_by_one(transport: Transport, upstream: Upstream, stream: bool) -> None:
    upstream.on("m", Behaviour(body=None if stream else b"0123456789", frames=(b"01234", b"56789"), drip=0.0))
    for _ in range(2):
        assert await ask_and_read(transport, upstream, stream=stream) == b"0123456789"
    assert upstream.accepted == 1


@pytest.mark.parametrize("drip", [None, 0.0])
async def test_informational_responses_are_skipped(
    transport: Transport, upstream: Upstream, drip: float | None
) -> None:
    upstream.on("m", Behaviour(interim=(100, 103, 150), body=b"{}", drip=drip))
    for _ in range(2):
        response = await ask(transport, upstream)
        assert response.status == 200
        assert b"x-interim" not in dict(response.headers)
        assert await response.read(ENOUGH) == b"{}"
    assert upstream.accepted == 1


async def test_trailers_are_read_and_forgotten(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", Behaviour(frames=(b"a", b"b"), trailers=(("x-trailer", "1"), ("x-sum", "2"))))
    for _ in range(2):
        response = await ask(transport, upstream, stream=True)
        assert await response.read(ENOUGH) == b"ab"
        assert b"x-trailer" not in dict(response.headers)
    assert upstream.accepted == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_some_statuses_have_no_content_whatever_they_announce(
    transport: Transport, upstream: Upstream, status: int
) -> None:
    upstream.on("m", Behaviour(status=status, body=b"", declared_length=5))
    for _ in range(2):
        assert await ask_and_read(transport, upstream) == b""
    assert upstream.accepted == 1


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_content_may_end_with_the_connection(transport: Transport, upstream: Upstream, version: str) -> None:
    upstream.on("m", Behaviour(frames=(b"a", b"b", b"c"), framing="close", version=version, gap=0.01))
    for _ in range(2):
        assert await ask_and_read(transport, upstream) == b"abc"
    assert upstream.accepted == 2


async def test_a_redirect_is_not_followed(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", scripts.redirect(f"http://127.0.0.1:{upstream.port}/v1/models"))
    response = await ask(transport, upstream)
    assert response.status == 302
    await response.read(ENOUGH)
    assert len(upstream.requests) == 1


async def test_a_body_of_exactly_the_limit_is_taken(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", scripts.huge(100_000))
    response = await ask(transport, upstream)
    assert len(await response.read(100_000)) == 100_000


@pytest.mark.parametrize("size", [101, 100_000, 30_000_000])
async def test_a_body_above_the_limit_is_refused(transport: Transport, upstream: Upstream, size: int) -> None:
    upstream.on("m", scripts.huge(size))
    response = await ask(transport, upstream)
    with pytest.raises(ResponseTooLarge):
        await response.read(100)
    if size > 10_000_000:  # more than the socket's buffers hold: the rest was never waited for
        await upstream.wait_for(lambda: upstream.requests[0].peer_closed_early)


async def test_a_stream_above_the_limit_is_refused(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", Behaviour(frames=(b"x" * 60, b"y" * 60, b"z"), gap=0.02))
    response = await ask(transport, upstream, stream=True)
    with pytest.raises(ResponseTooLarge):
        await response.read(100)
    await upstream.wait_for(lambda: upstream.requests[0].peer_closed_early)


async def test_a_provider_is_not_read_faster_than_its_reader(transport: Transport, upstream: Upstream) -> None:
    frame = b"x" * 65536
    upstream.on("m", Behaviour(frames=(frame,) * 1000))
    response = await ask(transport, upstream, stream=True)
    sent = -1
    while sent != upstream.requests[0].chunks_sent:  # until the sockets' buffers are full
        sent = upstream.requests[0].chunks_sent
        await asyncio.sleep(0.2)
    assert sent < 500
    first = await response.next_chunk()
    assert first is not None
    assert 128 * 1024 < len(first) <= 512 * 1024
    assert len(first) + len(await response.read(1 << 30)) == 1000 * len(frame)
    assert await ask_and_read(transport, upstream, "other")
    assert upstream.accepted == 1
