"""An operator's first day at the dashboard, in a real browser; and its essentials without a script."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import final
from urllib.parse import urlsplit

import openai
import pytest
from playwright.sync_api import Browser, Page, expect
from pyotp.totp import TOTP

from tests.browser.signed_in import (
    LOOKS,
    PASSWORD,
    come_in,
    leads_to,
    owner_link,
    set_up_second_factor,
    window,
)
from tests.installation import Installation
from tests.serving import until

pytestmark = pytest.mark.slow


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The operator's window, and the application that they set up."""

    page: Page
    installation: Installation
    name: str

    def sign_in_again(self, email: str, authenticator: TOTP) -> None:
        """Sign out, and come in by password and code."""
        menu = self.page.get_by_role("button", name="Menu")
        if menu.is_visible():
            menu.click()
        self.page.get_by_role("button", name="Sign out").click()
        expect(self.page.get_by_text("You are signed out.")).to_be_visible()
        self.page.get_by_label("E-mail").fill(email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        # The next one, since each is good once.
        self.page.get_by_label("Code").fill(authenticator.at(time.time() + authenticator.interval))
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", name="Overview")).to_be_visible()

    def project(self) -> str:
        """Make a project with an origin; returns its address in the dashboard."""
        leads_to(self.page, "Projects")
        self.page.get_by_role("link", name="New project").first.click()
        self.page.get_by_label("Name").fill(self.name)
        self.page.get_by_role("button", name="Create project").click()
        expect(self.page.get_by_role("heading", name=self.name)).to_be_visible()
        address = urlsplit(self.page.url).path
        expect(self.page.get_by_text("Waiting for the first call")).to_be_visible()
        self.tab("Origins")
        self.page.get_by_label("Add an origin").fill("https://app.example.com")
        self.page.get_by_role("button", name="Add", exact=True).click()
        expect(self.page.get_by_role("cell", name="https://app.example.com", exact=True)).to_be_visible()
        return address

    def tab(self, name: str) -> None:
        """Open another page of the project."""
        self.page.get_by_role("navigation", name="Project").get_by_role("link", name=name, exact=True).click()
        self.page.wait_for_load_state()

    def copied(self, button: str) -> str:
        """What a button copies."""
        self.page.get_by_role("button", name=button).first.click()
        expect(self.page.locator("#live")).to_have_text("Copied")
        text: str = self.page.evaluate("navigator.clipboard.readText()")
        return text

    def call(self, base_url: str, key: str, user: str = "ada") -> str:
        """Call the project with OpenAI's own package."""
        with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
            answer = client.chat.completions.create(
                model="echo", messages=[{"role": "user", "content": "Hello"}], extra_headers={"X-End-User-Id": user}
            )
        return answer.choices[0].message.content or ""


def refused(day: Day, base_url: str, key: str, user: str = "ada") -> openai.APIStatusError | None:
    """The refusal that a call meets, None if it is answered."""
    try:
        day.call(base_url, key, user)
    except openai.APIStatusError as error:
        return error
    return None


def refusal(day: Day, base_url: str, key: str, user: str = "ada") -> str | None:
    """The code of the refusal that a call meets, None if it is answered."""
    error = refused(day, base_url, key, user)
    return None if error is None else error.code or "no code"


def find_explained(page: Page, refused: openai.APIStatusError | None) -> None:
    """Ask about a refusal by the id that OpenAI's package tells with it; its explanation is written a second later."""
    assert refused is not None
    assert refused.request_id is not None
    leads_to(page, "Requests")
    page.get_by_label("Request id").fill(refused.request_id)
    page.get_by_role("button", name="Explain").click()
    page.wait_for_url("**id=req_*")
    until(lambda: page.reload() is not None and page.get_by_text("This call was refused").is_visible())
    limits = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Limits"))
    expect(limits).to_contain_text("The user's rate limit is reached.")


def test_the_first_day(browser: Browser, installation: Installation) -> None:
    email = "ada@example.com"
    with window(browser, LOOKS[0]) as context:
        page = context.new_page()
        day = Day(page=page, installation=installation, name="Bot")
        come_in(page, owner_link(installation), name="Ada Lovelace", email=email)
        day.sign_in_again(email, set_up_second_factor(page))
        address = day.project()

        day.tab("Keys")
        page.get_by_role("link", name="Create a key").click()
        page.get_by_label("Name").fill("Backend")
        page.get_by_role("button", name="Create key").click()
        key = day.copied("Copy key")
        assert key.startswith("bwk_live_")
        page.goto(installation.url + address)
        base_url = day.copied("Copy the base URL")

        assert day.call(base_url, key)
        called = time.monotonic()
        expect(page.locator("#calls")).to_contain_text("Requests1", timeout=2_000)
        assert time.monotonic() - called < 2
        day.tab("Usage")
        expect(page.locator("canvas").first).to_be_visible()
        expect(page.get_by_role("region", name="Models", exact=True)).to_contain_text("echo/echo")

        day.tab("Limits")
        page.locator('[id="user.requests"]').fill("1")
        words = "Each user: 1 request a minute, at most 1 at once."
        expect(page.get_by_text(words)).to_be_visible()
        page.get_by_role("button", name="Save limits").click()
        expect(page.get_by_text("Saved.")).to_be_visible()
        until(lambda: refusal(day, base_url, key) == "rate_limited")
        find_explained(page, refused(day, base_url, key))

        page.goto(installation.url + address)
        day.tab("Keys")
        page.get_by_role("button", name="Rotate").click()
        page.get_by_role("button", name="Rotate key").click()
        rotated = day.copied("Copy key")
        assert rotated != key
        until(lambda: refusal(day, base_url, rotated, "grace") is None)
        assert day.call(base_url, key, "alan")  # the one before, in its time of grace

        day.tab("Users")
        page.get_by_role("link", name="ada", exact=True).click()
        page.get_by_role("button", name="Block", exact=True).click()
        page.get_by_role("button", name="Block user").click()
        expect(page.get_by_text("The user is blocked.")).to_be_visible()
        until(lambda: refusal(day, base_url, rotated) == "user_blocked")

        found_in_audit(page, address.rpartition("/")[2])


def found_in_audit(page: Page, project: str) -> None:
    """Everything that was done is there: of the project by its id, of its keys beside it."""
    leads_to(page, "Audit")
    tenant = page.get_by_label("Log of")
    tenant.select_option(index=1)
    page.wait_for_url("**tenant=ten_*")
    for action in ("project.create", "project.change", "key.create", "key.rotate", "user.block"):
        expect(page.get_by_role("link", name=action, exact=True).first).to_be_visible()
    page.get_by_label("Of what").fill(project)
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("link", name="user.block", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="key.create", exact=True)).to_have_count(0)


def test_the_essentials_work_without_a_script(browser: Browser, installation: Installation) -> None:
    context = browser.new_context(java_script_enabled=False, viewport=LOOKS[3].size, color_scheme="dark")
    try:
        page = context.new_page()
        come_in(page, owner_link(installation), name="Ada", email="plain@example.com")
        leads_to(page, "Projects")
        page.get_by_role("link", name="New project").first.click()
        page.get_by_label("Name").fill("Plain")
        page.get_by_role("button", name="Create project").click()
        page.get_by_role("link", name="Keys", exact=True).click()
        page.get_by_role("link", name="Create a key").click()
        page.get_by_label("Name").fill("Backend")
        page.get_by_role("button", name="Create key").click()
        assert page.locator("#key-text").inner_text().startswith("bwk_live_")
        page.get_by_role("link", name="I have copied it").click()
        page.get_by_role("button", name="Revoke").click()
        page.get_by_role("button", name="Revoke key").click()
        expect(page.get_by_text("The key was revoked.")).to_be_visible()
    finally:
        context.close()
