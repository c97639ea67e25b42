"""A tool server over streamable HTTP: one request out, one answer back.

It gets its own credential and nothing of the caller's: what goes out is written here, line by line.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, final
from urllib.parse import urlsplit

import msgspec

from bailiwick.providers.http1 import Timeouts
from bailiwick.providers.provider import Exchange
from bailiwick.providers.scrubbing import Scrubber
from bailiwick.providers.transport import Origin, Transport

# A stream that only tells of changes may be silent for so long.
_SILENCE_SECONDS: Final = 600.0
_HIDDEN: Final = b"[removed]"
# A shorter credential could be part of an ordinary answer.
_LEAST_SECRET: Final = 8


@final
class McpAsk(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What goes to a tool server: `headers` are whole lines; `listens`: the answer may be silent for long."""

    method: str
    headers: bytes
    body: bytes = b""
    listens: bool = False


@final
class McpUpstream:
    """Speaks to one tool server. Its address was set through the control plane, so it must not lead inside."""

    def __init__(
        self, transport: Transport, *, url: str, header: str, credential: str | None, timeouts: Timeouts
    ) -> None:
        """`credential` is the whole value of `header`, None for none."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._transport = transport
        self._origin = Origin(scheme=parts.scheme, host=parts.hostname or "", port=port, guarded=True)
        self._timeouts = timeouts
        self._patient = replace(timeouts, between_bytes=max(timeouts.between_bytes, _SILENCE_SECONDS), total=None)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [
            f" {target} HTTP/1.1", f"host: {parts.netloc}", "user-agent: bailiwick", "accept-encoding: identity",
            *(() if credential is None else (f"{header}: {credential}",)),
        ]  # fmt: skip
        self._head = "".join(f"{line}\r\n" for line in lines).encode()
        # `Bearer t-123` is known by what it proves, too.
        secrets = () if credential is None else (credential, credential.rpartition(" ")[2])
        self._secrets = tuple(secret.encode() for secret in secrets if len(secret) >= _LEAST_SECRET)
        self._scrubber = Scrubber(*secrets, parts.netloc, parts.hostname or "")

    async def send(self, ask: McpAsk) -> Exchange:
        """Ask it; raises `TransportError`."""
        framing = b"content-length: %d\r\n" % len(ask.body) if ask.method == "POST" else b""
        request = b"%b%b%b%b\r\n%b" % (ask.method.encode(), self._head, ask.headers, framing, ask.body)
        timeouts = self._patient if ask.listens else self._timeouts
        return await self._transport.send(self._origin, request, timeouts=timeouts)

    def without_secrets(self, answer: bytes) -> bytes:
        """The same bytes without our credential, should the server repeat it."""
        for secret in self._secrets:
            if secret in answer:
                answer = answer.replace(secret, _HIDDEN)
        return answer

    def scrub(self, text: str) -> str:
        """Take our credential, addresses and hosts out of a refusal's words, and cut what is too long."""
        return self._scrubber.scrub(text)
