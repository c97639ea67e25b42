"""Whatever happens to a request is told here, once: to the metrics always, to the log and to spans where wanted.

Services report what they see; what becomes of it is not theirs to know. Nothing that is told holds a prompt, an answer
or a secret, nor what an application calls its end users and their sessions.
"""

from __future__ import annotations

from typing import final

import msgspec

from bailiwick.domain.errors import Code
from bailiwick.domain.metering import Settlement
from bailiwick.domain.models import ProviderKind
from bailiwick.domain.principal import Grant
from bailiwick.telemetry.metrics import OTHER, Metrics


@final
class Observation(msgspec.Struct):
    """What is known of one request so far; whoever learns something writes it here.

    `id` is 32 hex digits, `door` the address in the form that metrics have it, `status` that of the answer (0: none),
    `code` that of an answer which is an error, `grant` whose request it is, once that is known.
    """

    id: str
    door: str = OTHER
    status: int = 0
    code: Code | None = None
    grant: Grant | None = None


@final
class Observer:
    """Takes the reports of one process."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics

    def begin(self, request_id: str) -> Observation:
        """A request has come."""
        return Observation(request_id)

    def opened(self, seen: Observation) -> None:
        """The request's call is open in the ledger."""
        self.metrics.opened(seen.door)

    def settled(self, seen: Observation, kind: ProviderKind, settlement: Settlement) -> None:
        """Its call is over, as `settlement` says; the provider was of this kind."""
        self.metrics.settled(seen.door, kind, settlement)

    def relayed(self, door: str, status: int) -> None:
        """The control process has answered a request; `status` 0: to nobody."""
        self.metrics.answered(door, status, None)

    def ended(self, seen: Observation) -> None:
        """The request is answered, or its client is gone."""
        self.metrics.answered(seen.door, seen.status, seen.code)
