"""A real browser, headless: the Chromium of the system's packages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.serving import BASE_DOMAIN

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def not_run(reason: str) -> NoReturn:
    """Skip the test and say so; CI may not do without."""
    message = f"browser tests: not run: {reason}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def launched() -> Iterator[Browser]:
    """One that finds every name below the base domain on this machine."""
    executable = next(filter(None, map(shutil.which, _NAMES)), None)
    if executable is None:
        not_run("the system has no Chromium (the package `chromium`)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=[f"--host-resolver-rules=MAP *.{BASE_DOMAIN} 127.0.0.1"]
        )
        yield browser
        browser.close()
