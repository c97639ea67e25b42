"""Clients that do not read: they are cut after a minute, and until then cost a bounded amount of memory."""

from __future__ import annotations

import asyncio
import time

import pytest

from bailiwick.apps.gateway.server import SLOW_READER_SECONDS
from bailiwick.domain.usage import Outcome
from tests.faults.gauges import resident
from tests.faults.http import Answer, Client
from tests.faults.report import Findings
from tests.faults.site import Site
from tests.faults.trial import PROVE, eventually
from tests.upstream import Behaviour, payloads

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(not PROVE, reason="takes more than a minute, however short"),
]

CLIENTS = 25
# More than all buffers on the way hold together.
FLOOD = Behaviour(frames=(payloads.event({"choices": [{"index": 0, "delta": {"content": "x" * 4000}}]}),) * 20_000)
WHOLE = Behaviour(text="x" * (8 << 20))
STREAM_MAY_TAKE = 4 << 20


async def test_clients_that_do_not_read_are_cut_and_hold_no_more_than_a_little(site: Site, findings: Findings) -> None:
    site.upstream.on("flood", FLOOD)
    site.upstream.on("whole", WHOLE)
    gateway = site.installation.children()["gateway"]
    assert (await site.call()).good
    before = resident(gateway)
    began = time.monotonic()
    clients = {next(site.numbers): site.client() for _ in range(2 * CLIENTS)}
    streams, whole = list(clients)[:CLIENTS], list(clients)[CLIENTS:]

    await asyncio.gather(*(_never_read(site, number, clients[number], "flood") for number in streams))
    await asyncio.sleep(10.0)
    memory = resident(gateway) - before
    assert memory < CLIENTS * STREAM_MAY_TAKE
    await asyncio.sleep(10.0)
    assert resident(gateway) - before < memory + (4 << 20)
    assert max(request.chunks_sent for request in site.upstream.requests) < 10_000

    await asyncio.gather(*(_never_read(site, number, clients[number], "whole") for number in whole))
    await eventually(lambda: site.clients() == 0, SLOW_READER_SECONDS + 30, "every one of them is cut")
    cut_after = time.monotonic() - began
    await site.settled(5.0)
    for client in clients.values():
        client.close()

    rows = site.compare_books()
    assert {rows[number].outcome for number in streams} == {Outcome.CLIENT_GONE}
    assert {rows[number].outcome for number in whole} == {Outcome.COMPLETED}
    findings.add(
        "Clients that do not read",
        clients=2 * CLIENTS,
        last_cut_after=cut_after,
        memory_kB_of_a_stream=memory / CLIENTS / 1e3,
    )


async def _never_read(site: Site, number: int, client: Client, model: str) -> None:
    """Call, see that an answer begins, and take nothing more of it."""
    await client.send(number, f"up/{model}", stream=model == "flood")
    await client.head(Answer(number=number, began=time.monotonic()))
    client.stop_reading()
