"""Chat completions' bodies, read and written as at their door."""

from __future__ import annotations

from bailiwick.domain.requests import JsonForm, ModelRequest, read_request

FORM = JsonForm(content="messages", conversation=True, users=("user", "safety_identifier"), asks_usage=True)


def read_chat(body: bytes) -> ModelRequest:
    return read_request(body, FORM)


def write_upstream(request: ModelRequest, *, model: str, user: str | None, shared_account: bool) -> bytes:
    return request.upstream(model=model, user=user, shared_account=shared_account)
