"""What a caller is told when a provider breaks off, talks nonsense or falls silent."""

from __future__ import annotations

import asyncio

import pytest

from bailiwick.providers.transport import (
    ConnectionBroken,
    ResponseGarbled,
    Timeouts,
    Transport,
    TransportError,
    TransportTimeout,
)
from tests.providers.transport.calls import ENOUGH, ONE_LOOP, ask, ask_and_read, chunks_of, idle
from tests.upstream import Behaviour, Ending, Upstream, scripts

HURRIED = Timeouts(connect=5, first_byte=0.3, between_bytes=5)
SILENCE = 0.5
IMPATIENT = Timeouts(connect=5, first_byte=5, between_bytes=SILENCE)
LATE = 1.0
"""How much later than its due a timeout may come: the sweep, and a busy machine."""

# broken off


@pytest.mark.parametrize("ending", [scripts.close(), scripts.reset()])
@pytest.mark.parametrize("stream", [False, True])
async def test_no_answer_at_all(transport: Transport, upstream: Upstream, ending: Behaviour, stream: bool) -> None:
    upstream.on("m", ending)
    with pytest.raises(ConnectionBroken) as caught:
        await ask(transport, upstream, stream=stream)
    assert (caught.value.reused, caught.value.answered) == (False, False)
    assert len(upstream.requests) == 1
    await idle(transport, 0)


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET])
async def test_a_provider_that_rejects_every_connection(
    transport: Transport, upstream: Upstream, ending: Ending
) -> None:
    upstream.reject_connections(ending)
    with pytest.raises(TransportError):
        await ask(transport, upstream)
    await idle(transport, 0)


@pytest.mark.parametrize("ending", [scripts.close(), scripts.reset()])
async def test_a_used_connection_that_breaks_is_told_apart(
    transport: Transport, upstream: Upstream, ending: Behaviour
) -> None:
    await ask_and_read(transport, upstream)
    upstream.on("m", ending)
    with pytest.raises(ConnectionBroken) as caught:
        await ask(transport, upstream)
    assert (caught.value.reused, caught.value.answered, caught.value.unheard) == (True, False, False)
    assert len(upstream.requests) == 2


async def test_a_request_that_the_provider_cannot_have_heard_is_told_apart(
    transport: Transport, upstream: Upstream
) -> None:
    for _ in range(3):
        await ask_and_read(transport, upstream)
    upstream.drop_connections()  # The end is here, and our loop has had no turn to see it.
    with pytest.raises(ConnectionBroken) as caught:
        await ask(transport, upstream)
    assert (caught.value.reused, caught.value.answered, caught.value.unheard) == (True, False, True)
    assert len(upstream.requests) == 3


async def test_half_a_head_is_an_answer_that_broke(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", Behaviour(wire=b"HTTP/1.1 200 OK\r\ncontent-le"))
    with pytest.raises(ConnectionBroken) as caught:
        await ask(transport, upstream)
    assert caught.value.answered


@pytest.mark.parametrize("after", [0, 1, 2, 2.5])
async def test_a_stream_that_ends_early_is_told_after_what_came(
    transport: Transport, upstream: Upstream, after: float
) -> None:
    frames = (b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n")
    upstream.on("m", Behaviour(frames=frames, ending=Ending.CLOSE, after=after))
    response = await ask(transport, upstream, stream=True)
    received: list[bytes] = []
    with pytest.raises(ConnectionBroken) as caught:
        await chunks_of(response, received)
    assert b"".join(received) == b"".join(frames)[: int(9 * after)]
    assert caught.value.answered
    with pytest.raises(ConnectionBroken):
        await response.next_chunk()
    await idle(transport, 0)


async def test_a_reset_in_the_middle_of_a_stream(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", Behaviour(chunks=5, gap=0.02, ending=Ending.RESET, after=3))
    response = await ask(transport, upstream, stream=True)
    with pytest.raises(ConnectionBroken):
        await chunks_of(response)


@pytest.mark.parametrize(
    "behaviour",
    [
        scripts.half_body(),
        Behaviour(body=b"short", declared_length=6, hang_up=0.0),
        Behaviour(frames=(b"data",), ending=Ending.CLOSE, after=1),
        Behaviour(frames=(b"data",), wire=b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ndata\r\n0\r\n"),
    ],
)
async def test_a_body_that_ends_early(transport: Transport, upstream: Upstream, behaviour: Behaviour) -> None:
    upstream.on("m", behaviour)
    response = await ask(transport, upstream)
    with pytest.raises(ConnectionBroken):
        await response.read(ENOUGH)
    await idle(transport, 0)


async def test_a_body_longer_than_announced_is_cut_and_ends_the_connection(
    transport: Transport, upstream: Upstream
) -> None:
    upstream.on("m", Behaviour(body=b"too long", declared_length=3))
    assert await ask_and_read(transport, upstream) == b"too"
    await idle(transport, 0)


# nonsense

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"<html>not found</html>",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 000 Nil\r\n\r\n",
        b"HTTP/3.7 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 103 Hints\r\ncontent-length: 5\r\n\r\nhello" + OK + b"content-length: 0\r\n\r\n",
        b"HTTP/1.1 150 Odd\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + OK + b"content-length: 0\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b": no name\r\n\r\n",
        OK + b"bad name: x\r\n\r\n",
        OK + b"x: a\x00b\r\n\r\n",
        OK + b"x: a\r\n folded\r\n\r\n",
        OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        OK + b"content-length: -1\r\n\r\n",
        OK + b"content-length: 5x\r\n\r\nhello",
        OK + b"content-length: 99999999999999999999\r\n\r\n",
        OK + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        OK + b"x: " + b"y" * 70_000 + b"\r\ncontent-length: 0\r\n\r\n",
        OK + b"x: y\r\n" * 12_000 + b"content-length: 0\r\n\r\n",
        OK + b"x: y\r\n" * 12_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3_000,
    ],
)
@pytest.mark.parametrize("drip", [None, 0.0])
async def test_a_garbled_head(transport: Transport, upstream: Upstream, wire: bytes, drip: float | None) -> None:
    upstream.on("m", Behaviour(wire=wire, ending=Ending.STALL, drip=drip if len(wire) < 1000 else None))
    with pytest.raises(ResponseGarbled):
        await ask(transport, upstream)
    await upstream.wait_for(lambda: upstream.requests[0].peer_closed_early)
    await idle(transport, 0)


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\nhello\r\n",
        b"-5\r\nhello\r\n",
        b"5\r\nhello world\r\n",
        b"5\nhello\n",
        b"fffffffffffffffff\r\nhello",
        b"5;" + b"x" * 400_000,
        b"5\r\nhello\r\n0\r\n" + b"x: y\r\n" * 80_000,
        b"5\r\nhello\r\n0\r\nx: " + b"y" * 400_000,
        b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
    ],
)
@pytest.mark.parametrize("drip", [None, 0.0])
async def test_a_garbled_body(transport: Transport, upstream: Upstream, chunks: bytes, drip: float | None) -> None:
    wire = OK + b"transfer-encoding: chunked\r\n\r\n" + chunks
    upstream.on("m", Behaviour(wire=wire, ending=Ending.STALL, drip=drip if len(wire) < 1000 else None))
    with pytest.raises(ResponseGarbled):
        await (await ask(transport, upstream)).read(ENOUGH)
    await upstream.wait_for(lambda: upstream.requests[0].peer_closed_early)
    await idle(transport, 0)


async def test_a_head_within_bounds_is_taken(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", Behaviour(headers=(("x-long", "y" * 60_000),), body=b"x" * 100_000))
    response = await ask(transport, upstream)
    assert dict(response.headers)[b"x-long"] == b"y" * 60_000
    assert len(await response.read(ENOUGH)) == 100_000


# silence


async def timed_out(transport: Transport, upstream: Upstream, timeouts: Timeouts, *, stream: bool = False) -> str:
    """Ask and read to the end; return the phase that timed out, having checked when."""
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    with pytest.raises(TransportTimeout) as caught:
        await (await ask(transport, upstream, timeouts=timeouts, stream=stream)).read(ENOUGH)
    assert loop.time() - started_at < 2 * 0.3 + LATE
    await upstream.wait_for(lambda: upstream.requests[-1].peer_closed_early)
    await idle(transport, 0)
    return caught.value.phase


@ONE_LOOP
@pytest.mark.parametrize("stream", [False, True])
async def test_silence_before_the_head(transport: Transport, upstream: Upstream, stream: bool) -> None:
    upstream.on("m", scripts.stall())
    assert await timed_out(transport, upstream, HURRIED, stream=stream) == "first_byte"


@ONE_LOOP
async def test_a_head_that_drips_must_still_come_in_time(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", Behaviour(drip=0.02))
    assert await timed_out(transport, upstream, HURRIED) == "first_byte"


@ONE_LOOP
@pytest.mark.parametrize("after", [0, 2])
async def test_silence_in_the_middle(transport: Transport, upstream: Upstream, after: float) -> None:
    upstream.on("m", scripts.stall(after))
    assert await timed_out(transport, upstream, IMPATIENT, stream=True) == "between_bytes"


@ONE_LOOP
@pytest.mark.parametrize("prefix", [b"5\r\nhello\r\n0\r\n", b"5;"])
async def test_bytes_that_are_no_content_are_silence(transport: Transport, upstream: Upstream, prefix: bytes) -> None:
    upstream.on("m", Behaviour(wire=OK + b"transfer-encoding: chunked\r\n\r\n" + prefix + b"x" * 1000, drip=0.003))
    timeouts = Timeouts(first_byte=5, between_bytes=0.3)
    with pytest.raises(TransportTimeout) as caught:
        await (await ask(transport, upstream, timeouts=timeouts)).read(ENOUGH)
    assert caught.value.phase == "between_bytes"


@ONE_LOOP
@pytest.mark.parametrize("behaviour", [scripts.stall(), scripts.stall(2), Behaviour(chunks=100, gap=0.05)])
async def test_a_limit_for_the_whole(transport: Transport, upstream: Upstream, behaviour: Behaviour) -> None:
    upstream.on("m", behaviour)
    assert await timed_out(transport, upstream, Timeouts(total=0.3), stream=True) == "total"


@ONE_LOOP
async def test_a_slow_stream_is_no_silence(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", Behaviour(frames=(b"x",) * 11, gap=SILENCE / 5))
    response = await ask(transport, upstream, timeouts=IMPATIENT, stream=True)
    assert await response.read(ENOUGH) == b"x" * 11


@ONE_LOOP
async def test_a_slow_reader_is_no_silence(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", Behaviour(frames=(b"x",) * 3, gap=0.02))
    response = await ask(transport, upstream, timeouts=IMPATIENT, stream=True)
    await asyncio.sleep(SILENCE * 2)
    assert await response.read(ENOUGH) == b"x" * 3


@ONE_LOOP
async def test_a_thousand_silent_calls_time_out_together(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", scripts.stall())
    calls = [ask(transport, upstream, timeouts=Timeouts(first_byte=1.0)) for _ in range(1000)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, TransportTimeout) for result in results)
    await idle(transport, 0)
