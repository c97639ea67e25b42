"""Tenants in the dashboard: made, renamed, suspended, removed, by those who may."""

from __future__ import annotations

from tests.dashboard import Browser, done


async def test_a_tenant_is_made_changed_suspended_and_removed(browser: Browser) -> None:
    answer = await browser.send("/dashboard/tenants/new", name="Acme", slug="acme-corp")
    assert done(answer) == "created"
    address = answer.location.partition("?")[0]
    assert "No projects yet" in (await browser.get(answer.location)).text
    assert done(await browser.send(f"{address}/settings", name="Acme Robotics", slug="acme-robotics")) == "saved"
    read = address.removeprefix("/dashboard")
    tenant = await browser.control.read(read)
    assert (tenant["name"], tenant["slug"]) == ("Acme Robotics", "acme-robotics")
    for said in ("suspended", "resumed"):
        form = (await browser.get(f"{address}/settings")).page.form(f"{address}/settings/status")
        assert done(await browser.post(form.action, form.fields)) == said
    removing = f"{address}/settings/remove"
    assert (await browser.send(f"{address}/settings", action=removing, confirm="acme")).status == 422
    assert done(await browser.send(f"{address}/settings", action=removing, confirm="acme-robotics")) == "removed"
    assert (await browser.control.refused("GET", read))[0] == 404


async def test_a_tenants_admin_gives_it_another_name_and_nothing_else(browser: Browser) -> None:
    tenant = await browser.control.tenant("Before")
    admin, address = browser.as_("admin", tenant["id"]), f"/dashboard/tenants/{tenant['id']}/settings"
    assert done(await admin.send(address, name="After")) == "saved"
    page = (await admin.get(address)).page
    assert {form.action for form in page.forms} == {"", "/dashboard/sign-out"}
    fields = {"csrf": admin.visitor.csrf, "name": "After", "slug": "taken-over"}
    assert (await admin.post(address, fields)).status == 403
    assert (await browser.control.read(f"/tenants/{tenant['id']}"))["slug"] == tenant["slug"]
    assert (await admin.get("/dashboard/tenants/new")).status == 403
    assert "After" in (await admin.get("/dashboard/tenants")).text


async def test_a_tenant_that_cannot_be_is_told(browser: Browser) -> None:
    taken = await browser.control.tenant()
    answer = await browser.send("/dashboard/tenants/new", name="", slug="--")
    assert answer.status == 422
    assert answer.page.form("").fields["slug"] == ["--"]
    answer = await browser.send("/dashboard/tenants/new", name="A", slug=taken["slug"])
    assert answer.status == 409
