"""Roles in the dashboard: those that are built in are told, a tenant's own are made, changed, removed."""

from __future__ import annotations

from typing import Any

from tests.control import Audit
from tests.dashboard import Browser, done


async def place(browser: Browser) -> tuple[str, str]:
    """The page of a tenant's roles, and their address in the API."""
    tenant = await browser.control.tenant()
    return f"/dashboard/tenants/{tenant['id']}/roles", f"/tenants/{tenant['id']}/roles"


async def the_role(browser: Browser, api: str) -> dict[str, Any]:
    """The only one."""
    role: dict[str, Any]
    (role,) = (await browser.control.read(api))["data"]
    return role


async def test_a_role_is_made_changed_and_removed_by_forms(browser: Browser, audit: Audit) -> None:
    page, api = await place(browser)
    empty = (await browser.get(page)).text
    assert "None yet" in empty
    assert "viewer models:list threads:read usage:read" in empty
    made = {"name": "analyst", "permissions": ["chat:create", "models:list"], "models": "gpt-4o*\r\nopenai/*"}
    assert done(await browser.send(f"{page}/new", **made)) == "created"
    role = await the_role(browser, api)
    assert (role["name"], role["permissions"]) == ("analyst", ["chat:create", "models:list"])
    assert (role["models"], role["agents"]) == (["gpt-4o*", "openai/*"], None)
    one = f"{page}/{role['id']}"
    # Nothing changed, and all of it is kept; the name cannot be.
    assert done(await browser.send(one, name="other")) == "saved"
    assert await the_role(browser, api) == role
    assert done(await browser.send(one, permissions=[], models="", agents="support")) == "saved"
    changed = await the_role(browser, api)
    assert (changed["permissions"], changed["models"], changed["agents"]) == ([], None, ["support"])
    assert done(await browser.send(one, action=f"{one}/remove")) == "removed"
    assert (await browser.get(one)).status == 404
    actions = [entry.action for entry in audit(role["id"])]
    assert (actions[0], actions[-1]) == ("role.create", "role.remove")


async def test_a_role_that_cannot_be_is_told_in_its_form(browser: Browser) -> None:
    page, api = await place(browser)
    for name in ("viewer", "mine", "mine"):
        answer = await browser.send(f"{page}/new", name=name)
        assert (answer.status, name in answer.page.html) == (303, False) if answer.status == 303 else (409, True)
    assert (await the_role(browser, api))["name"] == "mine"
    form = (await browser.get(f"{page}/new")).page.form("")
    forged = await browser.post(f"{page}/new", {**form.fields, "name": ["x"], "permissions": ["tokens:mint"]})
    assert (forged.status, "is for keys alone" in forged.text) == (422, True)


async def test_a_role_that_a_member_has_is_not_removed_and_is_given_by_their_form(browser: Browser) -> None:
    page, api = await place(browser)
    await browser.send(f"{page}/new", name="analyst")
    members = page.replace("/roles", "/members")
    assert done(await browser.send(f"{members}/new", subject="ann", role="analyst")) == "created"
    role = await the_role(browser, api)
    one = f"{page}/{role['id']}"
    assert (await browser.send(one, action=f"{one}/remove")).status == 409
    assert await the_role(browser, api) == role
    unknown = await browser.send(f"{members}/new", subject="bob", role="nobody-knows")
    assert (unknown.status, unknown.page.form("").fields["role"]) == (422, ["nobody-knows"])


async def test_a_role_that_somebody_else_changed_is_not_overwritten(browser: Browser) -> None:
    page, api = await place(browser)
    await browser.send(f"{page}/new", name="analyst")
    role = await the_role(browser, api)
    form = (await browser.get(f"{page}/{role['id']}")).page.form("")
    await browser.control.change(f"{api}/{role['id']}", models=["theirs"])
    assert (await browser.post(f"{page}/{role['id']}", {**form.fields, "permissions": ["chat:create"]})).status == 412
    assert (await the_role(browser, api))["models"] == ["theirs"]
