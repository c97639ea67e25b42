"""The mock provider: nginx on core 1 with canned answers, so that it is never what is measured.

One port answers a chat completion of 677 bytes at once; the other streams 31 events 10 ms apart,
each flushed by itself, the last two being the usage and `[DONE]`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from bench import ports
from bench.proc import LOAD_CORE
from bench.server import Server

if TYPE_CHECKING:
    from pathlib import Path

EVENTS: Final = 31
EVENT_GAP_MS: Final = 10
ANSWER: Final = "The capital of France is Paris. It is situated on the Seine, in the north of the country."
_MODULES: Final = "/usr/lib/nginx/modules"
_USAGE: Final = {
    "prompt_tokens": 57,
    "completion_tokens": 21,
    "total_tokens": 78,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
_ENVELOPE: Final = {
    "id": "chatcmpl-9abcDEF0123456789abcdefGHIJ",
    "created": 1760000000,
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "system_fingerprint": "fp_06737a9306",
}


def answer() -> str:
    """Return the body of the chat completion."""
    message: dict[str, object] = {
        "role": "assistant",
        "content": ANSWER,
        "refusal": None,
        "annotations": [],
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = {**_ENVELOPE, "object": "chat.completion", "choices": [choice], "usage": _USAGE}
    return json.dumps(body, separators=(",", ":"))


def answers_by_path() -> dict[str, tuple[str, str]]:
    """Return the content type and the body of the answer at each address below /v1."""
    tokens = {"input_tokens": 57, "output_tokens": 21, "total_tokens": 78}
    text = {"type": "output_text", "text": ANSWER, "annotations": []}
    message = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [text]}
    answers: dict[str, dict[str, object]] = {
        "/responses": {"object": "response", "status": "completed", "output": [message], "usage": tokens},
        "/messages": {
            "type": "message", "role": "assistant", "content": [{"type": "text", "text": ANSWER}],
            "stop_reason": "end_turn", "usage": {"input_tokens": 57, "output_tokens": 21},
        },
        "/messages/count_tokens": {"input_tokens": 57},
        "/completions": {"choices": [{"index": 0, "text": ANSWER, "finish_reason": "stop"}], "usage": _USAGE},
        "/embeddings": {
            "object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.0123456789] * 256}],
            "usage": {"prompt_tokens": 57, "total_tokens": 57},
        },
        "/moderations": {"id": "modr-1", "results": [{"flagged": False, "categories": {}, "category_scores": {}}]},
        "/images/generations": {"created": 1760000000, "data": [{"b64_json": "iVBORw0K" * 400}], "usage": tokens},
        "/audio/transcriptions": {"text": ANSWER, "usage": {"type": "tokens", **tokens}},
    }  # fmt: skip
    written = {path: ("application/json", json.dumps(body, separators=(",", ":"))) for path, body in answers.items()}
    return {**written, "/chat/completions": ("application/json", answer()), "/audio/speech": ("audio/mpeg", "x" * 3500)}


def events() -> list[str]:
    """Return the events of the stream, each with its blank line."""
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": f" word{number}"}, None) for number in range(EVENTS - 4)]
    deltas.append(({}, "stop"))
    frames = [
        _event([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}], None)
        for delta, reason in deltas
    ]
    return [*frames, _event([], _USAGE), "data: [DONE]\n\n"]


def _event(choices: list[dict[str, object]], usage: object) -> str:
    chunk = {**_ENVELOPE, "object": "chat.completion.chunk", "choices": choices, "usage": usage}
    return f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n"


def _locations() -> str:
    return "".join(
        f"    location = /v1{path} {{ default_type {kind}; return 200 '{body}'; }}\n"
        for path, (kind, body) in answers_by_path().items()
        if path != "/chat/completions"
    )


def _configuration(folder: Path) -> str:
    chunks = ",\n".join(f"[==[{event.removesuffix(chr(10) * 2)}]==]..'\\n\\n'" for event in events())
    (folder / "chunks.lua").write_text(f"return {{\n{chunks}\n}}\n")
    temporary = "".join(
        f"  {name}_temp_path {folder}/mock-{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""\
load_module {_MODULES}/ndk_http_module.so;
load_module {_MODULES}/ngx_http_lua_module.so;
worker_processes 1; daemon off; pid {folder}/mock.pid; error_log {folder}/mock-error.log warn;
events {{ worker_connections 8192; multi_accept on; }}
http {{
{temporary}
  access_log off; server_tokens off; default_type application/json; tcp_nodelay on;
  keepalive_requests 100000000; keepalive_timeout 3600;
  client_body_buffer_size 128k; client_max_body_size 8m;
  lua_package_path "{folder}/?.lua;/usr/share/lua/5.1/?.lua;;";
  server {{ listen 127.0.0.1:{ports.MOCK_JSON} backlog=4096;
{_locations()}
    location / {{
      add_header x-request-id req_1234567890; add_header openai-processing-ms 5;
      return 200 '{answer()}'; }} }}
  server {{ listen 127.0.0.1:{ports.MOCK_STREAM} backlog=4096;
    location / {{ default_type text/event-stream; content_by_lua_block {{
      ngx.req.read_body()
      local chunks = require "chunks"
      for i = 1, #chunks do
        ngx.print(chunks[i]); ngx.flush(true)
        if i < #chunks then ngx.sleep({EVENT_GAP_MS / 1000}) end
      end }} }} }}
}}
"""


def mock_provider(folder: Path) -> Server:
    """Return the mock provider, ready to be started; its files live in `folder`."""
    configuration = folder / "mock.conf"
    configuration.write_text(_configuration(folder))
    return Server(
        [
            "nginx",
            "-c",
            str(configuration),
            "-p",
            str(folder),
            "-e",
            str(folder / "mock-error.log"),
        ],
        log=folder / "mock.log",
        ports=(ports.MOCK_JSON, ports.MOCK_STREAM),
        core=LOAD_CORE,
    )
