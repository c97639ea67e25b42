"""The keys of trusted issuers: fresh, bounded in what they cost, and there when the issuer is not."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Network
from typing import Any

import pytest

from bailiwick.domain.errors import Unavailable
from bailiwick.domain.issuers import IssuerSpec, issuer_spec
from bailiwick.identity import jws
from bailiwick.identity.jws import InvalidToken, UnknownKey
from bailiwick.identity.outbound import OutboundGuard
from bailiwick.providers.transport import Transport
from bailiwick.services.issuer_keys import IssuerKeys
from bailiwick.services.outside_documents import OutsideDocuments
from tests.identity.tokens import key_for, public, signed

NINTH = json.dumps({"keys": [public(key_for("ES256", "k9"))]}).encode()
LOOPBACK = (IPv4Network("127.0.0.0/8"),)


@dataclass(kw_only=True)
class Site:
    """An issuer's site on this machine, which answers as it is told and counts what it is asked."""

    kids: list[str] = field(default_factory=lambda: ["k1"])
    status: int = 200
    body: bytes | None = None
    location: str = ""
    configuration: dict[str, Any] | None = field(default_factory=dict)
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> bytes:
        if path.endswith("/openid-configuration"):
            if self.configuration is None:
                return b"[]"
            return json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/jwks", **self.configuration}).encode()
        if self.body is not None:
            return self.body
        return json.dumps({"keys": [public(key_for("ES256", kid)) for kid in self.kids]}).encode()


@contextmanager
def running() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            body = site.answer(self.path)
            self.send_response(site.status)
            self.send_header("content-length", str(len(body)))
            if site.location:
                self.send_header("location", site.location)
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    with running() as made:
        yield made


class Desk:
    """The keys with a clock that a test moves."""

    def __init__(self, guard: OutboundGuard) -> None:
        self.now = 1000.0
        self.transport = Transport(resolve=guard.resolve)
        self.keys = IssuerKeys(OutsideDocuments(self.transport, guard), monotonic=lambda: self.now)

    async def take(self, spec: IssuerSpec, kid: str = "k1") -> None:
        """Take a token of this key; raises what the keys raise."""
        token = jws.read(signed({}, key_for("ES256", kid), kid=kid))
        (await self.keys.choose(spec, token)).verify(token)

    async def refuses(self, spec: IssuerSpec, kid: str) -> bool:
        try:
            await self.take(spec, kid)
        except InvalidToken:
            return True
        return False

    async def aclose(self) -> None:
        await self.keys.aclose()
        await self.transport.aclose()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk(OutboundGuard(LOOPBACK))
    yield made
    await made.aclose()


def at(url: str, **fields: Any) -> IssuerSpec:
    return issuer_spec(issuer="https://issuer.example", audiences=["a"], algorithms=["ES256"], jwks_url=url, **fields)


def found_by(site: Site) -> IssuerSpec:
    return issuer_spec(issuer=site.url, audiences=["a"], algorithms=["ES256"])


async def test_keys_are_asked_for_once_and_kept_for_five_minutes(desk: Desk, site: Site) -> None:
    spec = at(f"{site.url}/jwks")
    await asyncio.gather(*(desk.take(spec) for _ in range(50)))
    desk.now += 239
    await desk.take(spec)
    assert site.asked == ["/jwks"]
    desk.now += 61
    await desk.take(spec)
    assert site.asked == ["/jwks"] * 2


async def test_a_key_that_is_taken_back_upstream_is_refused_within_five_minutes(desk: Desk, site: Site) -> None:
    spec = at(f"{site.url}/jwks")
    await desk.take(spec)
    site.kids = ["k2"]
    desk.now += 300
    assert await desk.refuses(spec, "k1")
    await desk.take(spec, "k2")


async def test_keys_are_asked_for_ahead_so_that_calls_do_not_wait(desk: Desk, site: Site) -> None:
    spec = at(f"{site.url}/jwks")
    await desk.take(spec)
    desk.now += 241
    await desk.take(spec)
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()))
    assert len(site.asked) == 2


async def test_a_new_key_is_known_at_its_first_token(desk: Desk, site: Site) -> None:
    spec = at(f"{site.url}/jwks")
    await desk.take(spec)
    site.kids = ["k1", "k2"]
    desk.now += 31
    await asyncio.gather(*(desk.take(spec, "k2") for _ in range(20)))
    assert len(site.asked) == 2


@pytest.mark.parametrize("discovered", [False, True])
async def test_a_flood_of_random_key_ids_costs_two_fetches_a_minute_at_most(
    desk: Desk, site: Site, discovered: bool
) -> None:
    spec = found_by(site) if discovered else at(f"{site.url}/jwks")
    times: list[float] = []
    for number in range(4 * 660):
        before = len(site.asked)
        assert await desk.refuses(spec, f"random-{number % 7}")
        times += [desk.now] * (len(site.asked) - before)
        desk.now += 0.25
    assert len(times) > 10
    assert max(sum(begin <= time < begin + 60 for time in times) for begin in times) <= 2
    await desk.take(spec)


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b"{}"), (404, b"{}"), (200, b"<html>"), (200, b""), (200, b'{"keys": []}'), (200, b"[]"),
     (200, b"[" * 90_000),
     (200, b'{"keys": [{"kty": "oct", "k": "x", "kid": "k1"}]}'), (200, b" " * 5_000_000 + NINTH), (302, b"{}")],
    ids=["500", "404", "html", "nothing", "no-keys", "list", "deep", "secret", "5MB", "redirect"],
)  # fmt: skip
async def test_nothing_but_a_good_set_replaces_a_good_one(desk: Desk, site: Site, status: int, body: bytes) -> None:
    spec = at(f"{site.url}/jwks")
    await desk.take(spec)
    site.status, site.body = status, body
    for _ in range(4):
        desk.now += 300
        await desk.take(spec)
        assert await desk.refuses(spec, "k9")
    assert len(site.asked) == 5
    site.status, site.body = 200, None
    desk.now += 30
    await desk.take(spec)


async def test_an_issuer_that_is_away_is_believed_for_a_day_and_then_it_is_our_trouble(desk: Desk) -> None:
    with running() as gone:
        spec = at(f"{gone.url}/jwks")
        await desk.take(spec)
    desk.now += 86_399
    await desk.take(spec)
    desk.now += 1
    with pytest.raises(Unavailable) as raised:
        await desk.take(spec)
    assert raised.value.retry_after is not None
    assert 1 <= raised.value.retry_after <= 30


async def test_an_issuer_that_never_answered_is_our_trouble_and_asked_twice_a_minute(desk: Desk, site: Site) -> None:
    spec = at(f"{site.url}/jwks")
    site.status = 500
    for _ in range(60):
        with pytest.raises(Unavailable):
            await desk.take(spec)
        desk.now += 1
    assert len(site.asked) == 2
    site.status = 200
    desk.now += 1
    await desk.take(spec)


async def test_a_discovery_document_must_name_the_issuer_and_where_its_keys_are(desk: Desk, site: Site) -> None:
    await desk.take(found_by(site))
    assert site.asked == ["/.well-known/openid-configuration", "/jwks"]
    for wrong in (
        {"issuer": f"{site.url}/"},
        {"issuer": "https://other.example"},
        {"jwks_uri": None},
        {"jwks_uri": 7},
        None,
    ):
        site.configuration = wrong
        other = Desk(OutboundGuard(LOOPBACK))
        with pytest.raises(Unavailable):
            await other.take(found_by(site))
        await other.aclose()


async def test_the_same_key_id_at_two_issuers_is_two_keys(desk: Desk, site: Site) -> None:
    with running() as second:
        second.body = json.dumps({"keys": [public(key_for("ES256", "k2"), kid="k1")]}).encode()
        await desk.take(found_by(site))
        with pytest.raises(InvalidToken, match="signature"):
            await desk.take(found_by(second))
        with pytest.raises(InvalidToken, match="signature"):
            await desk.take(at(f"{second.url}/jwks"))
        await desk.take(at(f"{site.url}/jwks"))


async def test_keys_that_were_given_are_used_and_nobody_is_asked(desk: Desk, site: Site) -> None:
    jwks = {"keys": [public(key_for("ES256", "k1"))]}
    spec = issuer_spec(issuer=site.url, audiences=["a"], algorithms=["ES256"], jwks=jwks)
    await desk.take(spec)
    with pytest.raises(UnknownKey):
        await desk.take(spec, "k2")
    assert site.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "[::1]", "rebound.example"])
async def test_an_address_inside_is_never_asked_not_even_by_a_name_that_leads_there(site: Site, host: str) -> None:
    async def lookup(_name: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    strict = Desk(OutboundGuard(lookup=lookup))
    port = site.url.rpartition(":")[2]
    for scheme in ("http", "https"):
        with pytest.raises(Unavailable):
            await strict.take(at(f"{scheme}://{host}:{port}/jwks"))
    assert site.asked == []
    await strict.aclose()


async def test_a_redirect_is_not_followed(desk: Desk, site: Site) -> None:
    with running() as target:
        site.status, site.location = 302, f"{target.url}/jwks"
        with pytest.raises(Unavailable):
            await desk.take(at(f"{site.url}/jwks"))
        assert target.asked == []


async def test_a_caller_who_leaves_does_not_take_the_answer_along(desk: Desk, site: Site) -> None:
    spec = at(f"{site.url}/jwks")
    first, second = asyncio.ensure_future(desk.take(spec)), asyncio.ensure_future(desk.take(spec))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert site.asked == ["/jwks"]
