"""What the audit log says of an act: who did what to what, and what it was before and after.

An entry is written in the act's own transaction, so there is none without the other. It never holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, final

from bailiwick.domain.fields import MAX_NAME, Findings
from bailiwick.domain.ids import TenantId
from bailiwick.domain.operators import Operator
from bailiwick.domain.repeats import Once
from bailiwick.domain.times import read_moment, written

INSTALLATION: Final = "installation"
TENANT_MADE: Final = "tenant.create"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: an operator (`opk_…`, `opr_…`), `bootstrap`, `environment`, `command_line` or `upkeep`.

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
COMMAND_LINE: Final = Actor(name="command_line")
UPKEEP: Final = Actor(name="upkeep")


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


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is asked of entries; None asks nothing. `action` is a whole one (`key.revoke`) or its resource (`key`)."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def document(self) -> dict[str, object]:
        """Write what was asked, for the entry about a privileged read."""
        asked = {"actor": self.actor, "action": self.action, "target": self.target}
        times = {"from": self.since, "to": self.until}
        asked |= {name: None if moment is None else written(moment) for name, moment in times.items()}
        return {name: text for name, text in asked.items() if text is not None}


def read_search(
    *, actor: str | None, action: str | None, target: str | None, since: str | None, until: str | None
) -> Search:
    """Read what is asked of entries; raises `Invalid`."""
    findings = Findings()
    texts = {"actor": actor, "action": action, "target": target}
    for name, text in texts.items():
        # No entry holds anything else, and PostgreSQL could not even be asked for a NUL.
        if text is not None and not (text.isascii() and text.isprintable() and 1 <= len(text) <= MAX_NAME):
            findings.add(name, "must be 1 to 200 printable ASCII characters")
    moments = {"from": since, "to": until}
    read = {name: None if text is None else read_moment(text) for name, text in moments.items()}
    for name, text in moments.items():
        if text is not None and read[name] is None:
            findings.add(name, "must be a moment as RFC 3339 writes it")
    findings.or_raise()
    return Search(actor=actor, action=action, target=target, since=read["from"], until=read["to"])
