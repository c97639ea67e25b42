"""Which connection a request gets, and when a connection ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bailiwick.providers.transport import ConnectFailed, ConnectionBroken, Timeouts, Transport, TransportTimeout
from tests.providers.transport.calls import ENOUGH, ONE_LOOP, PATIENT, ask, ask_and_read, chat, idle, origin_of
from tests.upstream import Behaviour, Upstream, scripts

SLOW = Behaviour(delay=0.15)


async def test_a_connection_is_used_again(transport: Transport, upstream: Upstream) -> None:
    first = await ask(transport, upstream)
    assert not first.reused
    await first.read(ENOUGH)
    second = await ask(transport, upstream)
    assert second.reused
    await second.read(ENOUGH)
    assert upstream.accepted == 1


async def test_a_connection_in_use_is_nobody_elses(transport: Transport, upstream: Upstream) -> None:
    upstream.on("slow", SLOW)
    await asyncio.gather(*(ask_and_read(transport, upstream, "slow") for _ in range(5)))
    assert len({record.connection for record in upstream.requests}) == 5
    assert transport.connections() == (5, 5)


async def test_a_connection_is_free_only_when_its_response_was_read(transport: Transport, upstream: Upstream) -> None:
    unread = await ask(transport, upstream)
    await upstream.wait_for(lambda: upstream.requests[0].finished_at)
    assert transport.connections() == (1, 0)
    await ask_and_read(transport, upstream)
    assert upstream.accepted == 2
    assert await unread.read(ENOUGH)
    assert transport.connections() == (2, 2)


async def test_the_connection_that_came_back_last_goes_out_first(transport: Transport, upstream: Upstream) -> None:
    responses = [await ask(transport, upstream, str(place)) for place in range(4)]
    for place in (2, 0, 3, 1):
        await responses[place].read(ENOUGH)
    again = [await ask(transport, upstream, str(place)) for place in range(4)]
    assert [record.connection for record in upstream.requests[4:]] == [2, 4, 1, 3]
    for response in again:
        response.abort()


async def test_origins_share_no_connections(transport: Transport, upstream: Upstream) -> None:
    with Upstream() as other:
        await ask_and_read(transport, upstream)
        await ask_and_read(transport, other)
        assert (upstream.accepted, other.accepted) == (1, 1)
        assert transport.connections() == (2, 2)


async def test_only_so_many_connections_stay_idle(open_transport: Callable[..., Transport], upstream: Upstream) -> None:
    upstream.on("slow", SLOW)
    transport = open_transport(max_idle_per_origin=2)
    await asyncio.gather(*(ask_and_read(transport, upstream, "slow") for _ in range(6)))
    await upstream.wait_for(lambda: upstream.open_connections() == 2)
    await idle(transport, 2)


async def test_only_so_many_connections_are_open_and_the_others_wait_their_turn(
    open_transport: Callable[..., Transport], upstream: Upstream
) -> None:
    upstream.on("slow", Behaviour(delay=0.02))
    transport = open_transport(max_connections_per_origin=2)
    await asyncio.gather(*(ask_and_read(transport, upstream, "slow", place=place) for place in range(10)))
    assert upstream.accepted == 2
    places = [record.json["place"] for record in upstream.requests]
    assert all(abs(place - turn) <= 1 for turn, place in enumerate(places))  # two at a time, in either order


async def test_a_closed_connection_makes_room_for_who_waits(
    open_transport: Callable[..., Transport], upstream: Upstream
) -> None:
    upstream.on("m", Behaviour(keep_alive=False, delay=0.02))
    transport = open_transport(max_connections_per_origin=1)
    await asyncio.gather(*(ask_and_read(transport, upstream) for _ in range(5)))
    assert upstream.accepted == 5
    await upstream.wait_for(lambda: upstream.open_connections() == 0)


async def test_a_failed_connection_makes_room_for_who_waits(
    open_transport: Callable[..., Transport], upstream: Upstream
) -> None:
    upstream.on("m", scripts.reset())
    transport = open_transport(max_connections_per_origin=1)
    results = await asyncio.gather(*(ask_and_read(transport, upstream) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(result, ConnectionBroken) for result in results)
    assert len(upstream.requests) == 5


async def test_waiting_for_a_connection_is_part_of_connecting(
    open_transport: Callable[..., Transport], upstream: Upstream
) -> None:
    upstream.on("stall", scripts.stall())
    transport = open_transport(max_connections_per_origin=1)
    busy = asyncio.create_task(ask(transport, upstream, "stall"))
    await upstream.wait_for(lambda: upstream.requests)
    with pytest.raises(TransportTimeout) as caught:
        await ask(transport, upstream, timeouts=Timeouts(connect=0.1))
    assert caught.value.phase == "connect"
    assert len(upstream.requests) == 1
    busy.cancel()
    await asyncio.wait([busy])
    await ask_and_read(transport, upstream)


@ONE_LOOP
async def test_an_idle_connection_is_closed_by_its_age(
    open_transport: Callable[..., Transport], upstream: Upstream
) -> None:
    transport = open_transport(idle_seconds=0.3)
    await ask_and_read(transport, upstream)
    assert transport.connections() == (1, 1)
    await upstream.wait_for(lambda: upstream.open_connections() == 0)
    await idle(transport, 0)
    await ask_and_read(transport, upstream)
    assert upstream.accepted == 2


@ONE_LOOP
async def test_a_connection_that_is_used_now_and_then_stays(
    open_transport: Callable[..., Transport], upstream: Upstream
) -> None:
    transport = open_transport(idle_seconds=1.0)
    for _ in range(8):
        await ask_and_read(transport, upstream)
        await asyncio.sleep(0.2)
    assert upstream.accepted == 1


async def test_an_idle_connection_that_the_provider_closes_is_dropped(transport: Transport, upstream: Upstream) -> None:
    upstream.on("stall", scripts.stall(0))
    upstream.on("m", Behaviour(hang_up=0.0))
    busy = await ask(transport, upstream, "stall", stream=True)
    for _ in range(3):
        assert await ask_and_read(transport, upstream)
        await idle(transport, 0, total=1)
    assert upstream.accepted == 4
    busy.abort()


async def test_an_idle_connection_that_the_provider_resets_is_dropped(transport: Transport, upstream: Upstream) -> None:
    await ask_and_read(transport, upstream)
    upstream.drop_connections()
    await idle(transport, 0)
    assert await ask_and_read(transport, upstream)


@pytest.mark.parametrize("surplus", [b"x", b"\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nX"])
async def test_bytes_on_an_idle_connection_end_it(transport: Transport, upstream: Upstream, surplus: bytes) -> None:
    upstream.on("m", Behaviour(surplus=surplus, surplus_delay=0.05))
    assert await ask_and_read(transport, upstream)
    assert transport.connections() == (1, 1)
    await idle(transport, 0)
    assert (await ask_and_read(transport, upstream, "other")).startswith(b'{"id"')


@pytest.mark.parametrize("surplus", [b"x", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nX"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_connection_with_bytes_after_the_end_is_not_used_again(
    transport: Transport, upstream: Upstream, surplus: bytes, stream: bool
) -> None:
    upstream.on(
        "m", Behaviour(surplus=surplus, frames=(b"good",) if stream else None, body=None if stream else b"good")
    )
    assert await ask_and_read(transport, upstream, stream=stream) == b"good"
    await idle(transport, 0)
    assert (await ask_and_read(transport, upstream, "other")).startswith(b'{"id"')
    assert upstream.accepted == 2


@pytest.mark.parametrize("behaviour", [Behaviour(keep_alive=False), Behaviour(version="1.0")])
async def test_a_connection_that_announces_its_end_is_not_used_again(
    transport: Transport, upstream: Upstream, behaviour: Behaviour
) -> None:
    upstream.on("m", behaviour)
    for _ in range(2):
        assert await ask_and_read(transport, upstream)
        await idle(transport, 0)
    assert upstream.accepted == 2


async def test_a_connection_with_an_unfinished_request_is_not_used_again(
    transport: Transport, upstream: Upstream
) -> None:
    upstream.on("/v1/files", Behaviour(reads_body=False, body=b"enough", hang_up=5.0))
    head = b"POST /v1/files HTTP/1.1\r\nhost: provider\r\ncontent-length: 50000000\r\n\r\n"
    response = await transport.send(origin_of(upstream), [head, b"x" * 50_000_000], timeouts=PATIENT)
    assert not response.sent
    assert await response.read(ENOUGH) == b"enough"
    assert transport.connections()[1] == 0
    upstream.drop_connections()


async def test_a_connection_that_waits_to_send_a_little_is_not_used_again(
    transport: Transport, upstream: Upstream
) -> None:
    upstream.on("/v1/files", Behaviour(reads_body=False, body=b"enough", hang_up=5.0))
    head = b"POST /v1/files HTTP/1.1\r\nhost: provider\r\ncontent-length: 50000000\r\n\r\n"
    response = await transport.send(origin_of(upstream), head, timeouts=PATIENT)
    connection = response._connection
    assert connection is not None
    assert connection.transport is not None
    while not connection.transport.get_write_buffer_size():
        connection.transport.write(b"x" * 4096)
        await asyncio.sleep(0)
    assert not connection.write_blocked
    assert await response.read(ENOUGH) == b"enough"
    assert transport.connections()[1] == 0
    upstream.drop_connections()


async def test_an_old_version_may_keep_its_connection(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", Behaviour(version="1.0", headers=(("connection", "keep-alive"),)))
    for _ in range(2):
        assert await ask_and_read(transport, upstream)
    assert upstream.accepted == 1


@pytest.mark.parametrize("chunks", [0, 2])
async def test_abort_closes_the_connection_at_once(transport: Transport, upstream: Upstream, chunks: int) -> None:
    upstream.on("m", Behaviour(chunks=1000, gap=0.01))
    response = await ask(transport, upstream, stream=True)
    for _ in range(chunks):
        assert await response.next_chunk()
    response.abort()
    response.abort()
    await upstream.wait_for(lambda: upstream.requests[0].peer_closed_early, timeout=1)
    with pytest.raises(ConnectionBroken):
        await response.next_chunk()
    with pytest.raises(ConnectionBroken):
        await response.read(ENOUGH)
    await idle(transport, 0)


async def test_abort_wakes_the_reader(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", scripts.stall(0))
    response = await ask(transport, upstream, stream=True)
    reader = asyncio.create_task(response.next_chunk())
    await asyncio.sleep(0)
    response.abort()
    with pytest.raises(ConnectionBroken):
        await reader


async def test_abort_after_the_end_does_nothing(transport: Transport, upstream: Upstream) -> None:
    response = await ask(transport, upstream)
    await response.read(ENOUGH)
    other = await ask(transport, upstream)
    response.abort()
    assert await response.next_chunk() is None
    assert await other.read(ENOUGH)
    assert upstream.accepted == 1


async def test_a_response_that_is_dropped_closes_its_connection(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", scripts.stall(1))
    response = await ask(transport, upstream, stream=True)
    assert await response.next_chunk()
    del response
    await upstream.wait_for(lambda: upstream.requests[0].peer_closed_early, timeout=1)
    await idle(transport, 0)


async def test_a_second_reader_is_refused(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", scripts.stall(0))
    response = await ask(transport, upstream, stream=True)
    reader = asyncio.create_task(response.next_chunk())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError):
        await response.next_chunk()
    with pytest.raises(ConnectionBroken):
        await reader


async def test_closing_ends_everything(open_transport: Callable[..., Transport], upstream: Upstream) -> None:
    upstream.on("stall", scripts.stall())
    upstream.on("stall-mid", scripts.stall(1))
    transport = open_transport(max_connections_per_origin=3)
    streaming = await ask(transport, upstream, "stall-mid", stream=True)
    assert await streaming.next_chunk()
    reading = asyncio.create_task(streaming.next_chunk())
    asking = asyncio.create_task(ask(transport, upstream, "stall"))
    await ask_and_read(transport, upstream)
    unread = await ask(transport, upstream)
    waiting = asyncio.create_task(ask(transport, upstream))
    await upstream.wait_for(lambda: len(upstream.requests) == 4)
    await transport.aclose()
    assert transport.connections() == (0, 0)
    for task, error in ((reading, ConnectionBroken), (asking, ConnectionBroken), (waiting, ConnectFailed)):
        with pytest.raises(error):
            await task
    with pytest.raises(ConnectionBroken):
        await streaming.next_chunk()
    unread.abort()
    with pytest.raises(ConnectFailed):
        await transport.send(origin_of(upstream), chat(), timeouts=PATIENT)
    await upstream.wait_for(lambda: upstream.open_connections() == 0)


async def test_a_thousand_calls_at_once_leave_nothing_behind(transport: Transport, upstream: Upstream) -> None:
    bodies = await asyncio.gather(*(ask_and_read(transport, upstream, f"m{n % 7}", n=1) for n in range(1000)))
    assert all(b'"model":"m%d"' % (n % 7) in body for n, body in enumerate(bodies))
    await idle(transport, 128)
