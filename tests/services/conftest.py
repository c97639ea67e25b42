"""Each module's event loop: its own `EVENT_LOOP`, if it names one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    module = item.getparent(pytest.Module)
    return {"loop": getattr(module and module.obj, "EVENT_LOOP", asyncio.new_event_loop)}
