"""Where a client gets its key and its address from, and that it never shows the key."""

from __future__ import annotations

import copy
import pickle
import traceback
from typing import Final

import httpx2
import pytest

from bailiwick.client import AsyncClient, Client, ClientError, ConfigurationError, ConnectionFailed, RateLimited
from tests.client.surroundings import Surroundings
from tests.installation import free_port
from tests.upstream import Behaviour, Upstream, payloads

KEY: Final = "bwk_live_secretsecret"
ME: Final = Behaviour(
    body=b'{"credential":"api_key","tenant_id":"ten_1","project_id":"prj_1","project_slug":"s","scopes":[],"new":1}'
)


def test_the_environment_says_key_and_address_and_arguments_go_before_it() -> None:
    with Upstream() as gateway:
        gateway.on("/v1/me", ME)
        ambient = Surroundings({"BAILIWICK_API_KEY": KEY, "BAILIWICK_BASE_URL": gateway.base_url}).ambient
        with Client(ambient=ambient) as client:
            assert client.me().project_slug == "s"
            assert client.base_url == gateway.base_url.removesuffix("/v1")
        with Client("another", ambient=ambient) as client:
            client.me()
        assert [request.header("authorization") for request in gateway.requests] == [f"Bearer {KEY}", "Bearer another"]


@pytest.mark.parametrize(
    "given",
    ["https://gw.example", "https://gw.example/", "https://gw.example/v1", "https://gw.example/v1/"],
)
def test_an_address_may_end_as_other_clients_want_it(given: str) -> None:
    with Client(KEY, given) as client:
        assert client.base_url == "https://gw.example"
    with Client(KEY, f"{given.rstrip('/').removesuffix('/v1')}/p/my-app/v1") as client:
        assert client.base_url == "https://gw.example/p/my-app"


@pytest.mark.parametrize(
    ("key", "address", "told"),
    [
        (None, "https://gw.example", "BAILIWICK_API_KEY"),
        ("", "https://gw.example", "BAILIWICK_API_KEY"),
        (f"{KEY}\n", "https://gw.example", "line break"),
        (f"{KEY} ", "https://gw.example", "space"),
        (f"{KEY}é", "https://gw.example", "another character"),
        (KEY, None, "BAILIWICK_BASE_URL"),
        (KEY, "gw.example", "http://"),
        (KEY, "ftp://gw.example", "http://"),
        (KEY, "https://", "host"),
        (KEY, f"https://u:{KEY}@gw.example", "user"),
        (KEY, f"https://gw.example?key={KEY}", "query"),
        (KEY, "https://gw.example#x", "fragment"),
        (KEY, "https://gw.example:port", "no address"),
    ],
)
def test_what_cannot_be_is_refused_without_repeating_the_key(key: str | None, address: str | None, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as refused:
        Client(key, address, ambient=Surroundings().ambient)
    assert KEY not in "".join(traceback.format_exception(refused.value))


async def test_no_repr_and_no_error_shows_a_key_or_a_token() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    surroundings = Surroundings()
    client = Client(KEY, address, ambient=surroundings.ambient)
    awaited = AsyncClient(KEY, address, ambient=surroundings.ambient)
    with pytest.raises(ConnectionFailed) as failed:
        client.auth.mint("user-1")
    with pytest.raises(ConnectionFailed) as failed_too:
        await awaited.auth.mint("user-1")
    shown = [
        *(repr(thing) for thing in (client, awaited, client.auth, client.token_source("u"), awaited.token_source("u"))),
        repr(vars(client)),
        *("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
          for error in (failed.value, failed_too.value)),
    ]  # fmt: skip
    assert KEY not in "".join(shown)
    client.close()
    await awaited.close()


def test_a_token_is_not_in_its_repr() -> None:
    body = b'{"token":"a.b.c","token_type":"Bearer","ttl":60,"session_id":"s","expires_at":1800000060,"project_id":"p"}'
    with Upstream() as gateway, Client(KEY, gateway.base_url) as client:
        gateway.on("/v1/auth/mint", Behaviour(body=body))
        minted = client.auth.mint("user-1")
        source = client.token_source("user-1")
        assert minted.token == source() == "a.b.c"
        assert "a.b.c" not in f"{minted!r} {minted} {source!r} {vars(source)}"


def test_the_key_follows_no_redirect() -> None:
    with Upstream() as gateway, Upstream() as elsewhere:
        gateway.on("/v1/me", Behaviour(status=307, headers=(("location", f"{elsewhere.base_url}/me"),), body=b""))
        theirs = httpx2.Client(follow_redirects=True)
        with theirs, Client(KEY, gateway.base_url, http_client=theirs) as client, pytest.raises(ClientError) as refused:
            client.me()
        assert refused.value.status == 307
        assert elsewhere.requests == []


def test_an_http_client_of_ones_own_is_used_as_it_is_and_stays_open() -> None:
    with Upstream() as gateway, httpx2.Client(headers={"x-mine": "1"}, timeout=0.05) as theirs:
        gateway.on("/v1/me", ME)
        with Client(KEY, gateway.base_url, http_client=theirs) as client:
            client.me()
        assert not theirs.is_closed
        assert gateway.requests[0].header("x-mine") == "1"
        gateway.on("/v1/me", Behaviour(delay=5, body=b"{}"))
        with pytest.raises(ConnectionFailed, match="timed out"):
            Client(KEY, gateway.base_url, http_client=theirs, max_retries=0).me()


def test_a_timeout_is_for_each_attempt() -> None:
    surroundings = Surroundings()
    with Upstream() as gateway:
        gateway.on("/v1/me", Behaviour(delay=5, body=b"{}"), ME)
        with Client(KEY, gateway.base_url, timeout=0.1, ambient=surroundings.ambient) as client:
            assert client.me().project_slug == "s"
        assert len(gateway.requests) == 2


def test_an_error_can_be_copied_and_pickled() -> None:
    error = RateLimited("Later.", code="rate_limited", status=429, request_id="req_1", retry_after=2.0)
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301 - what was just written
        assert (type(other), vars(other), str(other)) == (RateLimited, vars(error), "429 rate_limited: Later. (req_1)")


def test_what_answers_without_being_a_gateway_is_told() -> None:
    with Upstream() as gateway, Client(KEY, gateway.base_url, max_retries=0) as client:
        gateway.on("/v1/me", Behaviour(body=b"<html>"), Behaviour(status=502, body=b"<html>"))
        with pytest.raises(ClientError, match="no gateway"):
            client.me()
        with pytest.raises(ClientError, match="no gateway") as refused:
            client.me()
        assert (refused.value.status, refused.value.code) == (502, None)
        gateway.on("/v1/me", Behaviour(status=418, body=payloads.error("Tea.", code="brewing")))
        with pytest.raises(ClientError, match=r"418 brewing: Tea\."):
            client.me()
