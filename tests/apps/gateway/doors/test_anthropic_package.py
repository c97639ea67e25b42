"""The unchanged `anthropic` package: messages, streams, tools, counts, typed errors."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import anthropic
import pytest

from tests.apps.gateway.doors import streams
from tests.apps.gateway.doors.cases import BY_PATH, CASES, MODEL, project
from tests.serving import PROVIDER_SECRET, Caller, Site
from tests.upstream import Behaviour, Upstream

ASK: Any = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture
def caller(site: Site) -> Caller:
    return project(site, BY_PATH["/messages"])


def sdk(caller: Caller, **options: Any) -> anthropic.Anthropic:
    given = {"base_url": caller.site.installation.url, "api_key": caller.key, "max_retries": 0, **options}
    return anthropic.Anthropic(**given)


def test_a_message(caller: Caller, upstream: Upstream) -> None:
    upstream.on("/v1/messages", CASES["/messages"].behaviour)
    with sdk(caller) as client:
        answer = client.messages.create(model=MODEL, messages=ASK, max_tokens=100, system="Be brief.")
    assert answer.content[0].text == "Paris."
    row = caller.row()
    assert (row["input_tokens"], row["output_tokens"], row["cached_tokens"]) == (11, 3, 4)


def test_the_provider_gets_its_own_key_its_version_and_betas_and_not_ours(caller: Caller, upstream: Upstream) -> None:
    upstream.on("/v1/messages", CASES["/messages"].behaviour)
    with sdk(caller) as client:
        client.beta.messages.create(
            model=MODEL, messages=ASK, max_tokens=9, betas=["context-1m-2025-08-07"],
            extra_headers={"x-end-user-id": "alice"},
        )  # fmt: skip
    (seen,) = upstream.requests
    assert seen.header("x-api-key") == PROVIDER_SECRET
    assert seen.header("authorization") is None
    assert seen.header("anthropic-version") == "2026-10-21"
    assert seen.header("anthropic-beta") == "context-1m-2025-08-07"
    assert seen.header("x-end-user-id") is None
    assert len(json.loads(seen.body)["metadata"]["user_id"]) > 20


def test_a_user_id_in_the_metadata_is_not_the_clients_to_choose(caller: Caller, upstream: Upstream) -> None:
    upstream.on("/v1/messages", CASES["/messages"].behaviour)
    with sdk(caller) as client:
        client.messages.create(model=MODEL, messages=ASK, max_tokens=9, metadata={"user_id": "bob"})
    assert "metadata" not in json.loads(upstream.requests[0].body)


def test_a_stream(caller: Caller, upstream: Upstream) -> None:
    upstream.on("/v1/messages", Behaviour(frames=streams.MESSAGE_EVENTS, gap=0.01))
    with sdk(caller) as client, client.messages.stream(model=MODEL, messages=ASK, max_tokens=100) as stream:
        assert "".join(stream.text_stream) == "Paris."
        assert stream.get_final_message().stop_reason == "end_turn"
    row = caller.row()
    assert (row["outcome"], row["usage_source"]) == (0, 0)
    assert (row["input_tokens"], row["output_tokens"], row["cached_tokens"]) == (11, 3, 4)


@pytest.mark.parametrize("frames", [streams.MESSAGE_EVENTS[:5], (*streams.MESSAGE_EVENTS[:5], streams.MESSAGE_FAILED)])
def test_a_stream_that_breaks_off_is_raised_and_estimated(
    caller: Caller, upstream: Upstream, frames: tuple[bytes, ...]
) -> None:
    upstream.on("/v1/messages", Behaviour(frames=frames, gap=0.01))
    with sdk(caller) as client, pytest.raises(anthropic.APIError):
        list(client.messages.create(model=MODEL, messages=ASK, max_tokens=100, stream=True))
    row = caller.row()
    assert (row["outcome"], row["usage_source"], row["input_tokens"]) == (1, 1, 11)
    assert row["output_tokens"] >= 2


def test_tools_come_through(caller: Caller, upstream: Upstream) -> None:
    whole = json.loads(CASES["/messages"].answer)
    whole["content"] = [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}]
    upstream.on("/v1/messages", Behaviour(body=json.dumps(whole).encode()))
    tool: Any = {"name": "weather", "input_schema": {"type": "object", "properties": {}}}
    with sdk(caller) as client:
        answer = client.messages.create(
            model=MODEL, messages=ASK, max_tokens=9, tools=[tool], tool_choice={"type": "tool", "name": "weather"}
        )
    assert answer.content[0].input == {"city": "Paris"}
    assert json.loads(upstream.requests[0].body)["tools"] == [tool]


def test_a_tools_input_streams_in_pieces(caller: Caller, upstream: Upstream) -> None:
    begun = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
    pieces = [{"type": "input_json_delta", "partial_json": part} for part in ("", '{"city": ', '"Paris"}')]
    frames = (
        streams.MESSAGE_EVENTS[0],
        streams.named({"type": "content_block_start", "index": 0, "content_block": begun}),
        *(streams.named({"type": "content_block_delta", "index": 0, "delta": piece}) for piece in pieces),
        *streams.MESSAGE_EVENTS[5:],
    )
    upstream.on("/v1/messages", Behaviour(frames=frames, gap=0.01))
    with sdk(caller) as client, client.messages.stream(model=MODEL, messages=ASK, max_tokens=100) as stream:
        block: Any = stream.get_final_message().content[0]
    assert (block.name, block.input) == ("weather", {"city": "Paris"})


async def test_the_asynchronous_client_streams_with_a_bearer_at_a_projects_own_address(
    caller: Caller, upstream: Upstream
) -> None:
    upstream.on("/v1/messages", Behaviour(frames=streams.MESSAGE_EVENTS, gap=0.01))
    address = f"{caller.site.installation.url}/p/{caller.project['slug']}"
    async with (
        anthropic.AsyncAnthropic(base_url=address, auth_token=caller.key, api_key=None, max_retries=0) as client,
        client.messages.stream(model=MODEL, messages=ASK, max_tokens=100) as stream,
    ):
        assert "".join([text async for text in stream.text_stream]) == "Paris."
    assert caller.row()["streamed"]


def test_a_raw_stream_has_every_event_in_its_order(caller: Caller, upstream: Upstream) -> None:
    upstream.on("/v1/messages", Behaviour(frames=streams.MESSAGE_EVENTS, gap=0.01))
    with sdk(caller) as client:
        events = list(client.messages.create(model=MODEL, messages=ASK, max_tokens=100, stream=True))
    assert [event.type for event in events] == [
        "message_start", "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip


@pytest.mark.parametrize(("status", "kind"), [(400, anthropic.BadRequestError), (429, anthropic.RateLimitError)])
def test_a_count_that_is_refused_is_raised_and_costs_nothing(
    caller: Caller, upstream: Upstream, status: int, kind: type[anthropic.APIStatusError]
) -> None:
    said = b'{"type":"error","error":{"type":"t","message":"No."}}'
    upstream.on("/v1/messages/count_tokens", Behaviour(status=status, body=said))
    with sdk(caller) as client, pytest.raises(kind):
        client.messages.count_tokens(model=MODEL, messages=ASK)
    row = caller.row()
    assert (row["outcome"], row["input_tokens"], row["usage_source"]) == (1, 0, 2)


def test_counting_is_no_usage(caller: Caller, upstream: Upstream) -> None:
    upstream.on("/v1/messages/count_tokens", CASES["/messages/count_tokens"].behaviour)
    with sdk(caller) as client:
        assert client.messages.count_tokens(model=MODEL, messages=ASK).input_tokens == 11
    row = caller.row()
    assert (row["input_tokens"], row["output_tokens"], row["usage_source"]) == (0, 0, 2)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, anthropic.BadRequestError), (404, anthropic.NotFoundError), (429, anthropic.RateLimitError),
     (500, anthropic.InternalServerError), (529, anthropic.InternalServerError)],
)  # fmt: skip
def test_the_providers_errors_have_their_types(
    caller: Caller, upstream: Upstream, status: int, kind: type[anthropic.APIStatusError]
) -> None:
    said = {"type": "error", "error": {"type": "overloaded_error", "message": "Busy."}}
    upstream.on("/v1/messages", replace(Behaviour(body=json.dumps(said).encode()), status=status))
    with sdk(caller) as client, pytest.raises(kind) as raised:
        client.messages.create(model=MODEL, messages=ASK, max_tokens=9)
    document: Any = raised.value.body
    assert document["type"] == "error"
    assert document["error"]["message"] == "Busy."
    assert document["error"]["code"] == "provider_error"


@pytest.mark.parametrize(
    ("asked", "kind", "told"),
    [
        ({"model": "agent/nobody"}, anthropic.NotFoundError, "not_found_error"),
        ({"messages": []}, anthropic.BadRequestError, "invalid_request_error"),
        ({"model": "forbidden"}, anthropic.PermissionDeniedError, "permission_error"),
    ],
)
def test_our_refusals_have_their_types(
    site: Site, asked: dict[str, Any], kind: type[anthropic.APIStatusError], told: str
) -> None:
    caller = project(site, BY_PATH["/messages"], key={"models": [MODEL, "echo"]})
    with sdk(caller) as client, pytest.raises(kind) as raised:
        client.messages.create(**{"model": MODEL, "messages": ASK, "max_tokens": 9, **asked})
    document: Any = raised.value.body
    assert (document["type"], document["error"]["type"]) == ("error", told)
    caller.assert_untouched()


def test_a_wrong_key_and_a_limit_have_their_types(site: Site, upstream: Upstream) -> None:
    caller = project(site, BY_PATH["/messages"], limits={"project": {"requests": 1, "per": "1h"}})
    upstream.on("/v1/messages", CASES["/messages"].behaviour)
    with sdk(caller, api_key="bwk_live_nothing") as client, pytest.raises(anthropic.AuthenticationError):
        client.messages.create(model=MODEL, messages=ASK, max_tokens=9)
    with sdk(caller) as client:
        client.messages.create(model=MODEL, messages=ASK, max_tokens=9)
        with pytest.raises(anthropic.RateLimitError) as raised:
            client.messages.create(model=MODEL, messages=ASK, max_tokens=9)
    assert int(raised.value.response.headers["retry-after"]) > 0
