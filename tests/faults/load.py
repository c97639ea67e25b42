"""Callers who call again and again, streams and whole answers in turn, whatever happens to them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Final, Self, final

from tests.faults.http import Answer
from tests.faults.site import ANSWER, STREAM, Site
from tests.patience import Patience

_PAUSE: Final = 0.05
_PAUSE_AFTER_TROUBLE: Final = 0.1


@final
class Load:
    """`callers` callers at once, from entering the block to leaving it; then every call has come to its end."""

    def __init__(self, site: Site, callers: int = 20, *, pause: float = _PAUSE) -> None:
        self._site = site
        self._callers = callers
        self._pause = pause
        self._ending = False
        self._tasks: list[asyncio.Task[None]] = []
        self.answers: list[Answer] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._call_on(place)) for place in range(self._callers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending = True
        await asyncio.gather(*self._tasks)

    async def good_since(self, moment: float, within: float) -> float:
        """Wait for the first good answer to a call that began after `moment`; returns how long after that it came."""
        place, patience = 0, Patience(within)
        while True:
            for answer in self.answers[place:]:
                if answer.began > moment and answer.good:
                    return answer.ended - moment
            place = max(0, len(self.answers) - 1)
            assert not patience.over(), f"no good answer within {within} s"
            await asyncio.sleep(0.01)

    async def _call_on(self, place: int) -> None:
        client = self._site.client()
        streams = place % 2 == 0
        try:
            await asyncio.sleep(random.uniform(0, 2 * self._pause))
            while not self._ending:
                number = next(self._site.numbers)
                answer = await client.call(number, STREAM if streams else ANSWER, stream=streams)
                self.answers.append(answer)
                streams = not streams
                await asyncio.sleep(random.uniform(0, 2 * self._pause) if answer.good else _PAUSE_AFTER_TROUBLE)
        finally:
            client.close()


def last_trouble(answers: Iterable[Answer], since: float) -> float:
    """How long after `since` the last call ended that was not answered well; 0 if all were."""
    return max((answer.ended - since for answer in answers if not answer.good), default=0.0)
