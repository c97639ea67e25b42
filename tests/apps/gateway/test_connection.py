"""A connection: whoever keeps it waiting is given up, and nobody who is only slow; every answer is framed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from bailiwick.apps.gateway import body
from bailiwick.apps.gateway.body import read_body
from bailiwick.apps.gateway.connected import Connected, Patience
from bailiwick.apps.gateway.connection import Connection
from bailiwick.domain.errors import Refused

HEAD_SECONDS = 0.8
LINGER_SECONDS = 0.8
READER_SECONDS = 1.0


ANSWERS_AFTER = HEAD_SECONDS * 2
PIECE = b"x" * 65_536
FLOODED: list[int] = []
# What the system may keep for a connection, on both of its ends.
KERNEL = 16 << 20
WHOLE = KERNEL * 3 // 2
KEEP_ALIVE_SECONDS = 2
PARTS = (b"one, ", b"two, ", b"three")


async def answer_ok(scope: Any, receive: Any, send: Any) -> None:
    """An application that reads its request to the end and says how large it was, at `/parts` bit by bit.

    At `/bounded` it reads as the gateway does, and says whether it waited, or what refused the request.
    """
    if scope["path"] == "/bounded":
        try:
            whole, waited = await read_body(receive, announced=None, most=1 << 20, hold=lambda _: None)
            said = b"%b %r" % (whole, waited)
        except Refused as refused:
            said = b"%d" % refused.status
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": said})
        return
    size = 0
    while scope["path"] != "/refused":
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            break
    if scope["path"] == "/flood":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.create_task(receive())
        while not gone.done():
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
            FLOODED.append(len(PIECE))
            await asyncio.sleep(0)
        return
    if scope["path"] in {"/whole", "/brim"}:
        await answer_much(scope, receive, send)
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(ANSWERS_AFTER)
    if scope["path"] == "/parts":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in PARTS:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    told = b"%d" % size
    headers = [(b"content-length", b"%d" % len(told))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": told})


async def answer_much(scope: Any, receive: Any, send: Any) -> None:
    """Answer all at once, or at `/brim` just more than the system takes for a client that does not read."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while scope["path"] == "/brim" and not receive.__self__._connection.transport.get_write_buffer_size():
        await send({"type": "http.response.body", "body": PIECE[:4096], "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b"" if scope["path"] == "/brim" else bytes(WHOLE)})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    patience = Patience(head=HEAD_SECONDS, linger=LINGER_SECONDS, reader=READER_SECONDS, idle=KEEP_ALIVE_SECONDS)
    connected = Connected(answer_ok, patience, new_id=lambda: "0" * 32)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(connected), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for open_connection in list(connected.connections):
        open_connection.transport.abort()
    await server.wait_closed()


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    """What closes the clients' sockets."""
    with ExitStack() as stack:
        yield stack


async def said(port: int, *pieces: bytes, pause: float = 0.0) -> tuple[bytes, float]:
    """Send some pieces with a pause after each, and wait for the connection's end; returns what came and how long."""
    began = asyncio.get_running_loop().time()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
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
    seen, took = await said(port, *pieces, pause=0.001)
    assert seen.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in seen
    assert HEAD_SECONDS <= took < HEAD_SECONDS + 1


async def test_the_next_head_has_as_long_as_the_first(port: int) -> None:
    seen, _ = await said(port, REQUEST + b"\r\n", REQUEST, pause=HEAD_SECONDS * 0.7)
    assert seen.startswith(b"HTTP/1.1 200 ")
    assert seen.count(b"HTTP/1.1 408 ") == 1


async def test_a_head_that_began_behind_another_request_is_given_up_too(port: int) -> None:
    seen, _ = await said(port, REQUEST + b"\r\n" + REQUEST)
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


BOUNDED = POST.replace(b"/", b"/bounded", 1)


async def test_a_body_that_came_with_its_head_is_not_waited_for(port: int) -> None:
    seen, _ = await said(port, BOUNDED + b"content-length: 4\r\n" + LAST + b"body")
    assert b"body False" in seen


@pytest.mark.parametrize("asks", [b"", b"expect: 100-continue\r\n"])
async def test_a_body_that_comes_later_is_waited_for(port: int, asks: bytes) -> None:
    seen, _ = await said(port, BOUNDED + asks + b"content-length: 4\r\n" + LAST, b"bo", b"dy", pause=0.05)
    assert seen.startswith(b"HTTP/1.1 100 ") == bool(asks)
    assert b"body True" in seen


@pytest.mark.parametrize("pieces", [[], [b"b", b"o"]])
async def test_a_body_that_does_not_arrive_is_given_up(
    port: int, pieces: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "_SLOWEST_SECONDS", 0.2)
    seen, took = await said(port, BOUNDED + b"content-length: 4\r\n" + LAST, *pieces, pause=0.05)
    assert b"408" in seen
    assert 0.2 <= took < 1.2


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


async def test_a_client_that_takes_nothing_is_cut_and_holds_its_answer_up_until_then(
    port: int, clients: ExitStack
) -> None:
    FLOODED.clear()
    sock = clients.enter_context(socket.create_connection(("127.0.0.1", port)))
    sock.sendall(REQUEST.replace(b"/", b"/flood", 1) + b"\r\n")
    await asyncio.sleep(READER_SECONDS * 0.8)
    held_up = sum(FLOODED)
    assert 0 < held_up < KERNEL
    await asyncio.sleep(READER_SECONDS * 0.8)
    assert sum(FLOODED) <= held_up + 4 * len(PIECE)
    sock.setblocking(False)
    with suppress(ConnectionResetError):
        while sock.recv(1 << 20):  # BlockingIOError, if the connection has not ended.
            pass


@pytest.mark.parametrize(
    ("path", "end"), [(b"/whole", b"\r\n"), (b"/whole", LAST), (b"/brim", LAST), (b"/brim", b"\r\n")]
)
async def test_a_client_that_does_not_take_the_end_of_its_answer_is_cut(
    port: int, clients: ExitStack, path: bytes, end: bytes
) -> None:
    sock = clients.enter_context(socket.create_connection(("127.0.0.1", port)))
    sock.sendall(REQUEST.replace(b"/", path, 1) + end)
    await asyncio.sleep(READER_SECONDS * 1.6 if path == b"/whole" else KEEP_ALIVE_SECONDS + READER_SECONDS)
    sock.setblocking(False)
    took, tail = 0, b""
    with suppress(ConnectionResetError):
        while came := sock.recv(1 << 20):  # BlockingIOError, if the connection has not ended.
            took, tail = took + len(came), came[-5:]
    assert took < WHOLE
    assert tail != b"0\r\n\r\n"


async def test_a_large_answer_waits_once_for_a_slow_client_and_arrives_whole(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST.replace(b"/", b"/whole", 1) + LAST)
    took = b""
    while came := await reader.read(1 << 20):
        took += came
        await asyncio.sleep(0.005)
    assert took.count(b"\0") == WHOLE
    writer.close()


async def test_a_client_that_takes_little_at_a_time_is_not_cut(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST.replace(b"/", b"/flood", 1) + b"\r\n")
    until = asyncio.get_running_loop().time() + READER_SECONDS * 3
    while asyncio.get_running_loop().time() < until:
        assert await reader.read(1 << 20)
        await asyncio.sleep(0.01)
    writer.transport.abort()


async def test_a_connection_between_two_requests_is_kept(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(REQUEST + b"\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        assert await reader.readuntil(b"\r\n\r\n0")
        await asyncio.sleep(HEAD_SECONDS * 1.5)
    writer.close()


@pytest.mark.parametrize("asking", [b"", b"connection: keep-alive\r\n"])
async def test_an_answer_of_unknown_length_ends_with_the_connection_for_whoever_knows_no_codings(
    port: int, asking: bytes
) -> None:
    seen, _ = await said(port, b"GET /parts HTTP/1.0\r\n%b\r\n" % asking)
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


OFFERS = [
    b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
    b"upgrade: h2c\r\nconnection: keep-alive\r\nconnection: upgrade\r\n",
    b"connection: upgrade\r\nupgrade: websocket\r\n",
]
NEXT = REQUEST.replace(b"/", b"/parts", 1) + LAST


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("framing", [b"content-length: %d\r\n\r\n%b", CODED + b"\r\n%x\r\n%b\r\n0\r\n\r\n"])
@pytest.mark.parametrize("cut", ["nowhere", "behind the head", "everywhere"])
async def test_the_content_of_a_request_that_offers_another_protocol_is_no_request(
    port: int, offer: bytes, framing: bytes, cut: str
) -> None:
    whole = POST + offer + framing % (len(NEXT), NEXT)
    head = len(POST + offer)
    pieces = {"nowhere": [whole], "behind the head": [whole[:head], whole[head:]]}
    sent = pieces.get(cut) or [whole[at : at + 1] for at in range(len(whole))]
    seen, _ = await said(port, *sent, REQUEST + LAST, pause=0.0 if cut == "everywhere" else 0.02)
    heads, bodies = zip(*[answer.split(b"\r\n\r\n") for answer in seen.split(b"HTTP/1.1 ")[1:]], strict=True)
    assert [head[:3] for head in heads] == [b"200", b"200"]
    assert bodies == (b"%d" % len(NEXT), b"0")


async def test_offers_may_follow_one_another(port: int) -> None:
    offered = REQUEST + OFFERS[0] + b"\r\n"
    seen, _ = await said(port, offered * 3 + REQUEST + LAST)
    assert seen.count(b"HTTP/1.1 200 ") == 4


async def test_a_close_that_comes_with_an_offer_counts(port: int) -> None:
    seen, _ = await said(port, REQUEST + b"connection: close, upgrade\r\nupgrade: h2c\r\n\r\n")
    assert b"\r\nconnection: close\r\n" in seen


@pytest.mark.parametrize(
    "line", [b"GET / HTTP/2.0", b"GET / HTTP/0.9", b"PRI * HTTP/2.0", b"CONNECT x:443 HTTP/1.1", b"CONNECT / HTTP/1.1"]
)
@pytest.mark.parametrize("rest", [b"\r\nhost: x\r\n\r\n", b"\r\n\r\n"])
async def test_another_version_and_a_tunnel_are_refused(port: int, line: bytes, rest: bytes) -> None:
    seen, _ = await said(port, line + rest, REQUEST + b"\r\n")
    assert seen.startswith(b"HTTP/1.1 400 ")
    assert seen.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("path", [b"/v1/messages", b"/p/one/v1/messages?beta=true"])
@pytest.mark.parametrize("lines", [b"", b"host: x\r\nno colon\r\n"])
async def test_what_is_no_request_is_refused_in_the_form_of_its_address(port: int, path: bytes, lines: bytes) -> None:
    seen, _ = await said(port, b"POST " + path + b" HTTP/1.1\r\n" + lines + b"\r\n")
    assert seen.startswith(b"HTTP/1.1 400 ")
    assert b'{"type":"error","error":{' in seen


REFUSED = POST.replace(b"/", b"/refused", 1) + b"content-length: 6\r\n\r\n"


async def test_a_request_that_was_answered_and_does_not_end_is_given_up(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REFUSED.replace(b"6", b"99999999999"))
    assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200 ")
    ended = asyncio.create_task(reader.read())
    async with asyncio.timeout(LINGER_SECONDS * 4):
        while not ended.done():
            writer.write(b"a")
            await asyncio.sleep(LINGER_SECONDS / 5)
    assert ended.exception() is not None or not ended.result()
    writer.close()


async def test_a_connection_is_kept_when_the_rest_of_an_answered_request_comes_soon(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        for piece in (REFUSED, b"abc", b"def"):
            writer.write(piece)
            await asyncio.sleep(LINGER_SECONDS / 4)
        assert await reader.readuntil(b"\r\n\r\n0")
    await asyncio.sleep(LINGER_SECONDS * 1.5)
    writer.write(REQUEST + LAST)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.close()
