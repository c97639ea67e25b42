"""Very many clients that say nothing hurt nobody."""

from __future__ import annotations

import asyncio
import resource

import pytest

from tests.faults.gauges import health, resident, soft_limit
from tests.faults.report import Findings
from tests.faults.site import Site
from tests.faults.trial import eventually

pytestmark = pytest.mark.proof

IDLE_CLIENTS = 5000
HEALTHY_WITHIN = 0.25


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
            healthy = [await asyncio.to_thread(health, site) for _ in range(50)]
            answers = await asyncio.gather(*(site.call() for _ in range(20)))
            memory = resident(gateway) - before
            for _, writer in idle:
                writer.close()
            await eventually(lambda: site.clients() == 0, 10.0, "every client is gone")
    finally:
        site.__exit__()
    assert all(answer.good for answer in answers)
    assert max(healthy) < HEALTHY_WITHIN
    findings.add(
        "Idle clients",
        clients=IDLE_CLIENTS,
        healthz=healthy,
        slowest_call_of_20=max(answer.seconds for answer in answers),
        memory_kB_each=memory / IDLE_CLIENTS / 1e3,
    )
