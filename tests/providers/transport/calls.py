"""What the transport's tests ask for, and how."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from bailiwick.providers.transport import Origin, Response, Timeouts, Transport
from tests.upstream import Upstream

ONE_LOOP = pytest.mark.asyncio(loop_factories=["uvloop"])
"""For tests that take their time, and would tell the same on another loop."""

PATIENT = Timeouts(connect=5, first_byte=5, between_bytes=5)
ENOUGH = 1 << 20


async def nowhere(host: str, port: int, *, plain: bool) -> Sequence[tuple[str, int]]:
    """Resolve nothing: for transports that only meet the environment's own origins."""
    raise AssertionError(host, port)


def origin_of(upstream: Upstream) -> Origin:
    return Origin(scheme="http", host=upstream.host, port=upstream.port, guarded=False)


def chat(model: str = "m", **fields: object) -> bytes:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}], **fields}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: provider\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def ask(
    transport: Transport, upstream: Upstream, model: str = "m", *, timeouts: Timeouts = PATIENT, **fields: object
) -> Response:
    return await transport.send(origin_of(upstream), chat(model, **fields), timeouts=timeouts)


async def ask_and_read(transport: Transport, upstream: Upstream, model: str = "m", **fields: object) -> bytes:
    response = await transport.send(origin_of(upstream), chat(model, **fields), timeouts=PATIENT)
    return await response.read(ENOUGH)


async def chunks_of(response: Response, chunks: list[bytes] | None = None) -> list[bytes]:
    """Read to the end; what came before a failure is in `chunks`."""
    chunks = [] if chunks is None else chunks
    while (chunk := await response.next_chunk()) is not None:
        chunks.append(chunk)
    return chunks


async def idle(transport: Transport, count: int, total: int | None = None) -> None:
    """Wait until that many connections are idle, and no others are open."""
    async with asyncio.timeout(5):
        while transport.connections() != (count if total is None else total, count):  # noqa: ASYNC110 - a poll
            await asyncio.sleep(0.002)


async def settled(transport: Transport) -> None:
    """Wait until no connection is in use."""
    async with asyncio.timeout(5):
        while (counts := transport.connections())[0] != counts[1]:  # noqa: ASYNC110 - a poll
            await asyncio.sleep(0)


@contextmanager
def black_hole(host: str = "127.0.0.2", port: int = 0) -> Iterator[int]:
    """Listen on a port where connecting never ends: the queue of connections to accept is full. Yields the port."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        try:
            yield int(address[1])
        finally:
            for filler in fillers:
                filler.close()
