"""A server that says nothing is not waited for."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest

from bailiwick.storage.patience import at_most
from tests.database import TestDatabase


async def connect(database: TestDatabase) -> psycopg.AsyncConnection[tuple[object, ...]]:
    return await psycopg.AsyncConnection.connect(database.superuser_url, autocommit=True)


async def test_what_takes_too_long_is_broken_off(database: TestDatabase) -> None:
    connection = await connect(database)
    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError), at_most(0.2, connection):
        await connection.execute("SELECT pg_sleep(10)")
    assert 0.2 <= time.monotonic() - began < 5.0
    assert connection.broken
    await connection.close()


async def test_a_pipeline_is_broken_off_too(database: TestDatabase) -> None:
    connection = await connect(database)

    async def read() -> None:
        async with connection.pipeline():
            await connection.execute("SELECT set_config('transaction_read_only', 'on', true)")
            cursor = await connection.execute("SELECT pg_sleep(10)")
            await cursor.fetchall()

    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError), at_most(0.2, connection):
        await read()
    assert time.monotonic() - began < 5.0
    await connection.close()


async def test_what_is_done_in_time_leaves_the_connection_whole(database: TestDatabase) -> None:
    async with await connect(database) as connection:
        with at_most(0.5, connection):
            await connection.execute("SELECT")
        await asyncio.sleep(0.6)
        assert await (await connection.execute("SELECT 1")).fetchone() == (1,)
