"""Lists of names and globs, as operators write them, asked whether one of some names is among them.

    Globs(("gpt-4o*", "o3")).match(("openai/gpt-4o-mini", "gpt-4o-mini"))   # True

`*`, `?` and `[…]` mean what they do in `fnmatch`; case counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import translate
from typing import Final, final

_SPECIAL: Final = re.compile(r"[*?\[]")
# A list may have so many globs with a wildcard within, or with several: each takes a step for each character of a name.
MOST_INVOLVED: Final = 50


@final
@dataclass(frozen=True, slots=True)
class Globs:
    """Globs, made ready once for any number of questions.

    A name, a beginning (`gpt-*`) and an end (`*_delete`) are asked for together, however many there are; `involved` is
    how many others there are.
    """

    patterns: tuple[str, ...]
    involved: int = field(init=False, repr=False, compare=False)
    _exact: frozenset[str] = field(init=False, repr=False, compare=False)
    _begins: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _ends: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _any: list[re.Pattern[str]] = field(init=False, repr=False, compare=False, default_factory=list)

    def __post_init__(self) -> None:
        """Sort out what needs no regular expression, which is most of what people write."""
        special = [pattern for pattern in self.patterns if _SPECIAL.search(pattern)]
        object.__setattr__(self, "_exact", frozenset(self.patterns) - set(special))
        object.__setattr__(self, "_begins", tuple(pattern[:-1] for pattern in special if _is_beginning(pattern)))
        object.__setattr__(self, "_ends", tuple(pattern[1:] for pattern in special if _is_end(pattern)))
        object.__setattr__(self, "involved", involved(self.patterns))

    def match(self, names: tuple[str, ...]) -> bool:
        """Whether any of the names is meant by any of the globs."""
        return any(
            name in self._exact or name.startswith(self._begins) or name.endswith(self._ends) for name in names
        ) or self._matched(names)

    def _matched(self, names: tuple[str, ...]) -> bool:
        others = self._others()
        return others is not None and any(others.match(name) is not None for name in names)

    def _others(self) -> re.Pattern[str] | None:
        """One expression for all the rest, made when it is first needed: that takes 0.1 ms for each of them."""
        if not self._any:
            if not self.involved:
                return None
            self._any.append(re.compile("|".join(map(translate, filter(_is_involved, self.patterns)))))
        return self._any[0]


def involved(patterns: Iterable[str]) -> int:
    """How many of them are more than a name, a beginning or an end."""
    return sum(map(_is_involved, patterns))


def _is_involved(pattern: str) -> bool:
    return _SPECIAL.search(pattern) is not None and not (_is_beginning(pattern) or _is_end(pattern))


def _is_beginning(pattern: str) -> bool:
    return pattern.endswith("*") and _SPECIAL.search(pattern[:-1]) is None


def _is_end(pattern: str) -> bool:
    return pattern.startswith("*") and _SPECIAL.search(pattern[1:]) is None
