"""`X-End-User-Id` and `X-Session-Id`: taken byte for byte, or refused; never doubled, never folded; nor ignored."""

from __future__ import annotations

import pytest

from tests.apps.gateway.wire import exchange, request
from tests.serving import Caller, Site, error_of
from tests.upstream import Upstream

HEADERS = {"X-End-User-Id": "user_id", "X-Session-Id": "session_id"}


@pytest.fixture(scope="module")
def module_caller(running_site: Site) -> Caller:
    return running_site.project()


@pytest.fixture
def caller(site: Site, module_caller: Caller) -> Caller:
    return module_caller


@pytest.mark.parametrize(
    "value",
    [
        "a", "john_doe", "john-doe", "JOHN_DOE", "auth0|abc123", "a b", "ä" * 127, "x" * 255, "🦊" * 63, "%00", "..",
        "' OR 1=1 --", "\u2028", "e\u0301", "\u00e9", '"', "\\", "null", "0", "{}", "a,b", "user\u200b",
    ],
)  # fmt: skip
@pytest.mark.parametrize("header", HEADERS)
def test_an_identifier_is_taken_byte_for_byte(caller: Caller, header: str, value: str) -> None:
    answer = caller.ask("GET", "/v1/me", headers=[(header.encode(), value.encode())])
    assert answer.status_code == 200
    assert answer.json()[HEADERS[header]] == value


@pytest.mark.parametrize(
    "value",
    [b"", b"x" * 256, "ä".encode() * 128, b"a\tb", "a\u0085b".encode(), b"\xff", b"\xed\xa0\x80", b"\xc3",
     b"\xf5\x80\x80\x80", b"\xc0\x80"],
)  # fmt: skip
@pytest.mark.parametrize("header", HEADERS)
def test_anything_else_is_refused_naming_the_header(caller: Caller, header: str, value: bytes) -> None:
    answer = caller.ask("GET", "/v1/me", headers=[(header.encode(), value)])
    assert error_of(answer) == (400, "invalid_request")
    assert answer.json()["error"]["param"] == header


@pytest.mark.parametrize(
    "value", [b"a\nb", b"a\r\nb", b"a\r\n b", b"a\rb", b"a\0b", b"a\x0bb", b"a\x1bb", b"a\n", b"\x7f"]
)
@pytest.mark.parametrize("header", [b"x-end-user-id", b"x-session-id"])
def test_a_line_break_or_control_character_is_refused_on_the_wire(caller: Caller, header: bytes, value: bytes) -> None:
    headers = [(b"authorization", b"Bearer " + caller.key.encode()), (header, value)]
    answer = exchange(caller.site.installation.port, request("/v1/me", headers))
    assert answer.status == 400
    assert b'"code":"invalid_request"' in answer.body


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("second", ["same", "other", ""])
def test_a_repeated_identity_is_refused(caller: Caller, header: str, second: str) -> None:
    answer = caller.ask("GET", "/v1/me", headers=[(header, "same"), (header.lower(), second)])
    assert error_of(answer) == (400, "invalid_request")


@pytest.mark.parametrize("header", ["X-Thread-Id"])
@pytest.mark.parametrize("value", ["a", "", "x" * 256])
def test_what_asks_for_something_that_does_not_exist_yet_is_refused_and_not_ignored(
    site: Site, upstream: Upstream, header: str, value: str
) -> None:
    caller = site.project()
    answer = caller.chat(headers={header: value})
    assert error_of(answer) == (400, "invalid_request")
    assert answer.json()["error"]["param"] == header
    assert "not supported yet" in answer.json()["error"]["message"]
    caller.assert_untouched()


def test_an_identity_after_the_body_is_none(caller: Caller, upstream: Upstream) -> None:
    """A trailer comes from behind the proxies that checked the head (RFC 9110 §6.5.1)."""
    body = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}'
    head = request("/v1/chat/completions", [(b"transfer-encoding", b"chunked")], method="POST")
    key = b"authorization: Bearer " + caller.key.encode()
    chunked = head[:-2] + key + b"\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(body), body)
    answer = exchange(caller.site.installation.port, chunked + b"x-end-user-id: somebody\r\n\r\n")
    assert answer.status == 200
    assert "user" not in upstream.requests[0].json
    assert caller.rows[-1]["uid"] is None


def test_a_credential_after_the_body_is_none(caller: Caller) -> None:
    head = request("/v1/chat/completions", [(b"transfer-encoding", b"chunked")], method="POST")
    key = b"authorization: Bearer " + caller.key.encode()
    answer = exchange(caller.site.installation.port, head + b"2\r\n{}\r\n0\r\n" + key + b"\r\n\r\n")
    assert answer.status == 401


def test_users_who_only_look_alike_are_different(site: Site, upstream: Upstream) -> None:
    caller = site.project()
    names = [
        "john_doe",
        "john-doe",
        "JOHN_DOE",
        "a",
        "ab",
        "%",
        "_",
        "\\",
        ".",
        ":",
        "e\u0301",
        "\u00e9",
        "\u0435",
        "e",
    ]
    for name in names:
        assert caller.chat(headers=[(b"x-end-user-id", name.encode())]).status_code == 200
    assert len({record.json["user"] for record in upstream.requests}) == len(names)
    assert [row["uid"] for row in caller.rows] == names
    groups = caller.ask("GET", "/v1/usage?group_by=user").json()["data"]
    assert {group["key"]: group["requests"] for group in groups} == dict.fromkeys(names, 1)
