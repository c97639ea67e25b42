"""The tutorial's page in a real browser, over its own backend: it calls as its user, and renews its token."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Request

from bailiwick.domain.usage import Outcome
from tests.browser.npm_packages import fetched
from tests.docs.pages import RUN, blocks
from tests.docs.terminal import Terminal, backend_ended
from tests.installation import clean_environment, free_port
from tests.serving import Site, until

pytestmark = pytest.mark.slow

PAGE: Final = "docs/tutorial/tokens-for-users.md"
# Until the tutorial prints the address that is to be opened.
OPENED: Final = "/#eyJ"
TTL_MS: Final = 900_000


def test_the_page_of_the_tutorial_calls_as_its_user_and_renews_its_token_a_minute_before_it_expires(
    browser: Browser, site: Site, tmp_path: Path
) -> None:
    caller = site.project(provider={"base_url": None})
    environment = clean_environment(
        {
            "BASE_URL": site.installation.url,
            "ADMIN_KEY": site.installation.keys["admin_key"],
            "PROJECT_ID": caller.id,
            "API_KEY": caller.key,
            "BACKEND_PORT": str(free_port()),
        }
    )
    with Terminal(tmp_path, environment) as terminal, backend_ended(tmp_path):
        for block in blocks(PAGE):
            if block.language in RUN and block.not_run is None:
                said = terminal.run(block)
                if OPENED in block.expects:
                    break
        shutil.copytree(fetched() / "openai", tmp_path / "page" / "node_modules" / "openai")
        page = browser.new_page()
        asked: list[Request] = []
        page.on("request", lambda request: asked.append(request))  # noqa: PLW0108 - playwright marks what it is given
        page.clock.install()
        page.goto(said.strip())
        page.wait_for_function("document.querySelector('button').onclick !== null")
        for passing in (0, TTL_MS - 62_000, 3_000):
            page.clock.run_for(passing)
            page.evaluate("document.querySelector('#answer').textContent = ''")
            page.click("button")
            page.wait_for_function("document.querySelector('#answer').textContent.includes('You said: Hello')")
        page.close()
    minted = [request for request in asked if request.url.endswith("/token")]
    calls = [request for request in asked if request.method == "POST" and "/chat/" in request.url]
    tokens = [request.headers["authorization"] for request in calls]
    assert (len(minted), len(calls)) == (2, 3)
    assert tokens[0] == tokens[1] != tokens[2]
    until(lambda: len(caller.rows) == 3)
    (session,) = {request.headers["x-session-id"] for request in calls}
    assert {(row["uid"], row["sid"], row["outcome"]) for row in caller.rows} == {
        ("auth0|abc123", session, Outcome.COMPLETED)
    }
    assert not any(caller.key in (request.headers.get("authorization") or "") for request in asked)
