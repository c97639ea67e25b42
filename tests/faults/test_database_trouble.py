"""The database slow, away, or frozen: valid callers are told to come back, nobody hangs, and it heals by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx2
import pytest

from bailiwick.domain.usage import Outcome
from tests.faults.http import Answer
from tests.faults.load import Load
from tests.faults.report import Findings
from tests.faults.site import Site, acceptable
from tests.faults.trial import eventually, seconds, times
from tests.upstream import Behaviour

pytestmark = pytest.mark.proof

CALLERS = 20
AWAY_SECONDS = seconds(20.0, 4.0)
HEALED_WITHIN = 5.0
# A process does not believe for longer than this that a database is there which says nothing.
TRUTH_WITHIN = 3.5
LONGEST_CALL = 10.0
_TITLE = "The database away under load"


@contextmanager
def frozen(site: Site) -> Iterator[None]:
    """Every process of the server stopped in its tracks: connections stay, and nothing is answered."""
    pids = site.database_processes()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def stopped(site: Site) -> Iterator[None]:
    """The server stopped as by `pg_ctl stop -m immediate`, and nobody to start it again."""
    pids = site.installation.children()
    os.kill(pids["parent"], signal.SIGSTOP)
    os.kill(pids["postgres"], signal.SIGQUIT)
    try:
        yield
    finally:
        os.kill(pids["parent"], signal.SIGCONT)


WAYS = {"frozen": frozen, "stopped": stopped}


def ready(site: Site) -> bool:
    """What `/readyz` says, which answers at once in any case."""
    began = time.monotonic()
    answer = httpx2.get(f"{site.installation.url}/readyz", timeout=10)
    assert time.monotonic() - began < 1.0
    assert answer.status_code in {200, 503}
    assert answer.status_code == 200 or answer.headers["retry-after"] == "1"
    return answer.status_code == 200


@pytest.mark.parametrize("way", WAYS)
async def test_without_its_database_it_says_so_and_heals(site: Site, findings: Findings, way: str) -> None:
    site.upstream.on("long", Behaviour(chunks=40, gap=0.1))
    told: list[float] = []
    healed: list[float] = []
    answers: list[Answer] = []
    for _ in range(times(5, 1)):
        async with Load(site, CALLERS) as load:
            await asyncio.sleep(0.5)
            numbers = {next(site.numbers) for _ in range(5)}
            in_flight = [asyncio.create_task(site.call("up/long", stream=True, number=number)) for number in numbers]
            await eventually(lambda: numbers <= site.seen().keys(), 5.0, "the provider is at work on them")  # noqa: B023
            with WAYS[way](site):
                gone_at = time.monotonic()
                told.append(await eventually(lambda: not ready(site), TRUTH_WITHIN, "it is not ready"))
                late = await asyncio.gather(*(site.call() for _ in range(5)))
                assert {answer.status for answer in late} == {503}
                await asyncio.sleep(max(0.0, AWAY_SECONDS - (time.monotonic() - gone_at)))
                assert not await asyncio.to_thread(ready, site)
            back_at = time.monotonic()
            healed.append(await load.good_since(back_at, HEALED_WITHIN))
            await eventually(lambda: ready(site), HEALED_WITHIN, "it is ready")
            well_since = time.monotonic()
            await asyncio.sleep(1.0)
            streams = await asyncio.gather(*in_flight)
        assert [answer.told() for answer in load.answers if answer.began > well_since and not answer.good] == []
        assert all(stream.good for stream in streams), "what was in flight came to its end"
        answers += [*load.answers, *late, *streams]

    await site.settled()
    rows = site.compare_books(answers)
    acceptable(answers)
    assert {row.outcome for row in rows.values()} <= {Outcome.COMPLETED, Outcome.LOST}
    slowest = max(answer.seconds for answer in answers)
    assert slowest < LONGEST_CALL
    findings.add(
        _TITLE,
        database=f"{way} for {AWAY_SECONDS:.0f} s",
        times=len(healed),
        calls=len(answers),
        answers_503=sum(answer.status == 503 for answer in answers),
        not_ready_after=told,
        good_again_after=healed,
        slowest_call=slowest,
    )


async def test_a_gateway_that_starts_without_its_database_answers_and_heals(site: Site) -> None:
    with frozen(site):
        os.kill(site.installation.children()["gateway"], signal.SIGKILL)
        began = time.monotonic()
        answers = await asyncio.gather(*(site.call() for _ in range(5)))
        assert time.monotonic() - began < LONGEST_CALL + 2.0
        assert {answer.status for answer in answers} == {503}
        assert not await asyncio.to_thread(ready, site)
    acceptable(answers)
    await eventually(lambda: ready(site), HEALED_WITHIN, "it is ready")
    assert (await site.call()).good
    await site.settled()
    site.compare_books(answers)


async def test_a_database_that_is_slow_delays_calls_and_loses_none(site: Site, findings: Findings) -> None:
    """Frozen again and again, each time for less than anybody's patience."""
    async with Load(site, CALLERS) as load:
        for _ in range(times(50, 4)):
            await asyncio.sleep(0.3)
            with frozen(site):
                await asyncio.sleep(0.7)
    await site.settled()
    site.compare_books(load.answers)
    assert [answer.told() for answer in load.answers if not answer.good] == []
    findings.add(
        _TITLE,
        database="frozen for 0.7 s of each second",
        times=times(50, 4),
        calls=len(load.answers),
        answers_503=0,
        not_ready_after="-",
        good_again_after="-",
        slowest_call=max(answer.seconds for answer in load.answers),
    )


async def test_every_address_says_503_and_none_says_401(site: Site) -> None:
    with frozen(site):
        await eventually(lambda: not ready(site), TRUTH_WITHIN, "it is not ready")
        answers = await _ask_everything(site)
    assert {(status, code) for status, code, _ in answers} == {(503, "unavailable")}
    assert max(took for *_, took in answers) < LONGEST_CALL
    await eventually(lambda: ready(site), HEALED_WITHIN, "it is ready")
    assert {status for status, *_ in await _ask_everything(site)} == {200}


async def test_a_page_can_read_that_the_database_is_away(site: Site) -> None:
    """What was last known of its origin is enough for that, and for nothing else."""
    keys, page = site.installation.keys, "https://app.example.com"
    site.installation.admin.change(f"/projects/{keys['project_id']}", {"cors_origins": [page]})
    headers = {"Authorization": f"Bearer {keys['api_key']}", "Origin": page}
    async with httpx2.AsyncClient(base_url=f"{site.installation.url}/p/{keys['project_slug']}", timeout=30) as client:
        await eventually(lambda: ready(site), HEALED_WITHIN, "it is ready")
        assert (await client.get("/v1/me", headers=headers)).status_code == 200
        with stopped(site):
            await eventually(lambda: not ready(site), TRUTH_WITHIN, "it is not ready")
            listed = await client.get("/v1/me", headers=headers)
            others = [
                await client.get("/v1/me", headers={**headers, "Origin": "https://evil.example"}),
                await client.options("/v1/me", headers={**headers, "Access-Control-Request-Method": "GET"}),
            ]
    assert {answer.status_code for answer in (listed, *others)} == {503}
    assert listed.headers["access-control-allow-origin"] == page
    assert listed.headers["retry-after"] == "1"
    assert "access-control-allow-origin" not in others[0].headers
    await eventually(lambda: ready(site), HEALED_WITHIN, "it is ready")


async def _ask_everything(site: Site) -> Sequence[tuple[int, str | None, float]]:
    """Status, error code and duration at every address that needs the database to answer at all."""

    async def ask(path: str) -> tuple[int, str | None, float]:
        began = time.monotonic()
        headers = {"Authorization": f"Bearer {site.installation.keys['api_key']}"}
        async with httpx2.AsyncClient(timeout=30) as client:
            answer = await client.get(f"{site.installation.url}{path}", headers=headers)
        error = answer.json().get("error", {})
        return answer.status_code, error.get("code"), time.monotonic() - began

    return await asyncio.gather(*(ask(path) for path in ("/v1/models", "/v1/me", "/v1/usage") for _ in range(3)))
