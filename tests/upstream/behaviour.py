"""What one answer of the stand-in shall look like, and how it shall end: plain values, nothing happens here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias

from tests.upstream.record import Record

Body: TypeAlias = bytes | Callable[[Record], bytes]
"""Bytes to answer with, or what makes them from the request (to echo what a provider should not echo)."""


class Ending(Enum):
    """How an answer ends."""

    COMPLETE = auto()
    """As HTTP wants it."""
    EARLY = auto()
    """As HTTP wants it, but after `after` frames: the content is cut, the message is not."""
    CLOSE = auto()
    """The connection is closed (FIN)."""
    RESET = auto()
    """The connection is reset (RST)."""
    STALL = auto()
    """Nothing more is sent, until the peer goes away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens to report; zero details are reported as zero, as OpenAI does."""

    prompt: int = 11
    completion: int = 7
    cached: int = 0
    reasoning: int = 0
    audio_prompt: int = 0
    audio_completion: int = 0

    def as_json(self) -> dict[str, object]:
        """Write it as the `usage` member of a chat completion."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached, "audio_tokens": self.audio_prompt},
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning,
                "audio_tokens": self.audio_completion,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model wants to call; `arguments` is JSON text."""

    name: str
    arguments: str = "{}"


DEFAULT_USAGE: Final = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One scripted answer; the defaults are a good one. Times are in seconds."""

    # What is said.
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    """Added to the head; a name that the stand-in would set itself is replaced."""
    body: Body | None = None
    """The whole body, in place of a completion."""
    frames: tuple[bytes, ...] | None = None
    """The frames of a stream, in place of a completion's."""
    text: str = "The capital of France is Paris."
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    """`stop`, or `tool_calls` when there are some, if not given."""
    chunks: int = 5
    """Frames that carry text, in a stream."""
    usage: Usage | Mapping[str, object] | None = DEFAULT_USAGE
    """Tokens, or any object to send as `usage`, or None for an answer without one."""
    usage_unasked: bool = False
    """Send the stream's usage frame although nobody asked for it."""
    done: bool = True
    """End a stream by `data: [DONE]`."""

    # When.
    delay: float = 0.0
    """Before the first byte."""
    gap: float = 0.0
    """Between two frames."""
    drip: float | None = None
    """Send byte by byte, with this pause after each one."""

    # How it is framed.
    version: str = "1.1"
    framing: str | None = None
    """`length`, `chunked` or `close`; by default a stream is chunked and anything else has a length."""
    declared_length: int | None = None
    """A Content-Length to declare in place of the true one."""
    trailers: tuple[tuple[str, str], ...] = ()
    interim: tuple[int, ...] = ()
    """Informational responses (1xx) to send before the head."""
    wire: bytes | None = None
    """Everything to send, head included, as it is; then `ending` (a close, if not given)."""
    reads_body: bool = True
    """False, for a script by path: answer after the request's head, and read no further. As long as the connection is
    open, the stand-in then does not notice that its peer leaves: `Upstream.drop_connections` ends it."""

    # How it ends.
    ending: Ending = Ending.COMPLETE
    after: float | None = None
    """Frames to send before `ending`; None is before the head."""
    keep_alive: bool = True
    """False announces the close and closes."""
    hang_up: float | None = None
    """Close without a word, so long after a complete answer."""
    surplus: bytes = b""
    """Sent after the end of a complete answer, where nothing belongs …"""
    surplus_delay: float = 0.0
    """… so long after it (0: in the same segment)."""
