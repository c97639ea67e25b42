"""Who looks at the dashboard. Where visitors come from, a session of somebody who signed in, is not this package's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final

from starlette.requests import Request

from bailiwick.domain.operators import Operator


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Visitor:
    """Somebody who is signed in. `csrf` is what each form of theirs must send back."""

    operator: Operator
    csrf: str


class Visitors(Protocol):
    """Recognizes visitors."""

    async def find(self, request: Request) -> Visitor | None:
        """Who asks; None if nobody is signed in. Raises `Unavailable`."""
        ...
