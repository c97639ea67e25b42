"""A circuit for each model of each provider: who keeps failing is not asked for a while.

Guarantees: only failures are remembered, of at most `_KEPT` models, so a call that goes well costs a look at what is
usually empty; each change of state is reported once. What is remembered belongs to one tenant, also of a provider
that tenants share: what one tenant's calls make of a provider closes it to no other.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Final, NamedTuple, TypeAlias, final

from bailiwick.domain.circuit import Circuit, Open, begun, failed, is_told, let_through
from bailiwick.domain.ids import ProviderId, TenantId
from bailiwick.domain.models import ProviderKind

_KEPT: Final = 4096


@final
class CircuitKey(NamedTuple):
    """Which circuit: a tenant's, of one model at one provider (None: the built-in echo)."""

    tenant_id: TenantId
    provider_id: ProviderId | None
    model: str
    kind: ProviderKind
    """The provider's."""


Report: TypeAlias = Callable[[CircuitKey, bool], None]


@final
class Circuits:
    """The circuits of one process."""

    def __init__(self, *, now: Callable[[], float], report: Report) -> None:
        """`now` is a monotonic clock in seconds; `report` is told of each change, with whether it is open now."""
        self._now = now
        self._report = report
        self._circuits: dict[CircuitKey, Circuit] = {}
        self.openings: Final = dict.fromkeys(ProviderKind, 0)
        """How often one has opened, by its provider's kind."""

    def open_now(self) -> dict[ProviderKind, int]:
        """Count those that are open, by their provider's kind; also who was not asked again since."""
        found = dict.fromkeys(ProviderKind, 0)
        for key, circuit in self._circuits.items():
            found[key.kind] += isinstance(circuit, Open)
        return found

    def let_through(self, key: CircuitKey) -> bool:
        """Whether a call may go through now; an open circuit's one call is taken by asking."""
        if not self._circuits or (circuit := self._circuits.get(key)) is None:
            return True
        after = let_through(circuit, self._now())
        if after is None:
            return False
        self._circuits[key] = after
        return True

    def seconds_left(self, key: CircuitKey) -> int:
        """How long until a call may go through, in whole seconds; at least one."""
        circuit = self._circuits.get(key)
        return max(ceil(circuit.until - self._now()), 1) if isinstance(circuit, Open) else 1

    def begun(self, key: CircuitKey) -> None:
        """An answer began, of which it is not known yet whether it will be whole."""
        if self._circuits and (circuit := self._circuits.pop(key, None)) is not None:
            after = begun(circuit, self._now())
            if after is not None:
                self._circuits[key] = after

    def succeeded(self, key: CircuitKey) -> None:
        """An answer was whole, or a refusal."""
        if self._circuits and is_told(self._circuits.pop(key, None)):
            self._report(key, False)

    def failed(self, key: CircuitKey, *, broken: bool = False) -> None:
        """No answer began; or, `broken`, one that began is none."""
        before = self._circuits.pop(key, None)
        after = self._circuits[key] = failed(before, self._now(), broken=broken)
        if len(self._circuits) > _KEPT:
            del self._circuits[next(iter(self._circuits))]
        if isinstance(after, Open) and not is_told(before):
            self.openings[key.kind] += 1
            self._report(key, True)
