"""Webhooks in the dashboard: made with the secret shown once, tried, rotated, changed, removed."""

from __future__ import annotations

import re
from typing import Any

from tests.control import Audit
from tests.dashboard import Browser, done

URL = "https://billing.example/hook"


async def place(browser: Browser) -> tuple[str, str]:
    """The page of a tenant's webhooks, and their address in the API."""
    tenant = await browser.control.tenant()
    return f"/dashboard/tenants/{tenant['id']}/webhooks", f"/tenants/{tenant['id']}/webhooks"


async def the_webhook(browser: Browser, api: str) -> dict[str, Any]:
    """The only one."""
    webhook: dict[str, Any]
    (webhook,) = (await browser.control.read(api))["data"]
    return webhook


async def test_a_webhook_is_made_tried_changed_rotated_and_removed_by_forms(browser: Browser, audit: Audit) -> None:
    page, api = await place(browser)
    assert "No webhooks yet" in (await browser.get(page)).text
    made = await browser.send(f"{page}/new", name="<b>Billing</b>", url=URL)
    (secret,) = re.findall(r"whsec_[A-Za-z0-9+/=]+", made.text)
    webhook = await the_webhook(browser, api)
    assert (webhook["name"], webhook["events"]) == ("<b>Billing</b>", ["budget.warning", "usage.hour"])
    one = f"{page}/{webhook['id']}"
    assert secret not in (await browser.get(one)).text
    assert done(await browser.send(one, action=f"{one}/test")) == "on-its-way"
    (delivery,) = (await browser.control.read(f"{api}/{webhook['id']}/deliveries"))["data"]
    shown = await browser.get(one)
    assert delivery["event_id"] in shown.text
    assert done(await browser.send(one, action=f"{one}/deliveries/{delivery['id']}/redeliver")) == "on-its-way"
    assert done(await browser.send(one, name="Billing", events=["usage.hour"], status="paused")) == "saved"
    changed = await the_webhook(browser, api)
    assert (changed["name"], changed["events"], changed["status"]) == ("Billing", ["usage.hour"], "paused")
    rotated = await browser.send(one, action=f"{one}/rotate")
    (other,) = re.findall(r"whsec_[A-Za-z0-9+/=]+", rotated.text)
    assert other != secret
    assert (await the_webhook(browser, api))["old_secret_until"] is not None
    assert done(await browser.send(one, action=f"{one}/remove")) == "removed"
    assert (await browser.get(one)).status == 404
    verbs = ("create", "test", "deliver_again", "change", "rotate", "remove")
    assert [entry.action for entry in audit(webhook["id"])] == [f"webhook.{verb}" for verb in verbs]


async def test_a_webhook_that_cannot_be_is_told_in_its_form(browser: Browser) -> None:
    page, _ = await place(browser)
    wrong = await browser.send(f"{page}/new", name=" ", url="http://10.0.0.1/hook", events=[])
    assert wrong.status == 422
    assert wrong.page.form("").fields["url"] == ["http://10.0.0.1/hook"]
    assert "must be some of budget.warning, usage.hour, each once" in wrong.text


async def test_a_webhook_that_somebody_else_changed_is_not_overwritten(browser: Browser) -> None:
    page, api = await place(browser)
    await browser.send(f"{page}/new", name="Billing", url=URL)
    webhook = await the_webhook(browser, api)
    form = (await browser.get(f"{page}/{webhook['id']}")).page.form("")
    await browser.control.change(f"{api}/{webhook['id']}", status="paused")
    assert (await browser.post(f"{page}/{webhook['id']}", {**form.fields, "name": ["Other"]})).status == 412
    assert (await the_webhook(browser, api))["name"] == "Billing"
