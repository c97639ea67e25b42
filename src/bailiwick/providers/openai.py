"""Providers with OpenAI's interface: OpenAI itself, and Anthropic's and Gemini's compatible endpoints.

The request's head is the same for every call but for its length, so it is written once. What a provider says when it
refuses is passed on scrubbed: of its key, of anything that looks like one, of URLs, hosts and IP addresses.
"""

from __future__ import annotations

import re
from typing import Final, final
from urllib.parse import urlsplit

from bailiwick.providers.http1 import Timeouts
from bailiwick.providers.provider import Exchange
from bailiwick.providers.transport import Origin, Transport

# Every alternative begins where a word does and looks no further than it takes: a provider chooses this text, and
# must not be able to keep us busy with it.
_SECRETS: Final = re.compile(
    r"""(?ix)
      (?<![a-z0-9+.-])[a-z][a-z0-9+.-]*://\S+             # URLs
    | \b(?:bearer|basic)\s+[\w.~+/=-]{20,}               # credentials as headers write them
    | \b(?:sk|pk|rk|bwk|bwa|gsk|xai)[-_][\w.*…-]{6,}     # keys, also when masked
    | \b(?:key[-_]|AIza|AKIA|eyJ)[\w.*…-]{16,}           # keys and tokens of others
    | (?<![\w:])(?=[0-9a-f:]{0,40}?::|(?:[0-9a-f]{1,4}:){5})  # IPv6 and MAC addresses, but no time of day
      (?:[0-9a-f]{0,4}:){2,7}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4})(?![\w:])
    | \b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b              # IPv4
    | (?<![a-z0-9.-])(?:[a-z0-9-]+\.)+                   # hosts
      (?:ai|app|cloud|com|corp|dev|internal|io|lan|local|net|org|svc)(?::\d+)?\b
    | \blocalhost(?::\d+)?\b
    """
)
_HIDDEN: Final = "[removed]"
_LONGEST_MESSAGE: Final = 2000
_LONGEST_READ: Final = 16_000


@final
class OpenAIProvider:
    """One account at one base URL."""

    def __init__(
        self, transport: Transport, *, base_url: str, secret: str | None, guarded: bool, timeouts: Timeouts
    ) -> None:
        """`guarded`: the address was set through the control plane, so it must not lead inside."""
        parts = urlsplit(base_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = parts.hostname or ""
        self._transport = transport
        self._origin = Origin(scheme=parts.scheme, host=host, port=port, guarded=guarded)
        self._timeouts = timeouts
        hidden = (re.escape(text) for text in (secret, parts.netloc, host) if text)
        self._hidden = re.compile("|".join(hidden), re.IGNORECASE)
        path = parts.path.rstrip("/")
        lines = [
            f"POST {path}/chat/completions HTTP/1.1",
            f"host: {parts.netloc}",
            "user-agent: bailiwick",
            "content-type: application/json",
            "accept-encoding: identity",
        ]
        if secret:
            lines.append(f"authorization: Bearer {secret}")
        head = "\r\n".join(lines) + "\r\n"
        self._plain = f"{head}accept: application/json\r\ncontent-length: ".encode()
        self._stream = f"{head}accept: text/event-stream\r\ncontent-length: ".encode()

    async def chat(self, body: bytes, *, stream: bool) -> Exchange:
        """Send a chat completion; raises `TransportError`."""
        head = self._stream if stream else self._plain
        return await self._transport.send(
            self._origin, b"%b%d\r\n\r\n%b" % (head, len(body), body), timeouts=self._timeouts
        )

    def scrub(self, text: str) -> str:
        """Take out the account's key, addresses and hosts, and cut what is too long."""
        if len(text) > _LONGEST_READ:
            # Without its last word: half a key would not be known as one.
            text = text[:_LONGEST_READ].rsplit(None, 1)[0]
        return _SECRETS.sub(_HIDDEN, self._hidden.sub(_HIDDEN, text))[:_LONGEST_MESSAGE]
