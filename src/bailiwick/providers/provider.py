"""What every model provider is to the rest: something that answers what it is asked with an exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, final

import msgspec

from bailiwick.domain.ceilings import Extent
from bailiwick.domain.errors import ProviderFailed
from bailiwick.providers.transport_errors import ResponseTooLarge, TransportError, TransportTimeout

Headers = Sequence[tuple[bytes, bytes]]


class Exchange(Protocol):
    """A provider's answer that has begun: its status and headers are here, its body is to be read."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Headers:
        """The headers, names in lower case."""
        ...

    @property
    def sent(self) -> bool:
        """Whether what was asked has left our memory."""
        ...

    def whole(self, limit: int) -> bytes | None:
        """The whole body, if it is here and of at most `limit` bytes; None if it has to be waited for."""
        ...

    async def read(self, limit: int) -> bytes:
        """The whole body; raises `TransportError`, `ResponseTooLarge` beyond `limit` bytes."""
        ...

    async def next_chunk(self) -> bytes | None:
        """Bytes as they arrived, None at the end; raises `TransportError` when it was not the end."""
        ...

    def abort(self) -> None:
        """Close the connection at once, so that the provider stops generating."""
        ...


@final
class Ask(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What goes to a provider.

    `path` is below the provider's base URL. `content_type` is None for JSON. `headers` are whole lines that the client
    meant for the provider, each with its end. `total` is how many seconds the whole exchange may take, if not as long
    as usual. `extent` is what it may come to, None if no budget asks.
    """

    path: str
    body: bytes
    stream: bool
    content_type: bytes | None = None
    headers: bytes = b""
    total: float | None = None
    extent: Extent | None = None


class ModelProvider(Protocol):
    """Speaks to one provider with one account."""

    async def send(self, ask: Ask) -> Exchange:
        """Ask it; raises `TransportError`."""
        ...

    def scrub(self, text: str) -> str:
        """Take out of a provider's words what the caller must not see: the account's key, addresses, hosts."""
        ...


def failure_of(error: ProviderFailed | TransportError) -> ProviderFailed:
    """Say to the caller what befell the call, without any of the connection's particulars."""
    if isinstance(error, ProviderFailed):
        return error
    if isinstance(error, TransportTimeout):
        return ProviderFailed("The model provider did not answer in time.", timeout=True)
    if isinstance(error, ResponseTooLarge):
        return ProviderFailed("The model provider's answer was too large.")
    return ProviderFailed("The model provider could not be reached or broke off its answer.")
