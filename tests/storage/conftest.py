"""A process's ledger, for the tests of the ledger's writing side."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from bailiwick.storage import roles
from bailiwick.storage.ledger import Ledger
from tests.database import TestDatabase
from tests.storage.proxy import Proxy, proxied


@pytest.fixture
def process() -> UUID:
    return uuid4()


@pytest.fixture
async def ledger(database: TestDatabase, process: UUID) -> AsyncIterator[Ledger]:
    """A process's ledger."""
    opened = Ledger(database.url(roles.LEDGER), process)
    await opened.beat()
    yield opened
    await opened.aclose()


@pytest.fixture
async def fragile(database: TestDatabase) -> AsyncIterator[tuple[Ledger, Proxy]]:
    """A process's ledger, and the way to its database."""
    async with proxied(database.url(roles.LEDGER)) as (proxy, url):
        opened = Ledger(url, uuid4())
        await opened.beat()
        yield opened, proxy
        await opened.aclose()
