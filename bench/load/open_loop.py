"""Calls at a fixed rate, whatever comes back: how long a call takes on a gateway that is not full.

The clock of a call starts when it was due, unless it left within the timer's own grain after
that; so a gateway that falls behind cannot hide it by slowing the load down.
Run by the benchmark as `python -m bench.load.open_loop`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time

import uvloop

from bench.load.wire import Client, Exchange, percentile, read_task

_TIMER_GRAIN = 0.002
_SKIPPED = 10  # the first tenth: connections are being opened
_PATIENCE = 20.0


async def _run(client: Client, rate: float, seconds: float) -> dict[str, float]:
    calls: list[asyncio.Task[Exchange | None]] = []
    start = time.perf_counter() + 0.1
    for number in range(int(rate * seconds)):
        due = start + number / rate
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        now = time.perf_counter()
        sent = now if now - due < _TIMER_GRAIN else due
        calls.append(asyncio.ensure_future(client.exchange(sent)))
    done, unfinished = await asyncio.wait(calls, timeout=_PATIENCE)
    seen = [call.result() for call in calls if call in done]
    good = [exchange for exchange in seen if exchange is not None and exchange.status == 200]
    late = [1000 * (exchange.ended - exchange.sent) for exchange in good[len(good) // _SKIPPED :]]
    for call in unfinished:
        call.cancel()
    return {
        "calls": len(calls),
        "errors": len(calls) - len(good),
        "p50_ms": percentile(late, 0.5),
        "p99_ms": percentile(late, 0.99),
    }


def main() -> None:
    """Do what standard input asks for and print one line of JSON."""
    call, numbers = read_task()
    gc.disable()
    seen = uvloop.run(_run(Client(call), numbers["rate"], numbers["seconds"]))
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
