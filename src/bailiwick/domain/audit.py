"""What the audit log says of an act: who did what to what, and what it was before and after.

An entry is written in the act's own transaction, so there is none without the other. It never holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, final

from bailiwick.domain.ids import TenantId

INSTALLATION: Final = "installation"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: an operator key (`opk_…`), `bootstrap` or `environment`; `request_id` if it came by a request."""

    name: str
    request_id: str | None = None


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
