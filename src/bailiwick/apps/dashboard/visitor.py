"""Who looks at the dashboard. Where visitors come from, a session of somebody who signed in, is not this package's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final
from uuid import UUID

from starlette.requests import Request

from bailiwick.domain.ids import TenantId
from bailiwick.domain.operators import Operator
from bailiwick.domain.sign_in import Session


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Visitor:
    """Somebody who is signed in. `csrf` is what each form of theirs must send back.

    `session` is what they came by. `project_of` is whose the project is that the address names, None if it names none.
    """

    operator: Operator
    csrf: str
    session: Session | None = None
    project_of: TenantId | None = None


class Visitors(Protocol):
    """Recognizes visitors."""

    async def find(self, request: Request, project: UUID | None) -> Visitor | None:
        """Who asks, for a project if any; None if nobody is signed in. Raises `Unavailable`."""
        ...
