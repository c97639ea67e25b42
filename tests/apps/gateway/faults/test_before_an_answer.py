"""Faults before an answer has begun: a clean status for the client, nothing to pay, one settled row."""

from __future__ import annotations

import socket

import pytest

from tests.apps.gateway.faults.told import FAILED, LATE, passes, told
from tests.installation import free_port
from tests.serving import MODEL, Caller, Site
from tests.upstream import Behaviour, Ending, Upstream, scripts

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
OK = b"HTTP/1.1 200 OK\r\n"


def test_a_connection_that_is_refused(site: Site) -> None:
    caller = site.project(provider={"base_url": f"http://127.0.0.1:{free_port()}/v1"})
    assert told(caller) == FAILED


def test_a_connection_that_is_not_accepted_in_time(site: Site) -> None:
    """Its queue of connections is full, so the system does not answer; nothing of the call has been sent."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
            fillers.append(filler)
        caller = site.project(provider={"base_url": f"http://127.0.0.1:{server.getsockname()[1]}/v1"})
        assert told(caller) == LATE
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET, Ending.STALL])
def test_a_connection_that_is_accepted_and_ended(caller: Caller, upstream: Upstream, ending: Ending) -> None:
    upstream.drop_connections()
    upstream.wait_for_blocking(lambda: upstream.open_connections() == 0)
    upstream.reject_connections(ending)
    assert told(caller) == (LATE if ending is Ending.STALL else FAILED)


@pytest.mark.parametrize("host", ["localhost.invalid", "no-such-name.invalid"])
def test_a_name_that_leads_nowhere(site: Site, host: str) -> None:
    caller = site.project(provider={"base_url": f"https://{host}/v1"})
    assert told(caller) == FAILED


@BOTH
def test_silence_before_the_head(caller: Caller, upstream: Upstream, stream: bool) -> None:
    upstream.on(MODEL, scripts.stall())
    assert told(caller, stream=stream) == LATE
    upstream.wait_for_blocking(lambda: upstream.requests[0].peer_closed_early)


@BOTH
@pytest.mark.parametrize("ending", [scripts.close(), scripts.reset()], ids=["closed", "reset"])
def test_a_connection_that_ends_before_the_head(
    caller: Caller, upstream: Upstream, ending: Behaviour, stream: bool
) -> None:
    upstream.on(MODEL, Behaviour(), ending)
    assert passes(caller)
    assert caller.chat(stream=stream).status_code == 502
    assert [row["usage_source"] for row in caller.rows] == [0, 2]
    # It had read the request, on a connection that had served before: it is not asked twice.
    assert len(upstream.requests) == 2


def test_a_connection_that_is_closed_while_it_is_idle(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(hang_up=0.0))
    for _ in range(40):
        passes(caller)
    assert len(upstream.requests) == len(caller.rows) == 40


@BOTH
@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"HTTP/1.1 99 X\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nupgrade: h2c\r\n\r\n",
        OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"no colon\r\n\r\n",
    ],
    ids=["ssh", "tls", "status 99", "101", "two lengths", "length and chunks", "no colon"],
)
def test_what_is_no_http(caller: Caller, upstream: Upstream, wire: bytes, stream: bool) -> None:
    upstream.on(MODEL, Behaviour(wire=wire))
    assert told(caller, stream=stream) == FAILED


@pytest.mark.parametrize(
    "wire",
    [OK + b"x-a: " + b"a" * 100_000 + b"\r\n\r\n", OK + b"x: y\r\n" * 12_000, OK + b"x: " + b"y" * 70_000],
    ids=["one line", "many lines", "no end"],
)
def test_a_head_without_measure(caller: Caller, upstream: Upstream, wire: bytes) -> None:
    upstream.on(MODEL, Behaviour(wire=wire, ending=Ending.STALL))
    assert told(caller) == FAILED


def test_interim_responses_without_end(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(wire=b"HTTP/1.1 103 Hints\r\nx: y\r\n\r\n" * 3_000, ending=Ending.STALL))
    assert told(caller) == FAILED


@BOTH
def test_interim_responses_before_the_answer(caller: Caller, upstream: Upstream, stream: bool) -> None:
    upstream.on(MODEL, Behaviour(interim=(100, 102, 103)))
    passes(caller, stream=stream)


@BOTH
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect(caller: Caller, upstream: Upstream, status: int, stream: bool) -> None:
    upstream.on(MODEL, scripts.redirect(f"{upstream.base_url}/elsewhere", status))
    assert told(caller, stream=stream) == FAILED
    assert len(upstream.requests) == 1
