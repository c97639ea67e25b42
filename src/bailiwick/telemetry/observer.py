"""Whatever happens to a request is told here, once: to the metrics always, to the log and to spans where wanted.

Services report what they see; what becomes of it is not theirs to know. Nothing that is told holds a prompt, an answer
or a secret, nor what an application calls its end users and their sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, final

import msgspec

from bailiwick.domain.crossings import Crosser
from bailiwick.domain.errors import Code
from bailiwick.domain.ids import PROJECT, TENANT, shown
from bailiwick.domain.metering import OpenCall, Settlement
from bailiwick.domain.models import ProviderKind
from bailiwick.domain.principal import Grant, Principal
from bailiwick.domain.usage import Outcome
from bailiwick.telemetry.logs import Log
from bailiwick.telemetry.metrics import OTHER, Metrics

if TYPE_CHECKING:  # Their packages are needed only where there are spans.
    from opentelemetry.trace import Span

    from bailiwick.telemetry.traces import Spans

_MS: Final = 1_000_000


@final
class Observation(msgspec.Struct):
    """What is known of one request so far; whoever learns something writes it here.

    `id` is 32 hex digits, `door` the address in the form that metrics have it, `status` that of the answer (0: none),
    `code` that of an answer which is an error, `reason` what it tells and `cause` our own words on it, `grant` whose
    request it is and `principal` who asks, once that is known, `outcome` how its call ended. `blocked` are the tools
    whose calls were taken out of its answer, `agent` is the name of the one that it was made as, `outsider` whoever was
    refused where they are not at home.
    `began_ns` is monotonic, and 0 if nobody wants to know. The spans are there if there are any; `for_provider` holds
    whole lines of a request's head, each with its end.
    """

    id: str
    door: str = OTHER
    status: int = 0
    code: Code | None = None
    cause: str | None = None
    grant: Grant | None = None
    principal: Principal | None = None
    reason: str | None = None
    began_ns: int = 0
    outcome: Outcome | None = None
    blocked: Sequence[str] = ()
    outsider: Crosser | None = None
    agent: str | None = None
    span: Span | None = None
    call_span: Span | None = None
    for_provider: bytes = b""


@final
class Observer:
    """Takes the reports of one process."""

    def __init__(
        self, metrics: Metrics, *, log: Log | None, spans: Spans | None, monotonic_ns: Callable[[], int]
    ) -> None:
        """`log` and `spans` are told of every request, where they are."""
        self.metrics = metrics
        self.spans = spans
        self.refused: Callable[[Observation], None] | None = None
        """Told of every request of which something was refused, if somebody wants to know."""
        self._log = log
        self._monotonic_ns = monotonic_ns

    def begin(self, request_id: str) -> Observation:
        """A request has come."""
        seen = Observation(request_id)
        if self._log is not None:
            seen.began_ns = self._monotonic_ns()
        return seen

    def opened(self, seen: Observation, call: OpenCall, kind: ProviderKind) -> None:
        """The request's call is open in the ledger; it goes to a provider of this kind."""
        self.metrics.opened(seen.door)
        if self.spans is not None:
            self.spans.opened(seen, call, kind)

    def settled(self, seen: Observation, kind: ProviderKind, settlement: Settlement) -> None:
        """Its call is over, as `settlement` says; the provider was of this kind."""
        seen.outcome = settlement.outcome
        self.metrics.settled(seen.door, kind, settlement)
        if self.spans is not None:
            self.spans.settled(seen, kind, settlement)

    def blocked(self, seen: Observation, tools: Sequence[str], calls: int) -> None:
        """So many calls of tools that were not offered were taken out of the request's answer."""
        seen.blocked = tools
        self.metrics.tool_calls_blocked[seen.door] += calls

    def relayed(self, door: str, status: int) -> None:
        """The control process has answered a request; `status` 0: to nobody."""
        self.metrics.answered(door, status, None)

    def ended(self, seen: Observation) -> None:
        """The request is answered, or its client is gone."""
        self.metrics.answered(seen.door, seen.status, seen.code)
        if (seen.code is not None or seen.blocked) and self.refused is not None:
            self.refused(seen)
        if self._log is not None:
            self._write(self._log, seen)
        if self.spans is not None:
            self.spans.ended(seen)

    def _write(self, log: Log, seen: Observation) -> None:
        grant = seen.grant
        log.event(
            "request",
            request_id=f"req_{seen.id}",
            route=seen.door,
            status=seen.status or None,
            milliseconds=round((self._monotonic_ns() - seen.began_ns) / _MS, 1),
            tenant=None if grant is None else shown(TENANT, grant.tenant_id),
            project=None if grant is None else shown(PROJECT, grant.project_id),
            code=None if seen.code is None else seen.code.value,
            outcome=None if seen.outcome is None else seen.outcome.name.lower(),
            trouble=seen.cause,
        )
