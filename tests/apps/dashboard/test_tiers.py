"""Tiers in the dashboard: made, changed, removed, the default; a key's tier and addresses; a user's tokens ended."""

from __future__ import annotations

from typing import Any

import pytest

from tests.control import Audit
from tests.dashboard import Browser, done


async def place(browser: Browser) -> tuple[dict[str, Any], str]:
    """A project, and the address of its tiers."""
    project = await browser.control.project()
    return project, f"/dashboard/projects/{project['id']}/tiers"


async def tiers(browser: Browser, project: dict[str, Any]) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = (await browser.control.read(f"/projects/{project['id']}/tiers"))["data"]
    return data


async def test_a_tier_is_made_changed_and_removed_by_forms(browser: Browser) -> None:
    project, address = await place(browser)
    assert "No tiers yet" in (await browser.get(address)).text
    limit = {"user.requests": "600", "user.per": "1m"}
    answer = await browser.send(f"{address}/new", name="pro", models="gpt-4o*\r\n\r\nopenai/*", **limit)
    assert done(answer) == "created"
    (tier,) = await tiers(browser, project)
    assert (tier["name"], tier["models"]) == ("pro", ["gpt-4o*", "openai/*"])
    assert (tier["limits"]["user"]["requests"], tier["limits"]["user"]["per"]) == (600, "1m")
    await browser.control.change(f"/projects/{project['id']}/tiers/{tier['id']}", agents=["support"])
    listed = await browser.get(address)
    assert "Each user: 600 requests a minute" in listed.text
    assert done(await browser.send(f"{address}/{tier['id']}", name="plus", models="")) == "saved"
    (changed,) = await tiers(browser, project)
    assert (changed["name"], changed["models"], changed["limits"]) == ("plus", None, tier["limits"])
    assert changed["agents"] == ["support"]  # Which the form does not show.
    removal = (await browser.get(address)).page.form(f"{address}/{tier['id']}/remove")
    assert done(await browser.post(removal.action, removal.fields)) == "removed"
    assert await tiers(browser, project) == []


async def test_a_tier_is_told_beside_the_budgets_that_it_stands_in_the_place_of(browser: Browser) -> None:
    project, address = await place(browser)
    budgets = f"/projects/{project['id']}/budgets"
    each = {"scope": "user", "subject": "*"}
    await browser.control.make(budgets, **each, limit={"usd": "5"}, window="month")
    await browser.control.make(budgets, **each, limit={"tokens": 9_000}, window="day", models=["gpt-*"])
    await browser.control.make(budgets, scope="user", subject="ann", limit={"usd": "77"}, window="month")
    await browser.control.make(budgets, scope="project", limit={"usd": "88"}, window="month")
    await browser.control.make(f"/tenants/{project['tenant_id']}/budgets", **each, limit={"usd": "99"}, window="month")
    made = [{"limit": {"usd": "50"}, "window": "month"}, {"limit": {"tokens": 10}, "window": "day"}]
    await browser.control.make(f"/projects/{project['id']}/tiers", name="pro", budgets=made)
    text = (await browser.get(address)).text
    assert "Each user, dollars a month: $50.00 instead of $5.00" in text
    assert "Each user, tokens a day: 10 tokens instead of unlimited" in text
    assert "gpt-*" not in text  # Which goes on as it is.
    assert not [amount for amount in ("$77", "$88", "$99") if amount in text]
    await browser.control.change(f"/projects/{project['id']}", default_tier="pro")
    await browser.control.make(f"/projects/{project['id']}/tiers", name="free")
    text = (await browser.get(address)).text
    assert "Each user, dollars a month: $5.00 instead of $50.00" in text
    assert "Each user, tokens a day: unlimited instead of 10 tokens" in text


async def test_a_tier_that_cannot_be_is_told_in_its_form(browser: Browser) -> None:
    project, address = await place(browser)
    await browser.control.make(f"/projects/{project['id']}/tiers", name="pro")
    fields = {"name": "pro", "user.requests": "many", "user.per": "1h"}
    wrong = await browser.send(f"{address}/new", **fields)
    assert wrong.status == 422
    form = wrong.page.form("")
    assert (form.fields["name"], form.fields["user.requests"], form.fields["user.per"]) == (["pro"], ["many"], ["1h"])
    taken = await browser.send(f"{address}/new", name="pro")
    assert (taken.status, "A tier of this name exists already." in taken.text) == (409, True)
    assert len(await tiers(browser, project)) == 1


async def test_what_somebody_else_changed_meanwhile_is_not_overwritten(browser: Browser) -> None:
    project, address = await place(browser)
    tier = await browser.control.make(f"/projects/{project['id']}/tiers", name="pro")
    form = (await browser.get(f"{address}/{tier['id']}")).page.form("")
    await browser.control.change(f"/projects/{project['id']}/tiers/{tier['id']}", models=["theirs"])
    answer = await browser.post(f"{address}/{tier['id']}", {**form.fields, "name": ["mine"]})
    assert answer.status == 412
    assert (await tiers(browser, project))[0]["models"] == ["theirs"]


async def test_the_default_tier_is_chosen(browser: Browser) -> None:
    project, address = await place(browser)
    await browser.control.make(f"/projects/{project['id']}/tiers", name="free")
    form = (await browser.get(address)).page.form(f"{address}/default")
    assert form.fields["tier"] == [""]
    assert done(await browser.post(form.action, {**form.fields, "tier": ["free"]})) == "saved"
    assert (await browser.control.read(f"/projects/{project['id']}"))["default_tier"] == "free"
    await browser.control.change(f"/projects/{project['id']}", default_tier="gone")
    page = await browser.get(address)
    assert "gone (there is none of this name)" in page.text
    form = page.page.form(f"{address}/default")
    assert done(await browser.post(form.action, {**form.fields, "tier": [""]})) == "saved"
    assert (await browser.control.read(f"/projects/{project['id']}"))["default_tier"] is None


async def test_a_key_is_tied_to_a_tier_and_to_addresses_by_its_form(browser: Browser) -> None:
    project = await browser.control.project()
    address = f"/dashboard/projects/{project['id']}/keys"
    await browser.send(f"{address}/new", name="Tied", tier="free", ip_allow="192.0.2.7\r\n2001:DB8::/32")
    (key,) = (await browser.control.read(f"/projects/{project['id']}/keys"))["data"]
    assert (key["tier"], key["ip_allow"]) == ("free", ["192.0.2.7/32", "2001:db8::/32"])
    await browser.control.change(f"/keys/{key['id']}", agents=["support"])
    assert done(await browser.send(f"{address}/{key['id']}", name="Same")) == "saved"
    same = await browser.control.read(f"/keys/{key['id']}")
    assert (same["tier"], same["ip_allow"], same["agents"]) == (key["tier"], key["ip_allow"], ["support"])
    wrong = await browser.send(f"{address}/{key['id']}", ip_allow="everywhere")
    assert (wrong.status, wrong.page.form("").fields["ip_allow"]) == (422, ["everywhere"])
    assert done(await browser.send(f"{address}/{key['id']}", tier="", ip_allow="")) == "saved"
    freed = await browser.control.read(f"/keys/{key['id']}")
    assert (freed["tier"], freed["ip_allow"]) == (None, None)


@pytest.mark.parametrize("uid", ["auth0|abc", "<b>&amp;\"'", "漢字 Ж", "a/b?c#d%20"])
async def test_all_that_a_user_has_is_ended(browser: Browser, audit: Audit, uid: str) -> None:
    project = await browser.control.project()
    address = f"/dashboard/projects/{project['id']}/users"
    answer = await browser.http.get(
        f"{address}/one", params={"uid": uid}, headers={"cookie": f"test-session={browser.cookie}"}
    )
    assert answer.status_code == 200
    ended = await browser.post(f"{address}/revoke", {"csrf": browser.visitor.csrf, "uid": uid})
    assert done(ended) == "tokens-ended"
    assert "Every token that the user had is refused within a second." in (await browser.get(ended.location)).text
    (revocation,) = (await browser.control.read(f"/projects/{project['id']}/revocations"))["data"]
    assert (revocation["user_id"], revocation["created_by"]) == (uid, browser.visitor.operator.shown_id)
    assert [entry.action for entry in audit(revocation["id"])] == ["revocation.create"]
    viewer = browser.as_("viewer")
    assert (await viewer.post(f"{address}/revoke", {"csrf": viewer.visitor.csrf, "uid": uid})).status == 403
