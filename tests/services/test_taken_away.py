"""Who is blocked, as a process keeps it: asked once, then for what changed; bounded; not believed for long."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast, final

import pytest

from bailiwick.domain.end_users import Blocked
from bailiwick.domain.errors import Unavailable
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.principal import Grant
from bailiwick.services.taken_away import TakenAwayKeeper
from bailiwick.storage import roles
from bailiwick.storage.end_users import BlockedRows
from bailiwick.storage.epoch import Epoch
from bailiwick.storage.scope import Database, open_pool
from bailiwick.storage.taken_away import Change, TakenAwayChanges
from tests.database import TestDatabase
from tests.isolation.catalogue import new_id

NOW: Final = datetime(2026, 11, 21, tzinfo=UTC)


@final
class Counted:
    """Changes as the database has them, and how many were read of each project."""

    def __init__(self, changes: TakenAwayChanges) -> None:
        self._changes = changes
        self.queries: Counter[ProjectId] = Counter()
        self.rows = 0

    async def after(self, tenant_id: TenantId, project_id: ProjectId, change: int) -> list[Change]:
        self.queries[project_id] += 1
        found = await self._changes.after(tenant_id, project_id, change)
        self.rows += len(found)
        return found


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A process that serves, and an operator."""

    database: TestDatabase
    control: Database
    changes: Counted
    epoch: Epoch
    users: TakenAwayKeeper
    clock: list[float]

    def project(self) -> Grant:
        """A project; nothing but whose it is matters."""
        tenant, project = new_id(), new_id()
        self.database.run(
            "INSERT INTO bailiwick.tenants (id, slug, name, created_by) VALUES (%s, %s, 'T', 't')", tenant, tenant.hex
        )
        self.database.run(
            "INSERT INTO bailiwick.projects (id, tenant_id, slug, name, created_by) VALUES (%s, %s, %s, 'P', 't')",
            project,
            tenant,
            project.hex,
        )
        made: Any = Place(tenant_id=TenantId(tenant), project_id=ProjectId(project))
        return cast("Grant", made)

    def confirm(self) -> None:
        """The process hears how things stand."""
        ((value, blocked),) = self.database.rows("SELECT value, blocked FROM bailiwick.epoch")
        self.epoch.confirm(value, self.clock[0], blocked)

    async def block(self, grant: Grant, uid: str, *, blocked: bool = True) -> None:
        """An operator does it, and the process hears of it."""
        async with self.control.acting(grant.tenant_id) as scope:
            rows = BlockedRows(scope, grant.tenant_id, grant.project_id)
            await rows.set(uid, Blocked(at=NOW, by="test"), is_blocked=blocked)
        self.confirm()

    async def blocked(self, grant: Grant) -> set[str]:
        """Whom the process refuses now."""
        known = self.users.known(grant.project_id)
        return set((await self.users.read(grant) if known is None else known).blocked)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What of a grant counts here."""

    tenant_id: TenantId
    project_id: ProjectId


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[World]:
    clock = [0.0]
    epoch = Epoch(lambda: clock[0])
    app, control = (open_pool(database.url(role), name="test", size=2) for role in (roles.APP, roles.CONTROL))
    async with app, control:
        changes = Counted(TakenAwayChanges(Database(app)))
        made = World(
            database=database, control=Database(control), changes=changes, epoch=epoch, clock=clock,
            users=TakenAwayKeeper(cast("TakenAwayChanges", changes), epoch, most_kept=20),
        )  # fmt: skip
        made.confirm()
        yield made


async def test_what_did_not_change_is_not_asked_for_again(world: World) -> None:
    grant, quiet = world.project(), world.project()
    for uid in ("a", "b", "c"):
        await world.block(grant, uid)
    for _ in range(5):
        assert await world.blocked(grant) == {"a", "b", "c"}
        assert await world.blocked(quiet) == set()
    assert (world.changes.queries[grant.project_id], world.changes.queries[quiet.project_id]) == (1, 1)
    assert world.changes.rows == 3


async def test_of_what_changed_only_that_is_read(world: World) -> None:
    grant = world.project()
    for number in range(10):
        await world.block(grant, f"u{number}")
    await world.blocked(grant)
    read = world.changes.rows
    await world.block(grant, "u3", blocked=False)
    await world.block(grant, "new")
    assert await world.blocked(grant) == {f"u{number}" for number in range(10) if number != 3} | {"new"}
    assert world.changes.rows - read == 2


async def test_a_block_changes_the_number_of_one_part_and_no_other(world: World) -> None:
    ((before, parts),) = world.database.rows("SELECT value, blocked FROM bailiwick.epoch")
    grant = world.project()
    ((before, parts),) = world.database.rows("SELECT value, blocked FROM bailiwick.epoch")
    await world.block(grant, "a")
    ((after, now),) = world.database.rows("SELECT value, blocked FROM bailiwick.epoch")
    assert after == before
    changed = [part for part in range(64) if parts[part] != now[part]]
    assert changed == [grant.project_id.bytes[-1] % 64]
    assert world.epoch.blocked_in(grant.project_id) == now[changed[0]]


async def test_without_a_fresh_epoch_the_database_is_asked_each_time(world: World) -> None:
    grant = world.project()
    await world.blocked(grant)
    world.clock[0] = 100.0
    for _ in range(3):
        assert world.users.known(grant.project_id) is None
        await world.blocked(grant)
    assert world.changes.queries[grant.project_id] == 4


async def test_calls_that_come_together_share_one_reading(world: World) -> None:
    grant = world.project()
    await world.block(grant, "a")
    found = [taken.blocked for taken in await asyncio.gather(*(world.users.read(grant) for _ in range(20)))]
    assert found == [{"a"}] * 20
    assert world.changes.queries[grant.project_id] == 1


async def test_what_changed_while_it_was_read_is_asked_for_again(world: World) -> None:
    grant = world.project()
    reading = asyncio.ensure_future(world.users.read(grant))
    await asyncio.sleep(0)
    await world.block(grant, "late")
    await reading
    assert world.users.known(grant.project_id) is None
    assert await world.blocked(grant) == {"late"}


async def test_answers_that_come_in_the_wrong_order_take_nothing_back(world: World) -> None:
    grant = world.project()
    await world.block(grant, "a")
    stale = await world.changes.after(grant.tenant_id, grant.project_id, 0)
    await world.block(grant, "a", blocked=False)
    assert await world.blocked(grant) == set()

    async def late(*_: object) -> list[Change]:
        return stale

    world.changes.after = late  # type: ignore[method-assign]
    assert (await world.users.read(grant)).blocked == set()


async def test_a_process_keeps_so_many_users_and_no_more(world: World) -> None:
    grants = [world.project() for _ in range(6)]
    for grant in grants:
        for number in range(5):
            await world.block(grant, f"u{number}")
    for grant in grants:
        assert len(await world.blocked(grant)) == 5
        assert sum(1 + len(known) for known in world.users._known.values()) <= 20
    assert len(await world.blocked(grants[0])) == 5


async def test_a_database_that_is_away_is_no_empty_list(world: World) -> None:
    grant = world.project()
    await world.changes._changes._database._pool.close()
    with pytest.raises(Unavailable):
        await world.blocked(grant)
