"""Processes killed under load: everything recovers by itself, and no call is lost or counted twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from functools import partial

import pytest

from tests.faults.load import Load, last_trouble
from tests.faults.report import Findings
from tests.faults.site import Site, acceptable
from tests.faults.trial import eventually, seconds, times

pytestmark = pytest.mark.proof

CALLERS = 30
RECOVERED_WITHIN = 15.0
# An orphan has five seconds to answer what it can.
ORPHANS_GONE_WITHIN = 7.0
_TITLE = "Processes killed (kill -9) under load"


def victim_of(site: Site, name: str) -> int:
    """The process to kill."""
    if name == "a database connection's process":
        with site.installation.sql() as connection:
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'bailiwick ledger%' ORDER BY random()"
            ).fetchone()
        assert found is not None
        return int(found[0])
    return site.installation.children()[name]


@pytest.mark.parametrize("name", ["gateway", "control", "postgres", "a database connection's process"])
async def test_a_killed_process_is_replaced_and_no_call_is_lost(site: Site, findings: Findings, name: str) -> None:
    first: list[float] = []
    last: list[float] = []
    async with Load(site, CALLERS) as load:
        for _ in range(times(10)):
            await asyncio.sleep(random.uniform(0.8, 1.2))
            victim = victim_of(site, name)
            before = len(load.answers)
            killed_at = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            first.append(await load.good_since(killed_at, RECOVERED_WITHIN))
            await asyncio.sleep(seconds(2.0, 1.0))
            last.append(last_trouble(load.answers[before:], killed_at))

    settled = await site.settled()
    site.compare_books(load.answers)
    acceptable(load.answers)
    await eventually(lambda: len(site.installation.children()) == 4, 5.0, "every process runs again")
    _add(findings, name, load, first, last, settled)


async def test_a_killed_parent_takes_everything_with_it_and_the_next_start_loses_no_call(
    site: Site, findings: Findings
) -> None:
    first: list[float] = []
    last: list[float] = []
    async with Load(site, CALLERS) as load:
        for _ in range(times(10)):
            await asyncio.sleep(random.uniform(0.8, 1.2))
            old = set(site.processes())
            before = len(load.answers)
            killed_at = time.monotonic()
            _kill_parent(site)
            await asyncio.to_thread(site.installation.start)  # as a service manager would, at once
            first.append(await load.good_since(killed_at, RECOVERED_WITHIN))
            await eventually(partial(_gone, site, old), ORPHANS_GONE_WITHIN, "no orphan is left")
            last.append(last_trouble(load.answers[before:], killed_at))

    settled = await site.settled()
    site.compare_books(load.answers)
    acceptable(load.answers)
    _add(findings, "parent", load, first, last, settled)


async def test_a_killed_parent_leaves_no_process_behind(site: Site) -> None:
    async with Load(site, 10):
        await asyncio.sleep(0.5)
        _kill_parent(site)
        await eventually(lambda: not site.processes(), ORPHANS_GONE_WITHIN, "no orphan is left")
    await asyncio.to_thread(site.installation.start)
    await site.settled()
    site.compare_books()


def _gone(site: Site, processes: set[int]) -> bool:
    return not processes & set(site.processes())


def _kill_parent(site: Site) -> None:
    process = site.installation.process
    assert process is not None
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _add(findings: Findings, killed: str, load: Load, first: list[float], last: list[float], settled: float) -> None:
    answers = load.answers
    findings.add(
        _TITLE,
        killed=killed,
        times=len(first),
        calls=len(answers),
        cut_connections=sum(answer.cut for answer in answers),
        answers_503=sum(answer.status == 503 for answer in answers),
        first_good_answer_after=first,
        last_trouble_after=last,
        slowest_call=max(answer.seconds for answer in answers),
        nothing_open_after=settled,
    )
