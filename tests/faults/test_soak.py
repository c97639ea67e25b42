"""Mixed traffic for long, and very many idle clients: nothing grows, and the books agree in the end."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.faults.http import Answer
from tests.faults.report import Findings
from tests.faults.site import Site
from tests.faults.trial import eventually, seconds
from tests.upstream import Behaviour, scripts

pytestmark = pytest.mark.proof

SOAK_SECONDS = seconds(600.0, 8.0)
WARM_SECONDS = seconds(90.0, 4.0)
CALLERS = 40
# What an allocator may add while nothing leaks.
RSS_MAY_GROW = 4 << 20
IDLE_CLIENTS = 5000
HEALTHY_WITHIN = 0.25
_TITLE = "Soak"


def resident(pid: int) -> int:
    """The process's resident memory, in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors(site: Site, pid: int) -> int:
    """How many descriptors the gateway has open, beside those of clients and of the provider."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir())) - site.clients() - site.upstream.open_connections()


TROUBLE = {
    "error": scripts.error(500, "No."),
    "limited": scripts.error(429, "Later.", retry_after=2),
    "garbage": scripts.garbage(),
    "reset": scripts.reset(2),
    "closed": scripts.close(1.5),
    "half": scripts.half_frame(),
    "no-usage": Behaviour(usage=None),
}


async def _one_call(site: Site, answers: list[Answer]) -> None:
    """A call as some client makes it: a good one, one of a troubled provider, one that is left in the middle."""
    client = site.client()
    number = next(site.numbers)
    stream = random.random() < 0.5
    kind = random.random()
    try:
        if kind < 0.7:
            answers.append(await client.call(number, "up/stream" if stream else "up/answer", stream=stream))
        elif kind < 0.85:
            answers.append(await client.call(number, f"up/{random.choice(list(TROUBLE))}", stream=stream))
        else:
            await client.send(number, "up/stream" if stream else "up/answer", stream=stream)
            await asyncio.sleep(random.uniform(0, 0.5))
            if random.random() < 0.5:
                client.reset()
    finally:
        client.close()


async def test_mixed_traffic_leaves_nothing_behind(site: Site, findings: Findings) -> None:
    for name, behaviour in TROUBLE.items():
        site.upstream.on(name, behaviour)
    gateway = site.installation.children()["gateway"]
    await asyncio.gather(*(site.call() for _ in range(20)))  # now everything is there that is opened when needed
    before = descriptors(site, gateway)
    answers: list[Answer] = []
    until = time.monotonic() + SOAK_SECONDS

    async def caller() -> None:
        while time.monotonic() < until:
            await _one_call(site, answers)
            await asyncio.sleep(random.uniform(0, 0.2))

    callers = [asyncio.create_task(caller()) for _ in range(CALLERS)]
    await asyncio.sleep(WARM_SECONDS)
    warm = resident(gateway)
    await asyncio.gather(*callers)
    await site.settled(5.0)
    await eventually(lambda: site.clients() == 0, 5.0, "the gateway holds no client's socket")
    end = resident(gateway)

    assert site.installation.children()["gateway"] == gateway, "it was never started again"
    rows = site.compare_books(answers)
    assert {answer.status for answer in answers} <= {200, 429, 500, 502}
    assert end - warm < RSS_MAY_GROW
    assert descriptors(site, gateway) <= before
    findings.add(
        _TITLE,
        seconds=SOAK_SECONDS,
        calls=len(rows),
        memory_MB=f"{warm / 1e6:.1f} after {WARM_SECONDS:.0f} s, {end / 1e6:.1f} at the end",
    )


@contextmanager
def soft_limit(files: int) -> Iterator[None]:
    """So many open files for what is started here; the hard limit stays."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, before[1]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_thousands_of_idle_clients_hurt_nobody(findings: Findings) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE_CLIENTS + 1000:
        pytest.skip(f"this system allows a process {hard} open files")
    with soft_limit(1024):
        site = Site()
        site.__enter__()
    try:
        with soft_limit(max(soft, IDLE_CLIENTS + 1000)):
            gateway = site.installation.children()["gateway"]
            before = resident(gateway)
            idle = [await asyncio.open_connection("127.0.0.1", site.installation.port) for _ in range(IDLE_CLIENTS)]
            await eventually(lambda: site.clients() >= IDLE_CLIENTS, 10.0, "every client is connected")
            health = [await asyncio.to_thread(_health, site) for _ in range(50)]
            answers = await asyncio.gather(*(site.call() for _ in range(20)))
            memory = resident(gateway) - before
            for _, writer in idle:
                writer.close()
            await eventually(lambda: site.clients() == 0, 10.0, "every client is gone")
    finally:
        site.__exit__()
    assert all(answer.good for answer in answers)
    assert max(health) < HEALTHY_WITHIN
    findings.add(
        "Idle clients",
        clients=IDLE_CLIENTS,
        healthz=health,
        slowest_call_of_20=max(answer.seconds for answer in answers),
        memory_kB_each=memory / IDLE_CLIENTS / 1e3,
    )


def _health(site: Site) -> float:
    began = time.monotonic()
    assert httpx2.get(f"{site.installation.url}/healthz", timeout=10).status_code == 200
    return time.monotonic() - began
