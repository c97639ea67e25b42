"""Which tools may be offered, and called: rules by name, written by operators as `{"allow": […], "deny": […]}`.

`allow` lists what may be used, absent means anything; `deny` takes away from that, and always wins. Both are globs. A
tool can go by several names (`search` of the server `docs` also by `docs/search`): it is allowed if one of them is, and
denied if one of them is. As soon as there is any rule, a tool must have a plain name: one of other characters, made to
look like another tool's, is never allowed; and denying does not regard case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from bailiwick.domain.fields import Findings, invalid
from bailiwick.domain.globs import MOST_INVOLVED, Globs, involved

MAX_RULES: Final = 500
# What becomes of a call with a tool that is not let: it goes on without the tool, or not at all.
REMOVE: Final = "remove"
REFUSE: Final = "refuse"
MODES: Final = (REMOVE, REFUSE)
_PLAIN: Final = re.compile(r"[!-~]{1,255}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRules:
    """What one place says of tools. `allow` None: any.

    `mode` is what becomes of a call with another tool, None where that is not for this place to say.
    """

    allow: Globs | None
    deny: Globs
    mode: str | None = None

    @property
    def says_something(self) -> bool:
        """Whether any tool at all is not let."""
        return self.allow is not None or bool(self.deny.patterns)

    def let(self, names: tuple[str, ...]) -> bool:
        """Whether a tool that goes by these names may be used."""
        if not names or not all(map(_PLAIN.fullmatch, names)):
            return False
        if self.deny.match(tuple(name.lower() for name in names)):
            return False
        return self.allow is None or self.allow.match(names)

    def document(self) -> dict[str, object]:
        """The rules as they are written."""
        allow: dict[str, object] = {} if self.allow is None else {"allow": list(self.allow.patterns)}
        mode = {} if self.mode is None else {"mode": self.mode}
        return {**allow, "deny": list(self.deny.patterns), **mode}


def tool_rules(field: str, document: Mapping[str, object] | None, *, modes: Sequence[str] = ()) -> ToolRules | None:
    """Take rules as they are written, or none; raises `Invalid`. `modes` are those that this place may choose from."""
    if document is None:
        return None
    findings = Findings()
    fields = ("allow", "deny", *(("mode",) if modes else ()))
    for name in document:
        if name not in fields:
            findings.add(f"{field}.{name}", f"is no field of it; fields are {', '.join(fields)}")
    mode = document.get("mode") if modes else None
    if mode is not None and mode not in modes:
        findings.add(f"{field}.mode", f"must be one of {', '.join(modes)}")
    allow = findings.take(lambda: _read(f"{field}.allow", document.get("allow")), None)
    deny = findings.take(lambda: _read(f"{field}.deny", document.get("deny")), None)
    findings.or_raise()
    return ToolRules(
        allow=None if allow is None else Globs(allow),
        deny=Globs(tuple(dict.fromkeys(pattern.lower() for pattern in deny or ()))),
        mode=None if mode is None else str(mode),
    )


def _read(field: str, said: object) -> tuple[str, ...] | None:
    if said is None:
        return None
    if not isinstance(said, Sequence) or isinstance(said, str):
        raise invalid(field, "must be a list")
    if len(said) > MAX_RULES:
        raise invalid(field, f"must be at most {MAX_RULES}")
    if involved(pattern for pattern in said if isinstance(pattern, str)) > MOST_INVOLVED:
        raise invalid(field, f"must have at most {MOST_INVOLVED} with a wildcard elsewhere than at one end")
    findings = Findings()
    for place, pattern in enumerate(said):
        if not isinstance(pattern, str) or _PLAIN.fullmatch(pattern) is None:
            findings.add(f"{field}.{place}", "must be 1 to 255 visible ASCII characters, without spaces")
    findings.or_raise()
    return tuple(said)
