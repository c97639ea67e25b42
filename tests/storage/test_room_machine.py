"""Calls under budgets in any order of what can befall them: no admission beyond a limit, no refusal of what fitted.

The model beside the real database is as small as that: of each budget and slice what is settled and what is held. It is
the one in `docs/explanation/ledger.md`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from bailiwick.domain.metering import Need, OpenCall, SpentIfLost
from bailiwick.domain.usage import TokenUsage
from bailiwick.storage import roles
from bailiwick.storage.ledger import Ledger
from tests.database import TestDatabase
from tests.faults.trial import times
from tests.storage.ledger_calls import expire, settlement
from tests.storage.room_calls import a_call, a_need, counters

AMOUNTS = st.integers(0, 40)
NUMBERS = st.integers(0, 99)
SPAN = 3


@dataclass(eq=False)
class Budget:
    """A budget as the model knows it: what is settled and held in each of its slices."""

    need: Need
    settled: defaultdict[int, int]
    held: defaultdict[int, int]

    def within(self, kept: defaultdict[int, int]) -> int:
        """The sum of its window: what is later, too."""
        need = self.need
        return sum(amount for slice_, amount in kept.items() if abs(slice_ - need.slice) <= need.span)


@dataclass(eq=False)
class Call:
    """A call as the model knows it, what it needed in which slice, and what it `counts`: nano-dollars and tokens."""

    call: OpenCall
    owner: tuple[UUID, Ledger]
    needs: list[tuple[Budget, int]]
    state: str = "open"
    counts: tuple[int, int] = (0, 0)


class RoomMachine(RuleBasedStateMachine):
    """Two processes, three budgets."""

    def __init__(self, database: TestDatabase) -> None:
        super().__init__()
        self.database = database
        self.runner = asyncio.Runner()
        self.calls: list[Call] = []
        self.budgets = [
            Budget(a_need(lim=100, in_tokens=in_tokens, span=span, slice=1000), defaultdict(int), defaultdict(int))
            for in_tokens, span in ((False, 0), (True, 0), (False, SPAN))
        ]
        self.processes = [self.process(), self.process()]

    def process(self) -> tuple[UUID, Ledger]:
        """One that lives."""
        made = uuid4()

        async def start() -> Ledger:
            ledger = Ledger(self.database.url(roles.LEDGER), made)
            await ledger.beat()
            return ledger

        return made, self.runner.run(start())

    def in_state(self, *states: str) -> list[Call]:
        return [call for call in self.calls if call.state in states]

    @rule(
        number=NUMBERS,
        ceiling=AMOUNTS,
        which=st.lists(st.integers(0, 2), min_size=1, unique=True),
        lost=st.sampled_from(SpentIfLost),
    )
    def open(self, number: int, ceiling: int, which: list[int], lost: SpentIfLost) -> None:
        call, owner = a_call(ceiling, on_lost=lost), self.processes[number % 2]
        budgets = [self.budgets[place] for place in which]
        fits = all(one.within(one.settled) + one.within(one.held) + ceiling <= one.need.lim for one in budgets)
        refusal = self.runner.run(owner[1].open_with_room(call, [one.need for one in budgets]))
        assert (refusal is None) == fits
        if refusal is not None:
            told = budgets[refusal.need]
            assert (refusal.settled, refusal.reserved) == (told.within(told.settled), told.within(told.held))
            return
        for one in budgets:
            one.held[one.need.slice] += ceiling
        self.calls.append(Call(call, owner, [(one, one.need.slice) for one in budgets]))

    def spend(self, call: Call, nano: int, tokens: int, state: str) -> None:
        """What a call has spent is known, or known better."""
        for budget, slice_ in call.needs:
            before, after = call.counts[budget.need.in_tokens], (nano, tokens)[budget.need.in_tokens]
            budget.settled[slice_] += after - before
            if call.state == "open":
                budget.held[slice_] -= call.call.ceiling_nano or 0
        call.state, call.counts = state, (nano, tokens)

    @precondition(lambda self: self.in_state("open", "lost", "settled"))
    @rule(number=NUMBERS, nano=AMOUNTS, tokens=AMOUNTS)
    def settle(self, number: int, nano: int, tokens: int) -> None:
        """Perhaps late, perhaps a second time."""
        found = self.in_state("open", "lost", "settled")
        call = found[number % len(found)]
        ended = settlement(call.call, cost_nano=nano, usage=TokenUsage(tokens, 0))
        self.runner.run(call.owner[1].settle(ended))
        if call.state != "settled":
            self.spend(call, nano, tokens, "settled")

    @rule(number=NUMBERS)
    def lose(self, number: int) -> None:
        """One of the processes is taken for dead by the other."""
        dead, alive = self.processes[number % 2], self.processes[1 - number % 2]

        async def taken_for_dead() -> None:
            await alive[1].beat()
            await expire(self.database, dead[0])
            await alive[1].beat()
            await dead[1].beat()

        self.runner.run(taken_for_dead())
        for call in self.in_state("open"):
            if call.owner is dead:
                most = call.call.ceiling_nano or 0
                counts = {
                    SpentIfLost.ESTIMATE: (1, 1),
                    SpentIfLost.CEILING: (most, max(most, 1)),
                    SpentIfLost.NOTHING: (0, 0),
                }
                self.spend(call, *counts[call.call.on_lost], "lost")

    @rule(place=st.integers(0, 2), slices=st.integers(-1, 4))
    def turn(self, place: int, slices: int) -> None:
        """Time goes on, or a clock goes back."""
        self.change(place, slice=self.budgets[place].need.slice + slices)

    @rule(place=st.integers(0, 2), limit=st.integers(0, 150))
    def limit(self, place: int, limit: int) -> None:
        self.change(place, lim=limit)

    def change(self, place: int, **fields: Any) -> None:
        need = self.budgets[place].need
        given = {name: getattr(need, name) for name in need.__struct_fields__}
        self.budgets[place].need = Need(**{**given, **fields})

    @invariant()
    def the_counters_are_what_the_model_says(self) -> None:
        for budget in self.budgets:
            need = budget.need
            given = {name: getattr(need, name) for name in need.__struct_fields__}
            for slice_ in {*budget.settled, *budget.held}:
                found = counters(self.database, Need(**{**given, "slice": slice_}))
                assert found == [(budget.settled[slice_], budget.held[slice_])]

    def teardown(self) -> None:
        for _, ledger in self.processes:
            self.runner.run(ledger.aclose())
        self.runner.close()


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_no_order_of_events_admits_beyond_a_limit_or_refuses_what_fits(database: TestDatabase) -> None:
    run_state_machine_as_test(
        lambda: RoomMachine(database),
        settings=settings(
            max_examples=times(200, 4), stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
