"""One request of the data plane, as its handler sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import final

import msgspec

from bailiwick.apps.gateway.body import SMALL, Room, read_body
from bailiwick.apps.gateway.exchange import Exchange
from bailiwick.apps.gateway.reply import HttpReply
from bailiwick.apps.gateway.watch import Message, Receive, Watch
from bailiwick.apps.http.request_head import RequestHead, announced_length
from bailiwick.domain.errors import Refused
from bailiwick.domain.ids import ProjectId
from bailiwick.domain.principal import Principal
from bailiwick.services.authentication import Presented
from bailiwick.services.callers import Caller
from bailiwick.telemetry.observer import Observation

Send = Callable[[Message], Awaitable[None]]
Handler = Callable[["Call"], Awaitable[None]]


@final
class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a request's head says: read once for all requests that come with the same head from the same host.

    `ip` is the address that limits count, `slug` the project in the address, `below` the path below the project, `door`
    its form for metrics, `query` the raw query string.
    """

    ip: str
    slug: str | None
    below: str
    door: str
    anthropic: bool
    handler: Handler
    query: bytes
    head: RequestHead
    caller: Caller


@final
class Call(msgspec.Struct, kw_only=True):
    """A request: what its head says, and how to read its body and to answer.

    `seen` takes what is learnt of it; `held` is how many bytes of `room` it takes, for `owner`, and `answer` how many
    of these for its answer. `exchange` is there if our own server has it.
    """

    seen: Observation
    said: Said
    headers: Sequence[tuple[bytes, bytes]]
    receive: Receive
    reply: HttpReply
    watch: Watch
    max_body: int
    room: Room
    exchange: Exchange | None
    held: int = 0
    answer: int = 0
    owner: ProjectId | None = None

    @property
    def head(self) -> RequestHead:
        """What its headers say."""
        return self.said.head

    @property
    def slug(self) -> str | None:
        """The project in the address."""
        return self.said.slug

    @property
    def below(self) -> str:
        """The path below the project."""
        return self.said.below

    def presented(self) -> Presented:
        """What the call says of who it is."""
        return self.said.caller.presented

    async def body(self, principal: Principal) -> tuple[bytes, bool]:
        """Read the body, which counts as the project's of `principal`, and say whether it was waited for.

        From then on the client is watched, since there is nothing left for it to do but wait.
        """
        self.owner = principal.grant.project_id
        exchange = self.exchange
        whole = None if exchange is None else exchange.whole_body(min(self.max_body, SMALL))
        if whole is None:
            body = await read_body(self.receive, announced=self._announced(), most=self.max_body, hold=self._hold)
        else:
            body = whole, False
        self.reply.keep = self._keep
        self.reply.watched = self.watch.enter(self.receive, None if exchange is None else exchange.task)
        return body

    async def small_body(self, most: int) -> bytes:
        """Read a body of at most `most` bytes, which is small enough to be nobody's yet."""
        body, _ = await read_body(self.receive, announced=self._announced(), most=most, hold=self._hold)
        return body

    def _announced(self) -> int | None:
        """How large the body is, as the request says: all that a head which came before may say anew."""
        return announced_length(self.headers)

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
