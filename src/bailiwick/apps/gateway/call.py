"""One request of the data plane, as its handler sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import final

import msgspec

from bailiwick.apps.gateway.body import Room, read_body
from bailiwick.apps.gateway.reply import HttpReply
from bailiwick.apps.gateway.watch import Message, Receive, Watch
from bailiwick.apps.http.request_head import RequestHead
from bailiwick.domain.ids import ProjectId
from bailiwick.domain.principal import Principal
from bailiwick.services.authentication import Presented
from bailiwick.telemetry.observer import Observation

Send = Callable[[Message], Awaitable[None]]


@final
class Call(msgspec.Struct, kw_only=True):
    """`slug` is the project in the address, `ip` the address that limits count, `query` the raw query string.

    `seen` takes what is learnt of it; `held` is how many bytes of `room` it takes, for `owner`.
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
    owner: ProjectId | None = None

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

    async def body(self, principal: Principal) -> tuple[bytes, bool]:
        """Read the body, which counts as the project's of `principal`, and say whether it was waited for.

        From then on the client is watched, since there is nothing left for it to do but wait.
        """
        self.owner = principal.grant.project_id
        body = await read_body(self.receive, announced=self.head.length, most=self.max_body, hold=self._hold)
        self.reply.watched = self.watch.enter(self.receive)
        return body

    def let_go(self) -> None:
        """The body is no longer in memory."""
        if self.held and self.owner is not None:
            self.room.give_back(self.owner, self.held)
            self.held = 0

    def _hold(self, size: int) -> None:
        if self.owner is not None:
            self.room.take(self.owner, size, before=self.held)
            self.held += size
