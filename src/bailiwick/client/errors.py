"""What the client raises: one class for each family of error codes, all of them `ClientError`.

Decide by the class, or by `code` (`docs/reference/errors.md`); show the message. A code that this version does not know
falls into the family of its status. No error holds a key or a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final, final

import httpx2
import msgspec

from bailiwick.domain.errors import BailiwickError, Code

_SERVER_ERRORS: Final = 500
_WORTH_ANOTHER_TRY: Final = frozenset({408, 429})


class ClientError(BailiwickError):
    """A request that did not succeed.

    `status` is None when no answer came; `code` and `request_id` are None when what answered was no gateway.
    `retry_after` is in seconds, from now. `should_retry` says whether the same request may succeed later.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        param: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        should_retry: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.param = param
        self.request_id = request_id
        self.retry_after = retry_after
        self.should_retry = should_retry

    def __str__(self) -> str:
        told = [str(part) for part in (self.status, self.code) if part is not None]
        request = f" ({self.request_id})" if self.request_id else ""
        return f"{' '.join(told)}: {self.message}{request}" if told else self.message


@final
class ConfigurationError(ClientError):
    """The client was given no key, or one, or an address, that cannot be."""


@final
class ConnectionFailed(ClientError):
    """No answer came: refused, reset, timed out, or not to be understood."""


@final
class InvalidRequest(ClientError):
    """The request says what cannot be (400, 405, 409, 412, 413, 422, 431); `param` names the field."""


@final
class AuthenticationError(ClientError):
    """The credential is missing, unknown, expired or revoked (401)."""


@final
class BudgetExceeded(ClientError):
    """Settled spend leaves no room in a hard budget (402)."""


@final
class PermissionDenied(ClientError):
    """The credential is known, and may not (403)."""


@final
class NotFound(ClientError):
    """There is nothing there, or it is another tenant's (404)."""


@final
class RateLimited(ClientError):
    """A limit is reached, or calls in flight hold a budget's room (429); see `retry_after`."""


@final
class ProviderFailed(ClientError):
    """The model provider failed or took too long (502, 504, or its own status)."""


@final
class Unavailable(ClientError):
    """The installation cannot answer now (408, 503); see `retry_after`."""


@final
class ServerError(ClientError):
    """An error of the installation's that nobody expected, or an answer that is not one of a gateway."""


FAMILIES: Final[Mapping[str, type[ClientError]]] = {
    Code.INVALID_REQUEST: InvalidRequest,
    Code.AMBIGUOUS_CREDENTIALS: InvalidRequest,
    "project_required": InvalidRequest,
    Code.METHOD_NOT_ALLOWED: InvalidRequest,
    Code.CONFLICT: InvalidRequest,
    Code.PRECONDITION_FAILED: InvalidRequest,
    Code.REQUEST_TOO_LARGE: InvalidRequest,
    Code.UNPROCESSABLE: InvalidRequest,
    Code.MISSING_CREDENTIALS: AuthenticationError,
    Code.INVALID_CREDENTIALS: AuthenticationError,
    Code.EXPIRED_CREDENTIALS: AuthenticationError,
    Code.REVOKED_CREDENTIALS: AuthenticationError,
    "budget_exceeded": BudgetExceeded,
    Code.FORBIDDEN: PermissionDenied,
    Code.NOT_A_MEMBER: PermissionDenied,
    Code.ACT_AS_NOT_ALLOWED: PermissionDenied,
    Code.USER_BLOCKED: PermissionDenied,
    Code.END_USER_REQUIRED: PermissionDenied,
    Code.MODEL_NOT_ALLOWED: PermissionDenied,
    "model_unpriced": PermissionDenied,
    Code.TOOL_NOT_ALLOWED: PermissionDenied,
    Code.AGENT_NOT_ALLOWED: PermissionDenied,
    Code.ORIGIN_NOT_ALLOWED: PermissionDenied,
    Code.PROJECT_SUSPENDED: PermissionDenied,
    Code.TENANT_SUSPENDED: PermissionDenied,
    Code.NOT_FOUND: NotFound,
    Code.MODEL_NOT_FOUND: NotFound,
    Code.RATE_LIMITED: RateLimited,
    "budget_busy": RateLimited,
    Code.PROVIDER_ERROR: ProviderFailed,
    Code.PROVIDER_TIMEOUT: ProviderFailed,
    Code.REQUEST_TIMEOUT: Unavailable,
    Code.UNAVAILABLE: Unavailable,
    Code.INTERNAL_ERROR: ServerError,
}
_BY_STATUS: Final[Mapping[int, type[ClientError]]] = {
    400: InvalidRequest,
    401: AuthenticationError,
    402: BudgetExceeded,
    403: PermissionDenied,
    404: NotFound,
    405: InvalidRequest,
    408: Unavailable,
    409: InvalidRequest,
    412: InvalidRequest,
    413: InvalidRequest,
    422: InvalidRequest,
    429: RateLimited,
    431: InvalidRequest,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    message: str = "The request was refused."
    code: str | None = None
    param: str | None = None


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    error: _Told


def refusal(response: httpx2.Response, *, now: float) -> ClientError:
    """The error of an answer that is no success; `now` is Unix time, for a `Retry-After` that is a date."""
    status = response.status_code
    try:
        told = msgspec.json.decode(response.content, type=_Envelope).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        told = _Told(message=f"What answered with {status} is no gateway, or stands in front of one.")
    family = FAMILIES.get(told.code or "") or _BY_STATUS.get(status, ServerError)
    return family(
        told.message,
        code=told.code,
        status=status,
        param=told.param,
        request_id=response.headers.get("x-request-id"),
        retry_after=_retry_after(response.headers.get("retry-after"), now),
        should_retry=_should_retry(response),
    )


def unanswered(error: httpx2.RequestError) -> ClientError:
    """The error of a request to which no answer came."""
    kind = "timed out" if isinstance(error, httpx2.TimeoutException) else "failed"
    failure = ConnectionFailed(
        f"The request {kind}: {str(error) or type(error).__name__}",
        should_retry=isinstance(error, httpx2.TransportError),
    )
    failure.__cause__ = error
    return failure


def _should_retry(response: httpx2.Response) -> bool:
    """What the gateway says of it counts; else what the status means (as OpenAI's SDKs have it)."""
    match response.headers.get("x-should-retry"):
        case "true":
            return True
        case "false":
            return False
        case _:
            return response.status_code in _WORTH_ANOTHER_TRY or response.status_code >= _SERVER_ERRORS


def _retry_after(text: str | None, now: float) -> float | None:
    """Seconds, or a date (RFC 9110 §10.2.3); None for anything else."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None
