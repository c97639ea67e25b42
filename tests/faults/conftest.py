"""Fixtures of the long trials."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.report import Findings
from tests.faults.site import Site
from tests.faults.trial import PROVE

# What is not timed to the second, or knows how late the machine is, and kills nothing but its own installation, may run
# beside anything.
_PATIENT = frozenset({
    "test_budgets", "test_database_trouble", "test_disconnects", "test_full_disk", "test_kills",
    "test_ledger_at_size", "test_shutdown", "test_watch",
})  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Trials measure and time: nothing else runs beside them."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.path.stem not in _PATIENT:
            item.add_marker("alone")


@pytest.fixture(scope="session")
def findings() -> Iterator[Findings]:
    """Where trials put their figures; kept only when they ran at full length."""
    found = Findings()
    yield found
    if PROVE:
        found.write()


@pytest.fixture(scope="module")
def module_site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """An installation of the module's own, with the settings that it names in `SETTINGS`."""
    with Site(settings=getattr(request.module, "SETTINGS", None)) as running:
        yield running
        assert running.surprises() == []


@pytest.fixture
def site(module_site: Site) -> Site:
    """The module's installation, running."""
    module_site.heal()
    return module_site
