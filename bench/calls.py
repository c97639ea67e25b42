"""The calls that every system is asked to carry: the same bytes for all, but for the credential.

Bodies are padded to an exact size, so that "0.5 KB" and "20 KB" are what is sent. End users
rotate, because a user limit that only ever sees one user is cheaper than a real one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

USERS: Final = 200
MODEL: Final = "gpt-4o-mini"
STREAM_MODEL: Final = "gpt-4o"
CHAT_PATH: Final = "/v1/chat/completions"
_PANGRAM: Final = "The quick brown fox jumps over the lazy dog. "


class Kind(StrEnum):
    """What is asked: a small body, a large one, or a stream."""

    SMALL = "small"
    LARGE = "large"
    STREAM = "stream"

    @property
    def body_bytes(self) -> int:
        """The size of the request's body: 0.5 KB, or 20 KB."""
        return 20 * 1024 if self is Kind.LARGE else 512

    @property
    def model(self) -> str:
        """The model asked for; streams come from another address of the mock provider."""
        return STREAM_MODEL if self is Kind.STREAM else MODEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call to one system: where it goes, as whom, and with which body."""

    port: int
    kind: Kind
    bearer: str
    headers: tuple[tuple[str, str], ...] = ()
    path: str = CHAT_PATH
    content: bytes | None = None
    content_type: str = "application/json"

    def at(self, path: str, content: bytes, content_type: str) -> Call:
        """Return the same call with another body at another address."""
        return replace(self, path=path, content=content, content_type=content_type)

    def body(self) -> bytes:
        """Return the body; for a chat JSON, padded to the size of its kind."""
        return chat_body(self.kind) if self.content is None else self.content

    def all_headers(self) -> tuple[tuple[str, str], ...]:
        """Every header but `Host`, `Content-Length` and the end user's."""
        return (
            ("Authorization", f"Bearer {self.bearer}"),
            ("Content-Type", self.content_type),
            ("Accept", "*/*" if self.content else "application/json"),
            ("User-Agent", "OpenAI/Python 3.52.0"),
            *self.headers,
        )

    def requests(self) -> list[bytes]:
        """Return the whole request as bytes, once for each end user."""
        body = self.body()
        lines = [f"POST {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in self.all_headers()]
        lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join(lines)
        return [f"{head}\r\nX-End-User-Id: user-{number:04d}\r\n\r\n".encode() + body for number in range(1, USERS + 1)]


def chat_body(kind: Kind) -> bytes:
    """Return a chat request of exactly `kind.body_bytes` bytes."""
    request: dict[str, object] = {
        "model": kind.model,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": ""},
        ],
        "temperature": 0.2,
        "max_tokens": 256,
    }
    if kind is Kind.STREAM:
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    room = kind.body_bytes - len(json.dumps(request))
    text = (_PANGRAM * (room // len(_PANGRAM) + 1))[:room]
    request["messages"] = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": text},
    ]
    return json.dumps(request).encode()
