"""Each hour of usage is told once, whole, as the ledger has it; and again as a revision when it has changed since."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, final
from uuid import UUID

import pytest

from bailiwick.domain.money import usd
from bailiwick.services import usage_hours
from bailiwick.services.usage_hours import tell_hours
from bailiwick.storage import roles
from bailiwick.storage.roll_up import RollUp
from bailiwick.storage.scope import Database, open_pool
from bailiwick.storage.usage_hours import TOKENS
from tests.apps.admin.test_usage import identity
from tests.control import Control
from tests.database import TestDatabase
from tests.isolation.catalogue import new_id
from tests.ledger import Call, settle
from tests.serving import uuid_of

COUNTS = ("requests", "input_tokens", "output_tokens", "cost_usd")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A project whose tenant has itself told of hours, and what is done about it once a minute."""

    control: Control
    database: TestDatabase
    upkeep: Database
    project: dict[str, Any]
    webhook: dict[str, Any]

    @property
    def own(self) -> tuple[UUID, UUID]:
        return identity(self.project)

    def settle(self, *calls: Call) -> None:
        settle(self.database, *self.own, list(calls))

    async def round(self) -> None:
        """Count what was settled, and tell of it."""
        follow = RollUp(self.upkeep)
        while await follow.step():
            pass
        await tell_hours(self.upkeep, self.control.plane.acts)

    def told(self) -> list[tuple[UUID, dict[str, Any]]]:
        """The events that wait at the webhook, each with its id and data, in the order of hours and pages."""
        found = self.database.rows(
            "SELECT event_id, body FROM bailiwick.webhook_deliveries WHERE webhook_id = %s AND event = 'usage.hour'",
            uuid_of("whk", self.webhook["id"]),
        )
        events = [(event_id, json.loads(body)["data"]) for event_id, body in found]
        return sorted(events, key=lambda event: [event[1][name] for name in ("start", "revision", "page")])


@pytest.fixture
async def place(control: Control, database: TestDatabase) -> AsyncIterator[Place]:
    project = await control.project()
    asked = {"name": "Hook", "url": "https://billing.example/hook", "events": ["usage.hour"]}
    webhook = await control.make(f"/tenants/{project['tenant_id']}/webhooks", **asked)
    async with open_pool(database.url(roles.CONTROL), name="test", size=1) as pool:
        yield Place(control=control, database=database, upkeep=Database(pool), project=project, webhook=webhook)


def call(place: Place, minutes: float, **fields: Any) -> Call:
    """A call opened so many minutes after eleven."""
    eleven = place.control.clock().replace(hour=11, minute=0, second=0, microsecond=0)
    return Call(opened_at=eleven + timedelta(minutes=minutes), **fields)


async def test_an_hour_is_what_the_ledger_has_of_it_by_project_user_and_model(place: Place) -> None:
    place.settle(
        call(place, 0, uid="ann", input_tokens=3, cost_nano=5),
        call(place, 59.9999, uid="ann", output_tokens=7, cost_nano=1_500_000_000),
        call(place, 30, uid="ann", model="gpt-5", cost_nano=None),
        call(place, 31, uid=None),
        call(place, -0.0001, uid="ann", cost_nano=1),
        call(place, 60, uid="ann", cost_nano=1),
    )
    other = await place.control.make(f"/tenants/{place.project['tenant_id']}/projects", name="Other")
    settle(place.database, *identity(other), [call(place, 20, uid="ann", cost_nano=2)])
    place.control.clock.time = place.control.clock.time.replace(minute=4, second=59)
    await place.round()
    ((_, earlier),) = place.told()
    assert earlier["start"] == "2026-11-21T10:00:00Z"
    place.control.clock.advance(seconds=1)  # Five minutes after the hour's end, and not before.
    await place.round()
    _, (_, told) = place.told()
    assert {name: told[name] for name in ("start", "end", "revision", "page", "pages", "tenant_id")} == {
        "start": "2026-11-21T11:00:00Z", "end": "2026-11-21T12:00:00Z", "revision": 1, "page": 1, "pages": 1,
        "tenant_id": place.project["tenant_id"],
    }  # fmt: skip
    rows = [(row["project_id"], row["user_id"], row["model"], *(row[name] for name in COUNTS)) for row in told["rows"]]
    mine = place.project["id"]
    assert rows == [
        (mine, "ann", "openai/gpt-4o", 2, 4, 8, "1.500000005"),
        (mine, "ann", "openai/gpt-5", 1, 1, 1, "0.00"),
        (mine, None, "openai/gpt-4o", 1, 1, 1, "0.00"),
        (other["id"], "ann", "openai/gpt-4o", 1, 1, 1, "0.000000002"),
    ]
    kinds = TOKENS
    sums = [f"coalesce(sum({kind}), 0)" for kind in kinds]
    ((requests, *tokens, cost),) = place.database.rows(
        f"SELECT count(*), {', '.join(sums)}, sum(cost_nano) FROM bailiwick.ledger"  # noqa: S608
        " WHERE tenant_id = %s AND opened_at >= '2026-11-21T11:00Z' AND opened_at < '2026-11-21T12:00Z'",
        place.own[0],
    )
    assert told["total"] == {
        "requests": requests, **dict(zip(kinds, tokens, strict=True)),
        "cost_usd": usd(int(cost)),
    }  # fmt: skip


async def test_an_hour_is_told_once_and_again_as_a_revision_of_its_own_when_something_settles_late(
    place: Place,
) -> None:
    place.control.clock.advance(minutes=10)  # It is a few seconds after twelve.
    place.settle(call(place, 1))
    for _ in range(2):
        await place.round()
    ((first, _),) = place.told()
    place.settle(call(place, 2))
    await place.round()
    (kept, before), (second, after) = place.told()
    assert kept == first != second
    assert [(data["revision"], data["total"]["requests"]) for data in (before, after)] == [(1, 1), (2, 2)]


async def test_a_correction_is_told_as_a_revision(place: Place) -> None:
    place.control.clock.advance(minutes=10)
    place.settle(call(place, 1, cost_nano=9))
    await place.round()
    with place.database.connect() as superuser:
        # As `correct` in `ledger.sql` does.
        superuser.execute(
            "WITH was AS (SELECT * FROM bailiwick.ledger WHERE tenant_id = %s)"
            " INSERT INTO bailiwick.ledger_corrections (id, tenant_id, project_id, opened_at, cost_nano, input_tokens,"
            " output_tokens, latency_ms, uid, provider, model, replaced_xid)"
            " SELECT id, tenant_id, project_id, opened_at, cost_nano, input_tokens, output_tokens, latency_ms, uid,"
            " provider, model, written_xid FROM was",
            (place.own[0],),
        )
        superuser.execute(
            "UPDATE bailiwick.ledger SET cost_nano = 4, written_xid = pg_current_xact_id()::text::bigint"
            " WHERE tenant_id = %s",
            (place.own[0],),
        )
    await place.round()
    assert [(data["revision"], data["total"]["cost_usd"]) for _, data in place.told()] == [
        (1, "0.000000009"),
        (2, "0.000000004"),
    ]


async def test_an_hour_waits_for_its_open_calls_for_an_hour(place: Place) -> None:
    place.control.clock.advance(minutes=10)
    place.settle(call(place, 1))
    place.database.run(
        "INSERT INTO bailiwick.open_calls (id, tenant_id, project_id, process_id, opened_at, provider, model, streamed,"
        " input_estimate) VALUES (%s, %s, %s, %s, %s, 'p', 'm', false, 1)",
        new_id(),
        *place.own,
        new_id(),
        call(place, 59).opened_at,
    )
    await place.round()
    assert place.told() == []
    place.control.clock.advance(hours=1)
    await place.round()
    assert [data["revision"] for _, data in place.told()] == [1]


async def test_nothing_is_told_of_an_hour_before_all_of_it_is_counted(place: Place) -> None:
    place.control.clock.advance(minutes=10)
    place.settle(call(place, 1))
    await place.round()
    place.settle(call(place, 2))
    place.database.run("UPDATE bailiwick.usage_hours SET changed = true WHERE tenant_id = %s", place.own[0])
    await tell_hours(place.upkeep, place.control.plane.acts)
    assert len(place.told()) == 1
    await place.round()
    assert [data["total"]["requests"] for _, data in place.told()] == [1, 2]


async def test_an_hour_of_many_comes_in_pages_each_an_event(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_hours, "_ROWS_A_PAGE", 2)
    place.control.clock.advance(minutes=10)
    place.settle(*(call(place, number, uid=f"u{number}") for number in range(5)))
    await place.round()
    told = place.told()
    assert [(data["page"], data["pages"], len(data["rows"])) for _, data in told] == [(1, 3, 2), (2, 3, 2), (3, 3, 1)]
    assert len({event_id for event_id, _ in told}) == 3
    assert {data["total"]["requests"] for _, data in told} == {5}
    assert [row["user_id"] for _, data in told for row in data["rows"]] == [f"u{number}" for number in range(5)]


async def test_hours_are_noted_for_those_alone_who_have_themselves_told(place: Place) -> None:
    place.control.clock.advance(minutes=10)
    quiet = await place.control.project()
    settle(place.database, *identity(quiet), [call(place, 1)])
    await place.round()
    assert place.told() == []
    noted = place.database.rows("SELECT 1 FROM bailiwick.usage_hours WHERE tenant_id = %s", identity(quiet)[0])
    assert noted == []


async def test_an_erased_user_is_in_no_event_any_more_and_others_of_that_name_are(place: Place) -> None:
    place.control.clock.advance(minutes=10)
    other = await place.control.make(f"/tenants/{place.project['tenant_id']}/projects", name="Other")
    place.settle(*(call(place, 1, uid=uid) for uid in ('Zoë "x"', "Zo")))
    settle(place.database, *identity(other), [call(place, 20, uid='Zoë "x"')])
    await place.round()
    erased = await place.control.ask("DELETE", f"/projects/{place.project['id']}/users/Zo%C3%AB%20%22x%22")
    pseudonym = erased.json()["pseudonym"]
    ((_, data),) = place.told()
    named = {(row["project_id"], row["user_id"]) for row in data["rows"]}
    assert named == {(place.project["id"], "Zo"), (place.project["id"], pseudonym), (other["id"], 'Zoë "x"')}
