"""Mixed traffic for long, at most of what the machine can carry: nothing grows, nothing leaks, the books agree."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bailiwick.domain.usage import Outcome, UsageSource
from tests.faults.gauges import descriptors, resident
from tests.faults.http import Answer
from tests.faults.mixture import Mixture
from tests.faults.report import Findings
from tests.faults.site import Site
from tests.faults.trial import PROVE, eventually, seconds

pytestmark = pytest.mark.proof

CALIBRATION_SECONDS = seconds(20.0, 3.0)
CALLERS = 60
SHARE_OF_CAPACITY = 0.6
SOAK_SECONDS = seconds(600.0, 14.0)
WARM_SECONDS = seconds(120.0, 5.0)
# In five minutes after the warm-up.
RSS_MAY_GROW = 1_000_000
# What an allocator may add in a trial that is too short for a slope.
RSS_MAY_VARY = 4_000_000
# Connections that are kept for the next call, and for how long, at most.
KEPT_CONNECTIONS = 128
KEPT_SECONDS = 30.0
# What the gateway's pools may still open where they have not opened all: on a busy machine.
POOLS = 12
# Of providers that are well and of those that are not.
THEIRS = {200, 429, 500, 502}
# Ours, if the machine stood still: the database did not answer for a second, or nobody's turn came for as long.
OURS = {503}
STOOD_STILL = ("bailiwick_ledger_batch_duration_seconds", "bailiwick_event_loop_lag_seconds")


async def capacity(mixture: Mixture) -> float:
    """How many calls of the mixture a second go through when so many callers call without a pause."""
    began = time.monotonic()
    calls = 0

    async def caller() -> None:
        nonlocal calls
        while time.monotonic() < began + CALIBRATION_SECONDS:
            await mixture.one()
            calls += 1

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return calls / (time.monotonic() - began)


async def traffic(mixture: Mixture, rate: float) -> None:
    """So many calls a second, whether or not earlier ones are answered."""
    until = time.monotonic() + SOAK_SECONDS
    due = time.monotonic()
    async with asyncio.TaskGroup() as calls:
        while due < until:
            calls.create_task(mixture.one())
            due += random.expovariate(rate)
            await asyncio.sleep(max(due - time.monotonic(), 0))


async def watched(pid: int) -> list[tuple[float, int]]:
    """The memory of a process, once a second from the end of the warm-up on, until it is cancelled."""
    seen: list[tuple[float, int]] = []
    try:
        await asyncio.sleep(WARM_SECONDS)
        while True:
            seen.append((time.monotonic(), resident(pid)))
            await asyncio.sleep(1.0)
    except asyncio.CancelledError:
        return seen


async def test_mixed_traffic_leaves_nothing_behind(site: Site, findings: Findings) -> None:
    mixture = Mixture(site)
    gateway = site.installation.children()["gateway"]
    # Now everything is there that is opened when needed.
    rate = SHARE_OF_CAPACITY * await capacity(mixture)
    await site.settled(5.0)
    before, connections = descriptors(site, gateway), site.database_connections()

    def held() -> int:
        return descriptors(site, gateway) - max(0, site.database_connections() - connections)

    watching = asyncio.create_task(watched(gateway))
    await traffic(mixture, rate)
    watching.cancel()
    memory = await watching
    await site.settled(5.0)
    await eventually(lambda: site.clients() == 0, 5.0, "the gateway holds no client's socket")
    await eventually(
        lambda: site.upstream.open_connections() <= (0 if PROVE else KEPT_CONNECTIONS),
        KEPT_SECONDS + 5.0,
        "connections to the provider are closed when nobody has used them for a while",
    )

    assert site.installation.children()["gateway"] == gateway, "it was never started again"
    await eventually(lambda: held() <= before, 5.0, "no descriptor is left open")
    assert site.database_connections() <= connections + POOLS
    grown = _grown(memory)
    assert grown < (RSS_MAY_GROW if PROVE else RSS_MAY_VARY)
    outcomes = _agreed(site, mixture)
    findings.add(
        "Soak",
        seconds=SOAK_SECONDS,
        calls_a_second=rate,
        share_of_capacity=SHARE_OF_CAPACITY,
        calls=sum(outcomes.values()),
        outcomes=", ".join(f"{outcome.name.lower()} {times:,}" for outcome, times in sorted(outcomes.items())),
        memory_MB=[size / 1e6 for _, size in memory],
        growth_in_5_minutes_kB=grown / 1e3,
    )


def _grown(memory: list[tuple[float, int]]) -> float:
    """How much the memory grows in five minutes, by all that was seen; in a short trial, how much it has grown."""
    if not PROVE:
        return memory[-1][1] - memory[0][1]
    moments, sizes = zip(*memory, strict=True)
    return statistics.linear_regression(moments, sizes).slope * 300.0


def _stood_still(site: Site) -> bool:
    """Whether something took the gateway more than a second, as its own metrics have it."""
    told = httpx2.get(f"{site.installation.url}/metrics", verify=False).text
    found = {family.name: family.samples for family in text_string_to_metric_families(told)}
    counts = Counter[str]()
    for name in STOOD_STILL:
        for sample in found[name]:
            counts["all"] += sample.name.endswith("_count") and sample.value
            counts["in time"] += sample.labels.get("le") == "1.0" and sample.value
    return counts["all"] > counts["in time"]


def _agreed(site: Site, mixture: Mixture) -> Counter[Outcome]:
    """Hold ledger, provider and callers against each other; returns how often calls ended how."""
    answers: list[Answer] = mixture.answers
    rows = site.compare_books(answers)
    expected = THEIRS | OURS if _stood_still(site) else THEIRS
    assert [answer.told() for answer in answers if answer.status not in expected] == []
    for row in rows.values():
        if row.source is UsageSource.REPORTED:
            assert (row.input_tokens, row.output_tokens) in mixture.reported
    gone = {number for number in mixture.left if number in rows and rows[number].outcome is Outcome.CLIENT_GONE}
    kept = {number for number in mixture.left_unheard if number in rows and rows[number].outcome is Outcome.CLIENT_GONE}
    assert gone or not mixture.left
    assert kept == set(), "a provider that is to be heard out was left"
    good = {answer.number for answer in answers if answer.status == 200 and answer.complete}
    assert {rows[number].outcome for number in good - mixture.troubled} == {Outcome.COMPLETED}
    return Counter(row.outcome for row in rows.values())
