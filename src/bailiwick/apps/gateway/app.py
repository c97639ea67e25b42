"""The gateway as an ASGI application: addresses to handlers, refusals to answers.

    /v1/…  /p/{slug}/v1/…  {slug}.{base_domain}/v1/…     the data plane
    /p/{slug}/mcp/{server}                                a project's tool servers
    /oauth/…  /.well-known/…                              credentials, and what there is to know of them
    /healthz  /readyz  /metrics                           for machines
    /admin…  /dashboard…                                  relayed to the control process

Every response has an `x-request-id` of our own making. Nothing internal ever shows: an error that nobody expected is a
bare 500 with that id, and its particulars go to the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, cast, final

from bailiwick.apps.gateway.body import ClientGone, Room
from bailiwick.apps.gateway.call import Call, Handler, Said, Send
from bailiwick.apps.gateway.control_relay import ControlRelay
from bailiwick.apps.gateway.exchange import EXTENSION, Exchange
from bailiwick.apps.gateway.heads import MOST_DIGITS
from bailiwick.apps.gateway.metrics_page import CONTENT_TYPE, MetricsPage
from bailiwick.apps.gateway.pages import Pages
from bailiwick.apps.gateway.reply import HttpReply
from bailiwick.apps.gateway.watch import Receive, Watch
from bailiwick.apps.http.client_ip import ClientIp
from bailiwick.apps.http.cors import is_preflight
from bailiwick.apps.http.mcp_address import described_at, form_of
from bailiwick.apps.http.mcp_errors import write_mcp_error
from bailiwick.apps.http.oauth_errors import write_oauth_error
from bailiwick.apps.http.openai_errors import MethodNotAllowed, unexpected, write_error
from bailiwick.apps.http.request_head import RequestHead, bound_head, read_head
from bailiwick.domain.errors import Code, ProviderFailed, Refused, Unavailable
from bailiwick.services.admission import RateLimited
from bailiwick.services.authentication import Presented
from bailiwick.services.callers import Caller
from bailiwick.services.guard import Guard
from bailiwick.telemetry.observer import Observation, Observer

Scope = Mapping[str, Any]
Report = Callable[[str, BaseException], None]

_DATA_PLANE: Final = "/v1/"
_PROJECT: Final = "/p/"
_ANTHROPIC: Final = "/v1/messages"
_OAUTH: Final = "/oauth/"
_TOOLS: Final = "/mcp/"
_CONTROL: Final = ("/admin", "/dashboard")
_BELOW_CONTROL: Final = ("/admin/", "/dashboard/")
_METRICS: Final = "/metrics"
_FOR_MACHINES: Final = frozenset({"/healthz", "/readyz", _METRICS})
_OK: Final = 200
_NO_EXTENSIONS: Final[Mapping[str, Any]] = {}
_FAILURES: Final = range(400, 500)


@final
class Gateway:
    """One process's data plane. `routes` maps an address below `/v1/` and a method to its handler."""

    def __init__(
        self,
        routes: Mapping[str, Mapping[str, Handler]],
        *,
        pages: Pages,
        guard: Guard,
        client_ip: ClientIp,
        control: ControlRelay,
        watch: Watch,
        ready: Callable[[], bool],
        observer: Observer,
        metrics: MetricsPage,
        new_id: Callable[[], str],
        report: Report,
        public_url: str,
        base_domain: str | None,
        max_body: int,
        room: Room,
        max_head: int,
    ) -> None:
        """`report` is told of errors that nobody expected, with the request's id; sizes are in bytes."""
        self._routes = routes
        self._pages = pages
        self._guard = guard
        self._client_ip = client_ip
        self._control = control
        self._watch = watch
        self._ready = ready
        self._observer = observer
        self._metrics = metrics
        self._new_id = new_id
        self._report = report
        self._public_url = public_url
        self._domain = None if base_domain is None else f".{base_domain.lower()}".encode()
        self._max_body = max_body
        self._room = room
        self._max_head = max_head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] != "http":
            return
        exchange: Exchange | None = scope.get("extensions", _NO_EXTENSIONS).get(EXTENSION)
        said: Said | None = None
        if exchange is not None and exchange.known is not None:
            said = cast("Said", exchange.known.meaning)
            ip = said.ip
        else:
            path: str = scope["path"]
            ip = self._address(scope)
            if path.startswith(_CONTROL) and (path in _CONTROL or path.startswith(_BELOW_CONTROL)):
                exact = self._exact_address(scope)()
                status = await self._control(scope, receive, send, ip, from_ip=ip if exact is None else str(exact))
                self._observer.relayed("/admin" if path.startswith("/admin") else "/dashboard", status)
                return
        seen = self._observer.begin(self._new_id())
        reply = HttpReply(send, seen, exchange)
        try:
            await self._answer(scope, receive, reply, seen, ip, said)
        except Refused as error:
            await self._refuse(scope, reply, ip, error, seen)
        except ClientGone:
            pass  # Nobody is left to tell.
        except asyncio.CancelledError:
            if not reply.client_gone:
                refused = None if reply.watched is None else reply.watched.refused
                await self._refuse(scope, reply, ip, refused or Unavailable(cause="this process ends"), seen)
        except Exception as error:  # noqa: BLE001 - whatever it was, the client learns only that it was ours
            self._report(seen.id, error)
            await self._refuse(scope, reply, ip, unexpected(), seen)
        finally:
            if reply.watched is not None:
                reply.watched.leave()
            self._observer.ended(seen)

    async def _refuse(self, scope: Scope, reply: HttpReply, ip: str, refused: Refused, seen: Observation) -> None:
        seen.code, seen.reason = refused.code, refused.message
        if isinstance(refused, Unavailable):
            seen.cause = refused.cause
        # What a provider refused is between it and the caller; and limits answer for themselves.
        if refused.status in _FAILURES and not isinstance(refused, (ProviderFailed, RateLimited)):
            self._guard.failed(ip)
        if reply.page is None and not seen.status:
            try:
                await self._pages.show(reply, scope["headers"], self._named(scope), refused)
            except Exception as error:  # noqa: BLE001 - it is refused all the same, only that no page can read why
                self._report(seen.id, error)
        below = _project(scope["path"])[1]
        if below.startswith(_OAUTH):
            await reply.error(*write_oauth_error(refused))
            return
        if below.startswith(_TOOLS):
            await reply.error(*write_mcp_error(refused, described_at(self._public_url, self._named(scope), below)))
            return
        await reply.error(*write_error(refused, anthropic=reply.anthropic))

    def _address(self, scope: Scope) -> str:
        peer = scope.get("client")
        return self._client_ip.of(None if peer is None else peer[0], scope["headers"])

    def _exact_address(self, scope: Scope) -> Callable[[], IPv4Address | IPv6Address | None]:
        """What finds the client's very address; it keeps no more of the request than it needs."""
        peer = scope.get("client")
        return partial(self._client_ip.exact, None if peer is None else peer[0], scope["headers"])

    async def _answer(
        self, scope: Scope, receive: Receive, reply: HttpReply, seen: Observation, ip: str, said: Said | None
    ) -> None:
        """Answer a request; `said` is what its head says, None for one that is new."""
        known = said is not None
        if said is None:
            reply.anthropic = _project(scope["path"])[1].startswith(_ANTHROPIC)
            bound_head(scope["headers"], self._max_head)
        else:
            reply.anthropic = said.anthropic
        self._guard.admit(ip)
        if said is None:
            said = await self._read(scope, reply, seen, ip)
            if said is None:
                return
        seen.door = said.door
        if known and self._observer.spans is not None:
            self._observer.spans.begin(seen, scope["method"], scope["headers"])
        exchange = reply.exchange
        call = Call(
            seen=seen,
            said=said,
            headers=scope["headers"],
            receive=receive,
            reply=reply,
            watch=self._watch,
            max_body=self._max_body,
            room=self._room,
            exchange=exchange,
        )
        try:
            if said.head.origin is not None:
                await self._pages.admit(call, said.head.origin)
            await said.handler(call)
        finally:
            call.end()
        if not known and exchange is not None and seen.status == _OK and self._is_usual(scope):
            exchange.remember(said)

    def _is_usual(self, scope: Scope) -> bool:
        """Whether a head is within its bound whatever length it announces."""
        return bound_head(scope["headers"], self._max_head) + MOST_DIGITS <= self._max_head

    async def _read(self, scope: Scope, reply: HttpReply, seen: Observation, ip: str) -> Said | None:
        """Read a request's head, and find what answers it; None if that was needed for nothing more."""
        path, headers = scope["path"], scope["headers"]
        if path in _FOR_MACHINES and (path != _METRICS or self._metrics.may_read(scope)):
            seen.door = path
            await self._answer_machine(path, scope["method"], reply)
            return None
        slug, below = _project(path)
        methods = self._routes.get(below)
        if methods is not None:
            seen.door = below
        elif (methods := self._routes.get(form := form_of(below))) is not None:  # Few have a name in them.
            seen.door = form
        handler = None if methods is None else methods.get(scope["method"])
        if handler is None:
            if is_preflight(scope["method"], headers):
                await self._pages.preflight(reply, headers, self._named(scope))
                return None
            if methods is None:
                raise _nothing_here()
            raise MethodNotAllowed(methods)
        if self._observer.spans is not None:
            self._observer.spans.begin(seen, scope["method"], headers)
        head = read_head(headers)
        slug = self._slug(slug, head.host)
        return Said(
            ip=ip,
            slug=slug,
            below=below,
            door=seen.door,
            anthropic=reply.anthropic,
            handler=handler,
            query=scope["query_string"],
            head=head,
            caller=Caller(_presented(head, slug, self._exact_address(scope))),
        )

    async def _answer_machine(self, path: str, method: str, reply: HttpReply) -> None:
        if path == _METRICS:
            if method != "GET":
                raise MethodNotAllowed(("GET",))
            await reply.answer(self._metrics.write(), CONTENT_TYPE)
        elif path == "/healthz":
            await reply.answer(b'{"status":"ok"}')
        elif self._ready():
            await reply.answer(b'{"status":"ready"}')
        else:
            message = "Not ready: the database does not answer."
            raise Refused(Code.UNAVAILABLE, message, retry_after=1)

    def _slug(self, slug: str | None, host: bytes) -> str | None:
        """The project that the address names: by path, by host, or not at all; by both only if they agree."""
        if self._domain is None:
            return slug
        # A name may end in the root's dot (RFC 3986 §3.2.2), and is then the same.
        name = host.partition(b":")[0].lower().removesuffix(b".")
        if not name.endswith(self._domain):
            return slug
        by_host = name[: -len(self._domain)].decode("latin-1")
        if slug is not None and slug != by_host:
            raise _nothing_here()
        return by_host

    def _named(self, scope: Scope) -> str | None:
        """The same for a request whose headers nobody has read; None, too, if it says two things."""
        slug, _ = _project(scope["path"])
        try:
            return self._slug(slug, next((value for name, value in scope["headers"] if name == b"host"), b""))
        except Refused:
            return None


def _presented(
    head: RequestHead, slug: str | None, address: Callable[[], IPv4Address | IPv6Address | None]
) -> Presented:
    return Presented(
        credential=head.credential,
        address=address,
        slug=slug,
        uid=head.uid,
        sid=head.sid,
        organization=head.organization,
        project=head.project,
    )


def _nothing_here() -> Refused:
    return Refused(Code.NOT_FOUND, "There is nothing at this address.")


def _project(path: str) -> tuple[str | None, str]:
    """Split `/p/{slug}/v1/…` into slug and `/v1/…`."""
    if not path.startswith(_PROJECT):
        return None, path
    slug, _, rest = path[len(_PROJECT) :].partition("/")
    return slug, f"/{rest}"
