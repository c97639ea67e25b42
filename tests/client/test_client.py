"""Both clients against a running installation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bailiwick.client import (
    AsyncClient,
    AuthenticationError,
    Client,
    ClientError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
)
from bailiwick.identity import jws
from tests.serving import Caller, Site


def client_of(caller: Caller) -> Client:
    return Client(caller.key, caller.site.installation.url)


def async_client_of(caller: Caller) -> AsyncClient:
    return AsyncClient(caller.key, caller.site.installation.url)


def test_a_minted_token_is_told_whole(site: Site) -> None:
    caller = site.project()
    with client_of(caller) as client:
        minted = client.auth.mint(
            "auth0|abc123", tier=3, ttl=120, session_id="s-1", role="editor", scopes=["chat:create"]
        )
    assert (minted.token_type, minted.ttl, minted.session_id, minted.project_id) == ("Bearer", 120, "s-1", caller.id)
    assert minted.expires == datetime.fromtimestamp(minted.expires_at, UTC)
    assert abs(minted.expires - datetime.now(UTC) - timedelta(seconds=120)) < timedelta(seconds=5)
    with client_of(replace(caller, key=minted.token)) as holder:
        me = holder.me()
    assert (me.credential, me.user_id, me.session_id) == ("user_token", "auth0|abc123", "s-1")
    assert me.scopes == ("chat:create",)
    said = jws.read(minted.token).claims
    assert (said["tier"], said["role"]) == ("3", "editor")


def test_me_tells_who_the_key_is(site: Site) -> None:
    caller = site.project(key={"scopes": ["chat:create"], "models": ["gpt-*"]})
    with client_of(caller) as client:
        me = client.me()
    assert (me.credential, me.key_id, me.project_id) == ("api_key", caller.key_id, caller.id)
    assert (me.tenant_id, me.project_slug) == (caller.project["tenant_id"], caller.project["slug"])
    assert (me.scopes, me.models, me.act_as, me.user_id) == (("chat:create",), ("gpt-*",), False, None)
    assert (me.role, me.agents) == (None, None)
    assert me.resolved is not None
    assert [(one.source, one.scopes) for one in me.resolved.scopes] == [("the key", ("chat:create",))]
    assert [(one.source, one.globs) for one in me.resolved.models] == [("the key", ("gpt-*",))]
    assert (me.resolved.tier.by, me.resolved.max_output_tokens.value, me.resolved.tools) == (None, None, ())


def test_usage_goes_through_all_pages_of_the_span_of_the_first(site: Site) -> None:
    caller = site.project()
    users = [f"user {number} é" for number in range(5)]
    for user in users:
        assert caller.chat(headers={b"x-end-user-id": user.encode()}, model="echo").status_code == 200
    with client_of(caller) as client:
        report = client.usage(group_by="user", limit=2)
        assert caller.chat(headers={b"x-end-user-id": b"user 9"}, model="echo").status_code == 200
        assert [row.key for row in report] == [row.key for row in report] == users
        assert (report.total.requests, report.total.cost_usd, report.group_by) == (5, Decimal(0), "user")
        assert sum(row.input_tokens for row in report) == report.total.input_tokens > 0
        one = client.usage(group_by="user", user_id=users[3])
        assert [row.key for row in one] == [users[3]]


def test_usage_is_of_the_span_that_is_asked_for(site: Site) -> None:
    caller = site.project()
    assert caller.chat(model="echo").status_code == 200
    now = datetime.now(UTC)
    with client_of(caller) as client:
        before = client.usage(since=now - timedelta(days=2), until=now - timedelta(days=1), group_by="hour")
        assert (list(before), before.total.requests, before.total.latency_p50_ms) == ([], 0, None)
        assert before.since == now - timedelta(days=2)
        assert before.until == now - timedelta(days=1)
        with pytest.raises(InvalidRequest, match="time zone"):
            client.usage(since=datetime(2026, 11, 1))  # noqa: DTZ001 - which is the point


@pytest.mark.parametrize("user", [" user", "user ", "a\nb", "a\rb", "a\0b", "\x7f"])
def test_a_user_whom_a_header_would_name_differently_is_refused_here(site: Site, user: str) -> None:
    with client_of(site.project()) as client, pytest.raises(InvalidRequest) as refused:
        client.usage(user_id=user)
    assert refused.value.param == "user_id"


async def test_the_asynchronous_client_tells_the_same(site: Site) -> None:
    caller = site.project()
    for number in range(3):
        assert caller.chat(headers={"x-end-user-id": f"u{number}"}, model="echo").status_code == 200
    async with async_client_of(caller) as client:
        minted = await client.auth.mint("user-1", ttl=60)
        assert (minted.ttl, minted.project_id) == (60, caller.id)
        assert (await client.me()).key_id == caller.key_id
        report = await client.usage(group_by="user", limit=1)
        assert [row.key async for row in report] == ["u0", "u1", "u2"]
        assert report.total.requests == 3


def mint_with(**fields: object) -> Callable[[Client], object]:
    return lambda client: client.auth.mint(**{"user_id": "u", **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ask", "kind", "status", "code", "param"),
    [
        (mint_with(ttl=59), InvalidRequest, 400, "invalid_request", "ttl"),
        (mint_with(user_id=""), InvalidRequest, 400, "invalid_request", "user_id"),
        (mint_with(scopes=["embeddings:create"]), PermissionDenied, 403, "forbidden", "scopes"),
        (lambda client: client.usage(), PermissionDenied, 403, "forbidden", None),
    ],
)
def test_a_refusal_is_an_error_of_its_family_with_all_that_is_told(
    site: Site, ask: Callable[[Client], object], kind: type[ClientError], status: int, code: str, param: str | None
) -> None:
    caller = site.project(key={"scopes": ["tokens:mint", "users:act_as", "chat:create"]})
    with client_of(caller) as client, pytest.raises(kind) as refused:
        ask(client)
    error = refused.value
    assert (error.status, error.code, error.param) == (status, code, param)
    assert error.request_id is not None
    assert error.request_id.startswith("req_")
    assert error.message in str(error)


def test_a_key_that_is_no_key_and_an_address_that_is_none_are_told_apart(site: Site) -> None:
    url = site.installation.url
    with Client("bwk_live_nobody", url) as client, pytest.raises(AuthenticationError) as refused:
        client.me()
    assert refused.value.code == "invalid_credentials"
    with Client("bwk_live_nobody", f"{url}/elsewhere") as client, pytest.raises(NotFound):
        client.me()
