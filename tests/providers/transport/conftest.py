"""Every test of the transport runs on both loops, and ends with no connection left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import uvloop

from bailiwick.providers.transport import Transport
from tests.providers.transport.calls import nowhere
from tests.upstream import Upstream


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture
async def open_transport(upstream: Upstream) -> AsyncIterator[Callable[..., Transport]]:
    """Open transports that are closed with the test however it ends: uvloop cannot end a loop in which one is open."""
    opened = []

    def open_transport(**options: Any) -> Transport:
        opened.append(Transport(**({"resolve": nowhere} | options)))
        return opened[-1]

    yield open_transport
    for transport in opened:
        await transport.aclose()
        assert transport.connections() == (0, 0)
    await upstream.wait_for(lambda: upstream.open_connections() == 0)


@pytest.fixture
def transport(open_transport: Callable[..., Transport]) -> Transport:
    return open_transport()
