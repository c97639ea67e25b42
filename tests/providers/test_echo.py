"""The built-in model: it says that it is none, streams what it says whole, and counts tokens."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.providers.echo import EchoProvider
from bailiwick.providers.provider import Ask, Exchange
from bailiwick.providers.sse import Events, data_of
from tests.limiting.at_once import at_once

INTRODUCTION = "This is Bailiwick's built-in echo, not a model. You said: "
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


def ask(content: Any = "hello there", *, stream: bool = False, **fields: Any) -> Exchange:
    provider = EchoProvider(now=lambda: 1_700_000_000, new_id=lambda: "x1")
    body = {"model": "echo", "messages": [{"role": "user", "content": content}], "stream": stream, **fields}
    return at_once(provider.send(Ask(path="/chat/completions", body=json.dumps(body).encode(), stream=stream)))


def answered(exchange: Exchange) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(at_once(exchange.read(1 << 20)))
    return result


def said(answer: dict[str, Any]) -> str:
    text: str = answer["choices"][0]["message"]["content"]
    return text


def frames_of(exchange: Exchange) -> list[dict[str, Any]]:
    raw = []
    while (chunk := at_once(exchange.next_chunk())) is not None:
        raw += [data_of(event) for event in Events().feed(chunk)]
    assert raw[-1] == b"[DONE]"
    return [json.loads(data or b"") for data in raw[:-1]]


def test_it_says_that_it_is_no_model_and_repeats_the_last_user_message() -> None:
    answer = answered(ask())
    assert said(answer) == INTRODUCTION + "hello there"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert (answer["id"], answer["object"], answer["created"], answer["model"]) == (
        "chatcmpl-x1", "chat.completion", 1_700_000_000, "echo",
    )  # fmt: skip


def test_only_text_parts_of_the_last_user_message_are_repeated() -> None:
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "data:,"}},
        {"type": "text", "text": "b"},
    ]
    assert said(answered(ask(parts))) == INTRODUCTION + "a b"
    conversation = [
        {"role": "user", "content": "first"},
        {"role": "user", "content": "second"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "third"},
    ]
    assert said(answered(ask(messages=conversation))) == INTRODUCTION + "second"
    assert said(answered(ask(messages=[{"role": "system", "content": "x"}]))) == INTRODUCTION


@given(texts, st.none() | st.integers(1, 40))
def test_a_stream_says_what_an_answer_says(text: str, most: int | None) -> None:
    whole = answered(ask(text, max_tokens=most))
    frames = frames_of(ask(text, stream=True, max_tokens=most))
    deltas = [frame["choices"][0]["delta"].get("content", "") for frame in frames if frame["choices"]]
    assert "".join(deltas) == said(whole)
    reasons = [choice["finish_reason"] for frame in frames for choice in frame["choices"]]
    assert reasons[-1] == whole["choices"][0]["finish_reason"]
    assert set(reasons[:-1]) == {None}
    assert frames[-1]["usage"] == whole["usage"]
    assert frames[-1]["choices"] == []


@given(texts, st.integers(1, 40))
def test_an_answer_keeps_to_the_maximum_of_tokens(text: str, most: int) -> None:
    for field in ("max_tokens", "max_completion_tokens"):
        answer = answered(ask(text, **{field: most}))
        assert len(said(answer).encode()) <= most * 4
        assert answer["usage"]["completion_tokens"] <= most
        assert (answer["choices"][0]["finish_reason"] == "length") is (len((INTRODUCTION + text).encode()) > most * 4)


@given(texts)
def test_tokens_are_bytes_divided_by_four(text: str) -> None:
    usage = answered(ask(text))["usage"]
    assert usage["prompt_tokens"] == -(-len(text.encode()) // 4)
    assert usage["completion_tokens"] == -(-len((INTRODUCTION + text).encode()) // 4)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize(
    "messages",
    ["hello", [1], [{"role": 1}], [{"role": "user", "content": 7}], [{"content": [{"type": "text", "text": 7}]}], None],
)
def test_what_it_cannot_read_is_a_clients_error(messages: object) -> None:
    exchange = ask(messages=messages)
    assert exchange.status == 400
    assert "messages" in json.loads(at_once(exchange.read(1000)))["error"]["message"]


def test_messages_nested_too_deeply_are_a_clients_error() -> None:
    provider = EchoProvider(now=int, new_id=str)
    deep = b"[" * 100_000 + b"]" * 100_000
    body = b'{"messages":[{"role":"user","content":"x","y":' + deep + b"}]}"
    exchange = at_once(provider.send(Ask(path="/chat/completions", body=body, stream=False)))
    assert exchange.status == 400


def test_a_stream_that_was_aborted_says_nothing_more() -> None:
    exchange = ask(stream=True)
    at_once(exchange.next_chunk())
    exchange.abort()
    assert at_once(exchange.next_chunk()) is None


@pytest.mark.parametrize("path", ["/chat/completions", "/responses", "/embeddings", "/completions", "/messages"])
@pytest.mark.parametrize("unit", [b"{}", b"[]", b"1"])
def test_a_body_of_too_many_values_is_a_clients_error_before_it_is_decoded(path: str, unit: bytes) -> None:
    values = b"[" + b",".join([unit] * 210_000) + b"]"
    name = {"/responses": "input", "/embeddings": "input", "/completions": "prompt"}.get(path, "messages")
    status, answer = asyncio.run(asked_aside(path, b'{"%b":%b}' % (name.encode(), values)))
    assert status == 400
    assert answer["error"] == {"message": f"{name} must have at most 200000 values.", "param": name}


def test_a_long_text_is_no_more_than_one_value_whatever_stands_in_it() -> None:
    text = 'a,b;"c"\n[{' * 100_000
    body = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()
    status, answer = asyncio.run(asked_aside("/chat/completions", body))
    assert status == 200
    assert answer["usage"]["prompt_tokens"] == len(text) // 4
    assert (INTRODUCTION + text).startswith(said(answer))


@given(st.none() | st.integers(16_385, 1_000_000))
def test_an_answer_has_sixteen_thousand_tokens_at_most(most: int | None) -> None:
    answer = answered(ask("x" * 70_000, max_tokens=most))
    assert answer["usage"]["completion_tokens"] == 16_384
    assert answer["choices"][0]["finish_reason"] == "length"


def test_a_long_stream_gives_others_their_turn() -> None:
    async def longest() -> int:
        exchange, turns = ask("a " * 1000, stream=True), 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        while await exchange.next_chunk() is not None:
            pass
        counting.cancel()
        return turns

    assert asyncio.run(longest()) > 10


async def asked_aside(path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """What a body is answered that may be read by another thread."""
    with ThreadPoolExecutor(1) as aside:
        provider = EchoProvider(now=lambda: 1_700_000_000, new_id=lambda: "x1", aside=aside)
        exchange = await provider.send(Ask(path=path, body=body, stream=False))
        return exchange.status, json.loads(await exchange.read(1 << 20))
