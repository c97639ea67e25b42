"""Calls through everything that can befall them, in any order: each is settled once, or lost once, or was never there.

The real ledger of several processes on a real PostgreSQL, each over a connection that can be cut. After every step the
database is looked at: what it holds of each call is what the model says, and never two ledger rows, nor a ledger row
beside an open row, nor nothing of a call that was opened and not taken back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from bailiwick.storage import batches, roles
from bailiwick.storage.ledger import Ledger
from tests.database import TestDatabase
from tests.faults.trial import times
from tests.storage import ledger_model as model
from tests.storage.ledger_calls import new_call, settlement
from tests.storage.ledger_model import LOST, NONE, OPEN, SETTLED, Call, Process, beaten, together, until
from tests.storage.proxy import Break, proxied

Value = TypeVar("Value")


class LedgerMachine(RuleBasedStateMachine):
    """Processes that open and settle, are cut off, die and come back."""

    def __init__(self, database: TestDatabase) -> None:
        super().__init__()
        self.database = database
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.superuser = database.connect()
        self.processes: list[Process] = []
        self.calls: list[Call] = []
        self.costs = iter(range(10_000, 100_000))
        self.sound = True
        self.start()

    def run(self, work: Awaitable[Value]) -> Value:
        async def bounded() -> Value:
            async with asyncio.timeout(10):
                return await work

        self.sound, sound = False, self.sound
        value = self.loop.run_until_complete(bounded())
        self.sound = sound
        return value

    def process(self, number: int, *, idle: bool = True) -> Process | None:
        found = [process for process in self.processes if not process.gone and (process.idle or not idle)]
        return found[number % len(found)] if found else None

    def living(self) -> list[Process]:
        return [process for process in self.processes if not process.gone]

    def call(self, number: int, *states: str) -> Call | None:
        found = [call for call in self.calls if call.state in states]
        return found[number % len(found)] if found else None

    def add_call(self, owner: Process, *, state: str) -> Call:
        call = Call(call=new_call(), owner=owner, state=state)
        self.calls.append(call)
        return call

    def later(self, work: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        """Begin what cannot end now."""

        async def begin() -> asyncio.Future[None]:
            task = asyncio.ensure_future(work)
            await asyncio.sleep(0.02)
            return task

        return self.run(begin())

    # Processes.

    @precondition(lambda self: sum(not process.gone for process in self.processes) < model.MOST_PROCESSES)
    @rule()
    def start(self) -> None:
        """A process begins."""
        proxy, url = self.run(self.stack.enter_async_context(proxied(self.database.url(roles.LEDGER))))
        process_id = uuid4()

        async def make() -> Ledger:
            ledger = Ledger(url, process_id)
            ledger._opening._patience = ledger._settling._patience = 60
            return ledger

        self.processes.append(Process(id=process_id, ledger=self.run(make()), proxy=proxy))
        self.beat(len(self.processes) - 1)

    @rule(number=st.integers(0, 9))
    def beat(self, number: int) -> None:
        """A process says that it lives, and settles what the dead left open."""
        process = self.process(number)
        if process is not None:
            self.beat_of(process)

    def beat_of(self, process: Process) -> None:
        # Time passes in this test only where it says so.
        living = [other.id for other in self.processes if not other.expired and not other.gone]
        self.superuser.execute(b"UPDATE bailiwick.processes SET beat_at = now() WHERE id = ANY(%s)", (living,))
        self.run(beaten(process.ledger))
        process.expired = False
        process.take_back()
        for call in self.calls:
            if call.owner.expired or call.owner.gone:
                call.lose()

    @rule(number=st.integers(0, 9))
    def expire(self, number: int) -> None:
        """A process is not heard of for the length of its lease."""
        process = self.process(number, idle=False)
        if process is not None:
            process.expired = True
            self.superuser.execute(
                b"UPDATE bailiwick.processes SET beat_at = now() - interval '1 hour' WHERE id = %s", (process.id,)
            )

    @rule(number=st.integers(0, 9), other=st.integers(0, 9))
    def take_for_dead(self, number: int, other: int) -> None:
        """A process is not heard of, and another one acts on that."""
        process, second = self.process(number, idle=False), self.process(other)
        if process is not None and second is not None and second is not process:
            self.expire(number)
            self.beat_of(second)

    @rule(number=st.integers(0, 9))
    def leave(self, number: int) -> None:
        """A process ends in order, whatever calls it still has open."""
        process = self.process(number)
        if process is not None:
            self.run(process.ledger.aclose())
            process.take_back()
            process.gone = True

    @rule(number=st.integers(0, 9))
    def kill(self, number: int) -> None:
        """A process ends without a word, and is found dead."""
        process = self.process(number, idle=False)
        if process is not None:
            self.expire(self.processes.index(process))
            self.run(self._kill(process))
            self.superuser.execute(
                b"UPDATE bailiwick.processes SET beat_at = now() - interval '1 hour' WHERE id = %s", (process.id,)
            )

    async def _kill(self, process: Process) -> None:
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

    @rule(number=st.integers(0, 9))
    def cut_off(self, number: int) -> None:
        """A process cannot reach its database."""
        process = self.process(number)
        if process is not None:
            self.run(self._cut(process))

    async def _cut(self, process: Process) -> None:
        process.cut = process.proxy.refusing = True
        process.proxy.cut()
        await asyncio.sleep(0.01)

    @rule(number=st.integers(0, 9))
    def reconnect(self, number: int) -> None:
        """It can again: what it waited with is done now."""
        found = [process for process in self.processes if process.cut and not process.gone]
        if not found:
            return
        process = found[number % len(found)]
        process.cut = process.proxy.refusing = False
        self.run(together(*(task for _, task in process.opening)))
        self.run(together(*(task for _, _, task in process.settling)))
        if process.opening:
            process.take_back()
        for call, _ in process.opening:
            if call.state == NONE:
                call.state = OPEN
        process.opening.clear()
        for call, cost, _ in process.settling:
            call.settle(cost)
        process.settling.clear()
        self.beat_of(process)

    # Calls.

    @rule(number=st.integers(0, 9), count=st.integers(1, 3))
    def open(self, number: int, count: int) -> None:
        """Calls are opened."""
        process = self.process(number)
        if process is not None:
            calls = [self.add_call(process, state=OPEN) for _ in range(count)]
            self.run(together(*(process.ledger.open(call.call) for call in calls)))
            process.take_back()

    @rule(number=st.integers(0, 9), way=st.sampled_from([Break.BEFORE, Break.AFTER]))
    def open_over_a_breaking_connection(self, number: int, way: Break) -> None:
        """The connection breaks, and is there again at once."""
        process = self.process(number)
        if process is not None:
            call = self.add_call(process, state=OPEN)
            process.proxy.break_at(call.call.id, way)
            self.run(process.ledger.open(call.call))
            process.take_back()

    @rule(number=st.integers(0, 9))
    def open_without_an_answer(self, number: int) -> None:
        """The connection breaks between the commit and its answer, and stays broken."""
        process = self.process(number)
        if process is None:
            return
        self.beat_of(process)  # It is connected now, and will not be again.
        call = self.add_call(process, state=OPEN)
        process.proxy.break_at(call.call.id, Break.AFTER)
        process.proxy.refusing = True
        process.opening.append((call, self.later(process.ledger.open(call.call))))
        query = b"SELECT FROM bailiwick.open_calls WHERE id = %s"
        self.run(until(lambda: self.superuser.execute(query, (UUID(hex=call.call.id),)).fetchone() is not None))
        self.run(self._cut(process))

    @rule(number=st.integers(0, 9))
    def open_while_cut_off(self, number: int) -> None:
        """A call waits for the database."""
        found = [process for process in self.processes if process.cut and not process.gone]
        if found:
            process = found[number % len(found)]
            call = self.add_call(process, state=NONE)
            process.opening.append((call, self.later(process.ledger.open(call.call))))

    @rule(number=st.integers(0, 9))
    def give_up(self, number: int) -> None:
        """A call that waits to be opened is refused."""
        waiting = [(process, entry) for process in self.processes if not process.gone for entry in process.opening]
        if not waiting:
            return
        process, (call, task) = waiting[number % len(waiting)]

        async def cancel() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            # Nobody waits for it any more, which the next try notices; if it was never tried, there is nothing to do.
            ledger = process.ledger
            if any(entry.item is call.call for entry in ledger._opening._writing):
                await until(lambda: call.call in ledger._void)

        self.run(cancel())
        process.opening.remove((call, task))
        process.void.append(call)

    @rule(number=st.integers(0, 9), dead=st.booleans(), other=st.integers(0, 9), back=st.booleans())
    def refuse(self, number: int, dead: bool, other: int, back: bool) -> None:
        """A call was opened, nobody heard of it, and it is refused; perhaps its process was taken for dead before."""
        process = self.process(number)
        if process is None or process.opening:
            return
        self.open_without_an_answer(number)
        if dead:
            self.take_for_dead(self.living().index(process), other)
        waiting = [entry for found in self.processes if not found.gone for entry in found.opening]
        self.give_up(waiting.index(process.opening[-1]))
        if back:
            self.reconnect([found for found in self.living() if found.cut].index(process))

    @rule(number=st.integers(0, 99), times=st.integers(1, 3), state=st.sampled_from([OPEN, OPEN, LOST, SETTLED, NONE]))
    def settle(self, number: int, times: int, state: str) -> None:
        """A call is settled by its process, perhaps more than once."""
        call = self.call(number, state)
        if call is None or not call.owner.idle or call in call.owner.void:
            return
        costs = [next(self.costs) for _ in range(times)]
        self.run(together(*(call.owner.ledger.settle(settlement(call.call, cost_nano=cost)) for cost in costs)))
        call.settle(costs[0])

    @rule(number=st.integers(0, 99), way=st.sampled_from([Break.BEFORE, Break.AFTER]))
    def settle_over_a_breaking_connection(self, number: int, way: Break) -> None:
        """The connection breaks, and is there again at once."""
        call = self.call(number, OPEN, LOST)
        if call is None or not call.owner.idle or call in call.owner.void:
            return
        cost = next(self.costs)
        call.owner.proxy.break_at(call.call.id, way)
        self.run(call.owner.ledger.settle(settlement(call.call, cost_nano=cost)))
        call.settle(cost)

    @rule(number=st.integers(0, 99), other=st.integers(0, 9))
    def settle_from_two_processes(self, number: int, other: int) -> None:
        """A call is settled twice at once."""
        call, second = self.call(number, OPEN, LOST), self.process(other)
        if call is None or second is None or not call.owner.idle or call in call.owner.void:
            return
        costs = [next(self.costs), next(self.costs)]
        self.run(
            together(
                call.owner.ledger.settle(settlement(call.call, cost_nano=costs[0])),
                second.ledger.settle(settlement(call.call, cost_nano=costs[1])),
            )
        )
        call.state, call.costs = SETTLED, set(costs)

    @rule(number=st.integers(0, 99), other=st.integers(0, 9))
    def settle_while_it_is_lost(self, number: int, other: int) -> None:
        """A process that was taken for dead settles in the same moment."""
        call, second = self.call(number, OPEN), self.process(other)
        if call is None or second is None or second is call.owner or not call.owner.idle or call in call.owner.void:
            return
        self.expire(self.processes.index(call.owner))
        cost = next(self.costs)
        call.owner.expired = True
        self.superuser.execute(
            b"UPDATE bailiwick.processes SET beat_at = now() - interval '1 hour' WHERE id = %s", (call.owner.id,)
        )
        living = [process.id for process in self.processes if not process.expired and not process.gone]
        self.superuser.execute(b"UPDATE bailiwick.processes SET beat_at = now() WHERE id = ANY(%s)", (living,))
        self.run(together(call.owner.ledger.settle(settlement(call.call, cost_nano=cost)), second.ledger.beat()))
        call.settle(cost)
        second.expired = False
        second.take_back()
        for lost in self.calls:
            if lost.owner.expired or lost.owner.gone:
                lost.lose()

    @rule(number=st.integers(0, 99))
    def settle_while_cut_off(self, number: int) -> None:
        """A call ends while the database is away."""
        call = self.call(number, OPEN, LOST)
        if call is None or not call.owner.cut or call.owner.gone:
            return
        if any(call is waiting for waiting, _ in call.owner.opening) or call in call.owner.void:
            return
        cost = next(self.costs)
        task = self.later(call.owner.ledger.settle(settlement(call.call, cost_nano=cost)))
        call.owner.settling.append((call, cost, task))

    # What must hold.

    @invariant()
    def every_call_is_in_exactly_one_state(self) -> None:
        """And in the one that the model says."""
        self.sound, sound = False, self.sound
        model.check(self.calls, self.superuser)
        self.sound = sound

    def teardown(self) -> None:
        """In the end nothing is open any more."""
        try:
            for number in range(len(self.processes)):
                if self.sound:
                    self.reconnect(number)
            for _ in self.processes:
                if self.sound:
                    self.leave(0)
            if self.sound:
                self.start()
                self.every_call_is_in_exactly_one_state()
                assert all(call.state in (NONE, SETTLED, LOST) for call in self.calls)
        finally:
            self.run(self._end())
            self.loop.close()
            self.superuser.close()

    async def _end(self) -> None:
        for process in self.processes:
            if not process.gone:
                await self._kill(process)
        await self.stack.aclose()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_order_of_events_leads_to_two_settlements_or_none(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_RETRY_SECONDS", 0.005)
    run_state_machine_as_test(
        lambda: LedgerMachine(database),
        settings=settings(
            max_examples=times(500, 50), stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
