"""How many calls of one tenant may be open at once: bounded, exact, of no concern to others, given back at the end."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import httpx2
import pytest

from tests.apps.gateway.wire import connect, request
from tests.installation import Installation
from tests.serving import ASK, MODEL, until
from tests.upstream import Upstream, scripts

pytestmark = pytest.mark.slow

FEW = 3
PATH = "/v1/chat/completions"
SETTINGS = {"BAILIWICK_MAX_OPEN_CALLS": str(FEW)}


def key_of(installation: Installation, **limits: Any) -> str:
    """A key of a tenant of its own."""
    project = installation.admin.project(installation.admin.tenant()["id"], limits=limits)
    return str(installation.admin.key(project["id"])["key"])


def ask(client: httpx2.Client, key: str) -> httpx2.Response:
    return client.post(PATH, json={"model": MODEL, "messages": ASK}, headers={"authorization": f"Bearer {key}"})


def hold(installation: Installation, provider: Upstream, key: str, senders: ExitStack) -> None:
    """Open as many calls as there may be, which the provider does not answer."""
    provider.clear()
    provider.on(MODEL, scripts.stall())
    body = b'{"model":"%b","messages":[{"role":"user","content":"x"}]}' % MODEL.encode()
    lines = [(b"authorization", b"Bearer " + key.encode()), (b"content-length", b"%d" % len(body))]
    for _ in range(FEW):
        sock = senders.enter_context(connect(installation.port))
        sock.sendall(request(PATH, lines, method="POST") + body)
    until(lambda: len(provider.requests) == FEW)


def test_one_more_than_allowed_is_turned_away_and_another_tenants_is_not(
    installation: Installation, provider: Upstream
) -> None:
    key, other = key_of(installation, project={"requests": 100, "per": "1h"}), key_of(installation)
    with installation.client() as client, ExitStack() as senders:
        hold(installation, provider, key, senders)
        answer = ask(client, key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        assert len(provider.requests) == FEW
        provider.clear()
        assert ask(client, other).status_code == 200
        senders.close()
        until(lambda: ask(client, key).status_code == 200)


def test_calls_that_ended_make_room_for_others(installation: Installation, provider: Upstream) -> None:
    key = key_of(installation)
    with installation.client() as client:
        for _ in range(2):
            provider.clear()
            assert [ask(client, key).status_code for _ in range(2 * FEW)] == [200] * 2 * FEW
            with ExitStack() as senders:
                hold(installation, provider, key, senders)
                assert ask(client, key).status_code == 503
            provider.clear()
            until(lambda: ask(client, key).status_code == 200)
            until(lambda: provider.open_connections() <= 1)
