"""OpenID providers in the dashboard: rules as rows, a secret never shown again, the installation's alone."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.dashboard import Browser, done

SECRET: Final = "a-canary-that-no-page-may-hold"
PAGE: Final = "/dashboard/sign-in-providers"
ASKED: Final = {"name": "Okta", "client_id": "bailiwick", "client_secret": SECRET}


async def made(browser: Browser, issuer: str, **fields: object) -> tuple[str, dict[str, Any]]:
    """A provider made at the form: its page, and what the API says of it."""
    answer = await browser.send(f"{PAGE}/new", issuer=issuer, **{**ASKED, **fields})
    assert done(answer) == "created"
    one = answer.location.partition("?")[0]
    return one, await browser.control.read(f"/sign-in/providers/{one.rpartition('/')[2]}")


async def test_a_provider_is_made_changed_and_removed(browser: Browser) -> None:
    tenant = await browser.control.tenant()
    rules = {"claim__0": "groups", "value__0": "owners", "role__0": "owner", "value__1": "Example.com",
             "tenant__1": tenant["id"]}  # fmt: skip
    one, provider = await made(browser, "https://one.example.com", **rules)
    assert provider["has_client_secret"]
    assert provider["scopes"] == ["openid", "email", "profile"]
    nothing = {"email_domain": None, "claim": None, "value": None, "tenant_id": None}
    first = {**nothing, "claim": "groups", "value": "owners", "role": "owner"}
    assert provider["rules"] == [
        first, {**nothing, "email_domain": "example.com", "role": "viewer", "tenant_id": tenant["id"]}
    ]  # fmt: skip
    for address in (PAGE, one):
        answer = await browser.get(address)
        assert answer.status == 200
        assert SECRET not in answer.page.html
    assert f"/dashboard/sign-in/callback/{provider['id']}" in (await browser.get(one)).text
    # Nothing changed, and the secret is kept.
    assert done(await browser.send(one)) == "saved"
    assert await browser.control.read(f"/sign-in/providers/{provider['id']}") == provider
    # An emptied rule is gone.
    assert done(await browser.send(one, value__1="", forget_secret="yes")) == "saved"
    after = await browser.control.read(f"/sign-in/providers/{provider['id']}")
    assert (after["rules"], after["has_client_secret"]) == ([first], False)
    assert done(await browser.send(one, action=f"{one}/remove")) == "removed"
    assert (await browser.get(one)).status == 404


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "Name must"),
        ({"issuer": "http://accounts.example.com"}, "Issuer cannot be used"),
        ({"client_id": "a b"}, "must be visible ASCII"),
        ({"scopes": "email"}, "openid among them"),
        ({"value.0": "not a domain"}, "must be a domain such as example.com"),
        ({"claim.0": "groups"}, "must be 1 to 500 characters long"),
        ({"value.0": "example.com", "role.0": "emperor"}, "must be one of"),
        ({"value.0": "example.com", "tenant.0": "ten_x"}, "must be a tenant of this installation"),
    ],
)
async def test_what_cannot_be_is_told_and_the_secret_is_not_shown_again(
    browser: Browser, fields: dict[str, str], said: str
) -> None:
    given = {**ASKED, "issuer": "https://wrong.example.com", "scopes": "openid", **fields}
    form = (await browser.get(f"{PAGE}/new")).page.form("")
    answer = await browser.post(f"{PAGE}/new", {**form.fields, **given})
    assert answer.status == 422
    assert said in answer.text
    assert SECRET not in answer.page.html
    assert answer.page.form("").fields["name"] == [given["name"]]


async def test_who_changes_what_somebody_else_changed_since_is_told(browser: Browser) -> None:
    one, provider = await made(browser, "https://two.example.com")
    fields = (await browser.get(one)).page.form("").fields
    await browser.control.change(f"/sign-in/providers/{provider['id']}", name="Other")
    assert (await browser.post(one, fields)).status == 412


async def test_only_an_owner_of_the_installation_changes_how_people_sign_in(browser: Browser) -> None:
    one, _ = await made(browser, "https://three.example.com")
    viewer, admin = browser.as_("viewer"), browser.as_("admin")
    for visitor in (viewer, admin):
        for address in (one, f"{one}/remove", f"{PAGE}/new"):
            assert (await visitor.post(address, {"csrf": visitor.visitor.csrf})).status == 403
        assert [form.action for form in (await visitor.get(one)).page.forms if form.buttons and form.method == "post"] \
            == ["/dashboard/sign-out"]  # fmt: skip
    own = browser.as_("owner", (await browser.control.tenant())["id"])
    assert (await own.get(PAGE)).status == 403
    assert PAGE not in (await own.get("/dashboard/operators")).page.links
