"""One browser for every test here, and one installation for those of the dashboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import launched
from tests.installation import Installation


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The browser."""
    with launched() as made:
        yield made


@pytest.fixture(scope="package")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation that nobody has signed in to; its own, since others hold hundreds of tenants."""
    with Installation(tmp_path_factory.mktemp("day") / "data") as made:
        yield made
