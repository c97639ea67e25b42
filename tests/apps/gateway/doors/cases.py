"""For every door: what a client asks there, what a provider answers, and what that comes to in the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

from bailiwick.domain.models import ProviderKind
from bailiwick.services.doors import DOORS, Door
from tests.serving import Caller, Site
from tests.upstream import Behaviour, Upstream
from tests.upstream.payloads import encoded

MODEL: Final = "a-model"
BOUNDARY: Final = "----boundary-7f3a"
CHAT_USAGE: Final = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
TOKENS: Final = {
    "input_tokens": 11,
    "output_tokens": 3,
    "total_tokens": 14,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0, "text_tokens": 11, "image_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 2, "text_tokens": 3, "image_tokens": 0},
}


def form(**fields: bytes) -> bytes:
    """A multipart body; `file` is one."""
    parts = []
    for name, value in fields.items():
        extra = '; filename="speech.mp3"\r\nContent-Type: audio/mpeg' if name == "file" else ""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
        parts.append(head.encode() + value + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One door. `counted` are input and output tokens of the row, `source` how they are known."""

    fields: Mapping[str, Any]
    answer: bytes
    content_type: str = "application/json"
    counted: tuple[int, int] = (11, 3)
    source: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    multipart: bool = False

    def body(self, model: str = MODEL) -> bytes:
        """The request's bytes."""
        if self.multipart:
            return form(model=model.encode(), **self.fields)
        return json.dumps({"model": model, **self.fields}).encode()

    @property
    def request_type(self) -> str:
        """The request's content type."""
        return f"multipart/form-data; boundary={BOUNDARY}" if self.multipart else "application/json"

    def ask(
        self, door: Door, caller: Caller, *, model: str = MODEL, headers: Any = (), site: Site | None = None
    ) -> Any:
        """Ask at the door; with `site`, without a credential."""
        given = [("content-type", self.request_type), *self.headers.items(), *headers]
        asker = caller if site is None else site
        return asker.ask("POST", f"/v1{door.path}", content=self.body(model), headers=given)

    @property
    def behaviour(self) -> Behaviour:
        """The provider's good answer."""
        return Behaviour(body=self.answer, headers=(("content-type", self.content_type),))


_MESSAGES: Final = [{"role": "user", "content": "What is the capital of France?"}]
_MESSAGE: Final = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "content": [{"type": "text", "text": "Paris."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 5,
        "cache_creation_input_tokens": 2,
        "cache_read_input_tokens": 4,
        "output_tokens": 3,
    },
}
RESPONSE: Final = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1760000000,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "model": MODEL,
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Paris.", "annotations": []}],
        }
    ],
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "usage": TOKENS,
}
_TEXT_COMPLETION: Final = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1760000000,
    "model": MODEL,
    "choices": [{"text": "Paris.", "index": 0, "logprobs": None, "finish_reason": "stop"}],
    "usage": CHAT_USAGE,
}
_CHAT_COMPLETION: Final = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1760000000,
    "model": MODEL,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}],
    "usage": CHAT_USAGE,
}
_EMBEDDING: Final = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
    "model": MODEL,
    "usage": {"prompt_tokens": 11, "total_tokens": 11},
}
_HARMS: Final = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
_JUDGED: Final = {
    "flagged": False,
    "categories": dict.fromkeys(_HARMS, False),
    "category_scores": dict.fromkeys(_HARMS, 0.25),
    "category_applied_input_types": {harm: ["text"] for harm in _HARMS},
}
_MODERATION: Final = {"id": "modr-1", "model": MODEL, "results": [_JUDGED]}
_IMAGE: Final = {"created": 1760000000, "data": [{"b64_json": "aGVsbG8="}], "usage": TOKENS}
_TRANSCRIPT: Final = {
    "text": "Hello.",
    "usage": {
        "type": "tokens",
        "input_tokens": 11,
        "output_tokens": 3,
        "total_tokens": 14,
        "input_token_details": {"text_tokens": 1, "audio_tokens": 10},
    },
}

CASES: Final[Mapping[str, Case]] = {
    "/chat/completions": Case(fields={"messages": _MESSAGES}, answer=encoded(_CHAT_COMPLETION)),
    "/completions": Case(fields={"prompt": "The capital of France is"}, answer=encoded(_TEXT_COMPLETION)),
    "/embeddings": Case(fields={"input": ["Paris"]}, answer=encoded(_EMBEDDING), counted=(11, 0)),
    "/responses": Case(fields={"input": "What is the capital of France?"}, answer=encoded(RESPONSE)),
    "/moderations": Case(fields={"input": "Hello"}, answer=encoded(_MODERATION), counted=(10, 0), source=1),
    "/images/generations": Case(fields={"prompt": "A bailiff"}, answer=encoded(_IMAGE)),
    "/audio/transcriptions": Case(fields={"file": b"\x00\xff" * 200}, answer=encoded(_TRANSCRIPT), multipart=True),
    "/audio/speech": Case(
        fields={"input": "Hello.", "voice": "alloy"},
        answer=b"\xff\xfb" * 4000,
        content_type="audio/mpeg",
        counted=(15, 5),
        source=1,
    ),
    "/messages": Case(
        fields={"messages": _MESSAGES, "max_tokens": 100},
        answer=encoded(_MESSAGE),
        headers={"anthropic-version": "2023-06-01"},
    ),
    "/messages/count_tokens": Case(
        fields={"messages": _MESSAGES},
        answer=encoded({"input_tokens": 11}),
        headers={"anthropic-version": "2023-06-01"},
        counted=(0, 0),
        source=2,
    ),
}
BY_PATH: Final = {door.path: door for door in DOORS}
CLAUDE: Final = "claude"
"""A model of the provider that `with_anthropic` adds."""


def with_anthropic(caller: Caller, **fields: Any) -> Caller:
    """Give a project a second provider, for the doors that its first does not have."""
    site = caller.site
    named = {"name": "claude-provider", "kind": ProviderKind.ANTHROPIC.value, "models": [CLAUDE], **fields}
    site.admin.provider(caller.id, **{"base_url": site.upstream.base_url, **named})
    return caller


def answer_every_door(upstream: Upstream, *prefixes: str) -> None:
    """Let the provider answer well at every door's address, below each of these prefixes."""
    for prefix in prefixes:
        for path, case in CASES.items():
            upstream.on(f"{prefix}/v1{path}", case.behaviour)


def good(method: str, address: str, model: str, /, **fields: Any) -> dict[str, Any]:
    """What a good request of any address holds, as options of the HTTP client; `fields` are added to a call's."""
    if method != "POST":
        return {}
    path = address.removeprefix("/v1")
    if path == "/auth/mint":
        return {"json": {"user_id": "user-123", **fields}}
    case = CASES[path]
    own = CLAUDE if ProviderKind.OPENAI not in BY_PATH[path].kinds else model
    given = {"model": own, **case.fields, **fields}
    if not case.multipart:
        return {"json": given}
    files = {"file": ("speech.mp3", given.pop("file"))}
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
    return {"data": texts, "files": files}


def project(site: Site, door: Door, **fields: Any) -> Caller:
    """A project whose provider has this door."""
    kind = ProviderKind.OPENAI if ProviderKind.OPENAI in door.kinds else ProviderKind.ANTHROPIC
    return site.project(provider={"kind": kind.value, **fields.pop("provider", {})}, **fields)
