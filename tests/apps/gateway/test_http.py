"""HTTP itself: addresses and methods that do not exist, heads without measure, requests that are none, health."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from bailiwick.domain.usage import Outcome
from tests.apps.gateway.routes import ROUTES
from tests.apps.gateway.wire import connect, exchange, read_answer, request
from tests.serving import ASK, MODEL, Caller, Site, error_of, events_of, until
from tests.upstream import Behaviour, Upstream

KB, MB = 1024, 1024 * 1024


@pytest.fixture(scope="module")
def module_caller(running_site: Site) -> Caller:
    return running_site.project()


@pytest.fixture
def caller(site: Site, module_caller: Caller) -> Caller:
    return module_caller


def key_of(caller: Caller) -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + caller.key.encode()


# Addresses and methods -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/", "/v1/chat", "/v1/chat/completions/", "/v1/chat/completions/x", "/V1/me", "//v1/me", "/v1//me",
     "/v1/./me", "/v1/../v1/me", "/v1/me%00", "/v1/me%0a", "/v1/%zz", "/v1/%ff", "/v2/me", "/p", "/p/", "/p/x", "/p/x/",
     "/p/x/y/v1/me", "/p/x/healthz", "/p/x/admin/v1/tenants", "/administer", "/adminx/v1/tenants", "/healthz/",
     "/metrics/", "/.env", "/v1/fine_tuning/jobs", "/v1/me;x=1"],
)  # fmt: skip
def test_an_address_that_does_not_exist_is_not_found(caller: Caller, path: str) -> None:
    answer = exchange(caller.site.installation.port, request(path, [key_of(caller)]))
    assert answer.status == 404
    assert b'"code":"not_found"' in answer.body


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES}))
def test_a_method_that_an_address_does_not_take_is_refused_and_the_others_are_told(
    caller: Caller, method: str, path: str
) -> None:
    if (method, path) in ROUTES:
        return
    answer = caller.ask(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == ", ".join(own for own, address in ROUTES if address == path)
    if method != "HEAD":
        assert error_of(answer) == (405, "method_not_allowed")


def test_a_percent_encoded_address_is_the_same_address(caller: Caller) -> None:
    answer = exchange(caller.site.installation.port, request("/%761/%6de", [key_of(caller)]))
    assert answer.status == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v1/me", "/v1/nothing", "/admin/v1/tenants", "/dashboard"])
def test_every_answer_has_a_request_id_of_our_own_and_no_two_the_same(caller: Caller, path: str) -> None:
    chosen = "req_" + "0" * 32
    named = {caller.ask("GET", path, headers={"x-request-id": chosen}).headers["x-request-id"] for _ in range(3)}
    assert len(named) == 3
    assert chosen not in named


def test_health_and_readiness_need_no_credential(site: Site) -> None:
    assert site.ask("GET", "/healthz").json() == {"status": "ok"}
    assert site.ask("GET", "/readyz").json() == {"status": "ready"}


def test_an_answer_says_nothing_of_what_serves_it(caller: Caller) -> None:
    for path in ("/healthz", "/v1/me", "/v1/nothing", "/admin/v1/tenants"):
        headers = caller.ask("GET", path).headers
        assert "server" not in headers
        assert "x-powered-by" not in headers


# Heads without measure -----------------------------------------------------------------------------------------------

LARGE = {
    "one of 200 KB": [(b"x-a", b"a" * 200 * KB)],
    "a name of 200 KB": [(b"a" * 200 * KB, b"a")],
    "many": [(b"x-%d" % place, b"a" * 50) for place in range(4000)],
    "empty ones": [(b"x", b"")] * 50_000,
    "a credential of 200 KB": [(b"authorization", b"Bearer " + b"A" * 200 * KB)],
}


@pytest.mark.parametrize("kind", LARGE)
@pytest.mark.parametrize("path", ["/v1/me", "/healthz", "/v1/nothing", "/admin/v1/tenants"])
def test_a_head_of_200_kb_is_too_large(caller: Caller, kind: str, path: str) -> None:
    answer = exchange(caller.site.installation.port, request(path, LARGE[kind]))
    assert answer.status == 431
    assert b'"code":"request_too_large"' in answer.body


@pytest.mark.parametrize("path", ["/v1/messages", "/p/{slug}/v1/messages"])
def test_a_head_that_is_too_large_is_refused_in_the_form_of_its_address(caller: Caller, path: str) -> None:
    sent = request(path.format(slug=caller.project["slug"]), LARGE["one of 200 KB"], method="POST")
    answer = exchange(caller.site.installation.port, sent)
    assert answer.status == 431
    error = json.loads(answer.body)
    assert error["type"] == "error"
    assert error["error"]["code"] == "request_too_large"


OFFER = [(b"connection", b"Upgrade, HTTP2-Settings"), (b"upgrade", b"h2c"), (b"http2-settings", b"AAMAAABk")]


def asked(caller: Caller, path: str, body: bytes, *, admin: bool) -> bytes:
    """A request that offers HTTP/2, as the JDK's client does with each of its first ones."""
    key = caller.site.installation.keys["admin_key"] if admin else caller.key
    headers = [(b"authorization", b"Bearer " + key.encode()), (b"content-type", b"application/json"), *OFFER]
    return request(path, headers, method="POST", body=body).replace(b"connection: close\r\n", b"", 1)


@pytest.mark.parametrize("together", [True, False])
def test_a_request_that_offers_another_protocol_is_answered_once_and_as_any_other(
    caller: Caller, *, together: bool
) -> None:
    smuggled = request("/v1/me", [(b"authorization", b"Bearer " + caller.key.encode())])
    chat = json.dumps({"model": MODEL, "messages": ASK}).encode()
    for path, body, admin, status in (
        ("/v1/chat/completions", chat, False, 200),
        ("/v1/chat/completions", smuggled, False, 400),
        ("/admin/v1/tenants", b'{"name":"Offered"}', True, 201),
        ("/admin/v1/tenants", smuggled, True, 400),
    ):
        sent = asked(caller, path, body, admin=admin)
        head = len(sent) - len(body)
        with connect(caller.site.installation.port) as sock:
            for piece in [sent] if together else [sent[:head], sent[head:]]:
                sock.sendall(piece)
                time.sleep(0.1)
            assert read_answer(sock).status == status, path
            sock.settimeout(0.2)
            with pytest.raises(TimeoutError):
                sock.recv(1)


def test_a_head_below_the_limit_is_read(caller: Caller) -> None:
    answer = exchange(caller.site.installation.port, request("/v1/me", [key_of(caller), (b"x-a", b"a" * 30 * KB)]))
    assert answer.status == 200


def endless(first: bytes, piece: bytes) -> Iterator[bytes]:
    yield first
    for _ in range(64 * MB // len(piece)):
        yield piece


POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer KEY\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"
ENDLESS = {
    "headers": (b"GET /v1/me HTTP/1.1\r\nhost: x\r\n", b"x-a: aaaaaaaaaaaaaaaa\r\n" * 1000),
    "one header": (b"GET /v1/me HTTP/1.1\r\nhost: x\r\nx-a: ", b"a" * 32 * KB),
    "address": (b"GET /v1/", b"a" * 32 * KB),
    "method": (b"", b"A" * 32 * KB),
    "trailers": (CHUNKED + b"0\r\n", b"x-a: aaaaaaaaaaaaaaaa\r\n" * 1000),
    "one trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nx-a: ", b"a" * 32 * KB),
    "chunk extension": (CHUNKED + b"2;x=", b"a" * 32 * KB),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_never_ends_is_cut(caller: Caller, kind: str) -> None:
    first, piece = ENDLESS[kind]
    with connect(caller.site.installation.port) as sock:
        sent = 0
        try:
            for part in endless(first.replace(b"KEY", caller.key.encode()), piece):
                sock.sendall(part)
                sent += len(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert sent < 16 * MB


# What is no request --------------------------------------------------------------------------------------------------

GET = b"GET /v1/me HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer KEY\r\n"
MALFORMED = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.7": GET.replace(b"HTTP/1.1", b"HTTP/3.7") + b"\r\n",
    "a method that is none": GET.replace(b"GET", b"BREW") + b"\r\n",
    "CONNECT": GET.replace(b"GET /v1/me", b"CONNECT example.com:443") + b"\r\n",
    "an address that is no ASCII": GET.replace(b"/v1/me", b"/v1/m\xff") + b"\r\n",
    "a space before the colon": GET + b"x-end-user-id : a\r\n\r\n",
    "a header without a name": GET + b": a\r\n\r\n",
    "a header without a colon": GET + b"x-end-user-id\r\n\r\n",
    "NUL in a name": GET + b"x\0y: a\r\n\r\n",
    "no host": GET.replace(b"host: gateway.test\r\n", b"") + b"\r\n",
    "two hosts": GET + b"host: another.test\r\n\r\n",
    "no host for the control plane": b"GET /admin/openapi.json HTTP/1.1\r\n\r\n",
    "both framings": POST + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + GET + b"\r\n",
    "two lengths": POST + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "a list of lengths": POST + b"content-length: 2, 2\r\n\r\n{}",
    "a negative length": POST + b"content-length: -2\r\n\r\n{}",
    "a length with a sign": POST + b"content-length: +2\r\n\r\n{}",
    "a length in hex": POST + b"content-length: 0x2\r\n\r\n{}",
    "an endless length": POST + b"content-length: " + b"9" * 40 + b"\r\n\r\n{}",
    "two codings": POST + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "an unknown coding": POST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a chunk size that is none": CHUNKED + b"zz\r\n",
    "an endless chunk size": CHUNKED + b"fffffffffffffffff\r\n",
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_is_no_request_is_refused_in_our_form_and_the_connection_ends(caller: Caller, kind: str) -> None:
    with connect(caller.site.installation.port) as sock:
        sock.sendall(MALFORMED[kind].replace(b"KEY", caller.key.encode()))
        answer = read_answer(sock)
        assert answer.status == 400
        assert b'"code":"invalid_request"' in answer.body
        assert sock.recv(1) == b""


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/admin/openapi.json"])
def test_a_client_of_1996_is_answered(site: Site, upstream: Upstream, path: str) -> None:
    caller = site.project()
    body = b'{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"hi"}]}'
    posted = b"POST %b HTTP/1.0\r\nauthorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b"
    got = b"GET %b HTTP/1.0\r\n\r\n"
    with connect(site.installation.port) as sock:
        if path.startswith("/v1"):
            sock.sendall(posted % (path.encode(), caller.key.encode(), len(body), body))
        else:
            sock.sendall(got % path.encode())
        answer = read_answer(sock)
        assert sock.recv(1) == b""
    assert answer.status == 200
    assert answer.header("connection") == "close"
    assert answer.header("transfer-encoding") is None
    if path.startswith("/v1"):
        assert events_of(answer.body)[-1] == "[DONE]"
    else:
        assert int(answer.header("content-length") or 0) == len(answer.body)


def test_half_a_request_is_no_request(caller: Caller) -> None:
    with connect(caller.site.installation.port) as sock:
        sock.sendall(b"GET /v1/me HTTP/1.1\r\nhost: x\r\n")
    assert caller.ask("GET", "/v1/me").status_code == 200


def test_requests_that_come_together_are_answered_in_order(caller: Caller) -> None:
    one = request("/v1/me", [key_of(caller)]).replace(b"connection: close\r\n", b"", 1)
    with connect(caller.site.installation.port) as sock:
        sock.sendall(one + request("/v1/models", [key_of(caller)]).replace(b"connection: close\r\n", b"") + one)
        bodies = [read_answer(sock).body for _ in range(3)]
    assert [b'"credential"' in body for body in bodies] == [True, False, True]


def test_an_upgrade_is_not_taken_up(caller: Caller) -> None:
    for wanted in (b"websocket", b"h2c"):
        headers = [key_of(caller), (b"upgrade", wanted), (b"sec-websocket-key", b"x")]
        plain = request("/v1/me", headers).replace(b"connection: close", b"connection: upgrade")
        assert exchange(caller.site.installation.port, plain).status == 200


def test_a_body_is_asked_for_only_from_who_may_send_one(caller: Caller) -> None:
    expecting = [(b"expect", b"100-continue"), (b"content-length", b"2")]
    with connect(caller.site.installation.port) as sock:
        sock.sendall(request("/v1/chat/completions", [key_of(caller), *expecting], method="POST"))
        assert sock.recv(64).startswith(b"HTTP/1.1 100 ")
    with connect(caller.site.installation.port) as sock:
        sock.sendall(request("/v1/chat/completions", expecting, method="POST"))
        assert read_answer(sock).status == 401


@pytest.mark.parametrize("key", [None, b"Bearer nonsense", b"Bearer bwa_live_" + b"0" * 61])
def test_the_control_plane_waits_for_nobodys_body(site: Site, key: bytes | None) -> None:
    port = site.installation.port
    headers = [] if key is None else [(b"authorization", key)]
    whole = exchange(port, request("/admin/v1/tenants", headers, method="POST", body=b"{}"))
    head = request("/admin/v1/tenants", [*headers, (b"content-length", b"%d" % (100 * MB))], method="POST")
    early = exchange(port, head)
    assert (early.status, early.body) == (whole.status, whole.body)
    assert early.status == 401


def test_a_request_that_dribbles_in_is_read(caller: Caller) -> None:
    raw = request("/v1/me", [key_of(caller)])
    with connect(caller.site.installation.port) as sock:
        for place in range(0, len(raw), 7):
            sock.sendall(raw[place : place + 7])
            time.sleep(0.001)
        assert read_answer(sock).status == 200


@pytest.mark.parametrize("behind", ["/healthz", "/v1/chat/completions"])
def test_a_client_that_hangs_up_with_more_requests_behind_is_gone(site: Site, upstream: Upstream, behind: str) -> None:
    caller = site.project()
    upstream.on(MODEL, Behaviour(chunks=500, gap=0.02))
    body = b'{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"hi"}]}'
    call = request("/v1/chat/completions", [key_of(caller)], method="POST", body=body).replace(
        b"connection: close", b"x: y"
    )
    with connect(site.installation.port) as sock:
        sock.sendall(call + (call if behind.startswith("/v1") else request(behind)))
        assert b"data: " in sock.recv(65536)
    upstream.wait_for_blocking(lambda: upstream.requests[0].closed_at is not None, timeout=1.0)
    assert len(upstream.requests) == 1
    assert Outcome(caller.row()["outcome"]) is Outcome.CLIENT_GONE


def test_a_client_that_hangs_up_in_its_body_leaves_nothing(caller: Caller) -> None:
    before = len(caller.rows)
    for _ in range(20):
        with connect(caller.site.installation.port) as sock:
            head = request("/v1/chat/completions", [key_of(caller), (b"content-length", b"1000")], method="POST")
            sock.sendall(head + b'{"model":')
    assert caller.ask("GET", "/v1/me").status_code == 200
    until(lambda: caller.site.open_calls(caller.id) == 0)
    assert len(caller.rows) == before
