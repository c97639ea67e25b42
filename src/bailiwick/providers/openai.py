"""Providers over HTTP: OpenAI and whoever has its interface, Anthropic's and Gemini's included; and Anthropic's own.

The head of a request is the same for every call of one address but for its length, so it is written once. What a
provider says when it refuses is passed on scrubbed: of its key, of anything that looks like one, of URLs, hosts and IP
addresses.
"""

from __future__ import annotations

from typing import Final, final
from urllib.parse import urlsplit

from bailiwick.domain.models import ProviderKind
from bailiwick.providers.http1 import Timeouts
from bailiwick.providers.provider import Ask, Exchange
from bailiwick.providers.scrubbing import Scrubber
from bailiwick.providers.transport import Origin, Transport

# Where Anthropic speaks its own language; elsewhere it speaks OpenAI's.
_NATIVE: Final = "/messages"
_MODELS: Final = "/models"
_VERSION: Final = b"anthropic-version: 2023-06-01\r\n"
# What is said here may be sound, or subtitles.
_AUDIO: Final = "/audio/"
# Azure's keys go by a header of their own; what its identities issue goes as everybody's.
_AZURE: Final = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")


@final
class OpenAIProvider:
    """One account at one base URL."""

    def __init__(
        self,
        transport: Transport,
        *,
        kind: ProviderKind,
        base_url: str,
        secret: str | None,
        guarded: bool,
        timeouts: Timeouts,
    ) -> None:
        """`guarded`: the address was set through the control plane, so it must not lead inside."""
        parts = urlsplit(base_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = parts.hostname or ""
        self._transport = transport
        self._origin = Origin(scheme=parts.scheme, host=host, port=port, guarded=guarded)
        self._timeouts = timeouts
        self._scrubber = Scrubber(secret, parts.netloc, host)
        self._base = parts.path.rstrip("/")
        self._host = parts.netloc
        self._kind = kind
        self._secret = secret
        # By path, and by whether a stream is asked for: addresses are few, and each has one head but for its length.
        self._heads: dict[tuple[str, bool], bytes] = {}

    async def send(self, ask: Ask) -> Exchange:
        """Ask it; raises `TransportError`."""
        key = (ask.path, ask.stream)
        head = self._heads.get(key)
        if head is None:
            head = self._heads[key] = self._head(*key)
        body = ask.body
        kind = ask.content_type or b"application/json"
        extra = ask.headers
        if ask.path.startswith(_NATIVE) and b"anthropic-version:" not in extra:
            extra += _VERSION
        request = b"%b%bcontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (head, extra, kind, len(body), body)
        timeouts = self._timeouts if ask.total is None else self._timeouts.within(ask.total)
        return await self._transport.send(self._origin, request, timeouts=timeouts)

    async def list_models(self, seconds: float) -> Exchange:
        """Ask which models the account has, with no more patience than `seconds`; raises `TransportError`."""
        version = _VERSION if self._kind is ProviderKind.ANTHROPIC else b""
        request = self._head(_MODELS, False, method="GET") + version + b"\r\n"
        return await self._transport.send(self._origin, request, timeouts=self._timeouts.within(seconds))

    def _head(self, path: str, stream: bool, *, method: str = "POST") -> bytes:  # noqa: FBT001 - the two parts of a key
        lines = [
            f"{method} {self._base}{path} HTTP/1.1",
            f"host: {self._host}",
            "user-agent: bailiwick",
            "accept-encoding: identity",
            f"accept: {'text/event-stream' if stream else '*/*' if path.startswith(_AUDIO) else 'application/json'}",
        ]
        if self._secret and self._kind is ProviderKind.ANTHROPIC and path.startswith((_NATIVE, _MODELS)):
            lines.append(f"x-api-key: {self._secret}")
        elif self._secret:
            lines.append(f"authorization: Bearer {self._secret}")
            if (self._origin.host or "").endswith(_AZURE):
                lines.append(f"api-key: {self._secret}")
        return "".join(f"{line}\r\n" for line in lines).encode()

    def scrub(self, text: str) -> str:
        """Take out the account's key, addresses and hosts, and cut what is too long."""
        return self._scrubber.scrub(text)
