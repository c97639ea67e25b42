"""Notes of refused calls: off the call's path, bounded, counted exactly, and never more than was told."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any, Final, cast
from uuid import uuid4

import pytest
from psycopg.conninfo import make_conninfo

from bailiwick.domain.errors import Code
from bailiwick.domain.explanation import Step
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.principal import Grant, Principal
from bailiwick.domain.usage import Outcome
from bailiwick.services import refusals
from bailiwick.services.refusals import Refusals
from bailiwick.storage import refused_calls, roles
from bailiwick.storage.refused_calls import RefusalStore
from bailiwick.storage.scope import Database, open_pool
from bailiwick.telemetry.metrics import Metrics
from bailiwick.telemetry.observer import Observation
from tests.database import TestDatabase
from tests.isolation.catalogue import new_id

HOUR_US: Final = 3_600_000_000
NOW_US: Final = 1_790_000_000_000_000


class Place:
    """What of a grant counts here."""

    def __init__(self) -> None:
        self.tenant_id, self.project_id, self.key_id = TenantId(new_id()), ProjectId(new_id()), new_id()


def refused(place: Place, code: Code = Code.RATE_LIMITED, reason: str = "told", **fields: Any) -> Observation:
    grant = cast("Grant", place)
    principal = Principal(grant=grant, uid="ann", sid=None)
    return Observation(
        new_id().hex, door="/v1/chat/completions", status=429, code=code, reason=reason, grant=grant,
        principal=principal, **fields,
    )  # fmt: skip


@pytest.fixture
async def store(database: TestDatabase) -> AsyncIterator[RefusalStore]:
    made = RefusalStore(database.url(roles.LEDGER), uuid4())
    yield made
    await made.aclose()


@pytest.fixture
def notes(store: RefusalStore) -> Refusals:
    return Refusals(store, Metrics(), now_us=lambda: NOW_US)


def kept(database: TestDatabase, place: Place) -> list[tuple[Any, ...]]:
    query = "SELECT code, step, reason, uid, status FROM bailiwick.refused_calls WHERE project_id = %s"
    return database.rows(f"{query} ORDER BY code DESC, reason", place.project_id)


def counted(database: TestDatabase, place: Place) -> dict[str, int]:
    query = "SELECT code, sum(refused)::int FROM bailiwick.usage_refusals WHERE project_id = %s GROUP BY code"
    return dict(database.rows(query, place.project_id))


async def test_a_refused_call_is_kept_and_counted(database: TestDatabase, notes: Refusals) -> None:
    place = Place()
    notes.note(refused(place))
    notes.note(refused(place, Code.MODEL_NOT_FOUND, "The model 'x\0\ud800' does not exist." + "y" * 1000))
    await notes.flush()
    first, second = kept(database, place)
    assert first == ("rate_limited", "limits", "told", "ann", 429)
    assert second[:2] == ("model_not_found", Step.MODEL.value)
    assert second[2].startswith("The model 'x?' does not exist.")
    assert len(second[2]) <= 400
    assert counted(database, place) == {"rate_limited": 1, "model_not_found": 1}


async def test_what_went_to_a_provider_or_is_nobodys_is_not_noted(database: TestDatabase, notes: Refusals) -> None:
    place = Place()
    notes.note(refused(place, Code.PROVIDER_ERROR, outcome=Outcome.PROVIDER_ERROR))
    notes.note(Observation(new_id().hex, status=401, code=Code.INVALID_CREDENTIALS))
    notes.note(Observation(new_id().hex, status=200, grant=cast("Grant", place)))
    await notes.flush()
    assert (kept(database, place), counted(database, place)) == ([], {})


async def test_a_project_is_kept_so_many_a_second_and_counted_to_the_last(
    database: TestDatabase, notes: Refusals
) -> None:
    loud, quiet = Place(), Place()
    for _ in range(300):
        notes.note(refused(loud))
    notes.note(refused(quiet))
    assert len(notes._notes) == refusals._MOST_OF_PROJECT + 1
    await notes.flush()
    assert (len(kept(database, loud)), len(kept(database, quiet))) == (refusals._MOST_OF_PROJECT, 1)
    assert (counted(database, loud), counted(database, quiet)) == ({"rate_limited": 300}, {"rate_limited": 1})
    assert notes._metrics.refused_calls_dropped == 300 - refusals._MOST_OF_PROJECT


async def test_all_projects_together_are_bounded_too(notes: Refusals) -> None:
    for _ in range(refusals._MOST + 50):
        notes.note(refused(Place()))
    assert (len(notes._notes), notes._metrics.refused_calls_dropped) == (refusals._MOST, 50)


async def test_counts_told_again_are_counted_once(database: TestDatabase, store: RefusalStore) -> None:
    place, notes = Place(), Refusals(store, Metrics(), now_us=lambda: NOW_US)
    for _ in range(3):
        notes.note(refused(place))
        notes._changed.update(notes._counts)
        await notes.flush()
    assert counted(database, place) == {"rate_limited": 3}


async def test_a_database_that_is_away_loses_notes_and_no_count(database: TestDatabase) -> None:
    place = Place()
    away = RefusalStore(make_conninfo(database.url(roles.LEDGER), dbname="nowhere"), uuid4())
    notes = Refusals(away, Metrics(), now_us=lambda: NOW_US)
    notes.note(refused(place))
    await notes.flush()
    assert (notes._metrics.refused_calls_dropped, notes._notes) == (1, [])
    there = RefusalStore(database.url(roles.LEDGER), uuid4())
    notes._store = there
    await notes.flush()
    assert counted(database, place) == {"rate_limited": 1}
    await there.aclose()
    await away.aclose()


async def test_counts_of_past_hours_are_let_go(store: RefusalStore) -> None:
    now = [NOW_US]
    notes = Refusals(store, Metrics(), now_us=lambda: now[0])
    notes.note(refused(Place()))
    await notes.flush()
    now[0] += 4 * HOUR_US
    notes.note(refused(Place()))
    await notes.flush()
    assert len(notes._counts) == 1


async def test_the_store_is_trimmed_to_the_newest(
    database: TestDatabase, store: RefusalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refused_calls, "_KEPT_OF_PROJECT", 5)
    place, old = Place(), Place()
    now = time.time_ns() // 1_000
    for number in range(9):
        notes = Refusals(store, Metrics(), now_us=lambda number=number: now + number)  # type: ignore[misc]
        notes.note(refused(place, reason=str(number)))
        await notes.flush()
    ancient = Refusals(store, Metrics(), now_us=lambda: 1_000_000)
    ancient.note(refused(old))
    await ancient.flush()
    async with open_pool(database.url(roles.CONTROL), name="test", size=1) as pool:
        await refused_calls.trim(Database(pool))
    assert sorted(row[2] for row in kept(database, place)) == ["4", "5", "6", "7", "8"]
    assert kept(database, old) == []
