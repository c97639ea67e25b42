"""Calls through everything that can befall them, in any order: each is settled once, or lost once, or was never there.

The real ledger of several processes on a real PostgreSQL, each over a connection that can be cut. After every step the
database is looked at: what it holds of each call is what the model says, and never two ledger rows, nor a ledger row
beside an open row, nor nothing of a call that was opened and not taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from bailiwick.storage import batches
from tests.database import TestDatabase
from tests.faults.trial import times
from tests.storage.ledger_calls import settlement
from tests.storage.ledger_model import LOST, MOST_PROCESSES, NONE, OPEN, SETTLED, Call, Process, World, together
from tests.storage.proxy import Break

Meant = TypeVar("Meant")

NUMBERS = st.integers(0, 9)
BREAKS = st.sampled_from([Break.BEFORE, Break.AFTER])


class LedgerMachine(RuleBasedStateMachine):
    """Processes that open and settle, are cut off, die and come back."""

    def __init__(self, database: TestDatabase) -> None:
        super().__init__()
        self.world = World(database)
        self.world.start()

    # Who can be meant.

    def idle(self) -> list[Process]:
        return [process for process in self.world.processes if process.idle]

    def cut(self) -> list[Process]:
        return [process for process in self.world.living() if process.cut]

    def settleable(self, *states: str) -> list[Call]:
        """Calls whose process can be reached and holds them for opened."""
        calls = [call for call in self.world.calls if call.state in states]
        return [call for call in calls if call.owner.idle and call not in call.owner.void]

    def waiting(self) -> list[Call]:
        """Calls that a process which is cut off holds for opened."""
        calls = [call for process in self.cut() for call in self.world.calls if call.owner is process]
        kept = [entry[0] for process in self.cut() for entry in process.opening]
        void = [call for process in self.cut() for call in process.void]
        return [call for call in calls if call.state in (OPEN, LOST) and call not in kept and call not in void]

    # Processes.

    @precondition(lambda self: len(self.world.living()) < MOST_PROCESSES)
    @rule()
    def start(self) -> None:
        self.world.start()

    @precondition(lambda self: self.idle())
    @rule(number=NUMBERS)
    def beat(self, number: int) -> None:
        self.world.beat(chosen(self.idle(), number))

    @precondition(lambda self: self.world.living())
    @rule(number=NUMBERS)
    def expire(self, number: int) -> None:
        self.world.expire(chosen(self.world.living(), number))

    @precondition(lambda self: self.idle() and len(self.world.living()) > 1)
    @rule(number=NUMBERS, other=NUMBERS)
    def take_for_dead(self, number: int, other: int) -> None:
        second = chosen(self.idle(), other)
        self.world.expire(chosen([process for process in self.world.living() if process is not second], number))
        self.world.beat(second)

    @precondition(lambda self: self.idle())
    @rule(number=NUMBERS)
    def leave(self, number: int) -> None:
        self.world.leave(chosen(self.idle(), number))

    @precondition(lambda self: self.world.living())
    @rule(number=NUMBERS)
    def kill(self, number: int) -> None:
        self.world.kill(chosen(self.world.living(), number))

    @precondition(lambda self: self.idle())
    @rule(number=NUMBERS)
    def cut_off(self, number: int) -> None:
        self.world.cut(chosen(self.idle(), number))

    @precondition(lambda self: self.cut())
    @rule(number=NUMBERS)
    def reconnect(self, number: int) -> None:
        self.world.reconnect(chosen(self.cut(), number))

    # Calls that are opened.

    @precondition(lambda self: self.idle())
    @rule(number=NUMBERS, count=st.integers(1, 3))
    def open(self, number: int, count: int) -> None:
        process = chosen(self.idle(), number)
        calls = [self.world.add_call(process, state=OPEN) for _ in range(count)]
        self.world.run(together(*(process.ledger.open(call.call) for call in calls)))
        process.take_back()

    @precondition(lambda self: self.idle())
    @rule(number=NUMBERS, way=BREAKS)
    def open_over_a_breaking_connection(self, number: int, way: Break) -> None:
        process = chosen(self.idle(), number)
        call = self.world.add_call(process, state=OPEN)
        process.proxy.break_at(call.call.id, way)
        self.world.run(process.ledger.open(call.call))
        process.take_back()

    @precondition(lambda self: self.idle())
    @rule(number=NUMBERS)
    def open_without_an_answer(self, number: int) -> None:
        self.world.open_without_an_answer(chosen(self.idle(), number))

    @precondition(lambda self: self.idle())
    @rule(number=NUMBERS, other=NUMBERS, dead=st.booleans(), refused=st.booleans())
    def lose_an_answer_for_a_while(self, number: int, other: int, dead: bool, refused: bool) -> None:
        """In which the call may be refused, and its process taken for dead."""
        process = chosen(self.idle(), number)
        self.world.open_without_an_answer(process)
        if dead and self.idle():
            self.world.expire(process)
            self.world.beat(chosen(self.idle(), other))
        if refused:
            self.world.give_up(process, *process.opening[-1])
        self.world.reconnect(process)

    @precondition(lambda self: self.cut())
    @rule(number=NUMBERS)
    def open_while_cut_off(self, number: int) -> None:
        process = chosen(self.cut(), number)
        call = self.world.add_call(process, state=NONE)
        process.opening.append((call, self.world.later(process.ledger.open(call.call))))

    @precondition(lambda self: any(process.opening for process in self.world.living()))
    @rule(number=NUMBERS)
    def give_up(self, number: int) -> None:
        waiting = [(process, *entry) for process in self.world.living() for entry in process.opening]
        self.world.give_up(*chosen(waiting, number))

    # Calls that end.

    @precondition(lambda self: self.settleable(OPEN, LOST, SETTLED, NONE))
    @rule(number=NUMBERS, times=st.integers(1, 3))
    def settle(self, number: int, times: int) -> None:
        """Perhaps more than once, perhaps after it was settled, or was never opened."""
        call = chosen(self.settleable(OPEN, LOST, SETTLED, NONE), number)
        costs = [next(self.world.costs) for _ in range(times)]
        ledger = call.owner.ledger
        self.world.run(together(*(ledger.settle(settlement(call.call, cost_nano=cost)) for cost in costs)))
        call.settle(costs[0])

    @precondition(lambda self: self.settleable(OPEN, LOST))
    @rule(number=NUMBERS, way=BREAKS)
    def settle_over_a_breaking_connection(self, number: int, way: Break) -> None:
        call, cost = chosen(self.settleable(OPEN, LOST), number), next(self.world.costs)
        call.owner.proxy.break_at(call.call.id, way)
        self.world.run(call.owner.ledger.settle(settlement(call.call, cost_nano=cost)))
        call.settle(cost)

    @precondition(lambda self: self.settleable(OPEN, LOST))
    @rule(number=NUMBERS, other=NUMBERS)
    def settle_from_two_processes(self, number: int, other: int) -> None:
        call, second = chosen(self.settleable(OPEN, LOST), number), chosen(self.idle(), other)
        costs = [next(self.world.costs), next(self.world.costs)]
        pairs = zip((call.owner, second), costs, strict=True)
        self.world.run(
            together(*(process.ledger.settle(settlement(call.call, cost_nano=cost)) for process, cost in pairs))
        )
        call.state, call.costs = SETTLED, set(costs)

    @precondition(lambda self: self.settleable(OPEN) and len(self.idle()) > 1)
    @rule(number=NUMBERS, other=NUMBERS)
    def settle_while_it_is_lost(self, number: int, other: int) -> None:
        call, cost = chosen(self.settleable(OPEN), number), next(self.world.costs)
        second = chosen([process for process in self.idle() if process is not call.owner], other)
        self.world.expire(call.owner)
        settling = call.owner.ledger.settle(settlement(call.call, cost_nano=cost))
        self.world.beat(second, beside=settling)
        call.settle(cost)

    @precondition(lambda self: self.waiting())
    @rule(number=NUMBERS)
    def settle_while_cut_off(self, number: int) -> None:
        call, cost = chosen(self.waiting(), number), next(self.world.costs)
        task = self.world.later(call.owner.ledger.settle(settlement(call.call, cost_nano=cost)))
        call.owner.settling.append((call, cost, task))

    # What must hold.

    @invariant()
    def every_call_is_in_exactly_one_state(self) -> None:
        """And in the one that the model says."""
        self.world.check()

    def teardown(self) -> None:
        """In the end nothing is open any more."""
        try:
            if self.world.sound:
                for process in self.cut():
                    self.world.reconnect(process)
                for process in self.idle():
                    self.world.leave(process)
                self.world.start()
                self.world.check()
                assert all(call.state in (NONE, SETTLED, LOST) for call in self.world.calls)
        finally:
            self.world.close()


def chosen(found: Sequence[Meant], number: int) -> Meant:
    """One of those that can be meant."""
    return found[number % len(found)]


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_no_order_of_events_leads_to_two_settlements_or_none(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_RETRY_SECONDS", 0.005)
    run_state_machine_as_test(
        lambda: LedgerMachine(database),
        settings=settings(
            max_examples=times(600, 30), stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
