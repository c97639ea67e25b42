"""The bodies of the stand-in: chat completions, their streams, models and errors, in OpenAI's shapes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tests.upstream.behaviour import Behaviour, ToolCall, Usage
from tests.upstream.record import Record

CREATED: Final = 1760000000
JSON: Final = "application/json"
SSE: Final = "text/event-stream"
DONE: Final = b"data: [DONE]\n\n"


def encoded(content: object) -> bytes:
    """Write JSON as providers do: compact, UTF-8."""
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def event(content: object) -> bytes:
    """Write one server-sent event."""
    return b"data: " + encoded(content) + b"\n\n"


def error(
    message: str, *, kind: str = "invalid_request_error", code: str | None = None, param: str | None = None
) -> bytes:
    """Write an error body."""
    return encoded({"error": {"message": message, "type": kind, "param": param, "code": code}})


def models(names: Sequence[str]) -> bytes:
    """Write a list of models."""
    data = [{"id": name, "object": "model", "created": CREATED, "owned_by": "upstream"} for name in names]
    return encoded({"object": "list", "data": data})


def is_stream(request: Record) -> bool:
    """Say whether a request asks for a stream."""
    content = _content(request)
    return content.get("stream") is True


def completion(request: Record, behaviour: Behaviour, number: int) -> bytes:
    """Write a whole chat completion."""
    content = _content(request)
    message: dict[str, object] = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    if behaviour.tool_calls:
        message["tool_calls"] = [_tool_call(place, call) for place, call in enumerate(behaviour.tool_calls)]
    else:
        message["content"] = behaviour.text
    answer: dict[str, object] = {
        "id": f"chatcmpl-{number:08d}",
        "object": "chat.completion",
        "created": CREATED,
        "model": content.get("model", "unnamed"),
        "choices": [
            {"index": index, "message": message, "logprobs": None, "finish_reason": _finish_reason(behaviour)}
            for index in range(_choices(content))
        ],
        "service_tier": "default",
        "system_fingerprint": "fp_upstream",
    }
    if behaviour.usage is not None:
        answer["usage"] = _usage(behaviour.usage)
    return encoded(answer)


def stream(request: Record, behaviour: Behaviour, number: int) -> Iterator[bytes]:
    """Write the frames of a streamed chat completion."""
    content = _content(request)
    options = content.get("stream_options")
    asked = isinstance(options, Mapping) and options.get("include_usage") is True
    chunk: dict[str, object] = {
        "id": f"chatcmpl-{number:08d}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": content.get("model", "unnamed"),
        "service_tier": "default",
        "system_fingerprint": "fp_upstream",
    }
    if asked:
        chunk["usage"] = None
    for delta, finish_reason in _deltas(behaviour):
        choices = [
            {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
            for index in range(_choices(content))
        ]
        yield event(chunk | {"choices": choices})
    if behaviour.usage is not None and (asked or behaviour.usage_unasked):
        yield event(chunk | {"choices": [], "usage": _usage(behaviour.usage)})
    if behaviour.done:
        yield DONE


def _deltas(behaviour: Behaviour) -> Iterator[tuple[dict[str, object], str | None]]:
    yield {"role": "assistant", "content": None if behaviour.tool_calls else ""}, None
    if behaviour.tool_calls:
        for place, call in enumerate(behaviour.tool_calls):
            opening = _tool_call(place, ToolCall(call.name, ""))
            yield {"tool_calls": [{"index": place, **opening}]}, None
            for piece in _pieces(call.arguments, behaviour.chunks):
                yield {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}, None
    else:
        for piece in _pieces(behaviour.text, behaviour.chunks):
            yield {"content": piece}, None
    yield {}, _finish_reason(behaviour)


def _pieces(text: str, count: int) -> Iterator[str]:
    """Cut a text into `count` pieces; where it is too short for that, into copies of a word."""
    if len(text) < count:
        yield from (f" word{place}" for place in range(count))
        return
    for place in range(count):
        yield text[place * len(text) // count : (place + 1) * len(text) // count]


def _tool_call(place: int, call: ToolCall) -> dict[str, object]:
    return {"id": f"call_{place}", "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _finish_reason(behaviour: Behaviour) -> str:
    return behaviour.finish_reason or ("tool_calls" if behaviour.tool_calls else "stop")


def _usage(usage: Usage | Mapping[str, object]) -> object:
    return usage.as_json() if isinstance(usage, Usage) else usage


def _choices(content: Mapping[str, object]) -> int:
    count = content.get("n")
    return count if isinstance(count, int) and count > 0 else 1


def _content(request: Record) -> dict[str, object]:
    try:
        content = json.loads(request.body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
