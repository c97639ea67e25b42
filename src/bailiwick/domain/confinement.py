"""What narrows the use of a credential, each from one place: its key, its tier, its role, its project, its agent.

A thing may be used if every confinement lets it, so that none of them can widen what another narrowed. Of what a
confinement does not speak (None), it lets everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from bailiwick.domain.globs import Globs
from bailiwick.domain.tools import ToolRules

THE_KEY: Final = "the key"
THE_PROJECT: Final = "the project"


def the_tier(name: str) -> str:
    """What a tier is called to people."""
    return f"the tier {name!r}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What one place says. `source` names it to people: `the key`, `the tier 'free'`.

    `models` and `agents` are globs over their names; None of a member: whatever there is.
    """

    source: str
    models: Globs | None = None
    tools: ToolRules | None = None
    agents: Globs | None = None

    @property
    def says_something(self) -> bool:
        """Whether it narrows anything at all."""
        return self.models is not None or self.tools is not None or self.agents is not None


def confining(*confinements: Confinement) -> tuple[Confinement, ...]:
    """Those of them that narrow anything."""
    return tuple(one for one in confinements if one.says_something)
