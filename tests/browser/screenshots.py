"""Takes the pictures of the documentation: `python -m tests.browser.screenshots [FOLDER]`, by default `docs/images`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Page

from tests.browser.chromium import launched
from tests.browser.demonstration import Demonstration
from tests.browser.signed_in import LOOKS, come_in, owner_link, set_up_second_factor, window
from tests.installation import Installation

FOLDER: Final = Path(__file__).parents[2] / "docs" / "images"
# What the documentation shows; a folder of one's own gets every page in every look.
SHOWN: Final = frozenset({
    "overview-light", "overview-dark", "overview-light-narrow", "project-light", "limits-light", "users-light",
    "request-light", "audit-dark",
})  # fmt: skip


def pages(made: Demonstration) -> dict[str, str]:
    """What is shown, by the name of its picture."""
    project = f"/dashboard/projects/{made.project}"
    tabs = ("usage", "keys", "users", "limits", "models", "origins", "settings")
    return {
        "overview": f"/dashboard?tenant={made.tenant}&range=30d",
        "project": project,
        **{tab: f"{project}/{tab}" for tab in tabs},
        "project-providers": f"{project}/providers",
        "new-key": f"{project}/keys/new",
        "projects": "/dashboard/projects",
        "tenants": "/dashboard/tenants",
        "tenant": f"/dashboard/tenants/{made.tenant}",
        "tenant-settings": f"/dashboard/tenants/{made.tenant}/settings",
        "providers": "/dashboard/providers",
        "new-provider": "/dashboard/providers/new",
        "requests": f"/dashboard/requests?tenant={made.tenant}",
        "request": f"/dashboard/requests?id={made.refused}",
        "request-unknown": "/dashboard/requests?id=req_1",
        "audit": f"/dashboard/audit?tenant={made.tenant}",
        "operators": "/dashboard/operators",
        "invite": "/dashboard/operators/new",
        "operator-keys": "/dashboard/operator-keys",
        "sign-in-providers": "/dashboard/sign-in-providers",
        "sign-in-provider": f"/dashboard/sign-in-providers/{made.sign_in}",
        "account": "/dashboard/account",
    }


def shoot(page: Page, address: str, picture: Path, *, whole: bool) -> None:
    """Open a page and take its picture: all of it, or as much as fits the window."""
    page.goto(address)
    page.wait_for_timeout(150)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, (address, wide)
    page.screenshot(path=picture, full_page=whole)


def main() -> None:
    """Take the pictures, light and dark, wide and narrow."""
    whole = len(sys.argv) > 1
    folder = Path(sys.argv[1]) if whole else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as data,
        Installation(Path(data) / "data") as installation,
        launched() as browser,
    ):
        made = Demonstration(installation)
        with window(browser, LOOKS[0]) as context:
            page = context.new_page()
            come_in(page, owner_link(installation), name="Ada Lovelace", email="ada@acme.example")
            set_up_second_factor(page)
            signed_in = context.storage_state()
        for look in LOOKS:
            with window(browser, look, signed_in) as context:
                page = context.new_page()
                for name, address in pages(made).items():
                    ending = f"{name}-{look.theme}{'' if look.width > 390 else '-narrow'}"
                    if whole or ending in SHOWN:
                        shoot(page, installation.url + address, folder / f"{ending}.png", whole=whole)


if __name__ == "__main__":
    main()
