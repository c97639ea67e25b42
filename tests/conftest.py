"""Fixtures that every test may ask for, and the order of the files."""

import gc
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from tests.control import audit, control
from tests.database import database, scratch, server
from tests.serving import running_site, site, upstream

_LONGEST_NAME: Final = 300
# Where the tests are that nothing may run beside: who asks for these (`-m alone`) need not read the others.
_ALONE: Final = tuple(Path(__file__).parent / name for name in ("faults", "storage/embedded"))

# How long an example takes is the machine's affair.
settings.register_profile("patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

__all__ = ["audit", "control", "database", "running_site", "scratch", "server", "site", "upstream"]


def pytest_make_parametrize_id(val: object) -> str | None:
    """What is long is named by its length, and so are bytes that are no text: unreadable, and they may hold a time.

    Each worker keeps every name, and tells it to the others.
    """
    if isinstance(val, bytes) and (len(val) > _LONGEST_NAME or not val.isascii()):
        return f"{len(val)} bytes"
    return f"{len(val)} characters" if isinstance(val, str) and len(val) > _LONGEST_NAME else None


def _may_be_alone(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _ALONE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Read nothing but what may hold such tests where only those are asked for that nothing runs beside."""
    if config.getoption("markexpr") == "alone" and collection_path.is_file() and not _may_be_alone(collection_path):
        return True
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold long tests, so that nothing long begins when the others are done."""
    if strays := {
        str(item.path) for item in items if item.get_closest_marker("alone") and not _may_be_alone(item.path)
    }:
        message = f"marked `alone` where `-m alone` does not look: {sorted(strays)}"
        raise pytest.UsageError(message)
    long = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("proof")}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what was collected: it is there to the end, and is most of what there is."""
    gc.collect()
    gc.freeze()
