"""An operator at the dashboard in a real browser: comes in by a link, with a password and a second factor."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, final

from playwright.sync_api import Browser, BrowserContext, Page, StorageState, ViewportSize, expect
from pyotp.totp import TOTP

from tests.installation import Installation, clean_environment

PASSWORD: Final = "three quiet green lamps"
_LINK: Final = re.compile(r"https?://\S+/dashboard/sign-in/link/[A-Za-z0-9_-]{43}")
_HEIGHTS: Final = {1280: 860, 390: 844}
# For what a page comes to, in milliseconds.
_PATIENCE: Final = 15_000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How wide a window is, and whether its system is light or dark."""

    width: int
    theme: str

    @property
    def size(self) -> ViewportSize:
        """The window."""
        return {"width": self.width, "height": _HEIGHTS[self.width]}


LOOKS: Final = [Look(width=width, theme=theme) for width in (1280, 390) for theme in ("light", "dark")]


@contextmanager
def window(browser: Browser, look: Look, state: StorageState | None = None) -> Iterator[BrowserContext]:
    """A window with cookies of its own, or those of `state`; whatever a page logs as an error fails."""
    context = browser.new_context(
        storage_state=state,
        viewport=look.size,
        color_scheme="dark" if look.theme == "dark" else "light",
        permissions=["clipboard-read", "clipboard-write"],
        reduced_motion="reduce",
    )
    context.set_default_timeout(_PATIENCE)
    expect.set_options(timeout=_PATIENCE)
    faults: list[str] = []
    context.on("weberror", lambda error: faults.append(str(error.error)))
    context.on(
        "console", lambda message: faults.append(message.text) if _is_fault(message.type, message.text) else None
    )
    try:
        yield context
    finally:
        context.close()
    assert not faults


def _is_fault(kind: str, text: str) -> bool:
    # A form that is refused is a page with a status of its own, which a browser notes.
    return kind == "error" and "the server responded with a status of 4" not in text


def owner_link(installation: Installation) -> str:
    """A link that makes an owner: the first start's, or another by the command."""
    printed = _LINK.search(installation.output)
    if printed is not None:
        installation.output = ""
        return printed[0]
    done = subprocess.run(
        [sys.executable, "-m", "bailiwick.apps.cli.main", "operators", "link", "--data-dir", str(installation.folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=clean_environment(),
    )
    found = _LINK.search(done.stdout)
    assert found is not None, done.stdout + done.stderr
    return found[0]


def come_in(page: Page, link: str, *, name: str, email: str) -> None:
    """Follow the link of an owner and choose a password."""
    page.goto(link)
    page.get_by_label("Name").fill(name)
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create owner and sign in").click()
    page.wait_for_url(lambda url: "/sign-in/" not in url)


def set_up_second_factor(page: Page) -> TOTP:
    """Turn it on, on the account's page; returns the authenticator."""
    menu = page.get_by_role("button", name="Menu")
    if menu.is_visible():
        menu.click()
    page.get_by_role("link", name="Owner of the installation").click()
    page.get_by_role("link", name="Set up").click()
    authenticator = TOTP(page.locator("#secret").inner_text())
    page.get_by_label("Code").fill(authenticator.now())
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Turn on").click()
    expect(page.locator("#codes")).to_be_visible()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("10 recovery codes left")).to_be_visible()
    return authenticator


def leads_to(page: Page, place: str) -> None:
    """Go to a place of the navigation, which a narrow window has behind a button."""
    menu = page.get_by_role("button", name="Menu")
    if menu.is_visible():
        menu.click()
    page.get_by_role("navigation", name="Main").get_by_role("link", name=place).click()
    page.wait_for_load_state()
