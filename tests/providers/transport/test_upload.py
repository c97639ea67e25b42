"""Requests whose body is still coming."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from bailiwick.providers.transport import ConnectionBroken, Response, Timeouts, Transport, TransportTimeout
from tests.providers.transport.calls import ENOUGH, ONE_LOOP, PATIENT, ask_and_read, idle, origin_of
from tests.upstream import Behaviour, Ending, Upstream, scripts

PIECE = b"x" * 65536


class Source:
    """Pieces of a body, counted as they are taken."""

    def __init__(self, pieces: int, *, gap: float = 0.0, piece: bytes = PIECE) -> None:
        self.pieces = pieces
        self.gap = gap
        self.piece = piece
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.pieces):
            await asyncio.sleep(self.gap)
            self.taken += 1
            yield self.piece


def head(length: int | None, path: str = "/v1/files") -> bytes:
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return f"POST {path} HTTP/1.1\r\nhost: provider\r\n{framing}\r\n\r\n".encode()


async def upload(
    transport: Transport, upstream: Upstream, source: Source, *, chunked: bool = False, timeouts: Timeouts = PATIENT
) -> Response:
    length = None if chunked else source.pieces * len(source.piece)
    return await transport.send_stream(origin_of(upstream), head(length), source, timeouts=timeouts, chunked=chunked)


@pytest.fixture(autouse=True)
def files(transport: Transport, upstream: Upstream) -> Iterator[None]:
    upstream.on("/v1/files", Behaviour(body=b"{}"))
    yield
    upstream.drop_connections()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("pieces", [0, 1, 50])
async def test_a_body_arrives_whole(transport: Transport, upstream: Upstream, chunked: bool, pieces: int) -> None:
    for _ in range(2):
        response = await upload(transport, upstream, Source(pieces), chunked=chunked)
        assert await response.read(ENOUGH) == b"{}"
    assert [record.body for record in upstream.requests] == [PIECE * pieces] * 2
    assert upstream.accepted == 1


async def test_an_empty_piece_does_not_end_a_chunked_body(transport: Transport, upstream: Upstream) -> None:
    async def body() -> AsyncIterator[bytes]:
        for piece in (b"a", b"", b"b"):
            yield piece

    response = await transport.send_stream(origin_of(upstream), head(None), body(), timeouts=PATIENT, chunked=True)
    await response.read(ENOUGH)
    assert upstream.requests[0].body == b"ab"


async def test_a_piece_larger_than_the_sockets_buffers_is_waited_for(transport: Transport, upstream: Upstream) -> None:
    large = b"x" * 16_000_000
    response = await upload(transport, upstream, Source(3, piece=large))
    await response.read(ENOUGH)
    assert len(upstream.requests[0].body) == 48_000_000


@ONE_LOOP
async def test_a_body_is_taken_no_faster_than_the_provider_reads(transport: Transport, upstream: Upstream) -> None:
    upstream.on("/v1/files", Behaviour(reads_body=False, ending=Ending.STALL))
    source = Source(2000)
    with pytest.raises(TransportTimeout) as caught:
        await upload(transport, upstream, source, timeouts=Timeouts(between_bytes=0.3))
    assert caught.value.phase == "send"
    assert source.taken < 500
    await idle(transport, 0)


@ONE_LOOP
@pytest.mark.parametrize("gap", [0.0, 0.01])
async def test_an_early_answer_ends_the_upload_and_the_connection(
    transport: Transport, upstream: Upstream, gap: float
) -> None:
    upstream.on("/v1/files", Behaviour(reads_body=False, status=413, body=b"too large", hang_up=0.3))
    source = Source(2000, gap=gap)
    response = await upload(transport, upstream, source)
    assert response.status == 413
    assert await response.read(ENOUGH) == b"too large"
    assert transport.connections()[1] == 0
    assert source.taken < 500
    await idle(transport, 0)
    await upstream.wait_for(lambda: upstream.open_connections() == 0)


@ONE_LOOP
async def test_an_early_answer_is_not_kept_waiting_for_a_piece_that_does_not_come(
    transport: Transport, upstream: Upstream
) -> None:
    upstream.on("/v1/files", Behaviour(reads_body=False, delay=0.2, status=401, body=b"who are you"))
    over = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    async with asyncio.timeout(2):
        response = await transport.send_stream(origin_of(upstream), head(100), body(), timeouts=PATIENT)
    assert over.is_set()
    assert await response.read(ENOUGH) == b"who are you"
    await idle(transport, 0)


@ONE_LOOP
async def test_a_provider_that_leaves_is_noticed_while_a_piece_does_not_come(
    transport: Transport, upstream: Upstream
) -> None:
    upstream.on("/v1/files", Behaviour(reads_body=False, ending=Ending.CLOSE))

    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        await asyncio.Event().wait()

    with pytest.raises(ConnectionBroken):
        async with asyncio.timeout(2):
            await transport.send_stream(origin_of(upstream), head(100), body(), timeouts=PATIENT)
    await idle(transport, 0)


async def test_an_answer_that_follows_a_half_read_body_is_not_lost(transport: Transport, upstream: Upstream) -> None:
    upstream.on("/v1/files", Behaviour(reads_body=False, status=400, body=b"no", hang_up=0.3))
    response = await upload(transport, upstream, Source(1))
    assert await response.read(ENOUGH) == b"no"


async def test_what_the_body_raises_is_raised_and_ends_the_connection(transport: Transport, upstream: Upstream) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await transport.send_stream(origin_of(upstream), head(100), body(), timeouts=PATIENT)
    await idle(transport, 0)
    await upstream.wait_for(lambda: upstream.accepted == 1 and upstream.open_connections() == 0)
    assert upstream.requests == []


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET])
@pytest.mark.parametrize("gap", [0.0, 0.01])
async def test_a_provider_that_leaves_during_the_upload(
    transport: Transport, upstream: Upstream, ending: Ending, gap: float
) -> None:
    upstream.on("/v1/files", Behaviour(reads_body=False, ending=ending))
    source = Source(2000, gap=gap)
    with pytest.raises(ConnectionBroken):
        await upload(transport, upstream, source)
    assert source.taken < 500
    await idle(transport, 0)


@ONE_LOOP
async def test_an_upload_waits_for_its_answer_no_longer_than_others(transport: Transport, upstream: Upstream) -> None:
    upstream.on("/v1/files", scripts.stall())
    with pytest.raises(TransportTimeout) as caught:
        await upload(transport, upstream, Source(3), timeouts=Timeouts(first_byte=0.3))
    assert caught.value.phase == "first_byte"


@pytest.mark.parametrize("after", [0.0, 0.02, 0.3])
async def test_a_cancelled_upload_closes_its_connection(transport: Transport, upstream: Upstream, after: float) -> None:
    upstream.on("/v1/files", Behaviour(reads_body=False, ending=Ending.STALL))
    task = asyncio.create_task(upload(transport, upstream, Source(2000, gap=0.001)))
    await asyncio.sleep(after)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await idle(transport, 0)
    assert await ask_and_read(transport, upstream)
