"""Keys in the dashboard: their text is on one page, once; what they may do is what the API would say."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from bailiwick.domain.permissions import Permission
from bailiwick.storage.roll_up import RollUp
from tests.apps.dashboard.test_usage import NOW, parsed
from tests.dashboard import PUBLIC_URL, Browser, done
from tests.database import TestDatabase
from tests.ledger import Call, settle
from tests.storage.test_roll_up import as_control, caught_up

TEXT: Final = re.compile(r"bwk_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")


async def address_of_keys(browser: Browser) -> str:
    project = await browser.control.project("Support bot", slug=None)
    return f"/dashboard/projects/{project['id']}/keys"


async def test_a_key_is_shown_once_with_calls_that_are_ready(browser: Browser) -> None:
    address = await address_of_keys(browser)
    assert "No keys yet" in (await browser.get(address)).text
    answer = await browser.send(f"{address}/new", name="Backend")
    assert answer.status == 200
    (text,) = set(TEXT.findall(answer.page.html))
    assert answer.headers["cache-control"] == "no-store"
    assert f"Authorization: Bearer {text}" in answer.text
    assert f"curl {PUBLIC_URL}/p/" in answer.text
    listed = await browser.get(address)
    assert text not in listed.page.html
    assert text[:21] in listed.text
    (key,) = (await browser.control.read(address.removeprefix("/dashboard")))["data"]
    assert (key["name"], key["scopes"], key["expires_at"]) == ("Backend", [scope.value for scope in Permission], None)
    assert key["created_by"] == browser.visitor.operator.shown_id


async def test_a_key_is_confined_to_what_the_form_says(browser: Browser) -> None:
    address = await address_of_keys(browser)
    await browser.send(
        f"{address}/new",
        name="Narrow",
        all_scopes=None,
        scopes=["chat:create", "models:list"],
        models="gpt-4o-mini\r\nopenai/*\r\n",
        lifetime="30",
    )
    (key,) = (await browser.control.read(address.removeprefix("/dashboard")))["data"]
    assert key["scopes"] == ["chat:create", "models:list"]
    assert key["models"] == ["gpt-4o-mini", "openai/*"]
    assert key["expires_at"].startswith("2026-12-21T12:00:")


async def test_a_key_is_changed_and_keeps_its_expiry(browser: Browser) -> None:
    address = await address_of_keys(browser)
    key = await browser.control.make(
        address.removeprefix("/dashboard"), name="Before", expires_at="2027-01-01T00:00:00Z"
    )
    assert done(await browser.send(f"{address}/{key['id']}", name="After")) == "saved"
    after = await browser.control.read(f"/keys/{key['id']}")
    assert (after["name"], after["expires_at"], after["scopes"]) == ("After", "2027-01-01T00:00:00Z", key["scopes"])
    assert done(await browser.send(f"{address}/{key['id']}", lifetime="")) == "saved"
    assert (await browser.control.read(f"/keys/{key['id']}"))["expires_at"] is None


async def test_a_key_that_cannot_be_is_told_and_nothing_is_made(browser: Browser) -> None:
    address = await address_of_keys(browser)
    answer = await browser.send(f"{address}/new", name="", models="a\tb", lifetime="7")
    assert answer.status == 422
    assert not TEXT.search(answer.page.html)
    form = answer.page.form("")
    assert form.fields["models"] == ["a\tb"]
    assert (await browser.control.read(address.removeprefix("/dashboard")))["data"] == []


async def test_a_key_is_rotated_and_its_new_text_is_shown_once(browser: Browser) -> None:
    address = await address_of_keys(browser)
    key = await browser.control.make(address.removeprefix("/dashboard"), name="Backend")
    answer = await browser.send(address, action=f"{address}/{key['id']}/rotate")
    (text,) = set(TEXT.findall(answer.page.html))
    assert text != key["key"]
    assert text[:21] == key["key"][:21]
    assert "The secret before stays good until" in answer.text
    after = await browser.control.read(f"/keys/{key['id']}")
    assert after["previous_until"].startswith("2026-11-22T12:00:")
    answer = await browser.send(address, action=f"{address}/{key['id']}/rotate", grace="0")
    assert "The secret before ended just now." in answer.text


async def test_a_key_is_revoked(browser: Browser) -> None:
    address = await address_of_keys(browser)
    key = await browser.control.make(address.removeprefix("/dashboard"), name="Backend")
    assert done(await browser.send(address, action=f"{address}/{key['id']}/revoke")) == "revoked"
    assert (await browser.control.read(f"/keys/{key['id']}"))["status"] == "revoked"
    page = (await browser.get(address)).page
    assert not [form for form in page.forms if key["id"] in form.action]
    assert (
        await browser.post(f"{address}/{key['id']}/rotate", {"csrf": browser.visitor.csrf, "grace": "0"})
    ).status == 409


async def test_a_key_says_when_it_was_last_used(browser: Browser, database: TestDatabase) -> None:
    key = await browser.control.key()
    address = f"/dashboard/projects/{key['project_id']}/keys"
    assert "Active All Never Never" in (await browser.get(address)).text
    calls = [Call(opened_at=NOW - timedelta(hours=hours), key_id=parsed("key", key["id"])) for hours in (9, 2, 5)]
    settle(database, parsed("ten", key["tenant_id"]), parsed("prj", key["project_id"]), calls)
    async with as_control(database) as control:
        await caught_up(RollUp(control))
    assert "Active All 2 hours ago Never" in (await browser.get(address)).text
