"""Tool servers in the dashboard: a credential goes in and is on no page ever after; clients are given an address."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.control import Audit
from tests.dashboard import PUBLIC_URL, Browser, done

SECRET: Final = "Bearer a-canary-that-no-page-may-hold"


async def place(browser: Browser) -> tuple[dict[str, Any], str, str]:
    """A project, the page of its servers, and their address in the API."""
    project = await browser.control.project()
    return project, f"/dashboard/projects/{project['id']}/mcp-servers", f"/projects/{project['id']}/mcp-servers"


async def the_server(browser: Browser, api: str) -> dict[str, Any]:
    """The only one."""
    server: dict[str, Any]
    (server,) = (await browser.control.read(api))["data"]
    return server


async def test_a_server_is_registered_changed_and_removed_by_forms(browser: Browser, audit: Audit) -> None:
    project, page, api = await place(browser)
    assert "No servers yet" in (await browser.get(page)).text
    answer = await browser.send(
        f"{page}/new", name="docs", url="https://tools.example.com/mcp", credential=SECRET,
        tools__allow="search_*\r\nread", tools__deny="*_delete",
    )  # fmt: skip
    assert done(answer) == "created"
    server = await the_server(browser, api)
    assert (server["name"], server["url"], server["enabled"]) == ("docs", "https://tools.example.com/mcp", True)
    assert (server["credential_header"], server["has_credential"]) == ("authorization", True)
    assert server["tools"] == {"allow": ["search_*", "read"], "deny": ["*_delete"]}
    one = f"{page}/{server['id']}"
    door = f"/p/{project['slug']}/mcp/docs"
    assert PUBLIC_URL + door in (await browser.get(one)).text
    for seen in (await browser.get(page), await browser.get(one)):
        assert door in seen.text
        assert SECRET not in seen.page.html
    # Nothing changed, and the credential is kept.
    assert done(await browser.send(one)) == "saved"
    assert await the_server(browser, api) == server
    changed = {"name": "wiki", "tools__allow": "", "tools__deny": "", "enabled": None}
    assert done(await browser.send(one, **changed)) == "saved"
    after = await the_server(browser, api)
    assert (after["name"], after["tools"], after["enabled"], after["has_credential"]) == ("wiki", None, False, True)
    assert done(await browser.send(one, action=f"{one}/remove")) == "removed"
    assert (await browser.get(one)).status == 404
    assert [entry.action for entry in audit(server["id"])][::3] == ["mcp_server.create", "mcp_server.remove"]


async def test_a_credential_only_goes_where_it_was_given_for(browser: Browser) -> None:
    _, page, api = await place(browser)
    await browser.send(f"{page}/new", name="docs", url="https://tools.example.com/mcp", credential=SECRET)
    server = await the_server(browser, api)
    one = f"{page}/{server['id']}"
    for elsewhere in ({"url": "https://elsewhere.example.com/mcp"}, {"credential_header": "x-api-key"}):
        refused = await browser.send(one, **elsewhere)
        assert (refused.status, "must be given again" in refused.text) == (422, True)
        assert await the_server(browser, api) == server
        moved = await browser.send(one, **elsewhere, credential=f"{SECRET}2")
        assert done(moved) == "saved"
        server = await the_server(browser, api)
    assert done(await browser.send(one, forget="yes")) == "saved"
    assert not (await the_server(browser, api))["has_credential"]


async def test_no_tool_at_all_is_said_by_a_box_and_kept(browser: Browser) -> None:
    _, page, api = await place(browser)
    fields = {"name": "docs", "url": "https://tools.example.com/mcp", "tools.none": "yes"}
    both = await browser.send(f"{page}/new", **fields, tools__allow="search")
    assert (both.status, both.page.form("").fields["tools.none"]) == (422, ["yes"])
    assert done(await browser.send(f"{page}/new", **fields)) == "created"
    server = await the_server(browser, api)
    assert server["tools"] == {"allow": [], "deny": []}
    assert done(await browser.send(f"{page}/{server['id']}")) == "saved"
    assert await the_server(browser, api) == server


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "Not A Name"}, "must be 1 to 63 of a-z"),
        ({"url": "http://127.0.0.1:9/mcp"}, "is refused"),
        ({"url": "https://169.254.169.254/mcp"}, "is refused"),
        ({"credential": "two\nlines"}, "must be 1 to 4096 visible ASCII characters"),
        ({"credential_header": "host"}, "is a header that says something else"),
        ({"tools.deny": "two words"}, "must be 1 to 255 visible ASCII characters"),
    ],
)
async def test_a_server_that_cannot_be_is_told_in_its_form(browser: Browser, fields: dict[str, str], said: str) -> None:
    _, page, api = await place(browser)
    good = {"name": "docs", "url": "https://tools.example.com/mcp", "credential": SECRET}
    wrong = await browser.send(f"{page}/new", **{**good, **fields})
    assert (wrong.status, said in wrong.text) == (422, True)
    assert wrong.page.form("").fields["name"] == [fields.get("name", "docs")]
    assert wrong.page.form("").fields["credential"] == [""]
    assert SECRET not in wrong.page.html
    assert (await browser.control.read(api))["data"] == []


async def test_a_server_that_somebody_else_changed_is_not_overwritten(browser: Browser) -> None:
    _, page, api = await place(browser)
    await browser.send(f"{page}/new", name="docs", url="https://tools.example.com/mcp")
    server = await the_server(browser, api)
    form = (await browser.get(f"{page}/{server['id']}")).page.form("")
    await browser.control.change(f"{api}/{server['id']}", name="theirs")
    assert (await browser.post(f"{page}/{server['id']}", {**form.fields, "name": ["mine"]})).status == 412
    assert (await the_server(browser, api))["name"] == "theirs"
