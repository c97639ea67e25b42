"""The unchanged `openai` package against the gateway: chat, streams, models, raw answers, typed errors."""

from __future__ import annotations

from dataclasses import replace

import openai
import pytest

from tests.serving import ASK, MODEL, REQUEST_ID, Caller, Site, error_of
from tests.upstream import Behaviour, ToolCall, Upstream, Usage, scripts


@pytest.fixture
def caller(site: Site) -> Caller:
    return site.project()


def test_a_chat_completion_is_the_providers(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(text="Paris.", usage=Usage(prompt=20, completion=3, cached=8, reasoning=2)))
    with caller.sdk() as client:
        answer = client.chat.completions.create(model=MODEL, messages=ASK)
    assert answer.choices[0].message.content == "Paris."
    assert answer.usage is not None
    assert answer.usage.total_tokens == 23
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 8
    row = caller.row()
    assert (row["outcome"], row["usage_source"], row["status"]) == (0, 0, 200)
    assert (row["input_tokens"], row["output_tokens"], row["cached_tokens"], row["reasoning_tokens"]) == (20, 3, 8, 2)


async def test_a_chat_completion_is_the_providers_asynchronously(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(text="Paris."))
    async with caller.async_sdk() as client:
        answer = await client.chat.completions.create(model=MODEL, messages=ASK)
    assert answer.choices[0].message.content == "Paris."


def test_tool_calls_come_through(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(tool_calls=(ToolCall("weather", '{"city":"Paris"}'),)))
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    with caller.sdk() as client:
        answer = client.chat.completions.create(model=MODEL, messages=ASK, tools=[tool])
    assert answer.choices[0].message.tool_calls[0].function.arguments == '{"city":"Paris"}'


@pytest.mark.parametrize("asked", [True, False, None])
def test_a_stream_shows_its_usage_only_to_who_asked_and_is_metered_always(
    caller: Caller, upstream: Upstream, asked: bool | None
) -> None:
    upstream.on(MODEL, Behaviour(text="The capital is Paris.", chunks=4, usage=Usage(prompt=9, completion=5)))
    options = {} if asked is None else {"stream_options": {"include_usage": asked}}
    with caller.sdk() as client:
        stream = client.chat.completions.create(model=MODEL, messages=ASK, stream=True, **options)
        frames = list(stream)
    text = "".join(frame.choices[0].delta.content or "" for frame in frames if frame.choices)
    assert text == "The capital is Paris."
    shown = [frame.usage for frame in frames if frame.usage is not None]
    assert [usage.total_tokens for usage in shown] == ([14] if asked else [])
    assert all(frame.choices for frame in frames) is not bool(asked)
    assert upstream.requests[0].json["stream_options"] == {"include_usage": True}
    row = caller.row()
    assert (row["streamed"], row["usage_source"], row["input_tokens"], row["output_tokens"]) == (True, 0, 9, 5)


async def test_a_stream_comes_frame_by_frame(caller: Caller, upstream: Upstream) -> None:
    """Each frame is here before the provider has sent the one after the next."""
    upstream.on(MODEL, Behaviour(chunks=4, gap=0.15))
    async with caller.async_sdk() as client:
        stream = await client.chat.completions.create(model=MODEL, messages=ASK, stream=True)
        lag = [upstream.requests[0].chunks_sent async for _ in stream]
    assert all(sent - seen <= 1 for seen, sent in enumerate(lag[:-1], 1)), lag
    assert caller.row()["first_byte_ms"] < 150


def test_a_client_that_has_seen_the_end_of_a_stream_has_a_ledger_row(caller: Caller) -> None:
    with caller.sdk() as client:
        for count in range(1, 6):
            list(client.chat.completions.create(model=MODEL, messages=ASK, stream=True))
            assert len(caller.rows) == count


def test_a_client_that_has_seen_an_answer_has_a_ledger_row(caller: Caller) -> None:
    for count in range(1, 6):
        caller.chat()
        assert len(caller.rows) == count


def test_the_raw_answer_has_our_request_id_and_not_the_providers(caller: Caller) -> None:
    with caller.sdk() as client:
        raw = client.chat.completions.with_raw_response.create(
            model=MODEL,
            messages=ASK,
            extra_headers={"X-Request-Id": "req_" + "0" * 32},
        )
    assert raw.request_id is not None
    assert REQUEST_ID.fullmatch(raw.request_id)
    assert raw.request_id != "req_" + "0" * 32
    assert raw.parse().choices[0].message.content == "The capital of France is Paris."


def test_the_models_are_those_that_can_be_called(site: Site) -> None:
    caller = site.project(provider={"models": ["gpt-4o-mini", "gpt-4o"]}, aliases={"fast": ["up/gpt-4o-mini"]})
    with caller.sdk() as client:
        assert {model.id for model in client.models.list()} >= {"fast", "gpt-4o-mini", "gpt-4o", "echo"}
        for model in client.models.list():
            client.chat.completions.create(model=model.id, messages=ASK)


async def test_the_models_come_asynchronously(caller: Caller) -> None:
    async with caller.async_sdk() as client:
        assert "echo" in [model.id async for model in client.models.list()]


def test_echo_needs_no_provider(site: Site) -> None:
    caller = site.project(provider={"base_url": None})
    with caller.sdk() as client:
        answer = client.chat.completions.create(model="echo", messages=ASK)
        frames = list(client.chat.completions.create(model="echo", messages=ASK, stream=True))
    assert answer.choices[0].message.content is not None
    assert "not a model" in answer.choices[0].message.content
    assert ASK[0]["content"] in answer.choices[0].message.content
    assert "".join(frame.choices[0].delta.content or "" for frame in frames) == answer.choices[0].message.content
    assert [(row["model"], row["cost_nano"], row["outcome"]) for row in caller.rows] == [("echo", 0, 0)] * 2


def test_echo_refuses_what_it_cannot_read_as_a_provider_would(caller: Caller) -> None:
    assert error_of(caller.chat(model="echo", messages=["hello"])) == (400, "provider_error")


ERRORS = {
    400: openai.BadRequestError,
    404: openai.NotFoundError,
    413: openai.APIStatusError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
}


@pytest.mark.parametrize("status", ERRORS)
def test_a_providers_refusal_is_a_typed_error(caller: Caller, upstream: Upstream, status: int) -> None:
    upstream.on(MODEL, scripts.error(status, "Because.", code="some_code", param="messages"))
    with caller.sdk() as client, pytest.raises(ERRORS[status]) as caught:
        client.chat.completions.create(model=MODEL, messages=ASK)
    error = caught.value
    assert isinstance(error, openai.APIStatusError)
    assert (error.status_code, error.code, error.param) == (status, "provider_error", "messages")
    assert "Because." in error.message
    assert isinstance(error.body, dict)
    assert error.body["provider"] == {"status": status, "type": "invalid_request_error", "code": "some_code"}
    assert error.request_id is not None
    assert REQUEST_ID.fullmatch(error.request_id)


def test_our_refusals_are_typed_errors(site: Site, caller: Caller) -> None:
    confined = site.caller(caller.project, models=["gpt-4o"], scopes=["chat:create"])
    with caller.sdk(api_key="nonsense") as client, pytest.raises(openai.AuthenticationError) as unknown:
        client.models.list()
    with confined.sdk() as client:
        with pytest.raises(openai.PermissionDeniedError) as forbidden:
            client.models.list()
        with pytest.raises(openai.PermissionDeniedError) as model:
            client.chat.completions.create(model=MODEL, messages=ASK)
        with pytest.raises(openai.BadRequestError) as malformed:
            client.chat.completions.create(model=MODEL, messages=[])
    errors = (unknown, forbidden, model, malformed)
    codes = ["invalid_credentials", "forbidden", "model_not_allowed", "invalid_request"]
    assert [error.value.code for error in errors] == codes
    caller.assert_untouched()


def test_an_error_event_in_a_stream_is_raised(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, replace(scripts.error_in_stream(), gap=0.05))
    with caller.sdk() as client:
        stream = client.chat.completions.create(model=MODEL, messages=ASK, stream=True)
        with pytest.raises(openai.APIError, match="The server had an error") as caught:
            list(stream)
    assert caught.value.code == "provider_error"


def test_a_client_that_retries_as_told_is_admitted(site: Site, upstream: Upstream) -> None:
    """The package waits for `Retry-After` by itself."""
    caller = site.project(limits={"key": {"requests": 1, "per": "1s"}})
    with caller.sdk(max_retries=2) as client:
        for _ in range(2):
            client.chat.completions.create(model=MODEL, messages=ASK)
    assert len(upstream.requests) == len(caller.rows) == 2
