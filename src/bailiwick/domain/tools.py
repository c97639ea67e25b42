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
from bailiwick.domain.globs import Globs

MAX_RULES: Final = 500
_PLAIN: Final = re.compile(r"[!-~]{1,255}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRules:
    """What one place says of tools. `allow` None: any."""

    allow: Globs | None
    deny: Globs

    def let(self, names: tuple[str, ...]) -> bool:
        """Whether a tool that goes by these names may be used."""
        if not names or not all(map(_PLAIN.fullmatch, names)):
            return False
        if self.deny.match(tuple(name.lower() for name in names)):
            return False
        return self.allow is None or self.allow.match(names)

    def document(self) -> dict[str, list[str]]:
        """The rules as they are written."""
        allow = {} if self.allow is None else {"allow": list(self.allow.patterns)}
        return {**allow, "deny": list(self.deny.patterns)}


def tool_rules(field: str, document: Mapping[str, object] | None) -> ToolRules | None:
    """Take rules as they are written, or none; raises `Invalid`."""
    if document is None:
        return None
    findings = Findings()
    for name in document:
        if name not in {"allow", "deny"}:
            findings.add(f"{field}.{name}", "is no field of it; fields are allow, deny")
    allow = findings.take(lambda: _read(f"{field}.allow", document.get("allow")), None)
    deny = findings.take(lambda: _read(f"{field}.deny", document.get("deny")), None)
    findings.or_raise()
    return ToolRules(
        allow=None if allow is None else Globs(allow),
        deny=Globs(tuple(dict.fromkeys(pattern.lower() for pattern in deny or ()))),
    )


def _read(field: str, said: object) -> tuple[str, ...] | None:
    if said is None:
        return None
    if not isinstance(said, Sequence) or isinstance(said, str):
        raise invalid(field, "must be a list")
    if len(said) > MAX_RULES:
        raise invalid(field, f"must be at most {MAX_RULES}")
    findings = Findings()
    for place, pattern in enumerate(said):
        if not isinstance(pattern, str) or _PLAIN.fullmatch(pattern) is None:
            findings.add(f"{field}.{place}", "must be 1 to 255 visible ASCII characters, without spaces")
    findings.or_raise()
    return tuple(said)
