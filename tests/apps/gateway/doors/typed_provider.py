"""A provider that takes what the `openai` package's types allow, and answers what they promise.

Every request is validated against the parameters of its address: a field that they do not know, a value of another
type or a missing one is a 400 that says so. Every answer is validated once against the response's type.
"""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, get_args, get_type_hints

import openai.types as t
import pydantic
from openai.types import audio, chat, responses
from python_multipart import parse_form
from typing_extensions import TypedDict

from tests.apps.gateway.doors import streams
from tests.apps.gateway.doors.cases import CASES
from tests.upstream.payloads import encoded, event

_CHUNK: Final = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1760000000, "model": "a-model"}
_CHAT_EVENTS: Final = (
    event({**_CHUNK, "choices": [{"index": 0, "delta": {"content": "Paris."}, "finish_reason": "stop"}]}),
    b"data: [DONE]\n\n",
)
# What their tests of speech expect to hear.
_SPEECH: Final = b'{"foo": "bar"}'
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    """What one address takes and answers; `answers` None: sound."""

    takes: Any
    answers: Any
    events: tuple[bytes, ...] = ()


_TRANSCRIPTION: Final = get_type_hints(get_args(audio.TranscriptionCreateParams)[0], include_extras=True)
_ADDRESSES: Final[Mapping[str, _Address]] = {
    "/chat/completions": _Address(takes=chat.CompletionCreateParams, answers=chat.ChatCompletion, events=_CHAT_EVENTS),
    "/completions": _Address(takes=t.CompletionCreateParams, answers=t.Completion, events=streams.TEXT_EVENTS),
    "/embeddings": _Address(takes=t.EmbeddingCreateParams, answers=t.CreateEmbeddingResponse),
    "/responses": _Address(
        takes=responses.ResponseCreateParams, answers=responses.Response, events=streams.RESPONSE_EVENTS
    ),
    "/moderations": _Address(takes=t.ModerationCreateParams, answers=t.ModerationCreateResponse),
    "/images/generations": _Address(takes=t.ImageGenerateParams, answers=t.ImagesResponse, events=streams.IMAGE_EVENTS),
    "/audio/transcriptions": _Address(
        takes=TypedDict("_Form", _TRANSCRIPTION | {"file": bytes, "stream": bool}, total=False),
        answers=audio.Transcription,
        events=streams.TRANSCRIPT_EVENTS,
    ),
    "/audio/speech": _Address(takes=audio.SpeechCreateParams, answers=None),
}
_MODELS: Final = {"object": "list", "data": [{"id": "a-model", "object": "model", "created": 1, "owned_by": "up"}]}


class TypedProvider:
    """Serves at `base_url`; `taken` are the addresses of what was well-formed, `refused` what was wrong with others."""

    def __init__(self, port: int) -> None:
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self.taken: list[str] = []
        self.refused: list[str] = []

    def answer(self, path: str, content_type: str, body: bytes) -> tuple[int, str, bytes]:
        """Judge one request; returns status, content type and body."""
        address = _ADDRESSES[path]
        try:
            asked = _form(content_type, body) if "multipart" in content_type else json.loads(body)
            _check(address.takes, asked)
        except (ValueError, KeyError) as problem:
            self.refused.append(f"{path}: {problem}")
            return 400, _JSON, encoded({"error": {"message": str(problem), "type": "invalid_request_error"}})
        self.taken.append(path)
        if asked.get("stream") is True:
            return 200, "text/event-stream", b"".join(address.events)
        if address.answers is None:
            return 200, "application/octet-stream", _SPEECH
        _adapter(address.answers).validate_json(CASES[path].answer, strict=True)
        return 200, _JSON, CASES[path].answer


def _check(takes: Any, asked: dict[str, Any]) -> None:
    """Raise ValueError unless `asked` is of the type `takes`, a TypedDict or a union of several."""
    known = set[str]()
    for form in get_args(takes) or (takes,):
        known |= set(get_type_hints(form))
    if unknown := set(asked) - known:
        msg = f"unknown: {sorted(unknown)}"
        raise ValueError(msg)
    _exhaust(_adapter(takes).validate_python(asked))


@cache
def _adapter(form: Any) -> pydantic.TypeAdapter[Any]:
    """Kept: they take long to make, and what is declared as iterable needs its own until it was walked."""
    return pydantic.TypeAdapter(form)


def _exhaust(value: Any) -> None:
    """Walk all of a value: what is declared as iterable is validated only as it is."""
    if isinstance(value, dict):
        value = value.values()
    if not isinstance(value, str | bytes) and hasattr(value, "__iter__"):
        for inner in value:
            _exhaust(inner)


def _form(content_type: str, body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def field(part: Any) -> None:
        name, value = part.field_name.decode(), part.value.decode()
        value = {"true": True, "false": False}.get(value, value)
        if name.endswith("[]"):
            found.setdefault(name[:-2], []).append(value)
        elif name in found:
            msg = f"{name} twice"
            raise ValueError(msg)
        else:
            found[name] = value

    def file(part: Any) -> None:
        part.file_object.seek(0)
        found[part.field_name.decode()] = part.file_object.read()

    headers = {"Content-Type": content_type.encode(), "Content-Length": str(len(body)).encode()}
    parse_form(headers, io.BytesIO(body), field, file)
    if not found.get("file") or "model" not in found:
        msg = "file and model are required"
        raise ValueError(msg)
    return found


@contextmanager
def typed_provider() -> Iterator[TypedProvider]:
    """Serve on a free port of the loopback until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self._send(*provider.answer(self.path.removeprefix("/v1"), self.headers["content-type"], body))

        def do_GET(self) -> None:
            self._send(200, _JSON, encoded(_MODELS))

        def _send(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the server's name for it
            """Nobody reads it."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that leaves without having read everything is none of the server's trouble."""
            if not isinstance(sys.exception(), ConnectionError):
                super().handle_error(request, client_address)

    with Server(("127.0.0.1", 0), Handler) as server:
        provider = TypedProvider(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, name="typed-provider", daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
