"""What the provider gets to see: the client's bytes where they are the client's, ours where we answer for them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.serving import ASK, MODEL, PROVIDER_SECRET, Caller, Site, error_of
from tests.upstream import Upstream

PSEUDONYM = re.compile(r"u_[0-9a-f]{32}")


@pytest.fixture
def caller(site: Site) -> Caller:
    return site.project()


@pytest.fixture
def shared(site: Site, upstream: Upstream) -> Any:
    """A caller whose provider is the platform's."""
    provider = site.admin.make(
        "/providers",
        {"name": "platform", "kind": "openai", "base_url": upstream.base_url, "api_key": PROVIDER_SECRET,
         "models": ["shared-model"]},
    )  # fmt: skip
    yield site.project(provider={"base_url": None})
    assert site.admin.request("DELETE", f"/providers/{provider['id']}").status_code == 204


MESSAGES = {
    "spaces": b'[ {  "role" :\t"user",\r\n "content": "hi" } ]',
    "escapes": rb'[{"role":"user","content":"\u0041\/\ud83e\udd8a\"\\ \u0000"}]',
    "letters": '[{"role":"user","content":"naïve 🦊 \u2028"}]'.encode(),
    "numbers": b'[{"role":"user","content":"x","a":1.0,"b":1e5,"c":-0,"d":12345678901234567890123,"e":0.1000}]',
    "keys that stand twice": b'[{"role":"user","role":"system","content":"a","content":"b"}]',
    "order": b'[{"content":"z","role":"user","name":"a"}]',
}


@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize("stream", [False, True])
def test_messages_pass_as_the_bytes_that_came(caller: Caller, upstream: Upstream, kind: str, stream: bool) -> None:
    messages = MESSAGES[kind]
    streamed = b"true" if stream else b"false"
    body = b'{"temperature": 0.70, "messages": %b, "stream":%b, "x": [1.0 ], "model":"gpt-4o-mini"}' % (
        messages,
        streamed,
    )
    assert caller.send(body).status_code == 200
    sent = upstream.requests[0].body
    assert b'"messages":' + messages in sent
    assert b'"temperature":0.70' in sent
    assert b'"x":[1.0 ]' in sent


def test_the_account_and_nothing_of_the_client_goes_along(caller: Caller, upstream: Upstream) -> None:
    headers = {
        "x-end-user-id": "alice", "x-session-id": "s", "cookie": "a=b", "x-forwarded-for": "1.2.3.4",
        "user-agent": "me", "openai-organization": "org-1", "x-stainless-os": "Linux", "x-custom": "y",
        "accept-encoding": "gzip",
    }  # fmt: skip
    caller.chat(headers=headers)
    record = upstream.requests[0]
    assert {name.lower(): value for name, value in record.headers} == {
        "host": f"127.0.0.1:{upstream.port}",
        "user-agent": "bailiwick",
        "authorization": f"Bearer {PROVIDER_SECRET}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": str(len(record.body)),
    }
    assert caller.key.encode() not in record.raw


def test_a_provider_without_a_key_gets_none(site: Site, upstream: Upstream) -> None:
    caller = site.project(provider={"api_key": None})
    assert caller.chat().status_code == 200
    assert upstream.requests[0].header("authorization") is None


# The end user --------------------------------------------------------------------------------------------------------


def test_the_end_user_goes_by_a_pseudonym_whatever_the_body_says(caller: Caller, upstream: Upstream) -> None:
    caller.chat(headers={"x-end-user-id": "alice"}, user="mallory", safety_identifier="mallory")
    caller.chat(headers={"x-end-user-id": "alice"})
    first, second = (record.json for record in upstream.requests)
    assert PSEUDONYM.fullmatch(first["user"])
    assert first["user"] == first["safety_identifier"] == second["user"] == second["safety_identifier"]
    assert b"alice" not in b"".join(record.raw for record in upstream.requests)
    assert b"mallory" not in b"".join(record.raw for record in upstream.requests)
    assert {row["uid"] for row in caller.rows} == {"alice"}


def test_without_an_end_user_there_is_no_name_at_all(caller: Caller, upstream: Upstream) -> None:
    caller.chat(user="mallory", safety_identifier="mallory")
    body = upstream.requests[0].json
    assert "user" not in body
    assert "safety_identifier" not in body
    assert caller.row()["uid"] is None


def test_a_pseudonym_is_the_tenants_own(site: Site, upstream: Upstream) -> None:
    """The same in all projects of a tenant, another one in another tenant, another one for another user."""
    first, second = site.admin.tenant()["id"], site.admin.tenant()["id"]
    for tenant, user in ((first, "alice"), (first, "alice"), (first, "Alice"), (second, "alice")):
        site.project(tenant_id=tenant).chat(headers={"x-end-user-id": user})
    names = [record.json["user"] for record in upstream.requests]
    assert names[0] == names[1]
    assert len(set(names)) == 3


# What we set ---------------------------------------------------------------------------------------------------------


def test_the_model_goes_by_its_own_name(caller: Caller, upstream: Upstream) -> None:
    caller.chat(model=f"up/{MODEL}")
    assert upstream.requests[0].json["model"] == MODEL


@pytest.mark.parametrize(
    "options", [None, {"include_usage": False}, {"include_usage": True, "include_obfuscation": False}]
)
def test_a_streams_usage_is_always_asked_for(caller: Caller, upstream: Upstream, options: Any) -> None:
    caller.chat(stream=True, stream_options=options)
    assert upstream.requests[0].json["stream_options"] == {**(options or {}), "include_usage": True}


def test_options_of_a_stream_go_only_with_a_stream(caller: Caller, upstream: Upstream) -> None:
    caller.chat(stream_options={"include_usage": True})
    assert "stream_options" not in upstream.requests[0].json
    assert upstream.requests[0].json["stream"] is False


def test_what_we_check_is_what_goes_on(caller: Caller, upstream: Upstream) -> None:
    """A name that stands twice inside what we decode is one there, and the same one for everybody."""
    tools = b'[{"type":"function","type":"other","function":{"name":"a","name":"b"}}]'
    metadata = b'{"a":"1","a":"2"}'
    body = b'{"model":"gpt-4o-mini","messages":%b,"tools":%b,"metadata":%b}' % (
        json.dumps(ASK).encode(),
        tools,
        metadata,
    )
    assert caller.send(body).status_code == 200
    sent = upstream.requests[0].body
    assert b'"tools":[{"type":"other","function":{"name":"b"}}]' in sent
    assert b'"metadata":{"a":"2"}' in sent


# What is kept at the provider ----------------------------------------------------------------------------------------

KEPT: dict[str, dict[str, Any]] = {
    "a file": {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
    "a file, in an escaped name": {},
    "an audio of before": {"messages": [*ASK, {"role": "assistant", "audio": {"id": "audio_1"}}]},
    "a vector store": {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]},
    "a container": {"tools": [{"type": "code_interpreter", "container": "cntr_1"}]},
    "a container with files": {
        "tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["f"]}}]
    },
    "a conversation": {"conversation": "conv_1"},
    "a response of before": {"previous_response_id": "resp_1"},
    "a prompt": {"prompt": {"id": "pmpt_1"}},
    "a file for web search": {"web_search_options": {"file_ids": ["file-1"]}},
    "a prediction from a file": {"prediction": {"type": "content", "content": [{"file_id": "file-1"}]}},
}


def kept(kind: str, model: str) -> bytes:
    body = json.dumps({"model": model, "messages": ASK, **KEPT[kind]}).encode()
    if kind == "a file, in an escaped name":
        asked = rb'[{"role":"user","content":[{"type":"file","file":{"f\u0069le_id":"file-1"}}]}]'
        body = b'{"model":"%b","messages":%b}' % (model.encode(), asked)
    return body


@pytest.mark.parametrize("kind", KEPT)
def test_references_to_what_a_shared_account_keeps_are_refused(shared: Caller, upstream: Upstream, kind: str) -> None:
    answer = shared.send(kept(kind, "shared-model"))
    assert error_of(answer) == (400, "invalid_request")
    shared.assert_untouched()


@pytest.mark.parametrize("kind", KEPT)
def test_references_to_what_an_account_of_ones_own_keeps_pass(caller: Caller, upstream: Upstream, kind: str) -> None:
    assert caller.send(kept(kind, MODEL)).status_code == 200
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("store", [True, False, None])
def test_nothing_is_kept_at_a_shared_account(shared: Caller, upstream: Upstream, store: bool | None) -> None:
    assert shared.chat(model="shared-model", store=store).status_code == 200
    assert upstream.requests[0].json["store"] is False


def test_what_is_kept_at_an_account_of_ones_own_is_ones_own_choice(caller: Caller, upstream: Upstream) -> None:
    caller.chat(store=True)
    caller.chat()
    first, second = (record.json for record in upstream.requests)
    assert first["store"] is True
    assert "store" not in second


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": "What is a file_id? And a container, a conversation?"}]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"file_id": {}}}}}]},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"file_id": {"type": "x"}}},
            }
        },
        {"audio": {"voice": "alloy", "format": "wav"}, "modalities": ["text", "audio"]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}
            ]
        },
        {
            "messages": [
                {"role": "user", "content": [{"type": "file", "file": {"file_data": "data:", "filename": "a"}}]}
            ]
        },
    ],
)
def test_words_that_are_no_references_pass(shared: Caller, upstream: Upstream, fields: dict[str, Any]) -> None:
    assert shared.chat(model="shared-model", **fields).status_code == 200
    assert len(upstream.requests) == 1
