"""Takes the pictures of the documentation: `python -m tests.browser.screenshots [FOLDER]`, by default `docs/images`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Page

from tests.browser.chromium import launched
from tests.browser.demonstration import Demonstration
from tests.browser.signed_in import Look, come_in, owner_link, set_up_second_factor, window
from tests.installation import Installation

FOLDER: Final = Path(__file__).parents[2] / "docs" / "images"


def pages(made: Demonstration) -> dict[str, str]:
    """What is shown, by the name of its picture."""
    project = f"/dashboard/projects/{made.project}"
    return {
        "overview": f"/dashboard?tenant={made.tenant}&range=30d",
        "project": project,
        "usage": f"{project}/usage?range=7d",
        "keys": f"{project}/keys",
        "users": f"{project}/users",
        "limits": f"{project}/limits",
        "models": f"{project}/models",
        "providers": "/dashboard/providers",
        "audit": f"/dashboard/audit?tenant={made.tenant}",
        "account": "/dashboard/account",
    }


def shoot(page: Page, address: str, picture: Path) -> None:
    """Open a page and take its picture, as much as fits the window."""
    page.goto(address)
    page.wait_for_timeout(300)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, (address, wide)
    page.screenshot(path=picture)


def main() -> None:
    """Take every picture, light and dark, wide and narrow."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as data,
        Installation(Path(data) / "data") as installation,
        launched() as browser,
    ):
        made = Demonstration(installation)
        shots = [Look(width=1280, theme="light"), Look(width=1280, theme="dark"), Look(width=390, theme="light")]
        for number, look in enumerate(shots):
            with window(browser, look) as context:
                page = context.new_page()
                come_in(page, owner_link(installation), name="Ada Lovelace", email=f"ada{number or ''}@acme.example")
                set_up_second_factor(page)
                for name, address in pages(made).items():
                    ending = f"{look.theme}{'' if look.width > 390 else '-narrow'}"
                    shoot(page, installation.url + address, folder / f"{name}-{ending}.png")


if __name__ == "__main__":
    main()
