"""All that a credential's confinements say of tools, made ready for its calls.

What was decided of a tool's names is remembered, since an application offers the same ones in every call: then a tool
costs a look-up, however many rules there are.
"""

from __future__ import annotations

from typing import Final, final

from bailiwick.domain.confinement import Confinement
from bailiwick.domain.tool_names import Tool
from bailiwick.domain.tools import REFUSE

# Names come from callers: what is remembered of them is bounded.
_REMEMBERED: Final = 1024
_LONGEST: Final = 1024
# Characters of names, times the globs that they are held against one by one. A step takes 20 ns, and a name that needs
# none takes as long as so many.
_MOST_STEPS: Final = 5_000_000
_A_NAME: Final = 250


class TooMany(Exception):
    """Too many names for rules like these: to go on would hold everybody up."""


@final
class Effort:
    """How much may still be asked for one request, or one answer."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = _MOST_STEPS

    def spend(self, steps: int) -> None:
        """Raise `TooMany` if that is too much."""
        self._left -= steps
        if self._left < 0:
            raise TooMany


@final
class ToolPolicy:
    """What holds of tools for one grant.

    `narrows`: there are rules. `refuse`: a call with a tool that is not let is refused, and not narrowed.
    """

    __slots__ = ("_decided", "_involved", "_rules", "narrows", "refuse")

    def __init__(self, confinements: tuple[Confinement, ...], *, refuse: bool) -> None:
        """`confinements` are those that speak of tools."""
        self._rules = confinements
        rules = [said.tools for said in confinements if said.tools is not None]
        self._involved = sum(said.deny.involved + (said.allow.involved if said.allow else 0) for said in rules)
        self._decided: dict[tuple[str, ...], str | None] = {}
        self.narrows: Final = bool(confinements)
        self.refuse: Final = refuse

    def refusing(self, tool: Tool, effort: Effort) -> str | None:
        """Which confinement does not let a tool, without regard to what it lists; None if all let it.

        Raises `TooMany` when the effort is at its end; what was decided before is remembered all the same.
        """
        key = tool.names + tool.aliases
        try:
            return self._decided[key]
        except KeyError:
            pass
        length = sum(map(len, key))
        # Of what is longer than any name, nothing is looked at.
        effort.spend(_A_NAME + self._involved * min(length, _LONGEST))
        found = refusing(self._rules, tool)
        if length <= _LONGEST:
            if len(self._decided) >= _REMEMBERED:
                self._decided.clear()
            self._decided[key] = found
        return found

    def denying(self) -> str | None:
        """Which confinement denies something by name; None if none does."""
        return next((said.source for said in self._rules if said.tools and said.tools.deny.patterns), None)


def refusing(confinements: tuple[Confinement, ...], tool: Tool) -> str | None:
    """The source of the first confinement that does not let a tool; None if all let it."""
    for said in confinements:
        rules = said.tools
        if rules is None:
            continue
        if not rules.let(tool.names) or rules.deny.match(tuple(name.lower() for name in tool.aliases)):
            return said.source
    return None


def tool_policy(confinements: tuple[Confinement, ...]) -> ToolPolicy:
    """What these confinements say of tools."""
    rules = tuple(said for said in confinements if said.tools is not None and said.tools.says_something)
    refuse = any(said.tools is not None and said.tools.mode == REFUSE for said in confinements)
    return ToolPolicy(rules, refuse=refuse)
