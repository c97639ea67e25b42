"""Errors of `/oauth/…`, as OAuth's clients read them (RFC 6749 §5.2): `{"error", "error_description"}`.

Whatever is refused there has this form, also what is refused before anybody knows which client asks.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from bailiwick.apps.http.openai_errors import MethodNotAllowed
from bailiwick.domain.errors import Refused
from bailiwick.domain.oauth import OAuthError, RefusedGrant

Header = tuple[bytes, bytes]

JSON: Final[Header] = (b"content-type", b"application/json")
NO_STORE: Final[Header] = (b"cache-control", b"no-store")
# For what has no name in OAuth; everything else is `invalid_request`, under its own status.
_BY_STATUS: Final = {
    401: OAuthError.INVALID_CLIENT,
    403: OAuthError.UNAUTHORIZED_CLIENT,
    429: OAuthError.TEMPORARILY_UNAVAILABLE,
    500: OAuthError.SERVER_ERROR,
    503: OAuthError.TEMPORARILY_UNAVAILABLE,
}
_CHALLENGES: Final = {
    OAuthError.INVALID_CLIENT: b'Basic realm="bailiwick"',
    OAuthError.INVALID_TOKEN: b'Bearer error="invalid_token"',
    OAuthError.INSUFFICIENT_SCOPE: b'Bearer error="insufficient_scope"',
}
# What an `error_description` may not hold (RFC 6749 §5.2).
_NO_TEXT: Final = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


def write_oauth_error(refused: Refused) -> tuple[int, list[Header], bytes]:
    """Write a refusal as status, headers and body."""
    error = _BY_STATUS.get(refused.status, OAuthError.INVALID_REQUEST)
    if isinstance(refused, RefusedGrant):
        error = refused.error
    headers: list[Header] = [JSON, NO_STORE]
    if error in _CHALLENGES:
        headers.append((b"www-authenticate", _CHALLENGES[error]))
    if refused.retry_after is not None:
        headers.append((b"retry-after", b"%d" % refused.retry_after))
    if isinstance(refused, MethodNotAllowed):
        headers.append((b"allow", refused.allow.encode()))
    described = _NO_TEXT.sub("?", refused.message)
    return refused.status, headers, msgspec.json.encode({"error": error.value, "error_description": described})
