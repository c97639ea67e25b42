"""Budgets against many callers at once over four gateways: exactly what fits gets through, and the books agree."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Final

import httpx2
import msgspec
import psycopg
import pytest

from bailiwick.domain.token_counts import tokens_read
from bailiwick.storage.ledger import LEASE_SECONDS
from tests.faults.nodes import MODEL, Caller, Nodes, client, nodes
from tests.faults.trial import eventually, seconds, times
from tests.installation import Installation
from tests.storage.test_room_trouble import INJECT, NO_MORE
from tests.upstream import Behaviour
from tests.upstream.behaviour import Usage

pytestmark = pytest.mark.proof

GATEWAYS = times(4, 2)
CALLS, CLIENTS = times(10_000, 400), times(200, 40)
FIT: Final = 137
MAXIMUM: Final = 20
BODY: Final = json.dumps(
    {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": MAXIMUM}, separators=(",", ":")
).encode()
STREAM: Final = BODY[:-1] + b',"stream":true}'
USER: Final = {"x-end-user-id": "nobody-has-seen"}
# Of gpt-4o-mini, in nano-dollars a token.
READ, WROTE = 150, 600
SERVE_WITHIN = 30.0
SETTLED_WITHIN = LEASE_SECONDS + 10.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with nodes(tmp_path_factory.mktemp("nodes"), GATEWAYS) as made:
        yield made


def sent(site: Nodes, body: bytes = BODY) -> int:
    """How many tokens a model reads of a call, by its words; no budget applies to whoever asks for that."""
    caller = site.caller()
    with httpx2.Client(headers={"authorization": f"Bearer {caller.key}", **USER}, verify=False) as asking:
        asking.post(f"{site.installations[0].url}/v1/chat/completions", content=body)
    size = tokens_read(msgspec.json.decode(site.upstream.requests[-1].body, type=dict[str, msgspec.Raw]))
    site.upstream.clear()
    return size


async def all_at_once(site: Nodes, caller: Caller) -> Counter[tuple[int, str]]:
    """So many calls of so many clients, each at any of the gateways; how they were answered."""
    left = iter(range(CALLS))
    told: Counter[tuple[int, str]] = Counter()

    async def calls_on(asking: httpx2.AsyncClient) -> None:
        for _ in left:
            answer = await asking.post(site.url(), content=BODY, headers=USER)
            told[answer.status_code, "" if answer.is_success else answer.json()["error"]["code"]] += 1

    async with client(caller) as asking:
        await asyncio.gather(*(calls_on(asking) for _ in range(CLIENTS)))
    return told


async def settled(site: Nodes, caller: Caller) -> None:
    await eventually(lambda: site.open_calls(caller) == 0, SETTLED_WITHIN, "every call is settled")


# What budget there is, and for how many more calls it has room if another one has no more than that.
CASES: Final[dict[str, tuple[dict[str, str], int]]] = {
    "money": ({}, 0),
    "a user never seen": ({"scope": "user", "subject": "*", "period": "day"}, 0),
    "tokens of a rolling day": ({"unit": "tokens", "period": "24h"}, 0),
    "two budgets": ({}, 10),
}


@pytest.mark.parametrize("case", CASES)
async def test_exactly_so_many_calls_reach_the_provider_as_there_is_room_for(site: Nodes, case: str) -> None:
    fields, more = CASES[case]
    size = sent(site)
    tokens, cost = size + MAXIMUM, size * READ + MAXIMUM * WROTE
    each = tokens if "unit" in fields else cost
    site.upstream.on(MODEL, Behaviour(delay=0.05, usage=Usage(prompt=size, completion=MAXIMUM)))
    caller = site.caller()
    budgets = [site.budget(caller, each * (FIT + more) + each - 1, **fields)]
    if more:
        budgets.append(site.budget(caller, each * FIT, scope="user", subject="*"))
    told = await all_at_once(site, caller)
    await settled(site, caller)

    assert set(told) <= {(200, ""), (402, "budget_exceeded"), (429, "budget_busy")}
    assert told[200, ""] == len(site.upstream.requests) == FIT
    assert sum(told.values()) == CALLS
    assert site.spent(caller) == (FIT, FIT * cost, FIT * tokens)
    assert [site.stands(budget) for budget in budgets] == [(FIT * each, 0)] * len(budgets)


async def test_streams_that_are_cut_at_random_overspend_nothing_and_lose_nothing(site: Nodes) -> None:
    size = sent(site, STREAM)
    most = size * READ + MAXIMUM * WROTE
    site.upstream.on(MODEL, Behaviour(chunks=8, gap=0.02, usage=Usage(prompt=size, completion=MAXIMUM)))
    caller = site.caller()
    limit = most * FIT
    budget = site.budget(caller, limit, max_wait_ms=500)
    told: Counter[int] = Counter()
    left = iter(range(times(2000)))

    async def streams_on(asking: httpx2.AsyncClient) -> None:
        for _ in left:
            async with asking.stream("POST", site.url(), content=STREAM, headers=USER) as answer:
                told[answer.status_code] += 1
                frames = random.randint(0, 20)
                async for _ in answer.aiter_raw():
                    frames -= 1
                    if frames < 0:
                        break

    async with client(caller) as asking:
        await asyncio.gather(*(streams_on(asking) for _ in range(CLIENTS)))
    await settled(site, caller)
    rows, nano, _ = site.spent(caller)

    assert set(told) <= {200, 402, 429}
    assert rows >= FIT
    assert len(site.upstream.requests) <= rows
    assert site.stands(budget) == (nano, 0)
    assert limit - most < nano <= limit or told[402] == 0


# What happens meanwhile to one of the gateways, or to what is behind all of them.


def kill(site: Nodes, one: Installation) -> None:
    del site
    os.kill(one.children()["gateway"], signal.SIGKILL)


def end(site: Nodes, one: Installation) -> None:
    """As an operator ends it, with calls and streams on their way; and start it again."""
    del site
    assert one.stop() == 0
    one.start()


def crash_database(site: Nodes, one: Installation) -> None:
    """PostgreSQL loses a process: it ends all others at once, and starts again from what it had written."""
    del one
    with psycopg.connect(site.superuser, dbname="postgres", autocommit=True) as connection:
        os.kill(connection.info.backend_pid, signal.SIGKILL)


def nothing(site: Nodes, one: Installation) -> None:
    """What happens is in the database already."""
    del site, one


def serve(site: Nodes) -> bool:
    """Whether every gateway does."""
    try:
        return all(httpx2.get(f"{one.url}/readyz", timeout=10).is_success for one in site.installations)
    except httpx2.TransportError:
        return False


# What is done to them, how often, and whether one in ten of the database's writes fails with a deadlock.
TROUBLES: Final = {
    "gateways killed": (kill, times(20), False),
    "gateways ended": (end, times(20, 1), False),
    "PostgreSQL crashed": (crash_database, times(20, 1), False),
    "deadlocks": (nothing, times(20, 1), True),
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_trouble_leaves_no_call_without_a_row_and_no_room_that_nobody_holds(site: Nodes, trouble: str) -> None:
    happens, count, deadlocks = TROUBLES[trouble]
    site.upstream.clear()
    site.upstream.on(MODEL, Behaviour(delay=0.1, gap=0.05))
    caller = site.caller()
    budgets = [site.budget(caller, 10**12), site.budget(caller, 10**12, unit="tokens", scope="user", subject="*")]
    done = asyncio.Event()
    numbers = itertools.count()

    async def calls_on(asking: httpx2.AsyncClient) -> None:
        while not done.is_set():
            number = next(numbers)
            body = (STREAM if number % 2 else BODY).replace(b'"hi"', b'"call %d"' % number)
            headers = {"x-session-id": str(number), "x-end-user-id": f"user-{number % 7}"}
            try:
                await asking.post(site.url(), content=body, headers=headers)
            except httpx2.TransportError:
                await asyncio.sleep(0.1)

    if deadlocks:
        site.sql(INJECT)
    async with client(caller) as asking:
        callers = [asyncio.create_task(calls_on(asking)) for _ in range(30)]
        for _ in range(count):
            await asyncio.sleep(seconds(5.0, 1.5))
            await asyncio.to_thread(happens, site, random.choice(site.installations))
            await eventually(lambda: serve(site), SERVE_WITHIN, "every gateway serves")
        done.set()
        await asyncio.gather(*callers)
    if deadlocks:
        site.sql(NO_MORE)
    await settled(site, caller)

    def agree() -> bool:
        _, nano, tokens = site.spent(caller)
        return [site.stands(budget) for budget in budgets] == [(nano, 0), (tokens, 0)]

    # Whoever was only cut off corrects what was settled for it.
    await eventually(agree, SETTLED_WITHIN, "what is counted is what the ledger says")
    seen = Counter(json.loads(record.body)["messages"][0]["content"].split()[1] for record in site.upstream.requests)
    rows = Counter(
        sid for (sid,) in site.sql("SELECT sid FROM bailiwick.ledger WHERE project_id = %s", caller.project_id)
    )
    assert set(rows.values()) == {1}
    assert set(seen) <= set(rows)
