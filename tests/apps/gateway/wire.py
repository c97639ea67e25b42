"""Requests byte by byte, for what no client library would send."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, final

from tests.serving import REQUEST_ID, assert_no_secret

_PATIENCE: Final = 10.0
_CONTINUE: Final = 100


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. `sent` counts the bytes that had been handed over when it began to come."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    sent: int

    def header(self, name: str) -> str | None:
        """The one header of that name."""
        found = [value for key, value in self.headers if key == name]
        assert len(found) <= 1
        return found[0] if found else None


def connect(port: int, *, source: str = "127.0.0.1") -> socket.socket:
    """A connection from one of this machine's loopback addresses."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE, source_address=(source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def exchange(port: int, request: bytes | Iterable[bytes], *, source: str = "127.0.0.1") -> Answer:
    """Send a request, in pieces if it has some, until an answer comes; the answer is checked for what holds of all."""
    with connect(port, source=source) as sock:
        sent = 0
        for piece in [request] if isinstance(request, bytes) else request:
            with suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(piece)
                sent += len(piece)
            if select.select([sock], [], [], 0)[0]:
                break
        return read_answer(sock, sent=sent)


def read_answer(sock: socket.socket, *, sent: int = 0) -> Answer:
    """Read one answer; a connection that is reset right behind it is no matter."""
    with sock.makefile("rb", buffering=0) as stream:
        status, headers = _head(stream)
        if status == _CONTINUE:
            status, headers = _head(stream)
        length = [value for name, value in headers if name == "content-length"]
        coded = ("transfer-encoding", "chunked") in headers
        body = _chunks(stream) if coded else _exactly(stream, int(length[0])) if length else stream.readall()
    answer = Answer(status=status, headers=headers, body=body, sent=sent)
    named = answer.header("x-request-id")
    assert named is not None
    assert REQUEST_ID.fullmatch(named)
    assert_no_secret(body)
    return answer


def _head(stream: socket.SocketIO) -> tuple[int, list[tuple[str, str]]]:
    version, status, _ = stream.readline().decode("latin-1").split(" ", 2)
    assert version == "HTTP/1.1"
    headers = []
    while line := stream.readline().decode("latin-1").rstrip("\r\n"):
        name, _, value = line.partition(": ")
        headers.append((name, value))
    return int(status), headers


def _exactly(stream: socket.SocketIO, size: int) -> bytes:
    body = b""
    while len(body) < size:
        piece = stream.read(size - len(body))
        assert piece, "the answer was cut"
        body += piece
    return body


def _chunks(stream: socket.SocketIO) -> bytes:
    body = b""
    while size := int(stream.readline(), 16):
        body += _exactly(stream, size)
        assert stream.readline() == b"\r\n"
    assert stream.readline() == b"\r\n"
    return body


def request(
    path: str,
    headers: Iterable[tuple[bytes, bytes]] = (),
    *,
    method: str = "GET",
    body: bytes | None = None,
    host: bytes = b"gateway.test",
) -> bytes:
    """A request that asks for the connection's close."""
    lines = [b"%b %b HTTP/1.1" % (method.encode(), path.encode()), b"host: " + host, b"connection: close"]
    lines.extend(name + b": " + value for name, value in headers)
    if body is not None:
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")
