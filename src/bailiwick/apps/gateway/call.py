"""One request of the data plane, as its handler sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import final

import msgspec

from bailiwick.apps.gateway.body import Room, read_body
from bailiwick.apps.gateway.reply import HttpReply
from bailiwick.apps.gateway.watch import Message, Receive, Watch
from bailiwick.apps.http.request_head import RequestHead
from bailiwick.services.authentication import Presented
from bailiwick.telemetry.observer import Observation

Send = Callable[[Message], Awaitable[None]]


@final
class Call(msgspec.Struct, kw_only=True):
    """`slug` is the project in the address, `ip` the address that limits count, `query` the raw query string.

    `seen` takes what is learnt of it; `held` is how many bytes of `room` it takes until it leaves.
    """

    seen: Observation
    head: RequestHead
    slug: str | None
    ip: str
    query: bytes
    receive: Receive
    reply: HttpReply
    watch: Watch
    max_body: int
    room: Room
    held: int = 0

    def presented(self) -> Presented:
        """What the call says of who it is."""
        head = self.head
        return Presented(
            credential=head.credential,
            slug=self.slug,
            uid=head.uid,
            sid=head.sid,
            organization=head.organization,
            project=head.project,
        )

    async def body(self) -> bytes:
        """Read the body; from then on the client is watched, since there is nothing left for it to do but wait."""
        body = await read_body(self.receive, announced=self.head.length, most=self.max_body, hold=self._hold)
        self.reply.watched = self.watch.enter(self.receive)
        return body

    def leave(self) -> None:
        """The call is over, and so is what it held."""
        if self.held:
            self.room.give_back(self.held)
            self.held = 0

    def _hold(self, size: int) -> None:
        self.room.take(size)
        self.held += size
