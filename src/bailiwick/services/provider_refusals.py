"""What a provider's refusal becomes for whoever asked: the error it is told as, scrubbed."""

from __future__ import annotations

from typing import Final

from bailiwick.domain.errors import ProviderFailed
from bailiwick.providers.answers.errors import MAX_ERROR, read_error, read_retry_after
from bailiwick.providers.provider import Exchange, ModelProvider

_BAD_GATEWAY: Final = 502
# A provider's refusals that are the caller's to see; the others (401, 402, 403 …) are our trouble with the provider.
_PASSED_ON: Final = frozenset({400, 404, 413, 422, 429})
_SERVER_ERRORS: Final = range(500, 600)


async def refusal(provider: ModelProvider, exchange: Exchange, now: float) -> ProviderFailed:
    """Say of a provider's error answer, which came at `now` (Unix time), what the caller may know."""
    body = await exchange.read(MAX_ERROR)
    status = exchange.status
    if status not in _PASSED_ON and status not in _SERVER_ERRORS:
        return ProviderFailed("The model provider refused our request.")
    return told(provider, body, status=status, retry_after=read_retry_after(exchange.headers, now))


def told(
    provider: ModelProvider, body: bytes, *, status: int | None = None, retry_after: int | None = None
) -> ProviderFailed:
    """Pass on what an error object says; `status` is the provider's, None for an error in the place of an answer."""
    said = read_error(body)

    def scrubbed(text: str | int | None) -> str | None:
        return None if text is None else provider.scrub(str(text))

    return ProviderFailed(
        scrubbed(said.message) or "The model provider answered with an error.",
        status=status or _BAD_GATEWAY,
        retry_after=retry_after,
        param=scrubbed(said.param),
        upstream_status=status,
        upstream_type=scrubbed(said.type),
        upstream_code=scrubbed(said.code),
    )


def error_object(failure: ProviderFailed) -> dict[str, object]:
    """Write what a client is told of a provider's failure; `provider` is what the provider itself said, scrubbed."""
    said = {
        "status": failure.upstream_status,
        "type": failure.upstream_type,
        "code": failure.upstream_code,
    }
    known = {name: value for name, value in said.items() if value is not None}
    error: dict[str, object] = {
        "message": failure.message,
        "type": "provider_error",
        "param": failure.param,
        "code": str(failure.code),
    }
    return {**error, "provider": known} if known else error
