"""Whatever is cancelled, and when: no connection, no waiter and no room in the pool is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from bailiwick.providers.transport import Origin, Response, Transport
from tests.providers.transport.calls import ENOUGH, PATIENT, ask, ask_and_read, black_hole, chat, idle, settled
from tests.upstream import Behaviour, Upstream, scripts


async def cancelled(task: asyncio.Task[Response] | asyncio.Task[bytes] | asyncio.Task[bytes | None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_while_the_name_is_resolved(open_transport: Callable[..., Transport], upstream: Upstream) -> None:
    started = asyncio.Event()

    async def resolve(host: str, port: int, *, plain: bool) -> Sequence[tuple[str, int]]:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    transport = open_transport(resolve=resolve)
    origin = Origin(scheme="http", host="provider.example", port=80, guarded=True)
    task = asyncio.create_task(transport.send(origin, chat(), timeouts=PATIENT))
    await started.wait()
    assert transport.connections() == (1, 0)
    await cancelled(task)
    assert transport.connections() == (0, 0)


async def test_while_it_connects(transport: Transport) -> None:
    with black_hole() as port:
        origin = Origin(scheme="http", host="127.0.0.2", port=port, guarded=False)
        task = asyncio.create_task(transport.send(origin, chat(), timeouts=PATIENT))
        await asyncio.sleep(0.05)
        assert transport.connections() == (1, 0)
        await cancelled(task)
        assert transport.connections() == (0, 0)


async def test_while_it_waits_for_a_connection(open_transport: Callable[..., Transport], upstream: Upstream) -> None:
    upstream.on("slow", Behaviour(delay=0.1))
    transport = open_transport(max_connections_per_origin=1)
    busy = asyncio.create_task(ask_and_read(transport, upstream, "slow"))
    await upstream.wait_for(lambda: upstream.requests)
    gone = asyncio.create_task(ask_and_read(transport, upstream, "gone"))
    patient = asyncio.create_task(ask_and_read(transport, upstream, "patient"))
    await asyncio.sleep(0)
    await cancelled(gone)
    assert await busy
    assert await patient
    assert [record.model for record in upstream.requests] == ["slow", "patient"]


@pytest.mark.parametrize("keep_alive", [True, False])
async def test_in_the_moment_in_which_its_turn_comes(
    open_transport: Callable[..., Transport], upstream: Upstream, keep_alive: bool
) -> None:
    upstream.on("m", Behaviour(keep_alive=keep_alive))
    transport = open_transport(max_connections_per_origin=1)
    busy = await ask(transport, upstream)
    gone = asyncio.create_task(ask_and_read(transport, upstream, "gone"))
    patient = asyncio.create_task(ask_and_read(transport, upstream, "patient"))
    await asyncio.sleep(0)
    await busy.read(ENOUGH)  # hands its connection, or the room that it leaves, to the first who waits …
    if not keep_alive:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await cancelled(gone)  # … who has just left
    assert await patient
    assert await ask_and_read(transport, upstream, "later")


async def test_while_the_head_is_awaited(transport: Transport, upstream: Upstream) -> None:
    upstream.on("m", scripts.stall())
    task = asyncio.create_task(ask(transport, upstream))
    await upstream.wait_for(lambda: upstream.requests)
    await cancelled(task)
    await upstream.wait_for(lambda: upstream.requests[0].peer_closed_early)
    await idle(transport, 0)


def next_chunk(response: Response) -> Awaitable[bytes | None]:
    return response.next_chunk()


def read(response: Response) -> Awaitable[bytes | None]:
    return response.read(ENOUGH)


@pytest.mark.parametrize("how", [next_chunk, read])
async def test_while_content_is_awaited(
    transport: Transport, upstream: Upstream, how: Callable[[Response], Awaitable[bytes | None]]
) -> None:
    upstream.on("m", scripts.stall(1))
    response = await ask(transport, upstream, stream=True)
    assert await response.next_chunk()
    task: asyncio.Task[bytes | None] = asyncio.ensure_future(how(response))
    await asyncio.sleep(0)
    await cancelled(task)
    await upstream.wait_for(lambda: upstream.requests[0].peer_closed_early)
    await idle(transport, 0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("reused", [False, True])
async def test_at_any_turn_of_the_loop(
    open_transport: Callable[..., Transport], upstream: Upstream, stream: bool, reused: bool
) -> None:
    """Cancel a call after every number of turns until it is through; nothing is ever left behind."""
    transport = open_transport(max_connections_per_origin=2)
    upstream.on("m", Behaviour(frames=(b"a", b"b"), gap=0.001) if stream else Behaviour())
    through = 0
    for turns in range(2000):
        if reused:
            await ask_and_read(transport, upstream, "warm")
        else:
            await asyncio.sleep(0)
        task = asyncio.create_task(ask_and_read(transport, upstream, stream=stream))
        for _ in range(turns):
            await asyncio.sleep(0)
        through += task.done()
        task.cancel()
        await asyncio.wait([task])
        await settled(transport)
        if through > 2:
            break
    assert through
    answers = await asyncio.gather(*(ask_and_read(transport, upstream, "other", n=1) for _ in range(4)))
    assert len(set(answers)) == len(answers)
    await upstream.wait_for(lambda: upstream.open_connections() == transport.connections()[0])


async def test_many_at_once_at_random_times(open_transport: Callable[..., Transport], upstream: Upstream) -> None:
    transport = open_transport(max_connections_per_origin=8)
    upstream.on("m", Behaviour(frames=(b"a", b"b", b"c"), gap=0.002))

    async def call(place: int) -> None:
        async with asyncio.timeout(0.0005 * (place % 40)):
            await ask_and_read(transport, upstream, stream=True)

    results = await asyncio.gather(*(call(place) for place in range(400)), return_exceptions=True)
    assert {type(result) for result in results} <= {TimeoutError, type(None)}
    await settled(transport)
    assert await asyncio.gather(*(ask_and_read(transport, upstream, "other") for _ in range(16)))
    await upstream.wait_for(lambda: upstream.open_connections() == transport.connections()[0])
