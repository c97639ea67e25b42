"""Operators in the dashboard: people are invited and changed, keys made and ended, never beyond who asks."""

from __future__ import annotations

import re
from typing import Final

from tests.dashboard import Browser, done

TEXT: Final = re.compile(r"bwa_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")


async def test_a_person_is_invited_changed_and_removed(browser: Browser) -> None:
    answer = await browser.send("/dashboard/operators/new", name="Grace", email="Grace@Example.com", role="viewer")
    assert done(answer) == "created"
    page = await browser.get(answer.location)
    assert "grace@example.com" in page.text
    assert "Invited" in page.text
    one = answer.location.partition("?")[0]
    assert done(await browser.send(one, name="Grace Hopper", role="admin")) == "saved"
    person = await browser.control.read(one.removeprefix("/dashboard"))
    assert (person["name"], person["role"], person["status"]) == ("Grace Hopper", "admin", "invited")
    assert "Grace Hopper" in (await browser.get("/dashboard/operators")).text
    assert done(await browser.send(one, action=f"{one}/remove")) == "removed"
    assert (await browser.get(one)).status == 404


async def test_an_invitation_that_cannot_be_is_told(browser: Browser) -> None:
    answer = await browser.send("/dashboard/operators/new", name="", email="nobody", role="viewer")
    assert answer.status == 422
    assert "must be an e-mail address" in answer.text
    await browser.send("/dashboard/operators/new", name="A", email="same@example.com")
    again = await browser.send("/dashboard/operators/new", name="B", email="same@example.com")
    assert (again.status, "Somebody has this e-mail address already." in again.text) == (409, True)


async def test_nobody_offers_or_gives_more_than_they_hold(browser: Browser) -> None:
    tenant = await browser.control.tenant()
    admin = browser.as_("admin", tenant["id"])
    assert (await admin.get("/dashboard/operators/new")).status == 403
    form = await admin.get("/dashboard/operator-keys/new")
    options = [given["value"] for tag, given in form.page.tags if tag == "option"]
    assert "owner" not in options
    fields = {"csrf": admin.visitor.csrf, "name": "K", "role": "owner"}
    assert (await admin.post("/dashboard/operator-keys/new", fields)).status == 403
    other = await browser.control.tenant()
    fields = {**fields, "role": "viewer", "tenant_id": other["id"]}
    assert (await admin.post("/dashboard/operator-keys/new", fields)).status in {403, 404, 422}


async def test_an_operator_key_is_shown_once_rotated_and_revoked(browser: Browser) -> None:
    tenant = await browser.control.tenant()
    answer = await browser.send(
        "/dashboard/operator-keys/new", name="CI", role="admin", tenant_id=tenant["id"], lifetime="30"
    )
    assert answer.status == 200
    (text,) = set(TEXT.findall(answer.page.html))
    own = browser.as_("owner", tenant["id"])
    listed = await own.get("/dashboard/operator-keys")
    assert "CI" in listed.text
    assert text not in listed.page.html
    (key,) = [one for one in (await browser.control.read("/operator-keys"))["data"] if one["tenant_id"] == tenant["id"]]
    assert (key["role"], key["expires_at"][:10]) == ("admin", "2026-12-21")
    rotated = await own.send("/dashboard/operator-keys", action=f"/dashboard/operator-keys/{key['id']}/rotate")
    assert set(TEXT.findall(rotated.page.html)) - {text}
    revoking = f"/dashboard/operator-keys/{key['id']}/revoke"
    assert done(await own.send("/dashboard/operator-keys", action=revoking)) == "revoked"
    assert (await browser.control.read(f"/operator-keys/{key['id']}"))["status"] == "revoked"


async def test_a_person_of_a_higher_role_is_out_of_reach(browser: Browser) -> None:
    tenant = await browser.control.tenant()
    person = await browser.control.make(
        "/operators", name="Owner", email=f"{tenant['id']}@example.com", role="owner", tenant_id=tenant["id"]
    )
    admin = browser.as_("admin", tenant["id"])
    page = await admin.get(f"/dashboard/operators/{person['id']}")
    assert page.status == 200
    assert {form.action for form in page.page.forms if form.buttons} == {"/dashboard/sign-out"}
