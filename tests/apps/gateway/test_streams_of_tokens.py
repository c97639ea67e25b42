"""A stream that was begun with a token: it outlives the token, and not what is taken away."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bailiwick.domain import ids
from bailiwick.domain.access_tokens import LEEWAY_SECONDS
from bailiwick.identity import signing_keys
from tests.apps.gateway.test_issuer_tokens import path, token, trust
from tests.serving import ASK, MODEL, Caller, Site, until
from tests.upstream import Behaviour, Upstream

# How long the tokens here are still good for, by the leeway alone.
SECONDS = 1.5


def streamed(caller: Caller, at: Callable[[int], None], *, address: str) -> list[str]:
    """The events of a stream; `at` hears of each how many there are."""
    events: list[str] = []
    body = {"model": MODEL, "messages": ASK, "stream": True}
    with caller.site.http.stream("POST", address, headers=caller.bearer, json=body) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                events.append(line.removeprefix("data: "))
                at(len(events))
    return events


def ending(site: Site, **claims: Any) -> Caller:
    """Whoever holds a token of a trusted issuer that is about to expire."""
    caller, key = site.project(), signing_keys.make()
    trust(site, caller, key)
    until(lambda: token(caller, key).ask("GET", f"/p/{caller.project['slug']}/v1/me").status_code == 200)
    now = time.time()
    user = token(caller, key, iat=int(now) - 600, exp=int(now + SECONDS - LEEWAY_SECONDS), **claims)
    assert user.ask("GET", f"/p/{caller.project['slug']}/v1/me").status_code == 200
    return user


@pytest.mark.parametrize("revoked", [{"jti": "t-1"}, {"session_id": "s-1"}, {"user_id": "auth0|abc"}])
def test_a_stream_of_a_token_that_has_expired_meanwhile_ends_when_it_is_revoked(
    site: Site, upstream: Upstream, revoked: dict[str, str]
) -> None:
    upstream.on(MODEL, Behaviour(chunks=100, gap=0.05))
    user = ending(site, jti="t-1", sid="s-1")
    me = f"/p/{user.project['slug']}/v1/me"

    def at(count: int) -> None:
        if count == 36:
            assert user.ask("GET", me).json()["error"]["code"] == "expired_credentials"
            site.admin.make(f"/projects/{user.id}/revocations", revoked)

    events = streamed(user, at, address=path(user))
    assert json.loads(events[-1])["error"]["code"] == "revoked_credentials"
    assert 36 < len(events) < 59


def test_a_stream_of_a_token_that_has_expired_meanwhile_comes_to_its_end_whatever_else_changes(
    site: Site, upstream: Upstream
) -> None:
    upstream.on(MODEL, Behaviour(chunks=44, gap=0.05))
    user = ending(site)

    def at(count: int) -> None:
        if count == 36:
            user.change(name="Renamed")
            site.admin.make(f"/projects/{user.id}/revocations", {"jti": "another"})

    assert streamed(user, at, address=path(user))[-1] == "[DONE]"


def test_a_stream_of_a_token_whose_key_has_expired_meanwhile_ends_when_it_is_revoked(
    site: Site, upstream: Upstream
) -> None:
    upstream.on(MODEL, Behaviour(chunks=100, gap=0.05))
    caller = site.project()
    minted = caller.ask("POST", "/v1/auth/mint", json={"user_id": "u", "session_id": "s-1"}).json()
    user = replace(caller, key=minted["token"])
    assert user.ask("GET", "/v1/me").status_code == 200

    def at(count: int) -> None:
        if count == 5:
            site.database.execute(
                "UPDATE bailiwick.api_keys SET expires_at = now() WHERE id = %s", (ids.parsed(ids.KEY, caller.key_id),)
            )
            until(lambda: user.ask("GET", "/v1/me").status_code == 401)
        if count == 20:
            site.admin.make(f"/projects/{caller.id}/revocations", {"session_id": "s-1"})

    events = streamed(user, at, address="/v1/chat/completions")
    assert json.loads(events[-1])["error"]["code"] == "revoked_credentials"
    assert 20 < len(events) < 59
