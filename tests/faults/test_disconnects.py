"""Clients that go away: one row each, paid for what was generated, and nothing left open on any side."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

import pytest

from bailiwick.domain.usage import Outcome, UsageSource
from tests.faults.http import Answer, Client
from tests.faults.report import Findings
from tests.faults.site import Row, Site
from tests.faults.trial import eventually, times
from tests.patience import Lag, loop_lag
from tests.upstream import Behaviour
from tests.upstream.record import Record

pytestmark = pytest.mark.proof

Made = TypeVar("Made")
AT_ONCE = 50
# Role, five pieces of text, the end: what a client sees of a stream, before `[DONE]`.
CHUNKS = 7
GAP = 0.6
UPSTREAM_GONE_WITHIN = 1.0
_TITLE = "Clients killed in the middle of a call"

WAYS = ("closed", "reset")
POINTS = {
    "before the first chunk": 0,
    "after the first chunk": 1,
    "after all chunks but one": CHUNKS - 1,
    "between the last chunk and the usage": CHUNKS,
    "after the end": CHUNKS + 1,
}


@pytest.mark.parametrize("point", POINTS)
async def test_a_client_that_dies_in_a_stream_leaves_one_row_and_nothing_open(
    site: Site, findings: Findings, point: str
) -> None:
    events = POINTS[point]
    site.upstream.on("cut", Behaviour(chunks=CHUNKS - 2, gap=GAP, delay=0.0 if events else 1.0))
    count = times(200)

    async def kill(way: str) -> tuple[int, float]:
        client = site.client()
        number = next(site.numbers)
        await _read(site, client, number, events)
        killed_at = time.monotonic()
        _leave(client, way)
        return number, killed_at

    async with loop_lag() as lag:
        killed = await _at_once(kill(way) for way in WAYS * (count // 2))

        rows = await _rows(site, killed)
    assert len(rows) == count
    finished = events > CHUNKS
    expected = Outcome.COMPLETED if finished else Outcome.CLIENT_GONE
    assert {row.outcome for row in rows.values()} == {expected}
    assert {row.source for row in rows.values()} == {UsageSource.REPORTED if finished else UsageSource.ESTIMATED}
    assert all(row.input_tokens > 0 for row in rows.values())
    assert all(row.output_tokens > 0 for row in rows.values()) or events <= 1
    gone = [] if finished else await _upstream_gone(site, killed, lag)
    await eventually(lambda: site.clients() == 0, 5.0, "the gateway holds no client's socket")
    findings.add(_TITLE, killed=point, calls=count, rows=len(rows), upstream_gone_after=gone)


async def test_a_client_that_dies_while_it_waits_leaves_one_row_and_nothing_open(
    site: Site, findings: Findings
) -> None:
    site.upstream.on("wait", Behaviour(delay=5.0))
    count = times(200)

    async def kill(way: str) -> tuple[int, float]:
        client = site.client()
        number = next(site.numbers)
        await client.send(number, "up/wait", stream=False)
        await _seen(site, number)
        killed_at = time.monotonic()
        _leave(client, way)
        return number, killed_at

    async with loop_lag() as lag:
        killed = await _at_once(kill(way) for way in WAYS * (count // 2))

        rows = await _rows(site, killed)
    assert {row.outcome for row in rows.values()} == {Outcome.CLIENT_GONE}
    assert {row.source for row in rows.values()} == {UsageSource.ESTIMATED}
    assert all(row.input_tokens > 0 for row in rows.values())
    gone = await _upstream_gone(site, killed, lag)
    await eventually(lambda: site.clients() == 0, 5.0, "the gateway holds no client's socket")
    findings.add(_TITLE, killed="waiting for a whole answer", calls=count, rows=len(rows), upstream_gone_after=gone)


async def test_a_client_that_dies_at_any_moment_leaves_no_row_or_one(site: Site, findings: Findings) -> None:
    site.upstream.on("brief", Behaviour(delay=0.05, chunks=3, gap=0.03))
    count = times(1000)

    async def kill() -> int:
        client = site.client()
        number = next(site.numbers)
        await client.send(number, "up/brief", stream=random.random() < 0.5)
        await asyncio.sleep(random.choice([0.0, random.uniform(0, 0.02), random.uniform(0, 0.4)]))
        _leave(client, random.choice(WAYS))
        return number

    numbers = await _at_once(kill() for _ in range(count))

    await asyncio.sleep(0.5)
    await site.settled(5.0)
    rows = site.compare_books()
    assert {rows[number].outcome for number in numbers if number in rows} <= {Outcome.COMPLETED, Outcome.CLIENT_GONE}
    found = sum(number in rows for number in numbers)
    findings.add(_TITLE, killed="at any moment", calls=count, rows=found, upstream_gone_after="-")


async def _at_once(calls: Iterable[Coroutine[Any, Any, Made]]) -> list[Made]:
    """What calls come to, of which so many go on at once."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(call: Coroutine[Any, Any, Made]) -> Made:
        async with room:
            return await call

    return await asyncio.gather(*(one(call) for call in calls))


async def _read(site: Site, client: Client, number: int, events: int) -> None:
    """Begin a stream and read so many of its events."""
    answer = Answer(number=number, began=time.monotonic())
    if events == 0:
        await client.send(number, "up/cut", stream=True)
        await _seen(site, number)
        return
    async for _ in client.pieces(answer, "up/cut", stream=True):
        if answer.body.count(b"data: ") >= events:
            return
    raise AssertionError(answer.told())


def _leave(client: Client, way: str) -> None:
    if way == "reset":
        client.reset()
    else:
        client.close()


def _records(site: Site) -> dict[int, Record]:
    return {
        int(record.json["messages"][0]["content"].removeprefix("call-")): record for record in site.upstream.requests
    }


async def _seen(site: Site, number: int) -> None:
    mark = b'"call-%d"' % number
    await eventually(
        lambda: any(mark in request.body for request in site.upstream.requests), 10.0, "the provider saw it"
    )


async def _rows(site: Site, killed: Iterable[tuple[int, float]]) -> dict[int, Row]:
    """The rows of calls, when all are settled; each has one."""
    await site.settled(5.0)
    rows = site.compare_books()
    return {number: rows[number] for number, _ in killed}


async def _upstream_gone(site: Site, killed: list[tuple[int, float]], lag: Lag) -> list[float]:
    """How long after each client its connection to the provider was gone."""
    records = _records(site)
    await eventually(
        lambda: all(records[number].closed_at is not None for number, _ in killed),
        5.0,
        "every call's connection is gone",
    )
    gone = [(records[number].closed_at or 0.0) - at for number, at in killed]
    assert max(gone) < UPSTREAM_GONE_WITHIN + lag.seconds
    return gone
