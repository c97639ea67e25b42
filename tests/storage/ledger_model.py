"""Calls and processes as the ledger's state machine expects them to be, and what it can do to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar
from uuid import UUID, uuid4

from bailiwick.domain.errors import Unavailable
from bailiwick.domain.metering import OpenCall
from bailiwick.storage import roles
from bailiwick.storage.ledger import Ledger
from tests.database import Connection, TestDatabase
from tests.storage.ledger_calls import new_call
from tests.storage.proxy import Break, Proxy, proxied

Value = TypeVar("Value")

NONE, OPEN, SETTLED, LOST = "never opened, or taken back", "open", "settled", "lost"
MOST_PROCESSES = 3
LOST_COST, NOTHING_COST = 6000, 0


@dataclass(eq=False)
class Call:
    """A call as the model knows it; `costs` are those that its row may show once it is settled."""

    call: OpenCall
    owner: Process
    state: str = NONE
    costs: set[int] = field(default_factory=set)

    def settle(self, cost: int) -> None:
        """The truth about it arrives."""
        if self.state in (OPEN, LOST):
            self.state, self.costs = SETTLED, {cost}

    def lose(self) -> None:
        """Its process is taken for dead."""
        if self.state == OPEN:
            self.state, self.costs = LOST, {LOST_COST}

    def take_back(self) -> None:
        """It was refused."""
        if self.state == OPEN:
            self.state = NONE
        elif self.state == LOST:
            self.state, self.costs = SETTLED, {NOTHING_COST}


@dataclass(eq=False)
class Process:
    """A process as the model knows it."""

    id: UUID
    ledger: Ledger
    proxy: Proxy
    cut: bool = False
    expired: bool = False
    gone: bool = False
    opening: list[tuple[Call, asyncio.Future[None]]] = field(default_factory=list)
    settling: list[tuple[Call, int, asyncio.Future[None]]] = field(default_factory=list)
    void: list[Call] = field(default_factory=list)

    @property
    def idle(self) -> bool:
        """Whether it is reachable and waits for nothing."""
        return not (self.cut or self.gone)

    def take_back(self) -> None:
        """What it does whenever it reaches its database."""
        for call in self.void:
            call.take_back()
        self.void.clear()


class World:
    """The processes and their calls, in the database and in the model."""

    def __init__(self, database: TestDatabase) -> None:
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.database = database
        self.superuser = database.connect()
        self.processes: list[Process] = []
        self.calls: list[Call] = []
        self.costs = count(10_000)
        self.sound = True
        """Whether model and database are still to be compared."""

    def run(self, work: Awaitable[Value]) -> Value:
        """Do something to its end, which is near."""

        async def bounded() -> Value:
            async with asyncio.timeout(10):
                return await work

        self.sound = False
        value = self.loop.run_until_complete(bounded())
        self.sound = True
        return value

    def later(self, work: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        """Begin what cannot end now."""

        async def begin() -> asyncio.Future[None]:
            task = asyncio.ensure_future(work)
            await asyncio.sleep(0.02)
            return task

        return self.run(begin())

    def start(self) -> Process:
        """A process begins."""
        proxy, url = self.run(self.stack.enter_async_context(proxied(self.database.url(roles.LEDGER))))
        process_id = uuid4()

        async def make() -> Ledger:
            ledger = Ledger(url, process_id)
            ledger._opening._patience = ledger._settling._patience = 60
            return ledger

        process = Process(id=process_id, ledger=self.run(make()), proxy=proxy)
        self.processes.append(process)
        self.beat(process)
        return process

    def living(self) -> list[Process]:
        """The processes that are there."""
        return [process for process in self.processes if not process.gone]

    def add_call(self, owner: Process, *, state: str) -> Call:
        """A call of a process."""
        call = Call(call=new_call(), owner=owner, state=state)
        self.calls.append(call)
        return call

    def beat(self, process: Process, *, beside: Awaitable[None] | None = None) -> None:
        """A process says that it lives, and settles what the dead left open; perhaps while something else happens."""
        # Time passes here only where it is said so.
        fresh = [other.id for other in self.living() if not other.expired]
        self.superuser.execute(b"UPDATE bailiwick.processes SET beat_at = now() WHERE id = ANY(%s)", (fresh,))
        self.run(together(beaten(process.ledger), *(() if beside is None else (beside,))))
        process.expired = False
        process.take_back()
        for call in self.calls:
            if call.owner.expired or call.owner.gone:
                call.lose()

    def expire(self, process: Process) -> None:
        """A process is not heard of for the length of its lease."""
        process.expired = True
        query = b"UPDATE bailiwick.processes SET beat_at = now() - interval '1 hour' WHERE id = %s"
        self.superuser.execute(query, (process.id,))

    def kill(self, process: Process) -> None:
        """A process ends without a word, and is found dead."""
        self.run(_end(process))
        self.expire(process)

    def cut(self, process: Process) -> None:
        """A process cannot reach its database."""
        process.cut = process.proxy.refusing = True
        process.proxy.cut()
        self.run(asyncio.sleep(0.01))

    def open_without_an_answer(self, process: Process) -> None:
        """The connection breaks between the commit of an open row and its answer, and stays broken."""
        self.beat(process)  # It is connected now, and will not be again.
        call = self.add_call(process, state=OPEN)
        process.proxy.break_at(call.call.id, Break.AFTER)
        process.proxy.refusing = True
        process.opening.append((call, self.later(process.ledger.open(call.call))))
        query = b"SELECT FROM bailiwick.open_calls WHERE id = %s"
        self.run(until(lambda: self.superuser.execute(query, (UUID(hex=call.call.id),)).fetchone() is not None))
        self.cut(process)

    def give_up(self, process: Process, call: Call, task: asyncio.Future[None]) -> None:
        """A call that waits to be opened is refused."""
        ledger = process.ledger

        async def cancel() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            # Nobody waits for it any more, which the next try notices; if it was never tried, there is nothing to do.
            if any(entry.item is call.call for entry in ledger._opening._writing):
                await until(lambda: call.call in ledger._void)

        self.run(cancel())
        process.opening.remove((call, task))
        process.void.append(call)

    def reconnect(self, process: Process) -> None:
        """It can reach its database again: what it waited with is done now."""
        process.cut = process.proxy.refusing = False
        self.run(together(*(task for _, task in process.opening), *(task for _, _, task in process.settling)))
        if process.opening:
            process.take_back()
        for call, _ in process.opening:
            if call.state == NONE:
                call.state = OPEN
        process.opening.clear()
        for call, cost, _ in process.settling:
            call.settle(cost)
        process.settling.clear()
        self.beat(process)

    def leave(self, process: Process) -> None:
        """A process ends in order, whatever calls it still has open."""
        self.run(process.ledger.aclose())
        process.take_back()
        process.gone = True

    def check(self) -> None:
        """Hold the database against the model: each call is there once, or not at all, and as it should be."""
        self.sound = False
        check(self.calls, self.superuser)
        self.sound = True

    def close(self) -> None:
        """Leave nothing behind."""
        for process in self.living():
            self.run(_end(process))
        self.run(self.stack.aclose())
        self.loop.close()
        self.superuser.close()


async def _end(process: Process) -> None:
    process.gone = True
    ledger = process.ledger
    tasks = [task for _, task in process.opening] + [task for _, _, task in process.settling]
    for batcher in (ledger._opening, ledger._settling):
        if batcher._task is not None:
            batcher._task.cancel()
            await asyncio.gather(batcher._task, return_exceptions=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await ledger._opener.aclose()
    await ledger._settler.aclose()
    process.proxy.cut()


async def together(*work: Awaitable[object]) -> None:
    """Do all of it at once."""
    await asyncio.gather(*work)


async def beaten(ledger: Ledger) -> None:
    """Beat as often as it takes: over a connection that was cut unnoticed a beat does not go through."""
    while True:
        with suppress(Unavailable):
            await ledger.beat()
            return


async def until(reached: Callable[[], bool]) -> None:
    """Wait for something that comes about by itself."""
    while not reached():  # noqa: ASYNC110 - the database and the proxy set no events
        await asyncio.sleep(0.005)


def look_at(superuser: Connection, ids: list[UUID]) -> dict[UUID, tuple[int, list[tuple[int, int, int]]]]:
    """What the database holds of each call: how many open rows, and its ledger rows."""
    rows = superuser.execute(
        b"SELECT id, NULL, NULL, NULL FROM bailiwick.open_calls WHERE id = ANY(%s) UNION ALL"
        b" SELECT id, outcome, usage_source, cost_nano FROM bailiwick.ledger WHERE id = ANY(%s)",
        (ids, ids),
    ).fetchall()
    found: dict[UUID, tuple[int, list[tuple[int, int, int]]]] = {call_id: (0, []) for call_id in ids}
    for call_id, outcome, source, cost in rows:
        open_rows, settled = found[call_id]
        if outcome is None:
            open_rows += 1
        else:
            settled.append((outcome, source, cost))
        found[call_id] = (open_rows, settled)
    return found


def check(calls: list[Call], superuser: Connection) -> None:
    """Hold the database against the model: each call is there once, or not at all, and as it should be."""
    found = look_at(superuser, [UUID(hex=call.call.id) for call in calls])
    for call in calls:
        open_rows, rows = found[UUID(hex=call.call.id)]
        assert open_rows + len(rows) <= 1, (call.state, open_rows, rows)
        if rows:
            outcome, source, cost = rows[0]
            assert (LOST if (outcome, source) == (5, 3) else SETTLED) == call.state
            assert cost in call.costs
        else:
            assert (OPEN if open_rows else NONE) == call.state
