"""One request of the data plane, as its handler sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import final

import msgspec

from bailiwick.apps.gateway.body import Room, read_body
from bailiwick.apps.gateway.reply import HttpReply
from bailiwick.apps.gateway.watch import Message, Receive, Watch
from bailiwick.apps.http.request_head import RequestHead
from bailiwick.domain.errors import Refused
from bailiwick.domain.ids import ProjectId
from bailiwick.domain.principal import Principal
from bailiwick.services.authentication import Presented
from bailiwick.telemetry.observer import Observation

Send = Callable[[Message], Awaitable[None]]


@final
class Call(msgspec.Struct, kw_only=True):
    """`slug` is the project in the address, `query` the raw query string, `below` the path below the project.

    `ip` is the address that limits count, `address` finds the client's very own.
    `seen` takes what is learnt of it; `held` is how many bytes of `room` it takes, for `owner`, and `answer` how many
    of these for its answer.
    """

    seen: Observation
    head: RequestHead
    slug: str | None
    ip: str
    address: Callable[[], IPv4Address | IPv6Address | None]
    query: bytes
    below: str
    headers: Sequence[tuple[bytes, bytes]]
    receive: Receive
    reply: HttpReply
    watch: Watch
    max_body: int
    room: Room
    held: int = 0
    answer: int = 0
    owner: ProjectId | None = None

    def presented(self) -> Presented:
        """What the call says of who it is."""
        head = self.head
        return Presented(
            credential=head.credential,
            address=self.address,
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
        self.reply.keep = self._keep
        self.reply.watched = self.watch.enter(self.receive)
        return body

    async def small_body(self, most: int) -> bytes:
        """Read a body of at most `most` bytes, which is small enough to be nobody's yet."""
        body, _ = await read_body(self.receive, announced=self.head.length, most=most, hold=self._hold)
        return body

    def let_go(self) -> None:
        """Neither the body nor anything of the answer is in memory any longer."""
        if self.held and self.owner is not None:
            self.room.give_back(self.owner, self.held)
            self.held = self.answer = 0

    def end(self) -> None:
        """The call is over: nothing of it is in memory any longer."""
        self.let_go()
        # It leads back to here, and this call to it: only the garbage collector would find the two, in a while, and
        # until then every call would be written into memory that no cache holds.
        self.reply.keep = None

    def _keep(self, size: int) -> bool:
        more = size - self.answer
        try:
            self._hold(more)
        except Refused:
            return False
        self.answer = size
        return True

    def _hold(self, size: int) -> None:
        if self.owner is None:
            return
        if size > 0:
            self.room.take(self.owner, size, before=self.held)
        elif size < 0:
            self.room.give_back(self.owner, -size)
        self.held += size
