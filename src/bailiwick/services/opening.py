"""How a call is opened under budgets: it has room in all of them, or is cut to it, or waits for it, or is refused.

claim → room in all? open
      → claimed by its bytes:    count its words, and try again
      → too much is spent:       cut down to what is left, if the call leaves that to us, and try again; else 402
      → calls in flight hold it: wait in line, decide on the call anew, and try again; after `max_wait` 429
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import final

import msgspec

from bailiwick.domain.agent_calls import CalledAgent
from bailiwick.domain.claims import Claim, NoBudget, claim
from bailiwick.domain.principal import Principal
from bailiwick.domain.tool_requests import Confined
from bailiwick.services.admission import Place
from bailiwick.services.attempts import Attempt
from bailiwick.services.lines import Turn
from bailiwick.services.metering import Meter, Metering
from bailiwick.telemetry.observer import Observation


@final
class Plan(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was decided of a call that has taken nothing yet: whose it is, what is to be tried, as which agent.

    `asked` is the name by which the call asks for a model.
    """

    principal: Principal
    attempt: Attempt
    tools: Confined
    agent: CalledAgent | None
    billed: bool
    asked: str


@final
class Opening:
    """Opens calls in the ledger, those under budgets within these."""

    def __init__(self, metering: Metering) -> None:
        self._metering = metering

    async def open(
        self, seen: Observation, plan: Plan, place: Place, again: Callable[[], Awaitable[Plan]]
    ) -> tuple[Plan, Meter]:
        """Open a call; `again` decides on it anew, which is done after a wait. Raises `Refused`, with nothing taken."""
        if plan.principal.grant.budgets is None or not plan.billed:
            return plan, await self._open(seen, plan, place)
        with self._metering.lines.turn() as turn:
            if await self._waited_behind_others(turn, self._claim(plan)):
                plan = await again()
            while True:
                claimed = self._claim(plan)
                if claimed is None or not (claimed.needs or plan.attempt.later):
                    return plan, await self._open(seen, plan, place)
                found = await self._metering.open_within(
                    claimed,
                    seen,
                    plan.principal,
                    plan.attempt.served,
                    place,
                    size=plan.tools.request.size,
                    stream=plan.tools.request.stream,
                    asked=plan.asked,
                    agent=plan.agent,
                )
                if isinstance(found, Meter):
                    return plan, found
                counted = await plan.attempt.counted()
                most = claimed.cut(found) if counted is None else None
                if counted is not None:
                    plan = msgspec.structs.replace(plan, attempt=counted)
                elif most is not None:
                    plan = msgspec.structs.replace(plan, attempt=await plan.attempt.cut(most))
                elif claimed.is_spent(found) or not await self._waited(turn, claimed, found.need):
                    raise NoBudget(claimed, found)
                else:
                    plan = await again()

    async def _open(self, seen: Observation, plan: Plan, place: Place) -> Meter:
        request = plan.tools.request
        return await self._metering.open(
            seen,
            plan.principal,
            plan.attempt.served,
            place,
            size=request.size if plan.billed else 0,
            stream=request.stream,
            asked=plan.asked,
            agent=plan.agent,
        )

    def _claim(self, plan: Plan) -> Claim | None:
        served, asked = plan.attempt.served, plan.attempt.ask.extent
        if asked is None:
            return None
        return claim(plan.principal, served.route.names, asked, served.price, served.window, self._metering.now_us())

    async def _waited_behind_others(self, turn: Turn, claimed: Claim | None) -> bool:
        """Whether others wait for what this call needs, so that it had to wait behind them."""
        place = None if claimed is None else self._metering.lines.first_waited_for(claimed.needs)
        return claimed is not None and place is not None and await self._waited(turn, claimed, place)

    async def _waited(self, turn: Turn, claimed: Claim, place: int) -> bool:
        """Whether it waited for one of its needs; False if it may not any longer."""
        return await turn.wait(claimed.needs[place], claimed.applied[place].budget.cap.max_wait_ns)
