"""Members in the dashboard: added, changed, removed, found by their subject."""

from __future__ import annotations

from typing import Any

from tests.control import PUBLIC_URL, Audit
from tests.dashboard import Browser, done


async def place(browser: Browser) -> tuple[str, str]:
    """The page of a tenant's members, and their address in the API."""
    tenant = await browser.control.tenant()
    return f"/dashboard/tenants/{tenant['id']}/members", f"/tenants/{tenant['id']}/members"


async def the_member(browser: Browser, api: str) -> dict[str, Any]:
    """The only one."""
    member: dict[str, Any]
    (member,) = (await browser.control.read(api))["data"]
    return member


async def test_a_member_is_added_changed_and_removed_by_forms(browser: Browser, audit: Audit) -> None:
    page, api = await place(browser)
    assert "No members yet" in (await browser.get(page)).text
    issuer, subject = "https://login.example/", "auth0|<b>Ann</b> & co"
    assert done(await browser.send(f"{page}/new", issuer=issuer, subject=subject, role="viewer")) == "created"
    member = await the_member(browser, api)
    assert (member["issuer"], member["subject"], member["role"]) == (issuer, subject, "viewer")
    assert (member["scopes"], member["tier"]) == (None, None)
    one = f"{page}/{member['id']}"
    changed = {"role": "member", "all_scopes": None, "scopes": ["chat:create"], "tier": "pro"}
    assert done(await browser.send(one, **changed)) == "saved"
    # Nothing changed, and all of it is kept.
    assert done(await browser.send(one)) == "saved"
    after = await the_member(browser, api)
    assert (after["issuer"], after["subject"]) == (issuer, subject)
    assert (after["role"], after["scopes"], after["tier"]) == ("member", ["chat:create"], "pro")
    assert subject in (await browser.get(page)).text
    assert done(await browser.send(page, action=f"{one}/remove")) == "removed"
    assert (await browser.get(one)).status == 404
    assert [entry.action for entry in audit(member["id"])] == [
        "member.add", "member.change", "member.change", "member.remove"
    ]  # fmt: skip


async def test_without_an_issuer_a_member_is_of_this_installation(browser: Browser) -> None:
    page, api = await place(browser)
    assert done(await browser.send(f"{page}/new", subject=" user 1 ")) == "created"
    member = await the_member(browser, api)
    assert (member["issuer"], member["subject"], member["role"]) == (PUBLIC_URL, " user 1 ", "member")
    assert "This installation" in (await browser.get(page)).text


async def test_who_a_member_is_cannot_be_changed(browser: Browser) -> None:
    page, api = await place(browser)
    await browser.send(f"{page}/new", subject="ann")
    member = await the_member(browser, api)
    answer = await browser.send(f"{page}/{member['id']}", subject="bob", issuer="https://elsewhere.example")
    assert done(answer) == "saved"
    assert await the_member(browser, api) == member


async def test_a_member_that_cannot_be_is_told_in_its_form(browser: Browser) -> None:
    page, _ = await place(browser)
    wrong = await browser.send(f"{page}/new", subject="a", issuer="no spaces", role="king", tier="\x01")
    assert wrong.status == 422
    fields = wrong.page.form("").fields
    assert (fields["subject"], fields["issuer"]) == (["a"], ["no spaces"])
    assert "1 to 500 characters of visible ASCII" in wrong.text
    forged = {**fields, "issuer": [""], "tier": [""], "role": ["member"], "all_scopes": [], "scopes": ["tokens:mint"]}
    assert (await browser.post(f"{page}/new", forged)).status == 422
    await browser.send(f"{page}/new", subject="a")
    taken = await browser.send(f"{page}/new", subject="a")
    assert (taken.status, taken.page.form("").fields["subject"]) == (409, ["a"])


async def test_a_member_that_somebody_else_changed_is_not_overwritten(browser: Browser) -> None:
    page, api = await place(browser)
    await browser.send(f"{page}/new", subject="ann")
    member = await the_member(browser, api)
    form = (await browser.get(f"{page}/{member['id']}")).page.form("")
    await browser.control.change(f"{api}/{member['id']}", role="viewer")
    assert (await browser.post(f"{page}/{member['id']}", {**form.fields, "role": ["owner"]})).status == 412
    assert (await the_member(browser, api))["role"] == "viewer"


async def test_members_are_found_by_their_subject_to_the_letter(browser: Browser) -> None:
    page, api = await place(browser)
    for issuer in ("https://a.example", "https://b.example"):
        await browser.control.make(api, issuer=issuer, subject="ann", role="member")
    await browser.control.make(api, subject="Ann", role="member")
    found = (await browser.get(f"{page}?subject=ann")).text
    assert ("https://a.example" in found, "https://b.example" in found, "This installation" in found) == (1, 1, 0)
    assert "Nobody here" in (await browser.get(f"{page}?subject=bob")).text


async def test_viewers_see_members_and_change_none(browser: Browser) -> None:
    page, api = await place(browser)
    await browser.send(f"{page}/new", subject="ann")
    member = await the_member(browser, api)
    viewer = browser.as_("viewer", member["tenant_id"])
    for address in (page, f"{page}/{member['id']}"):
        seen = await viewer.get(address)
        assert "ann" in seen.page.html
        assert {form.action for form in seen.page.forms} <= {"", "/dashboard/sign-out"}
        assert "Add member" not in seen.page.html
    stranger = browser.as_("owner", (await browser.control.tenant())["id"])
    assert (await stranger.get(page)).status == 404
