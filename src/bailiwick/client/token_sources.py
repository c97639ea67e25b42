"""Functions that always have a token which is good now: what `OpenAI(api_key=…)` and `AsyncOpenAI(api_key=…)` take.

A token is minted when it is first needed and replaced some time before it expires, by one caller while all others go on
with the one they have. When minting fails, that one is used as long as it is good. Its age is reckoned from before it
was asked for, by a clock that is never set and by the wall clock, whichever says more: neither a wrong clock here nor a
machine that slept makes an expired token look good. Successive tokens belong to one session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Final, Protocol, final

from bailiwick.client.ambient import Ambient
from bailiwick.client.answers import Minted
from bailiwick.client.errors import ClientError
from bailiwick.client.requests import Wish

REFRESH_BEFORE: Final = 60.0
# How long to leave the gateway alone after a refresh that failed, at least.
_PAUSE: Final = 5.0


class Mint(Protocol):
    """Mints a token; raises `ClientError`, after one attempt if not `patient`."""

    def __call__(self, wish: Wish, *, patient: bool) -> Minted:
        """Mint it."""
        ...


class AsyncMint(Protocol):
    """The same, awaited."""

    def __call__(self, wish: Wish, *, patient: bool) -> Awaitable[Minted]:
        """Mint it."""
        ...


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A token, until when it may be used and from when on another is wanted, in seconds of its age."""

    token: str = field(repr=False)
    wall: float
    monotonic: float
    good_for: float
    wanted_at: float


@final
class _Shelf:
    """Holds the last token; knows what to ask for next. Whoever writes to it is alone in doing so."""

    def __init__(self, wish: Wish, ambient: Ambient, refresh_before: float) -> None:
        self.wish = wish
        self._ambient = ambient
        self._refresh_before = refresh_before
        self._held: _Held | None = None

    def look(self) -> tuple[str | None, bool]:
        """The token, if there is one that is good; and whether another is wanted."""
        held = self._held
        if held is None:
            return None, True
        age = self._age(held)
        return (held.token, age >= held.wanted_at) if age < held.good_for else (None, True)

    def asking(self) -> tuple[float, float]:
        """The moment from which the age of a token counts that is asked for now."""
        return self._ambient.wall(), self._ambient.monotonic()

    def keep(self, minted: Minted, asked_at: tuple[float, float]) -> str:
        """Keep a new token. One that lives shorter than two margins is replaced in the middle of its life."""
        wall, monotonic = asked_at
        self.wish = replace(self.wish, session_id=minted.session_id)
        self._held = _Held(
            token=minted.token,
            wall=wall,
            monotonic=monotonic,
            good_for=minted.ttl,
            wanted_at=minted.ttl - min(self._refresh_before, minted.ttl / 2),
        )
        return minted.token

    def failed(self, error: ClientError) -> str | None:
        """The token to go on with, if it is still good; the next attempt is not made at once."""
        token, _ = self.look()
        if token is not None and self._held is not None:
            pause = max(_PAUSE, error.retry_after or 0.0)
            self._held = replace(self._held, wanted_at=self._age(self._held) + pause)
        return token

    def _age(self, held: _Held) -> float:
        return max(self._ambient.wall() - held.wall, self._ambient.monotonic() - held.monotonic)


@final
class TokenSource:
    """Returns a token of one end user that is good now; threads may share it. Made by `Client.token_source`."""

    def __init__(self, mint: Mint, wish: Wish, *, ambient: Ambient, refresh_before: float = REFRESH_BEFORE) -> None:
        """`refresh_before` is in seconds before a token expires."""
        self._mint = mint
        self._shelf = _Shelf(wish, ambient, refresh_before)
        self._lock = Lock()
        self._flight: Future[str] | None = None

    def __repr__(self) -> str:
        return f"TokenSource(user_id={self._shelf.wish.user_id!r})"

    @property
    def session_id(self) -> str | None:
        """The session of its tokens; None before the first, if none was named."""
        return self._shelf.wish.session_id

    def __call__(self) -> str:
        """The token. Raises `ClientError` when there is none that is good and none can be had."""
        while True:
            token, wanted = self._shelf.look()
            if token is not None and not wanted:
                return token
            with self._lock:
                flight = self._flight
                if flight is None:
                    token, wanted = self._shelf.look()  # who was ahead may have landed meanwhile
                    if token is not None and not wanted:
                        return token
                    mine = self._flight = Future()
                    break
            if token is not None:
                return token
            ended = flight.exception()
            if ended is None:
                return flight.result()
            if isinstance(ended, ClientError):
                raise ended
        return self._fly(mine, patient=token is None)

    def _fly(self, flight: Future[str], *, patient: bool) -> str:
        """Mint for all who wait for `flight`."""
        asked_at = self._shelf.asking()
        try:
            try:
                token = self._shelf.keep(self._mint(self._shelf.wish, patient=patient), asked_at)
            except ClientError as error:
                kept = self._shelf.failed(error)
                if kept is None:
                    raise
                token = kept
        except BaseException as error:
            self._land()
            flight.set_exception(error)
            raise
        self._land()
        flight.set_result(token)
        return token

    def _land(self) -> None:
        with self._lock:
            self._flight = None


@final
class AsyncTokenSource:
    """The same for tasks of one event loop, awaited. Made by `AsyncClient.token_source`."""

    def __init__(
        self, mint: AsyncMint, wish: Wish, *, ambient: Ambient, refresh_before: float = REFRESH_BEFORE
    ) -> None:
        """`refresh_before` is in seconds before a token expires."""
        self._mint = mint
        self._shelf = _Shelf(wish, ambient, refresh_before)
        self._flight: asyncio.Task[str] | None = None

    def __repr__(self) -> str:
        return f"AsyncTokenSource(user_id={self._shelf.wish.user_id!r})"

    @property
    def session_id(self) -> str | None:
        """The session of its tokens; None before the first, if none was named."""
        return self._shelf.wish.session_id

    async def __call__(self) -> str:
        """The token. Raises `ClientError` when there is none that is good and none can be had.

        Nobody waits for a refresh while the token is good, and who stops waiting does not stop it for the others.
        """
        token, wanted = self._shelf.look()
        if token is not None and not wanted:
            return token
        flight = self._flight
        if flight is None or flight.done():
            flight = self._flight = asyncio.create_task(self._fly(patient=token is None))
            flight.add_done_callback(_told)
        return await asyncio.shield(flight) if token is None else token

    async def _fly(self, *, patient: bool) -> str:
        asked_at = self._shelf.asking()
        try:
            return self._shelf.keep(await self._mint(self._shelf.wish, patient=patient), asked_at)
        except ClientError as error:
            kept = self._shelf.failed(error)
            if kept is None:
                raise
            return kept


def _told(flight: asyncio.Task[str]) -> None:
    """Nobody may be waiting any more: its error is no news to the event loop."""
    if not flight.cancelled():
        flight.exception()
