"""A connection: whoever keeps it waiting is given up, and nobody who is only slow; every answer is framed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from bailiwick.apps.gateway.connection import Connection

HEAD_SECONDS = 0.3


ANSWERS_AFTER = HEAD_SECONDS * 2
PARTS = (b"one, ", b"two, ", b"three")


async def answer_ok(scope: Any, receive: Any, send: Any) -> None:
    """An application that reads its request to the end and says how large it was, at `/parts` bit by bit."""
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            break
    if scope["path"] == "/slow":
        await asyncio.sleep(ANSWERS_AFTER)
    if scope["path"] == "/parts":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in PARTS:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    body = b"%d" % size
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    config = uvicorn.Config(answer_ok, interface="asgi3", lifespan="off", log_config=None, log_level="error", ws="none")
    config.load()
    state = ServerState()

    def connection() -> asyncio.Protocol:
        ours = {"new_id": lambda: "0" * 32, "head_seconds": HEAD_SECONDS}
        return Connection(config=config, server_state=state, app_state={}, **ours)

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for open_connection in list(state.connections):
        open_connection.transport.abort()
    await server.wait_closed()


async def said(port: int, *pieces: bytes, pause: float = 0.0) -> tuple[bytes, float]:
    """Send some pieces with a pause after each, and wait for the connection's end; returns what came and how long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = asyncio.get_running_loop().time()
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(pause)
    seen = await asyncio.wait_for(reader.read(), 5)
    took = asyncio.get_running_loop().time() - began
    writer.close()
    return seen, took


REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\n"
CODED = b"transfer-encoding: chunked\r\n"
LAST = b"connection: close\r\n\r\n"


async def test_a_connection_that_says_nothing_is_closed(port: int) -> None:
    seen, took = await said(port)
    assert seen == b""
    assert took >= HEAD_SECONDS


@pytest.mark.parametrize("pieces", [[REQUEST], [b"G"], [bytes([letter]) for letter in REQUEST]])
async def test_a_head_that_does_not_arrive_is_given_up(port: int, pieces: list[bytes]) -> None:
    seen, took = await said(port, *pieces, pause=0.01)
    assert seen.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in seen
    assert HEAD_SECONDS <= took < HEAD_SECONDS + 1


async def test_the_next_head_has_as_long_as_the_first(port: int) -> None:
    seen, _ = await said(port, REQUEST + b"\r\n", REQUEST, pause=HEAD_SECONDS * 0.7)
    assert seen.startswith(b"HTTP/1.1 200 ")
    assert seen.count(b"HTTP/1.1 408 ") == 1


async def test_a_slow_head_that_arrives_in_time_is_answered(port: int) -> None:
    seen, _ = await said(port, REQUEST, b"x-a: b\r\n", LAST, pause=HEAD_SECONDS / 4)
    assert seen.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "pieces",
    [
        [POST + b"content-length: 4\r\n" + LAST, b"a", b"b", b"c", b"d"],
        [POST + CODED + LAST, b"1\r\na\r\n", b"2\r", b"\nbc\r\n", b"1\r\nd", b"\r\n0\r\n", b"\r\n"],
    ],
)
async def test_a_slow_body_is_no_slow_head(port: int, pieces: list[bytes]) -> None:
    seen, took = await said(port, *pieces, pause=HEAD_SECONDS / 2)
    assert seen.endswith(b"\r\n\r\n4")
    assert took > HEAD_SECONDS


async def test_trailers_that_do_not_arrive_are_given_up(port: int) -> None:
    seen, _ = await said(port, POST + CODED + b"\r\n", b"1\r\na\r\n0\r\n", b"x-a: b\r\n")
    assert seen.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("stray", [b"\r\n", b"GET / HT"])
async def test_an_answer_is_not_cut_for_what_came_behind_its_request(port: int, stray: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST.replace(b"/", b"/slow", 1) + b"\r\n")
    await asyncio.sleep(0.05)
    writer.write(stray)
    assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_a_connection_between_two_requests_is_kept(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(REQUEST + b"\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        assert await reader.readuntil(b"\r\n\r\n0")
        await asyncio.sleep(HEAD_SECONDS * 1.5)
    writer.close()


@pytest.mark.parametrize("version", [b"1.0", b"0.9", b"2.0"])
@pytest.mark.parametrize("asking", [b"", b"connection: keep-alive\r\n"])
async def test_an_answer_of_unknown_length_ends_with_the_connection_for_whoever_knows_no_codings(
    port: int, version: bytes, asking: bytes
) -> None:
    seen, _ = await said(port, b"GET /parts HTTP/%b\r\n%b\r\n" % (version, asking))
    head, _, body = seen.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    assert b"transfer-encoding" not in head
    assert body == b"".join(PARTS)


async def test_an_answer_of_unknown_length_is_chunked_for_everybody_else(port: int) -> None:
    seen, _ = await said(port, REQUEST.replace(b"/", b"/parts", 1) + LAST)
    head, _, body = seen.partition(b"\r\n\r\n")
    assert b"\r\ntransfer-encoding: chunked" in head
    assert body == b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in PARTS) + b"0\r\n\r\n"


@pytest.mark.parametrize("hosts", [b"", b"host: x\r\nhost: y\r\n", b"host: x\r\nhost: x\r\n"])
async def test_a_request_names_its_host_once(port: int, hosts: bytes) -> None:
    seen, took = await said(port, b"GET / HTTP/1.1\r\n" + hosts + b"\r\n", REQUEST + LAST)
    assert seen.startswith(b"HTTP/1.1 400 ")
    assert b'"message":"The request must have one Host header."' in seen
    assert seen.count(b"HTTP/1.1 ") == 1
    assert took < HEAD_SECONDS


async def test_an_old_request_needs_no_host_and_may_not_have_two(port: int) -> None:
    seen, _ = await said(port, b"GET / HTTP/1.0\r\n\r\n")
    assert seen.startswith(b"HTTP/1.1 200 ")
    seen, _ = await said(port, b"GET / HTTP/1.0\r\nhost: x\r\nhost: y\r\n\r\n")
    assert seen.startswith(b"HTTP/1.1 400 ")
