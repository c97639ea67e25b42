"""What lets a page of another origin read our answers: cross-origin resource sharing (WHATWG Fetch, "CORS protocol").

Only a listed origin is ever named, never `*`; and never are credentials allowed, by which Fetch means what a browser
adds by itself, such as cookies: a page sends its key in a header, and no page can use a visitor's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

from bailiwick.apps.http.tool_headers import CALLS_BLOCKED, TOOLS_REMOVED

Header: TypeAlias = tuple[bytes, bytes]

# Each call is asked for its origin again, so a browser may remember a preflight for as long as any browser does.
MAX_AGE_SECONDS: Final = 7200
VARY: Final = (b"vary", b"Origin")
# Beyond those few that every page may read; a name with a star would be taken for a header of that name.
EXPOSED: Final = (
    b"mcp-session-id", b"www-authenticate",
    b"retry-after", b"x-should-retry", b"x-request-id", b"ratelimit", b"ratelimit-policy",
    b"x-ratelimit-limit-requests", b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests",
    b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens",
    TOOLS_REMOVED, CALLS_BLOCKED,
)  # fmt: skip

_ORIGIN: Final = b"origin"
_METHOD: Final = b"access-control-request-method"
_HEADERS: Final = b"access-control-request-headers"
_EXPOSE: Final = (b"access-control-expose-headers", b", ".join(EXPOSED))
_MAX_AGE: Final = (b"access-control-max-age", b"%d" % MAX_AGE_SECONDS)
# What is echoed is a list of tokens (RFC 9110 §5.6.2) and nothing else.
_TOKENS: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")


def origin_of(headers: Sequence[Header]) -> bytes | None:
    """The origin of the page that asks; None if there is none, or several."""
    origins = [value for name, value in headers if name == _ORIGIN]
    return origins[0].strip(b" \t") if len(origins) == 1 else None


def readable_by(origin: bytes) -> tuple[Header, ...]:
    """The headers that let a page of this origin read an answer."""
    return (b"access-control-allow-origin", origin), VARY, _EXPOSE


def is_preflight(method: str, headers: Sequence[Header]) -> bool:
    """Whether a browser asks if a page may ask ("CORS-preflight request")."""
    return method == "OPTIONS" and any(name == _METHOD for name, _ in headers) and origin_of(headers) is not None


def preflight_headers(headers: Sequence[Header]) -> list[Header]:
    """What a preflight is granted: what it asks for. The call itself is then judged like any other."""
    granted: list[Header] = [_MAX_AGE]
    for asked, grant in ((_METHOD, b"access-control-allow-methods"), (_HEADERS, b"access-control-allow-headers")):
        value = b", ".join(value for name, value in headers if name == asked)
        if _TOKENS.fullmatch(value) is not None:
            granted.append((grant, value))
    return granted
