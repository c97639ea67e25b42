"""A head that came before is known by every byte of it, and only together with a request that is here whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bailiwick.apps.gateway import heads
from bailiwick.apps.gateway.connected import Connected, Patience
from bailiwick.apps.gateway.connection import Connection
from bailiwick.apps.gateway.exchange import EXTENSION
from bailiwick.apps.gateway.heads import LONGEST, KnownHeads, begun
from tests.apps.gateway.test_blocked_users import set_blocked
from tests.serving import Caller, Site, error_of, until

BEGIN = b"POST /a?b HTTP/1.1\r\nHost: x\r\n"
LENGTH = b"Content-Length: "
Shown = list[tuple[bool, dict[str, Any], bytes]]


def post(body: bytes, more: bytes = b"", *, length: bytes | None = None) -> bytes:
    return BEGIN + more + LENGTH + (b"%d" % len(body) if length is None else length) + b"\r\n\r\n" + body


@pytest.fixture
def shown() -> Shown:
    """Of each request that the application got: whether its head was known, its scope, its body."""
    return []


@pytest.fixture
async def port(shown: Shown) -> AsyncIterator[int]:
    async def remembering(scope: Any, receive: Any, send: Any) -> None:
        exchange = scope["extensions"][EXTENSION]
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        told = {name: value for name, value in scope.items() if name not in {"extensions", "client"}}
        shown.append((exchange.known is not None, told, body))
        exchange.remember("meaning")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    patience = Patience(head=5, linger=1, reader=5, idle=5)
    connected = Connected(remembering, patience, new_id=lambda: "0" * 32)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(connected), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for open_connection in list(connected.connections):
        open_connection.transport.abort()
    await server.wait_closed()


async def said(port: int, *pieces: bytes, host: str = "127.0.0.1") -> bytes:
    """Send some pieces, each when everything before it is answered, and then hang up; returns all that came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(host, 0))
    seen = b""
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.05)
    writer.write_eof()
    while came := await asyncio.wait_for(reader.read(65_536), 5):
        seen += came
    writer.close()
    return seen


async def test_the_same_head_with_another_body_is_the_same_request_to_the_application(port: int, shown: Shown) -> None:
    await said(port, post(b"one"), post(b"longer than that"), post(b"one"))
    assert [(known, body) for known, _, body in shown] == [(False, b"one"), (True, b"longer than that"), (True, b"one")]
    first, second, third = (scope for _, scope, _ in shown)
    assert first == third
    assert [*second["headers"]] == [(b"host", b"x"), (b"content-length", b"16")]
    assert {**second, "headers": None} == {**first, "headers": None}


async def test_it_is_known_on_another_connection_too(port: int, shown: Shown) -> None:
    await said(port, post(b"one"))
    await said(port, post(b"two"))
    assert [known for known, _, _ in shown] == [False, True]


async def test_it_is_known_of_its_own_host_only(port: int, shown: Shown) -> None:
    await said(port, post(b"one"))
    await said(port, post(b"two"), host="127.0.0.2")
    assert [known for known, _, _ in shown] == [False, False]


@pytest.mark.parametrize(
    "other",
    [
        post(b"two", b"X-A: b\r\n"),
        post(b"two").replace(b"/a", b"/A"),
        post(b"two").replace(b"Host: x", b"Host: y"),
        post(b"two").replace(b"Host: x", b"Host:  x"),
        post(b"two").replace(LENGTH, b"Content-length: "),
    ],
)
async def test_a_head_that_differs_in_a_byte_is_parsed(port: int, shown: Shown, other: bytes) -> None:
    await said(port, post(b"one"), other)
    assert [(known, body) for known, _, body in shown] == [(False, b"one"), (False, b"two")]


@pytest.mark.parametrize("cut", [1, len(BEGIN), len(post(b"")), len(post(b"")) + 1])
async def test_a_request_that_comes_in_pieces_is_known_if_its_head_came_in_one(
    port: int, shown: Shown, cut: int
) -> None:
    await said(port, post(b"one"), post(b"two")[:cut], post(b"two")[cut:], post(b"three"))
    known = cut >= len(post(b""))
    assert [(known, body) for known, _, body in shown] == [(False, b"one"), (known, b"two"), (True, b"three")]


@pytest.mark.parametrize(
    "other",
    [
        (b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n",),
        (b"GET /other HTTP/1.1\r\nHost: x\r\n", b"\r\n"),
        (
            post(b"two", b"X-A: b\r\n").replace(b"/a", b"/other")[:40],
            post(b"two", b"X-A: b\r\n").replace(b"/a", b"/other")[40:],
        ),
        (post(b"x").replace(b"/a", b"/other").replace(LENGTH, b"Content-length: "),),
    ],
)
@pytest.mark.parametrize(
    "before", [(post(b"one"),), (post(b"one"), post(b"one")), (post(b"one"), post(b"one")[:-3], b"one")]
)
async def test_whatever_comes_behind_a_head_that_is_known_is_what_it_says(
    port: int, shown: Shown, before: tuple[bytes, ...], other: tuple[bytes, ...]
) -> None:
    await said(port, *before, *other)
    known, scope, _ = shown[-1]
    assert (known, scope["path"]) == (False, "/other")


async def test_requests_that_come_together_are_answered_each_by_itself(port: int, shown: Shown) -> None:
    seen = await said(port, post(b"one"), post(b"two") + post(b"three"), post(b"four"))
    assert [body for _, _, body in shown] == [b"one", b"two", b"three", b"four"]
    assert seen.count(b"HTTP/1.1 200 ") == 4


@pytest.mark.parametrize("length", [b"", b"+3", b"3 ", b"3, 3", b"0x3", b"-3", b"\xb3", b"3\r\nContent-Length: 3"])
async def test_what_is_no_length_is_refused_behind_a_head_that_is_known(port: int, shown: Shown, length: bytes) -> None:
    seen = await said(port, post(b"one"), post(b"two", length=length))
    # The parser takes blanks from around a value, as it has to (RFC 9110 §5.5).
    assert len(shown) == (2 if length == b"3 " else 1)
    assert (b"HTTP/1.1 400 " in seen) is (length != b"3 ")


@pytest.mark.parametrize(
    "more", [b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n"]
)
async def test_heads_that_mean_more_than_they_say_are_parsed_each_time(port: int, shown: Shown, more: bytes) -> None:
    for _ in range(2):
        await said(port, post(b"one", more))
    assert not any(known for known, _, _ in shown)


def test_a_length_that_stands_in_another_header_is_no_length() -> None:
    assert begun(BEGIN + b"X-A: Content-Length: 3\r\n\r\nabc") is None


@pytest.mark.parametrize("size", [LONGEST + 1, 100_000])
def test_a_long_head_is_not_looked_for(size: int) -> None:
    assert begun(post(b"one", b"X-A: " + b"b" * size + b"\r\n")) is None


def test_only_so_many_heads_are_kept_and_the_oldest_leave_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "_MOST_KEPT", 3)
    known = KnownHeads()
    for number in range(5):
        known.keep(("host", b"%d" % number), {"headers": [(b"content-length", b"1")]}, number)
    assert len(known) == 3
    assert [known.find(("host", b"%d" % number)) is None for number in range(5)] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("field", "value", "same"),
    [
        ("client", ("x", 2), True),
        ("headers", [(b"a", b"b"), (b"content-length", b"22"), (b"c", b"d")], True),
        ("headers", [(b"a", b"x"), (b"content-length", b"22"), (b"c", b"d")], False),
        ("headers", [(b"a", b"b"), (b"content-length", b"22")], False),
        ("method", "GET", False),
        ("raw_path", b"/b", False),
    ],
)
def test_of_a_request_that_was_parsed_all_that_its_head_says_is_compared(field: str, value: object, same: bool) -> None:
    headers = [(b"a", b"b"), (b"content-length", b"1"), (b"c", b"d")]
    scope = {"client": ("x", 1), "headers": headers, "method": "POST", "raw_path": b"/a"}
    known = KnownHeads()
    known.keep(("host", b"head"), scope, "meaning")
    found = known.find(("host", b"head"))
    assert found is not None
    assert found.is_of({**scope, field: value}) is same


def let_in(caller: Caller, uid: str) -> None:
    """Call until what was decided is recalled."""
    for _ in range(3):
        assert caller.chat(headers={"x-end-user-id": uid}).status_code == 200


def answered(caller: Caller, uid: str, status: int, code: str) -> bool:
    answer = caller.chat(headers={"x-end-user-id": uid})
    if answer.status_code == 200:
        return False
    assert error_of(answer) == (status, code)
    return True


def test_whoever_was_let_in_before_is_refused_when_they_are_blocked_and_let_in_again_after(site: Site) -> None:
    caller = site.project()
    let_in(caller, "alice")
    let_in(caller, "bob")
    for _ in range(2):
        set_blocked(caller, "alice")
        until(lambda: answered(caller, "alice", 403, "user_blocked"), patience=1.0)
        assert caller.chat(headers={"x-end-user-id": "bob"}).status_code == 200
        set_blocked(caller, "alice", blocked=False)
        # The other one asks first, and has it found out for both.
        until(
            lambda: not answered(caller, "bob", 403, "") and not answered(caller, "alice", 403, "user_blocked"),
            patience=1.0,
        )


def test_a_key_that_was_let_in_before_is_refused_when_it_expires(site: Site) -> None:
    project = site.project().project
    end = datetime.now(UTC) + timedelta(seconds=2.5)
    caller = site.caller(project, expires_at=end.isoformat())
    let_in(caller, "alice")
    until(lambda: answered(caller, "alice", 401, "expired_credentials"))
    assert datetime.now(UTC) >= end
