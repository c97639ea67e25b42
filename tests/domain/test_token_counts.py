"""Tokens by words: beside what OpenAI's tokenizer counts, and whatever is sent."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.json_body import Raw
from bailiwick.domain.token_counts import in_text, tokens_read

# What `o200k_base` counts (tiktoken 0.14).
COUNTED = {
    "hi": 1,
    "Say hello": 2,
    "Hello, world!": 4,
    "What is the capital of France?": 7,
    "Tell me a joke about cats.": 7,
    "You are a helpful assistant.": 6,
    "Les hommes naissent et demeurent libres et égaux en droits.": 14,
    "Все люди рождаются свободными и равными в своём достоинстве и правах.": 18,  # noqa: RUF001
    "人人生而自由，在尊严和权利上一律平等。": 15,  # noqa: RUF001
    "def add(left: int, right: int) -> int:\n    return left + right\n": 19,
}


def of(**fields: object) -> int:
    return tokens_read({name: Raw(json.dumps(value).encode()) for name, value in fields.items()})


@pytest.mark.parametrize("text", COUNTED)
def test_of_words_no_fewer_are_counted_than_there_are_and_seldom_many_more(text: str) -> None:
    assert COUNTED[text] <= in_text(text) <= 1 + 1.6 * COUNTED[text]


def test_a_conversation_is_its_words_and_a_little_around_each_message() -> None:
    # 3 around each message, its role, its words, and 3 around all: as OpenAI's cookbook counts them.
    one = of(model="gpt-4o-mini", messages=[{"role": "user", "content": "Say hello"}], temperature=0.5)
    assert one == 3 + 1 + 2 + 3
    two = [{"role": "system", "content": "hi"}, {"role": "user", "content": "Say hello"}]
    assert of(messages=two) == one + 3 + 2 + 1


def test_a_definition_of_a_tool_is_read_and_a_setting_is_not() -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    bare = of(messages="hi")
    assert of(messages="hi", tools=tools) > bare + 15
    assert of(messages="hi", response_format=schema) > bare + 10
    assert of(messages="hi", response_format={"type": "text"}, stop=["a"] * 4, metadata={"a": "b" * 100}) == bare
    assert of(messages="hi", something_new="Say hello") > bare


def test_what_looks_like_a_key_within_a_text_is_read() -> None:
    words = "one two three four five six seven eight"
    assert of(messages=[{"role": "user", "content": f'"{words}": "x"'}]) >= 8
    assert of(messages=[{"role": "user", "content": f'x\\"{words}\\":{{'}]) >= 8
    assert of(input=[1, 22, 333]) == 3 + 3


def test_letters_without_end_are_no_words() -> None:
    assert in_text("a" * 10_000) > 4_000


@given(st.text())
def test_a_text_has_at_least_a_token_and_at_most_its_bytes(text: str) -> None:
    assert min(1, len(text.strip())) <= in_text(text) <= max(1, len(text.encode("utf-8", "surrogatepass")))


@pytest.mark.parametrize("unit", ['\\"', '":', "\\", "{", "\U0001f600", "1a", "a"])
def test_what_is_large_is_taken_to_be_like_its_beginning(unit: str) -> None:
    small, large = (of(messages=[{"role": "user", "content": unit * many}]) for many in (10_000, 500_000))
    assert large == pytest.approx(50 * small, rel=0.1)


def test_what_is_large_has_two_tokens_for_five_bytes_however_it_looks() -> None:
    words = "xqzjk wvbnm " * 20_000
    assert of(messages=[{"role": "user", "content": words}]) >= 0.4 * len(words) - 500
    assert of(messages=[{"role": "user", "content": words[:1_200]}]) < 220
