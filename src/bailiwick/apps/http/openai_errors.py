"""Errors of the data plane, as SDKs read them.

OpenAI's: `{"error": {"message", "type", "param", "code"}}`. At `/v1/messages`, Anthropic's: the same within
`{"type": "error", "error": {…}}`, with Anthropic's types.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final

import msgspec

from bailiwick.apps.http.cors import VARY
from bailiwick.apps.http.rate_limit_headers import rate_limit_headers
from bailiwick.domain.claims import NoBudget
from bailiwick.domain.errors import Code, ProviderFailed, Refused
from bailiwick.providers.answers.messages import anthropic_error
from bailiwick.services.admission import RateLimited
from bailiwick.services.provider_refusals import error_object

Header = tuple[bytes, bytes]

_TYPES: Final = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}
_ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    431: "request_too_large",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_JSON: Final = (b"content-type", b"application/json")
_CHALLENGE: Final = (b"www-authenticate", b"Bearer")
_UNAUTHORIZED: Final = 401


@final
class MethodNotAllowed(Refused):
    """The address exists, and takes other methods (RFC 9110 §15.5.6)."""

    def __init__(self, methods: Iterable[str]) -> None:
        self.allow = ", ".join(methods)
        super().__init__(Code.METHOD_NOT_ALLOWED, f"This address takes {self.allow}.")


def write_error(refused: Refused, *, anthropic: bool = False) -> tuple[int, list[Header], bytes]:
    """Write a refusal as status, headers and body, for OpenAI's clients or for Anthropic's."""
    headers: list[Header] = [_JSON]
    if isinstance(refused, ProviderFailed):
        error = error_object(refused)
    else:
        kind = _TYPES.get(refused.status, "invalid_request_error")
        error = {"message": refused.message, "type": kind, "param": refused.param, "code": str(refused.code)}
    if isinstance(refused, NoBudget):
        error["budget"] = refused.budget
        if refused.code is Code.BUDGET_EXCEEDED:
            headers.append((b"x-should-retry", b"false"))
    if isinstance(refused, RateLimited):
        headers.extend(rate_limit_headers(refused.decision))
    if refused.retry_after is not None:
        headers.append((b"retry-after", b"%d" % refused.retry_after))
    if isinstance(refused, MethodNotAllowed):
        headers.append((b"allow", refused.allow.encode()))
    if refused.code is Code.ORIGIN_NOT_ALLOWED:
        headers.append(VARY)
    if refused.status == _UNAUTHORIZED:
        headers.append(_CHALLENGE)
    if anthropic:
        return (
            refused.status,
            headers,
            msgspec.json.encode(anthropic_error(error, _ANTHROPIC_TYPES.get(refused.status))),
        )
    return refused.status, headers, msgspec.json.encode({"error": error})


def unexpected() -> Refused:
    """What a client is told of an error that nobody expected: nothing but that it was ours."""
    return Refused(Code.INTERNAL_ERROR, "An internal error occurred. Please report the request id.")
