"""Acts that happen once, however often they are asked for.

That an act was done is written in the act's own transaction (`Acts.record`), so there is never the one without the
other: two that run at once cannot both commit, and one that was cut off left nothing. Its answer is kept right after.
Should the process end between the two, what was asked again is refused and not done again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import final

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.operators import Operator
from bailiwick.domain.repeats import KEPT, Answer, Once, running
from bailiwick.storage import repeats
from bailiwick.storage.scope import Database


@final
class Repeats:
    """What was asked for with an `Idempotency-Key`, and what became of it."""

    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        """`now` is the wall clock in UTC."""
        self._database = database
        self._now = now
        self._running: set[tuple[str, str, str]] = set()

    async def begin(self, operator: Operator, once: Once) -> Answer | None:
        """The answer of the first time; None if this is the first, which `end` must follow.

        Raises `Refused` (409) if the first is running or its answer was lost, `Invalid` if it said something else.
        """
        name = (once.operator, once.route, once.key)
        if name in self._running:
            raise running()
        self._running.add(name)
        try:
            answer = await self._first_answer(operator, once)
        except BaseException:
            self._running.discard(name)
            raise
        if answer is not None:
            self._running.discard(name)
        return answer

    async def keep(self, operator: Operator, once: Once, answer: Answer) -> None:
        """Keep the answer to be given again."""
        async with repeats.within(self._database, operator) as scope:
            await repeats.keep(scope, once, operator.tenant_id, answer, self._now())

    def end(self, once: Once) -> None:
        """Whatever became of it, it runs no more."""
        self._running.discard((once.operator, once.route, once.key))

    async def _first_answer(self, operator: Operator, once: Once) -> Answer | None:
        async with repeats.within(self._database, operator) as scope:
            await repeats.forget(scope, before=self._now() - KEPT)
            done = await repeats.find(scope, once)
        if done is None:
            return None
        if done.digest != once.digest:
            raise invalid("Idempotency-Key", "was used with another body")
        if done.answer is None:
            message = "This was done, and its answer was lost. Look at what is there."
            raise Refused(Code.CONFLICT, message, param="Idempotency-Key")
        return done.answer
