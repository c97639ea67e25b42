"""A call to a tool server, from who asks to the settled row: the pipeline of `/p/{slug}/mcp/{server}`.

It is decided on as a call to a model is, by the same parts in the same order: who asks, may they (`tools:call`), is
there such a server, what does the message ask for and may they use that, the limits, the row; then the server hears of
it, and what it answers is fitted to what this user may use. A refusal sends no byte to the server.

What a server gives a client to bring back is its user's alone: see `services/tool_handles.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from typing import Final, TypeVar, final

import msgspec

from bailiwick.domain.errors import Code, ProviderFailed, Refused
from bailiwick.domain.json_body import LARGE
from bailiwick.domain.mcp import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    LISTEN,
    NAMED_IN_HEADERS,
    RefusedMessage,
)
from bailiwick.domain.mcp_messages import McpHead, Message, check_version, read_message, with_state
from bailiwick.domain.permissions import Permission
from bailiwick.domain.principal import Principal
from bailiwick.domain.tool_policy import Effort, TooMany
from bailiwick.domain.usage import Outcome
from bailiwick.identity.sealed_values import SealedValues
from bailiwick.providers.mcp import McpAsk
from bailiwick.providers.provider import failure_of
from bailiwick.providers.transport_errors import TransportError
from bailiwick.services.admission import Admission
from bailiwick.services.authentication import Presented
from bailiwick.services.metering import Meter, Metering
from bailiwick.services.outcomes import cut_by, failed
from bailiwick.services.pipeline import Pipeline
from bailiwick.services.tool_handles import Handle, Handles
from bailiwick.services.tool_relay import ToolReply, relay
from bailiwick.services.tool_servers import ToolServer, ToolServers
from bailiwick.telemetry.observer import Observation

Result = TypeVar("Result")

# What is posted may hold a file, and is gone over several times.
MOST: Final = 4 * 1024 * 1024
_NOT_FOUND: Final = 404
_POST: Final = "POST"
_GET: Final = "GET"
_JSON: Final = b"content-type: application/json\r\n"
_BOTH: Final = "application/json, text/event-stream"
_ONE_METHOD: Final = "This address takes POST; GET and DELETE within a session."


@final
class ToolAsked(msgspec.Struct, kw_only=True):
    """One request for a tool server: what its headers say, who presents it, and how to read its body."""

    method: str
    server: str
    agent: str | None
    head: McpHead
    seen: Observation
    presented: Presented
    ip: str
    read_body: Callable[[Principal], Awaitable[tuple[bytes, bool]]]
    let_go: Callable[[], None]


@final
class _Decided(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for what, where, once nothing but the limits stands in the way. `message` None: of GET and DELETE.

    `session`, `state` and `event` are the server's own words for what the client brought back, None for none.
    """

    principal: Principal
    server: ToolServer
    message: Message | None
    handles: Handles
    session: str | None = None
    state: str | None = None
    event: str | None = None


@final
class ToolCalls:
    """Decides and carries out calls to tool servers."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        servers: ToolServers,
        admission: Admission,
        metering: Metering,
        sealed: SealedValues,
        aside: Executor,
    ) -> None:
        """`sealed` seals what servers give out; `aside` is where large messages are read."""
        self._pipeline = pipeline
        self._servers = servers
        self._admission = admission
        self._metering = metering
        self._sealed = sealed
        self._executor = aside

    async def call(self, asked: ToolAsked, reply: ToolReply) -> None:
        """Carry out one request; raises `Refused` while nothing of the answer was sent."""
        principal, server = await self._known(asked)
        if asked.method != _POST and (asked.head.stateless or asked.head.session is None):
            raise RefusedMessage(INVALID_REQUEST, _ONE_METHOD, code=Code.METHOD_NOT_ALLOWED)
        body, waited = await asked.read_body(principal)
        if waited:
            principal, server = await self._known(asked)
        message = None
        if asked.method != _POST:
            check_version(asked.head)
        else:
            read = partial(read_message, body, asked.head)
            message = await self._aside(read) if len(body) > LARGE else read()
        decided = self._decided(asked, principal, server, message)
        if message is not None and not message.is_request and decided.session is None:
            await reply.accept()  # Without a session there is nobody whom it could concern.
            return
        await self._carry_out(asked, decided, body, reply)

    async def _known(self, asked: ToolAsked) -> tuple[Principal, ToolServer]:
        """Who asks, and which server; raises `Refused`."""
        principal = await self._pipeline.authenticate(asked.presented, Permission.TOOLS_CALL, asked.seen)
        principal = await self._pipeline.acting(principal, asked.agent)
        return principal, await self._servers.find(principal, asked.server)

    def _decided(self, asked: ToolAsked, principal: Principal, server: ToolServer, message: Message | None) -> _Decided:
        """Raise `RefusedMessage` unless the caller may use what the message names, within the session it names."""
        message_id = None if message is None else message.id
        effort = Effort()
        for kind, name in () if message is None else message.wanted:
            try:
                decision = server.decide(principal, kind, name, effort)
            except TooMany:
                said = "The message names too much for as many rules as there are here."
                raise RefusedMessage(INVALID_PARAMS, said, message_id=message_id) from None
            if not decision.allowed:
                code = decision.code or Code.TOOL_NOT_ALLOWED
                raise RefusedMessage(INVALID_PARAMS, decision.reason, code=code, message_id=message_id)
        handles, head = Handles(self._sealed, server.id, principal), asked.head
        session = event = state = None
        if head.session is not None and not head.stateless:
            session = handles.inside(Handle.SESSION, head.session)
            if session is None:
                said = "Session not found"
                raise RefusedMessage(
                    INVALID_REQUEST, said, code=Code.NOT_FOUND, status=_NOT_FOUND, message_id=message_id
                )
        if head.last_event is not None and asked.method == _GET:
            event = handles.inside(Handle.EVENT, head.last_event)
            if event is None:
                raise RefusedMessage(INVALID_REQUEST, "Last-Event-ID names no event of yours.")
        if message is not None and message.state is not None:
            state = handles.inside(Handle.STATE, message.state)
            if state is None:
                raise RefusedMessage(INVALID_PARAMS, "requestState is none of yours.", message_id=message_id)
        return _Decided(
            principal=principal,
            server=server,
            message=message,
            handles=handles,
            session=session,
            state=state,
            event=event,
        )

    async def _may_go_on(self, asked: ToolAsked, message: Message | None) -> _Decided:
        """Decide on it all again, with what holds now; raises `Refused`."""
        return self._decided(asked, *await self._known(asked), message)

    async def _carry_out(self, asked: ToolAsked, decided: _Decided, body: bytes, reply: ToolReply) -> None:
        message = decided.message
        place = await self._admission.admit(decided.principal, asked.ip, 0, len(body))
        try:
            if place.waited:
                decided = await self._may_go_on(asked, message)
            use = decided.server.use(asked.method if message is None else message.label)
            meter = await self._metering.open(
                asked.seen, decided.principal, use, place, size=0, stream=asked.method == _GET
            )
        except BaseException:
            await self._admission.give_back(place)
            raise
        reply.decision = place.decision
        reply.ask_again(partial(self._may_go_on, asked, message))
        try:
            await self._exchanged(asked, decided, body, meter, reply)
        except (ProviderFailed, TransportError) as error:
            failure = failure_of(error)
            await meter.settle(failed(failure))
            raise _told(failure, message) from error
        except asyncio.CancelledError:
            meter.settle_behind(cut_by(reply))
            raise
        except BaseException:
            await meter.settle(Outcome.OUR_FAILURE)
            raise

    async def _exchanged(
        self, asked: ToolAsked, decided: _Decided, body: bytes, meter: Meter, reply: ToolReply
    ) -> None:
        """Ask the server and pass its answer on; raises `ProviderFailed`, `TransportError`."""
        server, message = decided.server, decided.message
        listens = message is None or message.method == LISTEN
        headers = _headers(asked, decided)
        if decided.state is not None:
            body = with_state(body, decided.state)
        ask = McpAsk(method=asked.method, headers=headers, body=body, listens=listens)
        exchange = await server.upstream.send(ask)
        del body, ask
        if exchange.sent:
            asked.let_go()

        def wrap(session: str) -> str:
            """The session's name outside; the one that the caller has already, if it is that."""
            if session == decided.session and asked.head.session is not None:
                return asked.head.session
            return decided.handles.outside(Handle.SESSION, session)

        effort = Effort()
        try:
            await relay(
                exchange,
                server.upstream,
                message,
                lambda kind, name: server.decide(decided.principal, kind, name, effort).allowed,
                decided.handles,
                meter,
                reply,
                wrap=None if asked.head.stateless else wrap,
                aside=self._aside,
            )
        except BaseException:
            exchange.abort()
            raise

    async def _aside(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _headers(asked: ToolAsked, decided: _Decided) -> bytes:
    """What the server is told in headers: what the message says, and nothing that was not held against it."""
    head, message = asked.head, decided.message
    said = {
        "accept": head.accept or _BOTH,
        "mcp-protocol-version": head.version,
        "mcp-session-id": decided.session,
        "last-event-id": decided.event,
        "mcp-method": head.method if message is not None and message.is_request else None,
        "mcp-name": head.name if message is not None and message.method in NAMED_IN_HEADERS else None,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items() if value is not None).encode()
    return lines + head.more + asked.seen.for_provider + (_JSON if asked.method == _POST else b"")


def _told(failure: ProviderFailed, message: Message | None) -> Refused:
    return RefusedMessage(
        INTERNAL_ERROR,
        failure.message.replace("The model provider", "The tool server"),
        code=failure.code,
        status=failure.status,
        message_id=None if message is None else message.id,
    )
