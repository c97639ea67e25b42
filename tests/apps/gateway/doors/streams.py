"""Streams as providers send them at the doors that have any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.apps.gateway.doors.cases import MODEL, RESPONSE, TOKENS
from tests.upstream.payloads import event


def named(content: Mapping[str, Any]) -> bytes:
    """An event with its type as its name."""
    return b"event: %b\n" % str(content["type"]).encode() + event(content)


def _delta(text: str, number: int) -> bytes:
    return named(
        {
            "type": "response.output_text.delta",
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "delta": text,
            "logprobs": [],
            "sequence_number": number,
        }
    )


_BEGUN: Final = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
RESPONSE_EVENTS: Final = (
    named({"type": "response.created", "response": _BEGUN, "sequence_number": 0}),
    _delta("Par", 1),
    _delta("is.", 2),
    named({"type": "response.completed", "response": RESPONSE, "sequence_number": 3}),
)
RESPONSE_FAILED: Final = named(
    {
        "type": "response.failed",
        "response": {**_BEGUN, "status": "failed", "error": {"code": "server_error", "message": "It broke."}},
        "sequence_number": 3,
    }
)
_MESSAGE: Final = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 5, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 4, "output_tokens": 1},
}


def _text(text: str) -> bytes:
    return named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})


MESSAGE_EVENTS: Final = (
    named({"type": "message_start", "message": _MESSAGE}),
    named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    named({"type": "ping"}),
    _text("Par"),
    _text("is."),
    named({"type": "content_block_stop", "index": 0}),
    named(
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 3},
        }
    ),
    named({"type": "message_stop"}),
)
MESSAGE_FAILED: Final = named({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
TRANSCRIPT_EVENTS: Final = (
    event({"type": "transcript.text.delta", "delta": "Hel"}),
    event({"type": "transcript.text.delta", "delta": "lo."}),
    event({"type": "transcript.text.done", "text": "Hello.", "usage": {"type": "tokens", **TOKENS}}),
)
_IMAGE: Final = {
    "b64_json": "aGVsbG8=",
    "background": "opaque",
    "created_at": 1760000000,
    "output_format": "png",
    "quality": "high",
    "size": "1024x1024",
}
IMAGE_EVENTS: Final = (
    event({"type": "image_generation.partial_image", "partial_image_index": 0, **_IMAGE}),
    event({"type": "image_generation.completed", "usage": TOKENS, **_IMAGE}),
)


def _piece(text: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "text": text, "finish_reason": finish_reason}
    return event({"id": "cmpl-1", "object": "text_completion", "choices": [choice]})


TEXT_EVENTS: Final = (
    _piece("Par"),
    _piece("is.", "stop"),
    event(
        {
            "id": "cmpl-1",
            "object": "text_completion",
            "choices": [],
            "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
        }
    ),
    b"data: [DONE]\n\n",
)
