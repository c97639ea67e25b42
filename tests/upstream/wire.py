"""One connection of the stand-in: reads requests byte by byte and answers each as its behaviour says."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, cast, final

from tests.upstream import payloads
from tests.upstream.behaviour import Behaviour, Ending
from tests.upstream.record import Record

if TYPE_CHECKING:
    from tests.upstream.server import Upstream

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_HEAD_END: Final = b"\r\n\r\n"


@final
class Connection(asyncio.Protocol):
    """Serves one connection, in one task that ends with it."""

    def __init__(self, upstream: Upstream, number: int) -> None:
        self._upstream = upstream
        self._number = number
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._opened_at = 0.0
        self._closed_at: float | None = None
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._records: list[Record] = []
        self._closed_by_us = False

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        # Whatever the kernel does not take is not sent: `chunks_sent` then tells what the peer's slowness lets through.
        self._transport.set_write_buffer_limits(high=1)  # at 0, TLS never resumes
        self._opened_at = time.monotonic()
        self._upstream.opened(self)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._arrived.set()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        now = self._closed_at = time.monotonic()
        for record in self._records:
            record.closed_at = now
            if record.finished_at is None and not self._closed_by_us:
                record.peer_closed_early = True
        self._upstream.closed(self)
        if self._task is not None:
            self._task.cancel()

    def abort(self) -> None:
        """Close at once; not the peer's doing."""
        self._closed_by_us = True
        if self._transport is not None:
            self._transport.abort()

    # requests

    async def _serve(self) -> None:
        greeting = self._upstream.greeting
        if greeting is not None:
            self._end(greeting)
            await self._until_closed()
        while True:
            head = await self._read_head()
            method, path, headers = _parsed_head(head)
            record = Record(
                method=method, path=path, headers=headers, body=b"", raw=head,
                connection=self._number, opened_at=self._opened_at, received_at=time.monotonic(),
            )  # fmt: skip
            behaviour = self._upstream.unread(record)
            if behaviour is None:
                body, coded = await self._read_body(record)
                record.body, record.raw, record.received_at = body, head + coded, time.monotonic()
                behaviour = self._upstream.choose(record)
            elif self._transport is not None:
                self._transport.pause_reading()
            self._records.append(record)
            self._upstream.record(record)
            await self._answer(record, behaviour)

    async def _read_head(self) -> bytes:
        while (end := self._buffer.find(_HEAD_END)) < 0:
            await self._more()
        return self._take(end + len(_HEAD_END))

    async def _read_body(self, record: Record) -> tuple[bytes, bytes]:
        """Return the body and the bytes it was coded in."""
        if "chunked" in (record.header("transfer-encoding") or "").lower():
            body, coded = b"", b""
            while True:
                while (end := self._buffer.find(b"\r\n")) < 0:
                    await self._more()
                line = self._take(end + 2)
                size = int(line.split(b";")[0], 16)
                chunk = await self._exactly(size + 2)
                coded += line + chunk
                body += chunk[:size]
                if size == 0:
                    return body, coded
        body = await self._exactly(int(record.header("content-length") or 0))
        return body, body

    async def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._more()
        return self._take(size)

    async def _more(self) -> None:
        self._arrived.clear()
        await self._arrived.wait()

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    # answers

    async def _answer(self, record: Record, behaviour: Behaviour) -> None:
        if behaviour.delay:
            await asyncio.sleep(behaviour.delay)
        for status in behaviour.interim:
            await self._emit(record, f"HTTP/1.1 {status} Interim\r\nx-interim: yes\r\n\r\n".encode(), behaviour.drip)
        if behaviour.wire is not None:
            await self._emit(record, behaviour.wire, behaviour.drip)
            self._end(Ending.CLOSE if behaviour.ending is Ending.COMPLETE else behaviour.ending)
            await self._until_closed()
        if behaviour.ending is not Ending.COMPLETE and behaviour.after is None:
            self._end(behaviour.ending)
            await self._until_closed()
        await self._send(record, behaviour, _Answer(record, behaviour, self._upstream))
        if behaviour.ending is not Ending.EARLY and behaviour.ending is not Ending.COMPLETE:
            self._end(behaviour.ending)
            await self._until_closed()
        record.finished_at = time.monotonic()
        await self._afterwards(record, behaviour)

    async def _send(self, record: Record, behaviour: Behaviour, answer: _Answer) -> None:
        """Send the head and as many frames as are due; a body goes out in one piece with its head."""
        surplus = b"" if behaviour.surplus_delay else behaviour.surplus
        if not answer.streams:
            body = b"".join(piece for piece, _ in answer.pieces)
            await self._emit(record, answer.head + body + answer.tail + surplus, behaviour.drip)
            record.sent(sum(whole for _, whole in answer.pieces))
            return
        await self._emit(record, answer.head, behaviour.drip)
        for place, (piece, whole) in enumerate(answer.pieces):
            if place and behaviour.gap:
                await asyncio.sleep(behaviour.gap)
            await self._emit(record, piece, behaviour.drip)
            record.sent(int(whole))
        await self._emit(record, answer.tail + surplus, behaviour.drip)

    async def _afterwards(self, record: Record, behaviour: Behaviour) -> None:
        if behaviour.surplus and behaviour.surplus_delay:
            await asyncio.sleep(behaviour.surplus_delay)
            await self._emit(record, behaviour.surplus, None)
        if behaviour.hang_up is not None:
            await asyncio.sleep(behaviour.hang_up)
        elif behaviour.keep_alive and behaviour.framing != "close" and behaviour.reads_body:
            return
        self._end(Ending.CLOSE)
        await self._until_closed()

    async def _emit(self, record: Record, data: bytes, drip: float | None) -> None:
        """Hand bytes to the socket, and wait until it has taken them."""
        if not data or self._transport is None:
            return
        if record.first_byte_at is None:
            record.first_byte_at = time.monotonic()
        if drip is None:
            self._transport.write(data)
            await self._writable.wait()
            return
        for place in range(len(data)):
            self._transport.write(data[place : place + 1])
            await self._writable.wait()
            await asyncio.sleep(drip)

    def _end(self, ending: Ending) -> None:
        if self._transport is None or ending is Ending.STALL:
            return
        self._closed_by_us = True
        if ending is Ending.RESET:
            sock: socket.socket | None = self._transport.get_extra_info("socket")
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()
        else:
            self._transport.close()

    @staticmethod
    async def _until_closed() -> None:
        await asyncio.Event().wait()  # connection_lost cancels it


@final
class _Answer:
    """Head, pieces and tail of an answer as they go over the wire, in the framing that its behaviour asks for."""

    def __init__(self, record: Record, behaviour: Behaviour, upstream: Upstream) -> None:
        content_type, frames = _content(record, behaviour, upstream)
        self.streams = content_type == payloads.SSE
        framing = behaviour.framing or ("chunked" if self.streams else "length")
        broken = behaviour.ending not in (Ending.COMPLETE, Ending.EARLY)
        due = list(_due(frames, behaviour))
        if framing == "chunked":
            # A frame that is cut by the connection's end is announced whole: the message is broken, not just short.
            wires = (_chunk(frame, size, announced=len(frame) if broken else size) for frame, size in due)
        else:
            wires = (frame[:size] for frame, size in due)
        self.pieces = [(wire, size == len(frame)) for wire, (frame, size) in zip(wires, due, strict=True)]
        self.tail = _last_chunk(behaviour.trailers) if framing == "chunked" and not broken else b""
        length = behaviour.declared_length
        if length is None:
            length = sum(map(len, frames)) if broken else sum(size for _, size in due)
        headers = [("content-type", content_type), ("x-request-id", f"req_{record.connection}_{upstream.count}")]
        if framing == "length":
            headers.append(("content-length", str(length)))
        elif framing == "chunked":
            headers.append(("transfer-encoding", "chunked"))
        if not behaviour.keep_alive:
            headers.append(("connection", "close"))
        replaced = {name.lower() for name, _ in behaviour.headers}
        headers = [*(header for header in headers if header[0] not in replaced), *behaviour.headers]
        lines = [f"{name}: {value}\r\n" for name, value in headers]
        self.head = f"HTTP/{behaviour.version} {behaviour.status} Scripted\r\n{''.join(lines)}\r\n".encode("latin-1")


def _due(frames: Sequence[bytes], behaviour: Behaviour) -> Iterable[tuple[bytes, int]]:
    """Yield each frame that is to be sent, and how many bytes of it."""
    for place, frame in enumerate(frames):
        complete = behaviour.ending is Ending.COMPLETE or behaviour.after is None
        share = 1.0 if complete or behaviour.after is None else min(1.0, behaviour.after - place)
        if share > 0:
            yield frame, int(len(frame) * share)


def _chunk(frame: bytes, size: int, *, announced: int) -> bytes:
    if size == 0:
        return b""  # a chunk of no bytes would end the message
    return b"%x\r\n" % announced + frame[:size] + (b"\r\n" if size == announced else b"")


def _content(record: Record, behaviour: Behaviour, upstream: Upstream) -> tuple[str, list[bytes]]:
    body = behaviour.body
    if body is not None:
        return payloads.JSON, [body(record) if callable(body) else body]
    if behaviour.frames is not None:
        return payloads.SSE, list(behaviour.frames)
    path = record.path.partition("?")[0]
    if record.method == "GET" and path.endswith("/models"):
        return payloads.JSON, [payloads.models(upstream.models())]
    if payloads.is_stream(record):
        return payloads.SSE, list(payloads.stream(record, behaviour, upstream.count))
    return payloads.JSON, [payloads.completion(record, behaviour, upstream.count)]


def _last_chunk(trailers: Sequence[tuple[str, str]]) -> bytes:
    return b"0\r\n" + b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in trailers) + b"\r\n"


def _parsed_head(head: bytes) -> tuple[str, str, list[tuple[str, str]]]:
    request_line, *lines = head[: -len(_HEAD_END)].decode("latin-1").split("\r\n")
    method, path, _ = request_line.split(" ", 2)
    fields = (line.partition(":") for line in lines)
    return method, path, [(name, value.strip()) for name, _, value in fields]
