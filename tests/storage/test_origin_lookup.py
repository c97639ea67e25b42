"""Look-ups of origins by slug: what a project lists, and nothing of one that lists none; many in few readings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg_pool
import pytest

from bailiwick.services.origins import Origins
from bailiwick.storage import roles
from bailiwick.storage.epoch import Epoch
from bailiwick.storage.origins import OriginLookup
from bailiwick.storage.scope import Database, open_pool
from tests.control import Control
from tests.database import TestDatabase

APP = "https://app.example.com"


@pytest.fixture
async def pool(database: TestDatabase) -> AsyncIterator[psycopg_pool.AsyncConnectionPool]:
    """One connection."""
    async with open_pool(database.url(roles.APP), name="test", size=1) as made:
        yield made


async def test_a_project_is_found_with_its_origins(control: Control, pool: psycopg_pool.AsyncConnectionPool) -> None:
    project = await control.project(cors_origins=[APP, "http://localhost:3000"])
    found = await OriginLookup(Database(pool)).find(project["slug"])
    assert found == {APP.encode(), b"http://localhost:3000"}


async def test_a_project_that_lists_nothing_is_as_good_as_none(
    control: Control, pool: psycopg_pool.AsyncConnectionPool
) -> None:
    project = await control.project()
    lookup = OriginLookup(Database(pool))
    assert await asyncio.gather(lookup.find(project["slug"]), lookup.find("no-such-project")) == [None, None]


async def test_a_flood_of_slugs_that_nobody_has_takes_a_few_readings(
    control: Control, pool: psycopg_pool.AsyncConnectionPool
) -> None:
    project = await control.project(cors_origins=[APP])
    origins = Origins(OriginLookup(Database(pool)), Epoch(lambda: 0.0))
    flood = [asyncio.create_task(origins.listed(f"nobody-{number}", APP.encode())) for number in range(5000)]
    await asyncio.sleep(0)
    assert await origins.listed(project["slug"], APP.encode())
    assert not any(await asyncio.gather(*flood))
    assert pool.get_stats()["requests_num"] <= 12


async def test_what_cannot_be_a_slug_is_not_asked_for(pool: psycopg_pool.AsyncConnectionPool) -> None:
    origins = Origins(OriginLookup(Database(pool)), Epoch(lambda: 0.0))
    for slug in ("", "Capitals", "a.b", "\0", "é", "-a", "a" * 64):
        assert not await origins.listed(slug, APP.encode())
    assert pool.get_stats().get("requests_num", 0) == 0


async def test_what_was_asked_for_once_is_remembered_present_or_not(
    control: Control, pool: psycopg_pool.AsyncConnectionPool
) -> None:
    project = await control.project(cors_origins=[APP])
    epoch = Epoch(lambda: 0.0)
    epoch.confirm(1, 0.0)
    origins = Origins(OriginLookup(Database(pool)), epoch)
    for _ in range(20):
        assert await origins.listed(project["slug"], APP.encode())
        assert not await origins.listed("no-such-project", APP.encode())
    assert pool.get_stats()["requests_num"] == 2
    epoch.confirm(2, 0.0)
    assert await origins.listed(project["slug"], APP.encode())
    assert pool.get_stats()["requests_num"] == 3
