"""The relay to the control process: bytes pass as they come, and nobody is waited for who went away or does not read.

The control process is here whatever a test makes of it, behind a Unix socket; the gateway's side is the real server.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import pytest

from bailiwick.apps.gateway import control_relay
from bailiwick.apps.gateway.connected import Connected, Patience
from bailiwick.apps.gateway.connection import Connection
from bailiwick.apps.gateway.control_relay import ControlRelay
from bailiwick.apps.gateway.watch import Watch
from bailiwick.bootstrap.ambient import SteadyClock, new_id
from bailiwick.limiting.in_process import InProcessLimitStore
from bailiwick.providers.transport import Transport
from bailiwick.services.guard import Guard
from tests.providers.transport.calls import nowhere

Control = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MB = 1024 * 1024
GET = b"GET /admin/v1/x HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /admin/v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
REFUSED = b"HTTP/1.1 401 Unauthorized\r\nx-request-id: req_1\r\ncontent-length: 2\r\n\r\nno"
# More than all buffers on the way hold together.
FLOOD = 64 * MB


@final
@dataclass(kw_only=True)
class Relay:
    """A gateway that does nothing but relay, and what became of the requests at the other end."""

    port: int
    watch: Watch
    answers: Control
    ended: list[bool] = field(default_factory=list)
    """One entry for each connection to the control process that was closed."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection to the control process."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self.answers(reader, writer)
        finally:
            writer.close()
            self.ended.append(True)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client, which reads no more than it asks for."""
        return await asyncio.open_connection("127.0.0.1", self.port, limit=1024)


READER_SECONDS = 1.0


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    loop = asyncio.get_running_loop()
    watch = Watch(loop)
    sweeping = loop.create_task(watch.run())
    transport = Transport(resolve=nowhere)
    made = Relay(port=0, watch=watch, answers=answer_nothing)
    with tempfile.TemporaryDirectory(prefix="relay-") as folder:
        path = str(Path(folder) / "control.sock")
        control = await asyncio.start_unix_server(made.serve, path, limit=1024)
        guard = Guard(InProcessLimitStore(), requests=1000, failures=1000, now_ns=SteadyClock())
        relayed = ControlRelay(transport, socket=path, guard=guard, watch=watch, new_id=new_id, max_head=65_536)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await relayed(scope, receive, send, "127.0.0.1", from_ip="127.0.0.1")

        patience = Patience(head=30.0, linger=3.0, reader=READER_SECONDS, idle=75.0)
        connected = Connected(app, patience, new_id=new_id)
        server = await loop.create_server(lambda: Connection(connected), "127.0.0.1", 0)
        made.port = server.sockets[0].getsockname()[1]
        yield made
        server.close()
        for open_connection in list(connected.connections):
            open_connection.transport.abort()
        await transport.aclose()
        control.close()
        for task in (sweeping, *made.tasks):
            task.cancel()
        await asyncio.gather(sweeping, *made.tasks, return_exceptions=True)
        await until(lambda: not connected.tasks)


async def until(reached: Callable[[], object]) -> None:
    """Wait for something that takes effect by itself."""
    async with asyncio.timeout(5):
        while not reached():  # noqa: ASYNC110 - a poll
            await asyncio.sleep(0.01)


async def answer_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Read until the relay gives up."""
    while await reader.read(65_536):
        pass


async def answer_endlessly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer more than anybody buffers, as fast as it is taken."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nx-request-id: req_1\r\ncontent-length: %d\r\n\r\n" % FLOOD)
    for _ in range(FLOOD // 65_536):
        writer.write(b"x" * 65_536)
        await writer.drain()


async def refuse_by_the_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer without a look at the body, as the control process does to whoever has no key."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(REFUSED)
    await answer_nothing(reader, writer)


async def test_who_is_refused_is_told_before_the_body_has_come(relay: Relay) -> None:
    relay.answers = refuse_by_the_head
    reader, writer = await relay.connect()
    writer.write(POST % FLOOD)
    async with asyncio.timeout(2):
        assert await reader.readexactly(len(REFUSED)) == REFUSED
    await until(lambda: relay.ended)
    writer.close()


async def test_a_body_goes_no_faster_than_the_control_process_reads_it(relay: Relay) -> None:
    async def read_the_head(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(30)

    relay.answers = read_the_head
    _, writer = await relay.connect()
    writer.write(POST % FLOOD)
    sent = 0
    with suppress(TimeoutError):
        while sent < FLOOD:
            writer.write(b"x" * 65_536)
            await asyncio.wait_for(writer.drain(), 0.5)
            sent += 65_536
    assert sent < 16 * MB
    writer.transport.abort()


@pytest.mark.parametrize("size", [0, 1, 300_000])
async def test_a_body_arrives_whole(relay: Relay, size: int) -> None:
    read = b""

    async def answer_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal read
        while not read.endswith(b"0\r\n\r\n"):
            read += await reader.read(65_536)
        writer.write(REFUSED)

    relay.answers = answer_the_end
    reader, writer = await relay.connect()
    writer.write(POST % size + b"x" * size)
    assert await reader.readexactly(len(REFUSED)) == REFUSED
    head, _, body = read.partition(b"\r\n\r\n")
    assert b"\r\ntransfer-encoding: chunked" in head
    assert b"content-length" not in head
    assert body.count(b"x") == size
    writer.close()


async def test_a_client_that_goes_away_takes_its_request_along(relay: Relay) -> None:
    _, writer = await relay.connect()
    writer.write(GET)
    await asyncio.sleep(0.3)
    assert not relay.ended
    writer.close()
    await until(lambda: relay.ended)


async def test_half_a_body_is_never_passed_off_as_a_whole_one(relay: Relay) -> None:
    read = b""

    async def read_all(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal read
        while piece := await reader.read(65_536):
            read += piece

    relay.answers = read_all
    _, writer = await relay.connect()
    writer.write(POST % 1000 + b"x" * 500)
    await asyncio.sleep(0.3)
    assert not relay.ended
    writer.close()
    await until(lambda: relay.ended)
    assert read.endswith(b"x\r\n")


async def test_a_client_that_does_not_read_is_cut_when_its_time_is_up(relay: Relay) -> None:
    relay.answers = answer_endlessly
    reader, writer = await relay.connect()
    writer.write(GET)
    await asyncio.sleep(READER_SECONDS * 0.7)
    assert not relay.ended
    await until(lambda: relay.ended)
    with suppress(ConnectionResetError):
        while await reader.read(65_536):
            pass
    assert relay.watch.size == 0
    writer.close()


async def test_a_client_that_reads_gets_all_of_a_large_answer(relay: Relay) -> None:
    relay.answers = answer_endlessly
    reader, writer = await relay.connect()
    writer.write(GET)
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"content-length: %d" % FLOOD in head
    size = 0
    while size < FLOOD:
        size += len(await reader.read(MB))
    assert size == FLOOD
    writer.close()


async def test_a_body_that_does_not_come_is_given_up(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_relay, "_SLOWEST_BODY_SECONDS", 0.3)
    reader, writer = await relay.connect()
    writer.write(POST % 1000)
    for _ in range(5):
        writer.write(b"x")
        await asyncio.sleep(0.1)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 408 ")
    await until(lambda: relay.ended)
    writer.close()


async def test_what_connection_names_goes_no_further(relay: Relay) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(
            b"HTTP/1.1 200 OK\r\nconnection: X-Answer\r\nx-answer: 1\r\nx-stays: 1\r\ncontent-length: 2\r\n\r\nok"
        )
        await answer_nothing(reader, writer)

    relay.answers = answer
    reader, writer = await relay.connect()
    names = b"connection: X-Ask, host, x-forwarded-for, keep-alive\r\nx-ask: 1\r\nx-kept: 1\r\n"
    writer.write(GET.replace(b"\r\n\r\n", b"\r\n" + names + b"\r\n"))
    answered = await reader.readuntil(b"ok")
    assert b"x-ask" not in asked[0]
    assert all(line in asked[0] for line in (b"x-kept: 1\r\n", b"host: x\r\n", b"x-forwarded-for: 127.0.0.1\r\n"))
    assert b"x-answer" not in answered.lower()
    assert b"x-stays: 1\r\n" in answered
    writer.close()
