"""What the audit log says of an act: who did what to what, and what it was before and after.

An entry is written in the act's own transaction, so there is none without the other. It never holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, final

from bailiwick.domain.ids import TenantId
from bailiwick.domain.operators import Operator
from bailiwick.domain.repeats import Once

INSTALLATION: Final = "installation"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: an operator (`opk_…`, `opr_…`), `bootstrap` or `environment`.

    `shown` is what people call it; `request_id` and `ip` are of the request that it came by. What an operator may do is
    decided by `operator`; an act of the installation's own has none. `once` is what must not be done a second time.
    """

    name: str
    shown: str | None = None
    request_id: str | None = None
    ip: str | None = None
    operator: Operator | None = None
    once: Once | None = None

    @classmethod
    def of(cls, operator: Operator, *, request_id: str | None = None, ip: str | None = None) -> Actor:
        """An operator, as it acts by one request."""
        return cls(name=operator.shown_id, shown=operator.name, request_id=request_id, ip=ip, operator=operator)

    @property
    def authority(self) -> Operator:
        """The operator, for what only an operator may ask for."""
        if self.operator is None:
            msg = f"{self.name} is no operator"
            raise TypeError(msg)
        return self.operator


BOOTSTRAP: Final = Actor(name="bootstrap")
ENVIRONMENT: Final = Actor(name="environment")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One act. `action` is `resource.verb`, `target` a typed id; no tenant: it is about the installation."""

    tenant_id: TenantId | None
    actor: Actor
    action: str
    target: str
    detail: Mapping[str, object] = field(default_factory=dict)


def changes(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, object]:
    """The detail of a change: of each field that differs, what it was and what it is."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {
        "before": {name: before[name] for name in names if name in before},
        "after": {name: after[name] for name in names if name in after},
    }
