"""The closed list of what can go wrong: one taxonomy, stable codes, one table to HTTP.

A code is documented in `docs/reference/errors.md`, never changes its meaning and is never reused. `message` is for a
person who calls the API: it holds no secret, no internal name and nothing of another tenant.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, final


class Code(StrEnum):
    """Every error code that a client can meet."""

    INVALID_REQUEST = "invalid_request"
    AMBIGUOUS_CREDENTIALS = "ambiguous_credentials"
    PROJECT_REQUIRED = "project_required"
    MISSING_CREDENTIALS = "missing_credentials"
    INVALID_CREDENTIALS = "invalid_credentials"
    EXPIRED_CREDENTIALS = "expired_credentials"
    REVOKED_CREDENTIALS = "revoked_credentials"
    FORBIDDEN = "forbidden"
    NOT_A_MEMBER = "not_a_member"
    ACT_AS_NOT_ALLOWED = "act_as_not_allowed"
    USER_BLOCKED = "user_blocked"
    END_USER_REQUIRED = "end_user_required"
    MODEL_NOT_ALLOWED = "model_not_allowed"
    TOOL_NOT_ALLOWED = "tool_not_allowed"
    AGENT_NOT_ALLOWED = "agent_not_allowed"
    MODEL_UNPRICED = "model_unpriced"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    PROJECT_SUSPENDED = "project_suspended"
    TENANT_SUSPENDED = "tenant_suspended"
    NOT_FOUND = "not_found"
    MODEL_NOT_FOUND = "model_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TIMEOUT = "request_timeout"
    CONFLICT = "conflict"
    PRECONDITION_FAILED = "precondition_failed"
    REQUEST_TOO_LARGE = "request_too_large"
    UNPROCESSABLE = "unprocessable"
    RATE_LIMITED = "rate_limited"
    BUDGET_EXCEEDED = "budget_exceeded"
    BUDGET_BUSY = "budget_busy"
    INTERNAL_ERROR = "internal_error"
    PROVIDER_ERROR = "provider_error"
    PROVIDER_TIMEOUT = "provider_timeout"
    UNAVAILABLE = "unavailable"


STATUS: Final[dict[Code, int]] = {
    Code.INVALID_REQUEST: 400,
    Code.AMBIGUOUS_CREDENTIALS: 400,
    Code.PROJECT_REQUIRED: 400,
    Code.MISSING_CREDENTIALS: 401,
    Code.INVALID_CREDENTIALS: 401,
    Code.EXPIRED_CREDENTIALS: 401,
    Code.REVOKED_CREDENTIALS: 401,
    Code.FORBIDDEN: 403,
    Code.NOT_A_MEMBER: 403,
    Code.ACT_AS_NOT_ALLOWED: 403,
    Code.USER_BLOCKED: 403,
    Code.END_USER_REQUIRED: 403,
    Code.MODEL_NOT_ALLOWED: 403,
    Code.TOOL_NOT_ALLOWED: 403,
    Code.AGENT_NOT_ALLOWED: 403,
    Code.MODEL_UNPRICED: 403,
    Code.ORIGIN_NOT_ALLOWED: 403,
    Code.PROJECT_SUSPENDED: 403,
    Code.TENANT_SUSPENDED: 403,
    Code.NOT_FOUND: 404,
    Code.MODEL_NOT_FOUND: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.REQUEST_TIMEOUT: 408,
    Code.CONFLICT: 409,
    Code.PRECONDITION_FAILED: 412,
    Code.REQUEST_TOO_LARGE: 413,
    Code.UNPROCESSABLE: 422,
    Code.RATE_LIMITED: 429,
    Code.BUDGET_EXCEEDED: 402,
    Code.BUDGET_BUSY: 429,
    Code.INTERNAL_ERROR: 500,
    Code.PROVIDER_ERROR: 502,
    Code.PROVIDER_TIMEOUT: 504,
    Code.UNAVAILABLE: 503,
}


class BailiwickError(Exception):
    """Whatever this package raises on purpose."""


class Refused(BailiwickError):
    """A call that does not go on: a stable code and what the caller may be told."""

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        param: str | None = None,
        status: int | None = None,
        retry_after: int | None = None,
    ) -> None:
        """`param` names the offending field, `retry_after` is in whole seconds, `status` overrides the table's."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.status = STATUS[code] if status is None else status
        self.retry_after = retry_after


@final
class Unavailable(Refused):
    """Our own database or limit store is away: never the caller's fault, and worth another try."""

    def __init__(self, *, cause: str, retry_after: int = 1) -> None:
        """`cause` is for our log; the caller is told nothing of it. `retry_after` is in whole seconds."""
        super().__init__(
            Code.UNAVAILABLE, "The service is temporarily unable to answer. Try again shortly.", retry_after=retry_after
        )
        self.cause = cause


@final
class ProviderFailed(Refused):
    """The model provider refused, failed or could not be understood."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 502,
        timeout: bool = False,
        retry_after: int | None = None,
        param: str | None = None,
        upstream_status: int | None = None,
        upstream_type: str | None = None,
        upstream_code: str | None = None,
        garbled: bool = False,
        code: Code | None = None,
    ) -> None:
        """`upstream_*` is what the provider said, already scrubbed; `status` is what the client gets.

        `garbled`: it said nothing that can be understood. `code` is there if what it said is not let.
        """
        super().__init__(
            code or (Code.PROVIDER_TIMEOUT if timeout else Code.PROVIDER_ERROR),
            message,
            status=504 if timeout else status,
            param=param,
            retry_after=retry_after,
        )
        self.upstream_status = upstream_status
        self.upstream_type = upstream_type
        self.upstream_code = upstream_code
        self.garbled = garbled
