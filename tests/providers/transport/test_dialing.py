"""Where a connection goes, how it gets there, and what is said when it does not."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_network
from pathlib import Path

import pytest

from bailiwick.identity.outbound import OutboundGuard, OutboundRefused
from bailiwick.providers.transport import (
    ConnectFailed,
    ConnectionBroken,
    Origin,
    ResponseGarbled,
    Timeouts,
    Transport,
    TransportTimeout,
)
from tests.providers.transport.calls import (
    ENOUGH,
    PATIENT,
    ask,
    ask_and_read,
    black_hole,
    chat,
    chunks_of,
    idle,
    origin_of,
)
from tests.providers.transport.certificates import Authority
from tests.upstream import Behaviour, Upstream, scripts

Open = Callable[..., Transport]


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def guarded(upstream: Upstream, host: str = "provider.example", scheme: str = "http") -> Origin:
    return Origin(scheme=scheme, host=host, port=upstream.port, guarded=True)


def pointing_at(*addresses: tuple[str, int]) -> Callable[[str, int], object]:
    async def resolve(host: str, port: int, *, plain: bool) -> Sequence[tuple[str, int]]:
        return addresses

    return resolve


# addresses


async def test_a_guarded_origin_is_reached_at_the_judged_address(open_transport: Open, upstream: Upstream) -> None:
    asked = []

    async def resolve(host: str, port: int, *, plain: bool) -> Sequence[tuple[str, int]]:
        asked.append((host, port))
        return [("127.0.0.1", upstream.port)]

    transport = open_transport(resolve=resolve)
    for _ in range(2):
        response = await transport.send(guarded(upstream), chat(), timeouts=PATIENT)
        await response.read(ENOUGH)
    assert asked == [("provider.example", upstream.port)]


async def test_the_environments_own_origin_is_not_judged(transport: Transport, upstream: Upstream) -> None:
    origin = Origin(scheme="http", host="localhost", port=upstream.port, guarded=False)
    response = await transport.send(origin, chat(), timeouts=PATIENT)
    assert response.status == 200
    await response.read(ENOUGH)


async def test_a_refused_address_is_a_failed_connection(open_transport: Open, upstream: Upstream) -> None:
    transport = open_transport(resolve=OutboundGuard().resolve)
    with pytest.raises(ConnectFailed, match="not public") as caught:
        await transport.send(guarded(upstream, "127.0.0.1"), chat(), timeouts=PATIENT)
    assert isinstance(caught.value.__cause__, OutboundRefused)
    assert upstream.accepted == 0
    assert transport.connections() == (0, 0)


async def test_an_allowed_address_is_reached_through_the_guard(open_transport: Open, upstream: Upstream) -> None:
    transport = open_transport(resolve=OutboundGuard((ip_network("127.0.0.0/8"),)).resolve)
    response = await transport.send(guarded(upstream, "127.0.0.1"), chat(), timeouts=PATIENT)
    await response.read(ENOUGH)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_refused_connection_fails_without_telling_addresses(transport: Transport, host: str) -> None:
    origin = Origin(scheme="http", host=host, port=closed_port(), guarded=False)
    with pytest.raises(ConnectFailed) as caught:
        await transport.send(origin, chat(), timeouts=PATIENT)
    assert str(caught.value) == "cannot connect: Connection refused"
    assert transport.connections() == (0, 0)


async def test_an_unknown_name_fails_without_telling_it(transport: Transport) -> None:
    origin = Origin(scheme="http", host="no-such-host.invalid", port=80, guarded=False)
    with pytest.raises(ConnectFailed) as caught:
        await transport.send(origin, chat(), timeouts=PATIENT)
    assert "invalid" not in str(caught.value)


async def test_no_addresses_at_all_is_a_failure(open_transport: Open, upstream: Upstream) -> None:
    transport = open_transport(resolve=pointing_at())
    with pytest.raises(ConnectFailed):
        await transport.send(guarded(upstream), chat(), timeouts=PATIENT)


async def test_the_next_address_is_tried_when_one_refuses(open_transport: Open, upstream: Upstream) -> None:
    dead = closed_port()
    addresses = [("127.0.0.1", dead), ("::1", dead), ("127.0.0.1", upstream.port)]
    transport = open_transport(resolve=pointing_at(*addresses))
    response = await transport.send(guarded(upstream), chat(), timeouts=PATIENT)
    await response.read(ENOUGH)


async def test_the_next_address_is_tried_while_one_is_silent(open_transport: Open, upstream: Upstream) -> None:
    with black_hole() as port:
        transport = open_transport(resolve=pointing_at(("127.0.0.2", port), ("127.0.0.1", upstream.port)))
        started_at = asyncio.get_running_loop().time()
        response = await transport.send(guarded(upstream), chat(), timeouts=PATIENT)
        assert 0.2 < asyncio.get_running_loop().time() - started_at < 1.0
        await response.read(ENOUGH)


async def test_silence_at_every_address_times_out(open_transport: Open, upstream: Upstream) -> None:
    with black_hole() as port:
        transport = open_transport(resolve=pointing_at(("127.0.0.2", port), ("127.0.0.2", port)))
        with pytest.raises(TransportTimeout) as caught:
            await transport.send(guarded(upstream), chat(), timeouts=Timeouts(connect=0.4))
    assert caught.value.phase == "connect"
    assert transport.connections() == (0, 0)


async def test_a_slow_resolver_times_out(open_transport: Open, upstream: Upstream) -> None:
    async def resolve(host: str, port: int, *, plain: bool) -> Sequence[tuple[str, int]]:
        await asyncio.sleep(60)
        raise AssertionError

    transport = open_transport(resolve=resolve)
    with pytest.raises(TransportTimeout) as caught:
        await transport.send(guarded(upstream), chat(), timeouts=Timeouts(connect=0.1))
    assert caught.value.phase == "connect"


async def test_closing_the_transport_ends_a_dial(open_transport: Open, upstream: Upstream) -> None:
    reached = asyncio.Event()

    async def resolve(host: str, port: int, *, plain: bool) -> Sequence[tuple[str, int]]:
        reached.set()
        await asyncio.sleep(0.05)
        return [("127.0.0.1", upstream.port)]

    transport = open_transport(resolve=resolve)
    task = asyncio.create_task(transport.send(guarded(upstream), chat(), timeouts=PATIENT))
    await reached.wait()
    await transport.aclose()
    with pytest.raises(ConnectFailed):
        await task
    await upstream.wait_for(lambda: upstream.open_connections() == 0)
    assert upstream.requests == []


async def test_a_unix_socket_is_an_origin_of_its_own(transport: Transport, tmp_path: Path) -> None:
    with Upstream(unix_path=tmp_path / "control.sock") as control:
        origin = Origin(scheme="http", host="control", port=80, guarded=False, unix_path=str(tmp_path / "control.sock"))
        for _ in range(2):
            response = await transport.send(origin, chat(stream=True), timeouts=PATIENT)
            assert b"[DONE]" in b"".join(await chunks_of(response))
        assert control.accepted == 1
    await idle(transport, 0)
    with pytest.raises(ConnectFailed):
        await transport.send(origin, chat(), timeouts=PATIENT)


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def seen() -> list[tuple[str | None, str | None]]:
    """Name and protocol that each client asked for."""
    return []


@pytest.fixture
def secure(authority: Authority, seen: list[tuple[str | None, str | None]]) -> Iterator[Upstream]:
    context = authority.server("provider.example", "127.0.0.1")

    def note(sock: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        seen.append((name, None))

    context.sni_callback = note
    with Upstream(tls=context) as server:
        yield server


@pytest.fixture
def trusting(open_transport: Open, authority: Authority, secure: Upstream) -> Transport:
    return open_transport(tls=authority.client(), resolve=pointing_at(("127.0.0.1", secure.port)))


async def test_tls_is_spoken_in_the_origins_name(
    trusting: Transport, secure: Upstream, seen: list[tuple[str | None, str | None]]
) -> None:
    for _ in range(2):
        response = await trusting.send(guarded(secure, scheme="https"), chat(), timeouts=PATIENT)
        await response.read(ENOUGH)
    assert [name for name, _ in seen] == ["provider.example"]
    assert secure.accepted == 1


async def test_tls_verifies_an_address_too(trusting: Transport, secure: Upstream) -> None:
    origin = Origin(scheme="https", host="127.0.0.1", port=secure.port, guarded=False)
    response = await trusting.send(origin, chat(), timeouts=PATIENT)
    await response.read(ENOUGH)


async def test_only_http_1_1_is_offered(open_transport: Open, authority: Authority) -> None:
    context = authority.server("provider.example")
    chosen: list[str | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chosen.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        transport = open_transport(tls=authority.client(), resolve=pointing_at(("127.0.0.1", port)))
        origin = Origin(scheme="https", host="provider.example", port=port, guarded=True)
        with pytest.raises(ConnectionBroken):
            await transport.send(origin, chat(), timeouts=PATIENT)
    assert chosen == ["http/1.1"]


@pytest.mark.parametrize("host", ["other.example", "example", "127.0.0.2"])
async def test_a_certificate_of_another_name_is_refused(
    open_transport: Open, authority: Authority, secure: Upstream, host: str
) -> None:
    transport = open_transport(tls=authority.client(), resolve=pointing_at(("127.0.0.1", secure.port)))
    with pytest.raises(ConnectFailed, match="certificate"):
        await transport.send(guarded(secure, host, "https"), chat(), timeouts=PATIENT)
    assert secure.requests == []
    assert transport.connections() == (0, 0)


async def test_an_expired_certificate_is_refused(open_transport: Open, authority: Authority) -> None:
    with Upstream(tls=authority.server("provider.example", expired=True)) as secure:
        transport = open_transport(tls=authority.client(), resolve=pointing_at(("127.0.0.1", secure.port)))
        with pytest.raises(ConnectFailed, match="certificate"):
            await transport.send(guarded(secure, scheme="https"), chat(), timeouts=PATIENT)


async def test_an_authority_that_nobody_trusts_is_refused(open_transport: Open, secure: Upstream) -> None:
    transport = open_transport(resolve=pointing_at(("127.0.0.1", secure.port)))
    with pytest.raises(ConnectFailed, match="certificate"):
        await transport.send(guarded(secure, scheme="https"), chat(), timeouts=PATIENT)


async def test_a_server_without_tls_is_a_failed_connection(
    open_transport: Open, authority: Authority, upstream: Upstream
) -> None:
    upstream.on("m", scripts.not_http())
    transport = open_transport(tls=authority.client(), resolve=pointing_at(("127.0.0.1", upstream.port)))
    with pytest.raises((ConnectFailed, TransportTimeout)):
        await transport.send(guarded(upstream, scheme="https"), chat(), timeouts=Timeouts(connect=0.5))
    assert transport.connections() == (0, 0)


async def test_a_handshake_that_stalls_times_out(open_transport: Open, authority: Authority) -> None:
    with Upstream() as silent:
        transport = open_transport(tls=authority.client(), resolve=pointing_at(("127.0.0.1", silent.port)))
        with pytest.raises(TransportTimeout) as caught:
            await transport.send(guarded(silent, scheme="https"), chat(), timeouts=Timeouts(connect=0.3))
        assert caught.value.phase == "connect"
        await silent.wait_for(lambda: silent.open_connections() == 0)


async def test_a_handshake_can_be_cancelled(open_transport: Open, authority: Authority) -> None:
    with Upstream() as silent:
        transport = open_transport(tls=authority.client(), resolve=pointing_at(("127.0.0.1", silent.port)))
        task = asyncio.create_task(transport.send(guarded(silent, scheme="https"), chat(), timeouts=PATIENT))
        await silent.wait_for(lambda: silent.open_connections() == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await silent.wait_for(lambda: silent.open_connections() == 0)
        assert transport.connections() == (0, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_over_tls_all_is_the_same(trusting: Transport, secure: Upstream, stream: bool) -> None:
    async def send(model: str) -> bytes:
        response = await trusting.send(guarded(secure, scheme="https"), chat(model, stream=stream), timeouts=PATIENT)
        return await response.read(30_000_000)

    secure.on("big", scripts.huge(20_000_000))
    secure.on("broken", scripts.half_body())
    secure.on("garbled", scripts.not_http())
    secure.on("surplus", Behaviour(surplus=b"x"))
    secure.on("leaves", Behaviour(hang_up=0.0))
    assert len(await send("big")) == 20_000_000
    assert await send("surplus")
    with pytest.raises(ConnectionBroken):
        await send("broken")
    with pytest.raises(ResponseGarbled):
        await send("garbled")
    await idle(trusting, 0)
    assert await send("leaves")
    await idle(trusting, 0)
    assert len(set(await asyncio.gather(*(send(str(n)) for n in range(20))))) == 20


async def test_over_tls_abort_is_at_once(trusting: Transport, secure: Upstream) -> None:
    secure.on("m", scripts.stall(2))
    response = await trusting.send(guarded(secure, scheme="https"), chat(stream=True), timeouts=PATIENT)
    assert await response.next_chunk()
    response.abort()
    await secure.wait_for(lambda: secure.requests[0].peer_closed_early, timeout=1)
    assert trusting.connections() == (0, 0)


async def test_origins_differ_by_scheme_and_guard(open_transport: Open, upstream: Upstream) -> None:
    transport = open_transport(resolve=pointing_at(("127.0.0.1", upstream.port)))
    await ask_and_read(transport, upstream)
    response = await transport.send(guarded(upstream, upstream.host), chat(), timeouts=PATIENT)
    assert not response.reused
    await response.read(ENOUGH)
    response = await ask(transport, upstream)
    assert response.reused
    assert origin_of(upstream) == origin_of(upstream)
    await response.read(ENOUGH)


async def test_the_systems_certificates_are_read_once(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[ssl.SSLContext] = []
    original = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", lambda: read.append(original()) or read[-1])
    origin = Origin(scheme="https", host="127.0.0.1", port=closed_port(), guarded=False)
    asked = [transport.send(origin, chat(), timeouts=PATIENT) for _ in range(10)]
    for failure in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(failure, ConnectFailed)
    assert len(read) == 1
