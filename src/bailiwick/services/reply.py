"""Where an answer goes: the application that took the request writes it, since services know no HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from bailiwick.domain.limits import Decision


class Reply(Protocol):
    """One call's answer: either `answer`, or `begin_stream`, any number of `send`, and `end_stream`.

    Sending to a client that is gone does nothing. The application cancels the call when it learns of it, unless the
    provider is to be heard out.
    """

    decision: Decision | None
    """What the limits said, once they were asked."""

    tools_removed: Sequence[str]
    """The tools that were taken out of the request, as people know them."""

    calls_blocked: Sequence[str]
    """The tools whose calls were taken out of a whole answer."""

    @property
    def client_gone(self) -> bool:
        """Whether the client went away; a call that is cancelled though it did not is so because this process ends."""
        ...

    @property
    def taken_away(self) -> bool:
        """Whether the call was cancelled because its caller may not go on."""
        ...

    def ask_again(self, may_go_on: Callable[[], Awaitable[object]]) -> None:
        """While the call goes on, ask this whenever something changed; it raises `Refused` if the caller may not."""
        ...

    def hear_out(self) -> None:
        """From now on the call goes on when its client goes away, for as long as the application bounds it."""
        ...

    def holds(self, size: int) -> bool:
        """Say that so many bytes of the answer are in memory now, beyond what every call has; False: no room for them.

        Without room, what was said before stands.
        """
        ...

    async def answer(self, body: bytes) -> None:
        """Send a whole JSON answer."""
        ...

    async def begin_stream(self, content_type: bytes | None = None) -> None:
        """Say that more follows: events, or something of a type of its own."""
        ...

    async def send(self, events: bytes) -> None:
        """Send whole events, or a piece."""
        ...

    async def end_stream(self, events: bytes) -> None:
        """Send the last events, or the last piece, and end."""
        ...

    async def break_off(self) -> None:
        """End what has no form for an error so that its client can see that it is not whole."""
        ...
