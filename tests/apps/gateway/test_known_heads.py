"""A head that came before is known by every byte of it, and only together with a request that is here whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bailiwick.apps.gateway import heads
from bailiwick.apps.gateway.heads import LONGEST, MOST_DIGITS, KnownHeads, begun
from tests.apps.gateway.fed import Server
from tests.apps.gateway.test_blocked_users import set_blocked
from tests.serving import Caller, Site, error_of, until

BEGIN = b"POST /a?b HTTP/1.1\r\nHost: x\r\n"
LENGTH = b"Content-Length: "


def post(body: bytes, more: bytes = b"", *, length: bytes | None = None) -> bytes:
    return BEGIN + more + LENGTH + (b"%d" % len(body) if length is None else length) + b"\r\n\r\n" + body


@pytest.fixture
async def served() -> Server:
    return Server()


async def test_the_same_head_with_another_body_is_the_same_request_to_the_application(served: Server) -> None:
    await served.said(post(b"one"), post(b"longer than that"), post(b"one"))
    assert [(known, body) for known, _, body in served.shown] == [
        (False, b"one"),
        (True, b"longer than that"),
        (True, b"one"),
    ]
    first, second, third = (scope for _, scope, _ in served.shown)
    assert first == third
    assert [*second["headers"]] == [(b"host", b"x"), (b"content-length", b"16")]
    assert {**second, "headers": None} == {**first, "headers": None}


async def test_it_is_known_on_another_connection_too(served: Server) -> None:
    await served.said(post(b"one"))
    await served.said(post(b"two"))
    assert [known for known, _, _ in served.shown] == [False, True]


async def test_it_is_known_of_its_own_host_only(served: Server) -> None:
    await served.said(post(b"one"))
    await served.said(post(b"two"), host="127.0.0.2")
    assert [known for known, _, _ in served.shown] == [False, False]


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
async def test_a_head_that_differs_in_a_byte_is_parsed(served: Server, other: bytes) -> None:
    await served.said(post(b"one"), other)
    assert [(known, body) for known, _, body in served.shown] == [(False, b"one"), (False, b"two")]


@pytest.mark.parametrize("cut", [1, len(BEGIN), len(post(b"")), len(post(b"")) + 1])
async def test_a_request_that_comes_in_pieces_is_known_if_its_head_came_in_one(served: Server, cut: int) -> None:
    await served.said(post(b"one"), post(b"two")[:cut], post(b"two")[cut:], post(b"three"))
    known = cut >= len(post(b""))
    assert [(known, body) for known, _, body in served.shown] == [(False, b"one"), (known, b"two"), (True, b"three")]


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
    served: Server, before: tuple[bytes, ...], other: tuple[bytes, ...]
) -> None:
    await served.said(*before, *other)
    known, scope, _ = served.shown[-1]
    assert (known, scope["path"]) == (False, "/other")


async def test_requests_that_come_together_are_answered_each_by_itself(served: Server) -> None:
    seen = await served.said(post(b"one"), post(b"two") + post(b"three"), post(b"four"))
    assert [body for _, _, body in served.shown] == [b"one", b"two", b"three", b"four"]
    assert seen.count(b"HTTP/1.1 200 ") == 4


@pytest.mark.parametrize("length", [b"", b"+3", b"3 ", b"3, 3", b"0x3", b"-3", b"\xb3", b"3\r\nContent-Length: 3"])
async def test_what_is_no_length_is_refused_behind_a_head_that_is_known(served: Server, length: bytes) -> None:
    seen = await served.said(post(b"one"), post(b"two", length=length))
    # The parser takes blanks from around a value, as it has to (RFC 9110 §5.5).
    assert len(served.shown) == (2 if length == b"3 " else 1)
    assert (b"HTTP/1.1 400 " in seen) is (length != b"3 ")


@pytest.mark.parametrize(
    "more", [b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n"]
)
async def test_heads_that_mean_more_than_they_say_are_parsed_each_time(served: Server, more: bytes) -> None:
    for _ in range(2):
        await served.said(post(b"one", more))
    assert not any(known for known, _, _ in served.shown)


@pytest.mark.parametrize("more", [b"transfer-encoding", b"expect", b"content-length", None])
def test_a_head_whose_body_has_not_the_one_length_that_it_says_is_not_kept(more: bytes | None) -> None:
    known, length = KnownHeads(), [(b"content-length", b"3")]
    known.keep(("host", b"head"), {"headers": length if more is None else [(more, b"3"), *length]}, "meaning")
    assert len(known) == (more is None)


def test_a_length_of_more_digits_than_are_kept_is_not_looked_for() -> None:
    assert begun(post(b"", length=b"9" * MOST_DIGITS)) is not None
    assert begun(post(b"", length=b"9" * (MOST_DIGITS + 1))) is None


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


def test_whoever_was_let_in_before_is_refused_when_another_ones_call_finds_out_that_both_are_blocked(
    site: Site,
) -> None:
    caller = site.project()
    let_in(caller, "alice")
    let_in(caller, "bob")
    set_blocked(caller, "alice")
    set_blocked(caller, "bob")
    until(lambda: answered(caller, "bob", 403, "user_blocked"))
    assert answered(caller, "alice", 403, "user_blocked")


def test_a_key_that_was_let_in_before_is_refused_when_it_expires(site: Site) -> None:
    project = site.project().project
    end = datetime.now(UTC) + timedelta(seconds=2.5)
    caller = site.caller(project, expires_at=end.isoformat())
    let_in(caller, "alice")
    until(lambda: answered(caller, "alice", 401, "expired_credentials"))
    assert datetime.now(UTC) >= end
