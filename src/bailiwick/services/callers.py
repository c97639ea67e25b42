"""A caller who says the same of themselves again, and what was decided on them last.

Most clients say the same call after call: the same credential, for the same user, from the same address. What is
decided on that depends besides only on what is stored, on what their project has taken away, and on the time. So the
decision is kept beside these words together with all of that, and is believed while nothing of it has changed: the
epoch is fresh and the same, nobody of the project was blocked since, and the credential has not run out.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, final

import msgspec

from bailiwick.domain.permissions import Permission
from bailiwick.domain.principal import Principal
from bailiwick.limiting.store import Charge
from bailiwick.services.serving import Served
from bailiwick.services.taken_away import TakenAway

if TYPE_CHECKING:
    from bailiwick.services.authentication import Presented

_ROUTES_KEPT = 16


@final
class Routed(msgspec.Struct, frozen=True):
    """Who may serve a model's name on a day, in order; and the pseudonym of the end user there."""

    today: int
    served: list[Served]
    user: str | None


@final
class Recalled(msgspec.Struct):
    """What was decided on a caller, and what that depends on.

    It stood so at `epoch`; it ends when the credential does; `taken` is what the project has taken away, None if the
    caller has nothing that could be. `permission` is what they may exercise, `charges` are the buckets of a call that
    takes no tokens, `routes` lead from models' names to who serves them: None and nothing until they were asked for.
    """

    principal: Principal
    epoch: int
    expires_at: datetime | None
    taken: TakenAway | None
    permission: Permission | None = None
    charges: list[Charge] | None = None
    routes: dict[str, Routed] = msgspec.field(default_factory=dict)

    def keep_route(self, model: str, routed: Routed) -> None:
        """Keep where a name leads. Names come from callers, so few are kept."""
        if len(self.routes) >= _ROUTES_KEPT:
            self.routes.clear()
        self.routes[model] = routed


@final
class Caller:
    """What somebody says of who they are; and what was decided on them last, if it was not a refusal."""

    __slots__ = ("presented", "recalled")

    def __init__(self, presented: Presented) -> None:
        self.presented = presented
        self.recalled: Recalled | None = None

    def recalled_as(self, principal: Principal) -> Recalled | None:
        """What was decided on them, if it is this decision."""
        recalled = self.recalled
        return recalled if recalled is not None and recalled.principal is principal else None
