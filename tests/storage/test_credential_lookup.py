"""Look-ups of API keys: together in few readings, so that no number of unknown ones keeps a known one waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bailiwick.domain.budgets import Cap, OnExceed, OnLost, Unit
from bailiwick.domain.errors import Unavailable
from bailiwick.domain.globs import Globs
from bailiwick.domain.windows import RollingWindow
from bailiwick.storage import roles
from bailiwick.storage.credentials import CredentialLookup
from bailiwick.storage.scope import Database, open_pool
from tests.control import Control
from tests.database import TestDatabase
from tests.storage.proxy import Break, proxied


@asynccontextmanager
async def looking_up(url: str) -> AsyncIterator[CredentialLookup]:
    """A look-up with one connection."""
    async with open_pool(url, name="test", size=1) as pool:
        yield CredentialLookup(Database(pool))


@pytest.fixture
async def lookup(database: TestDatabase) -> AsyncIterator[CredentialLookup]:
    async with looking_up(database.url(roles.APP)) as made:
        yield made


async def lookup_id(control: Control) -> str:
    """The look-up id of a new key."""
    text: str = (await control.key())["key"]
    return text.split("_")[2]


async def test_each_gets_its_own(control: Control, lookup: CredentialLookup) -> None:
    known = [await lookup_id(control) for _ in range(3)]
    asked = [known[0], "000000000000", known[1], known[0], known[2], "000000000000"]
    found = await asyncio.gather(*map(lookup.find_key, asked))
    assert [None if key is None else key.lookup_id for key in found] == [
        known[0], None, known[1], known[0], known[2], None,
    ]  # fmt: skip
    assert len({key.grant.tenant_id for key in found if key is not None}) == 3


async def test_a_known_key_behind_a_flood_of_unknown_ones_is_found_in_a_few_readings(
    control: Control, database: TestDatabase
) -> None:
    known = await lookup_id(control)
    async with open_pool(database.url(roles.APP), name="test", size=1) as pool:
        lookup = CredentialLookup(Database(pool))
        flood = [asyncio.create_task(lookup.find_key(f"{number:012}")) for number in range(5000)]
        await asyncio.sleep(0)
        assert await lookup.find_key(known) is not None
        assert await asyncio.gather(*flood) == [None] * 5000
        assert pool.get_stats()["requests_num"] <= 12


async def test_a_key_that_cannot_be_read_hurts_no_other(
    control: Control, lookup: CredentialLookup, database: TestDatabase
) -> None:
    good, bad = await lookup_id(control), await lookup_id(control)
    database.run("UPDATE bailiwick.api_keys SET scopes = '{nonsense}' WHERE lookup_id = %s", bad)
    of_bad, of_good = await asyncio.gather(lookup.find_key(bad), lookup.find_key(good), return_exceptions=True)
    assert isinstance(of_bad, ValueError)
    assert not isinstance(of_good, BaseException)
    assert of_good is not None


async def test_whoever_is_cancelled_takes_nobody_along(control: Control, lookup: CredentialLookup) -> None:
    known = await lookup_id(control)
    tasks = [asyncio.create_task(lookup.find_key(known)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    assert all(found is not None for found in await asyncio.gather(*tasks[1:]))


async def test_trouble_is_told_to_everybody_who_waits_and_the_next_one_is_served(
    control: Control, database: TestDatabase
) -> None:
    known = await lookup_id(control)
    async with proxied(database.url(roles.APP)) as (proxy, url), looking_up(url) as lookup:
        assert await lookup.find_key(known) is not None
        proxy.break_at("look_up_api_key", Break.SILENCE)
        began = asyncio.get_running_loop().time()
        first = asyncio.create_task(lookup.find_key(known))
        await asyncio.sleep(0.1)
        behind = [asyncio.create_task(lookup.find_key(known)) for _ in range(3)]
        told = await asyncio.gather(first, *behind, return_exceptions=True)
        assert [type(each) for each in told] == [Unavailable] * 4
        # One reading's patience for all of them, and not one after the other.
        assert asyncio.get_running_loop().time() - began < 6
        assert await lookup.find_key(known) is not None


async def test_a_key_brings_the_budgets_of_its_project_and_tenant_and_of_no_other_project(
    control: Control, lookup: CredentialLookup, database: TestDatabase
) -> None:
    known, of_another = await lookup_id(control), await lookup_id(control)
    for scope, subject, at_project in (("project", None, True), ("tenant", None, False), ("user", "*", True)):
        database.run(
            "INSERT INTO bailiwick.budgets (id, tenant_id, project_id, scope, subject, unit, amount, period, timezone,"
            " on_exceed, max_wait_ms, on_lost, models, created_at, created_by)"
            " SELECT gen_random_uuid(), tenant_id, CASE WHEN %s THEN project_id END, %s, %s, 'usd', 7000000000, '24h',"
            " 'UTC', 'reject', 1500, 'ceiling', '{gpt-*}', now(), 'test'"
            " FROM bailiwick.api_keys WHERE lookup_id = %s",
            at_project,
            scope,
            subject,
            known,
        )
    key, other = await asyncio.gather(lookup.find_key(known), lookup.find_key(of_another))
    assert other is not None
    assert other.grant.budgets is None
    assert key is not None
    assert key.grant.budgets is not None
    found = key.grant.budgets.applying(("gpt-4o",), key=key.grant.key_bucket, uid="u", sid=None)
    assert sorted((str(one.budget.holder), str(one.budget.scope), one.whose) for one in found) == [
        ("project", "project", None), ("project", "user", "u"), ("tenant", "tenant", None),
    ]  # fmt: skip
    assert {one.budget.cap for one in found} == {
        Cap(
            unit=Unit.MONEY,
            amount=7_000_000_000,
            window=RollingWindow(86_400_000_000),
            on_exceed=OnExceed.REJECT,
            max_wait_ns=1_500_000_000,
            on_lost=OnLost.CEILING,
            models=Globs(("gpt-*",)),
        )
    }
    assert key.grant.budgets.applying(("echo",), key=None, uid="u", sid=None) == ()
