"""The headers that tell which tools were taken out of a request, and whose calls out of its answer.

    x-bailiwick-tools-removed: delete_account, mcp/docs, na%C3%AFve

Names come from callers and from models: they are percent-encoded (RFC 3986 §2.1), cut, and no more than so many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

TOOLS_REMOVED: Final = b"x-bailiwick-tools-removed"
CALLS_BLOCKED: Final = b"x-bailiwick-tool-calls-blocked"

_MOST: Final = 32
_LONGEST: Final = 64
_MORE: Final = "..."


def listed_tools(names: Sequence[str]) -> bytes:
    """The header's value; `...` at its end if there are more."""
    told = list(dict.fromkeys(quote(name[:_LONGEST], safe="/:", errors="replace") for name in names[: 4 * _MOST]))
    more = [_MORE] if len(told) > _MOST or len(names) > 4 * _MOST else []
    return ", ".join(told[:_MOST] + more).encode()
