"""Fixtures that every test may ask for, and the order of the files."""

import pytest

from tests.control import audit, control
from tests.database import database, scratch, server
from tests.serving import running_site, site, upstream

__all__ = ["audit", "control", "database", "running_site", "scratch", "server", "site", "upstream"]


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes that are no text are named by their length: written out they are unreadable, and may hold a time."""
    return f"{len(val)} bytes" if isinstance(val, bytes) and not val.isascii() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold long tests, so that nothing long begins when the others are done."""
    long = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("proof")}
    items.sort(key=lambda item: item.path not in long)
