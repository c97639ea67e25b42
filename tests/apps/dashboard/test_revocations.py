"""A project's revocations in the dashboard: listed, the newest first, and made."""

from __future__ import annotations

import pytest

from tests.dashboard import Browser, done


async def place(browser: Browser) -> tuple[str, str]:
    """The page of a project's revocations, and their address in the API."""
    project = await browser.control.project()
    return f"/dashboard/projects/{project['id']}/revocations", f"/projects/{project['id']}/revocations"


@pytest.mark.parametrize("kind", ["session_id", "user_id", "jti"])
async def test_what_is_taken_away_is_as_the_form_says(browser: Browser, kind: str) -> None:
    page, api = await place(browser)
    assert done(await browser.send(page, action=page, kind=kind, value="chat-7 <b>")) == "taken-away"
    (revocation,) = (await browser.control.read(api))["data"]
    expected = dict.fromkeys(("session_id", "user_id", "jti")) | {kind: "chat-7 <b>"}
    assert {name: revocation[name] for name in expected} == expected
    assert "chat-7 <b>" in (await browser.get(page)).text


async def test_the_newest_comes_first_and_older_ones_on_the_next_page(browser: Browser) -> None:
    page, api = await place(browser)
    for number in range(51):
        await browser.control.make(api, session_id=f"session-{number:02}")
    first = await browser.get(page)
    assert first.text.index("session-50") < first.text.index("session-49")
    assert "session-00" not in first.text
    (link,) = [link for link in first.page.links if "after=" in link]
    assert "session-00" in (await browser.get(page + link)).text


@pytest.mark.parametrize(
    ("fields", "status"), [({"kind": "jti", "value": ""}, 422), ({"kind": "session_id", "value": "a\x07"}, 422)]
)
async def test_what_cannot_be_taken_away_is_told_and_nothing_is(
    browser: Browser, fields: dict[str, str], status: int
) -> None:
    page, api = await place(browser)
    answer = await browser.send(page, action=page, **fields)
    assert answer.status == status
    assert "Nothing was taken away." in answer.text
    assert (await browser.control.read(api))["data"] == []
