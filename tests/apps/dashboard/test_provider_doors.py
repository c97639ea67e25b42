"""Going to an OpenID provider and coming back, as a browser does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import IPv4Network

import httpx2
import pytest

from tests.apps.dashboard.test_sign_in import SIGN_IN, Visiting, application, seen
from tests.control import PUBLIC_URL, UNKNOWN, controlled
from tests.database import TestDatabase
from tests.oidc import Provider
from tests.people import COOKIE


@pytest.fixture
async def visiting(database: TestDatabase) -> AsyncIterator[Visiting]:
    async with controlled(database, outbound_allow=(IPv4Network("127.0.0.0/8"),)) as control:
        transport = application(control, control.plane)
        async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
            yield Visiting(control=control, http=http)


async def test_a_person_goes_to_the_provider_and_comes_back_signed_in(visiting: Visiting) -> None:
    with Provider(now=lambda: visiting.control.clock().timestamp()).running() as provider:
        body = {"name": "Acme <SSO>", "issuer": provider.url, "client_id": "bailiwick"}
        rules = [{"email_domain": "example.com", "role": "viewer"}]
        made = await visiting.control.make("/sign-in/providers", **body, rules=rules)
        page = await visiting.http.get(f"{SIGN_IN}?next=/dashboard/projects")
        assert "Sign in with Acme <SSO>" in seen(page)
        assert "<SSO>" not in page.text
        away = await visiting.http.get(f"{SIGN_IN}/with/{made['id']}?next=/dashboard/projects")
        assert away.status_code == 303
        assert away.headers["location"].startswith(f"{provider.url}/authorize?")
        kept = away.headers["set-cookie"].lower()
        assert kept.startswith("__host-bailiwick-flow=")
        assert all(attribute in kept for attribute in ("httponly", "secure", "samesite=lax", "path=/"))
        query = provider.consent(away.headers["location"], sub="browser-1")
        address = f"{SIGN_IN}/callback/{made['id']}?{query}"
        back = await visiting.http.get(address, headers={"sec-fetch-site": "cross-site"})
        assert (back.status_code, back.headers["location"]) == (303, "/dashboard/projects")
        assert await visiting.is_in()
        assert visiting.http.cookies.get(f"{COOKIE}-flow") is None
        visiting.http.cookies.clear()
        replayed = await visiting.http.get(address)
        assert (replayed.status_code, visiting.token) == (401, None)
        assert "was not begun in this browser" in seen(replayed)


@pytest.mark.parametrize("path", ["with", "callback"])
async def test_a_provider_that_there_is_not_is_nowhere_to_go(visiting: Visiting, path: str) -> None:
    assert (await visiting.http.get(f"{SIGN_IN}/{path}/{UNKNOWN['sip']}")).status_code in (401, 404)
    assert (await visiting.http.get(f"{SIGN_IN}/{path}/nonsense")).status_code == 404
