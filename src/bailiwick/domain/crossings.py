"""Refused crossings: calls that turned to another tenant, another tenant's project, or another user than they may.

Each is told to the audit log, as `crossing.refused`, but not each by itself: what one caller tried in one way within a
minute is one entry, with how often. Of very many callers of one tenant the rest are one, so that nobody can write its
log full.
"""

from __future__ import annotations

from typing import Final, NamedTuple, final

from bailiwick.domain.errors import Code
from bailiwick.domain.explanation import Step
from bailiwick.domain.ids import ProjectId, TenantId

ACTION: Final = "crossing.refused"
USER: Final = "user"
"""Who acts that comes with a token which no key minted."""
OTHERS: Final = "others"
"""Who acts, of very many."""
MOST_CALLERS: Final = 50
"""So many callers of a tenant, in so many ways, have an entry of their own each minute."""
_ALWAYS: Final = frozenset({Code.NOT_A_MEMBER, Code.ACT_AS_NOT_ALLOWED})


def is_crossing(code: Code, step: Step | None) -> bool:
    """Whether a call that was refused so, at that decision, had turned to what is another's."""
    return code in _ALWAYS or step is Step.ORGANIZATION


@final
class Crosser(NamedTuple):
    """Who is at home where, None for nowhere, and was refused elsewhere; `uid` is what they are called there."""

    tenant_id: TenantId | None
    project_id: ProjectId | None
    actor: str
    uid: str | None
