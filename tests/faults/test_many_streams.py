"""Very many streams at once on one worker: each costs little memory, none holds the database, all are settled."""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import time
from collections.abc import Iterator
from itertools import islice

import pytest

from bailiwick.domain.usage import Outcome, UsageSource
from tests.faults.gauges import health, resident, soft_limit
from tests.faults.http import Answer
from tests.faults.report import Findings
from tests.faults.site import Site
from tests.faults.trial import eventually, seconds, times
from tests.upstream import Behaviour, scripts

pytestmark = pytest.mark.proof

STREAMS = times(5000)
CHUNKS = 8
# Long enough that all are open before the first one ends.
GAP = seconds(8.0, 1.0)
AT_ONCE = 100
STREAM_MAY_TAKE = 64 << 10
HEALTHY_WITHIN = 0.05
# What one process may have open, when it begins: enough for a tenth of the clients.
USUAL_LIMIT = 1024
_HELD = """
    SELECT count(*) FILTER (WHERE state <> 'idle'), count(*) FROM pg_stat_activity
    WHERE usename IN ('bailiwick_app', 'bailiwick_ledger')
"""


@pytest.fixture
def crowded() -> Iterator[Site]:
    """An installation that begins with the usual limit, and room here for every socket of both its sides."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * STREAMS + 1000:
        pytest.skip(f"this system allows a process {hard} open files")
    with soft_limit(USUAL_LIMIT):
        site = Site()
        site.__enter__()
    try:
        with soft_limit(max(soft, 2 * STREAMS + 1000)):
            yield site
    finally:
        site.__exit__()


LARGE = 8
LARGE_BODY = 16 << 20
# One at a time is several times its size in memory while it is read; none of them is, once its answer has begun.
LARGE_MAY_TAKE = 6 * LARGE_BODY


async def test_an_answer_without_measure_is_given_up(site: Site) -> None:
    site.upstream.on("huge", scripts.huge((64 << 20) + 1))
    number = next(site.numbers)
    answer = await site.call("up/huge", number=number)
    await site.settled(5.0)

    assert (answer.status, answer.code) == (502, "provider_error")
    row = site.compare_books()[number]
    assert (row.outcome, row.source) == (Outcome.PROVIDER_ERROR, UsageSource.NOTHING)


async def test_what_was_asked_is_not_kept_while_its_answer_goes_on(site: Site) -> None:
    site.upstream.on("large", Behaviour(chunks=30, gap=0.5))
    gateway = site.installation.children()["gateway"]
    assert (await site.call()).good
    before = resident(gateway)
    clients = []
    for _ in range(LARGE):
        number, client = next(site.numbers), site.client()
        message = {"role": "user", "content": "x" * LARGE_BODY}
        last = {"role": "user", "content": f"call-{number}"}
        body = json.dumps({"model": "up/large", "stream": True, "messages": [message, last]}).encode()
        await client.post(number, "/v1/chat/completions", body, "application/json")
        await client.head(Answer(number=number, began=time.monotonic()))
        clients.append(client)
    taken = resident(gateway) - before
    for client in clients:
        client.close()
    await site.settled(5.0)
    assert taken < LARGE_MAY_TAKE


def held(site: Site) -> Iterator[tuple[int, int]]:
    """How many of the gateway's database connections do something, and how many there are; again and again."""
    with site.installation.sql() as connection:
        while True:
            row = connection.execute(_HELD.encode()).fetchone()
            assert row is not None
            yield int(row[0]), int(row[1])
            time.sleep(0.01)


async def opened(site: Site) -> list[asyncio.Task[Answer]]:
    """So many streams that have all begun, and have not ended."""
    room = asyncio.Semaphore(AT_ONCE)
    begun: list[int] = []

    async def one(number: int) -> Answer:
        client, answer = site.client(), Answer(number=number, began=time.monotonic())
        async with room:
            pieces = client.pieces(answer, "up/long", stream=True)
            await anext(pieces)
        begun.append(number)
        async for _ in pieces:
            pass
        client.close()
        return answer

    streams = [asyncio.create_task(one(next(site.numbers))) for _ in range(STREAMS)]
    await eventually(lambda: len(begun) == STREAMS, GAP * CHUNKS, "every stream has begun")
    assert [stream for stream in streams if stream.done()] == []
    return streams


async def test_thousands_of_open_streams_cost_little_and_hold_no_database(crowded: Site, findings: Findings) -> None:
    site = crowded
    site.upstream.on("long", Behaviour(chunks=CHUNKS - 2, gap=GAP))
    gateway = site.installation.children()["gateway"]
    await asyncio.gather(*(site.call() for _ in range(20)))
    before = resident(gateway)
    began = time.monotonic()

    streams = await opened(site)
    opened_after = time.monotonic() - began
    memory = resident(gateway) - before
    healthy = [await asyncio.to_thread(health, site) for _ in range(30)]
    busy, connections = zip(*await asyncio.to_thread(lambda: list(islice(held(site), 30))), strict=True)
    assert site.clients() >= STREAMS
    assert [stream for stream in streams if stream.done()] == [], "they were open all this time"
    answers = await asyncio.gather(*streams)

    assert [answer.told() for answer in answers if not answer.good] == []
    await site.settled(5.0)
    await eventually(lambda: site.clients() == 0, 5.0, "the gateway holds no client's socket")
    rows = site.compare_books(answers)
    assert {rows[answer.number].outcome for answer in answers} == {Outcome.COMPLETED}
    assert {rows[answer.number].source for answer in answers} == {UsageSource.REPORTED}
    assert memory / STREAMS < STREAM_MAY_TAKE
    assert statistics.median(busy) == 0, "the database is asked for other things, and now and then"
    assert statistics.median(healthy) < HEALTHY_WITHIN
    findings.add(
        "Open streams",
        streams=STREAMS,
        all_open_after=opened_after,
        memory_kB_each=memory / STREAMS / 1e3,
        memory_MB_of_the_process=resident(gateway) / 1e6,
        healthz_ms=[1000 * took for took in healthy],
        database_connections=max(connections),
        of_them_busy=max(busy),
        rows=len(answers),
    )
