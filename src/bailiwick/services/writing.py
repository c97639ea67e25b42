"""Writes what a call asks, for whoever is asked: the same request for each, by the name that each has for the model."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from typing import Final, final

import msgspec

from bailiwick.domain.ceilings import bounded, extent, recounted
from bailiwick.domain.form_data import FormRequest
from bailiwick.domain.requests import ModelRequest
from bailiwick.providers.provider import Ask
from bailiwick.services.doors import Door
from bailiwick.services.serving import Served
from bailiwick.telemetry.observer import Observation

# Words of so many bytes are counted within milliseconds.
_COUNTED_HERE: Final = 8 * 1024


@final
class Writing(msgspec.Struct, frozen=True):
    """One call's request. `user` is the pseudonym of its end user, `headers` are lines that are meant for the provider.

    `aside` is where a `large` one is written. `usual`: under budgets, how many tokens may be written where it says
    nothing; None where it meets none.
    """

    door: Door
    request: ModelRequest | FormRequest
    user: str | None
    headers: bytes
    seen: Observation
    aside: Executor
    large: bool
    usual: int | None

    async def __call__(self, served: Served, most: int | None) -> Ask:
        """Write it for `served`, to write at most `most` tokens; raises `Refused` if it cannot go there."""
        if not self.large:
            return self.ask(served, most)
        return await asyncio.get_running_loop().run_in_executor(self.aside, self.ask, served, most)

    async def counted(self, ask: Ask) -> Ask:
        """What was written, with its words counted, if a budget asks."""
        if ask.extent is None or ask.extent.counted:
            return ask
        if len(ask.body) <= _COUNTED_HERE:
            extent = recounted(ask.extent, ask.body)
        else:
            loop = asyncio.get_running_loop()
            extent = await loop.run_in_executor(self.aside, recounted, ask.extent, ask.body)
        return msgspec.structs.replace(ask, extent=extent)

    def ask(self, served: Served, most: int | None) -> Ask:
        """The same at once."""
        door, offer = self.door, served.route.offer
        request = self.request if self.usual is None else bounded(self.request, most, self.usual)
        body = request.upstream(
            model=served.route.model,
            user=self.user,
            shared_account=offer.shared,
            maximum=door.maximum(offer.kind),
        )
        return Ask(
            path=door.path,
            body=body,
            stream=request.stream,
            content_type=request.content_type,
            headers=self.headers + self.seen.for_provider,
            extent=None if self.usual is None else extent(request, len(body), untold=door.writes),
        )
