"""What we read of a provider's answer: usage at its edges, text that was written, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.pricing import Price, Rate
from bailiwick.domain.usage import MAX_TOKENS, TokenUsage
from bailiwick.providers.answers.completions import COMPLETIONS, read_completion
from bailiwick.providers.answers.errors import read_error, read_retry_after


def tokens_of(usage: object) -> TokenUsage | None:
    return read_completion(json.dumps({"choices": [], "usage": usage}).encode()).tokens()


# What providers really write is in `usage_vectors.json`; these are the edges.
SHAPES: dict[str, tuple[dict[str, Any], TokenUsage]] = {
    "whole numbers as floats": (
        {"prompt_tokens": 12.0, "completion_tokens": 3.0, "total_tokens": 15.0},
        TokenUsage(input_tokens=12, output_tokens=3),
    ),
    "nothing written": (
        {"prompt_tokens": 12, "completion_tokens": None, "total_tokens": None},
        TokenUsage(input_tokens=12),
    ),
    "parts above their whole": (
        {
            "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 50, "cache_write_tokens": 50, "audio_tokens": 50},
            "completion_tokens_details": {"reasoning_tokens": 50, "audio_tokens": 50},
        },
        TokenUsage(
            input_tokens=10, output_tokens=5, cached_tokens=10, reasoning_tokens=5, output_audio_tokens=5
        ),
    ),
    "as much as a row holds": (
        {"prompt_tokens": MAX_TOKENS, "completion_tokens": MAX_TOKENS},
        TokenUsage(input_tokens=MAX_TOKENS, output_tokens=MAX_TOKENS),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_usage_is_read_at_its_edges(name: str) -> None:
    usage, expected = SHAPES[name]
    assert tokens_of(usage) == expected


@pytest.mark.parametrize("name", SHAPES)
def test_no_token_is_billed_twice_or_never(name: str) -> None:
    tokens = tokens_of(SHAPES[name][0])
    assert tokens is not None
    one = Rate(base=1_000_000)
    flat = Price(input=one, output=one, cached=one, cache_write=one, input_audio=one, output_audio=one)
    assert flat.cost(tokens) == tokens.input_tokens + tokens.output_tokens


@pytest.mark.parametrize(
    "usage",
    [
        None, {}, [], "x", 7, {"prompt_tokens": None}, {"prompt_tokens": "3"}, {"completion_tokens": 5},
        {"prompt_tokens": [1]}, {"prompt_tokens": 3, "prompt_tokens_details": [1]}, {"total_tokens": 5},
        {"prompt_tokens": -5, "completion_tokens": 1}, {"prompt_tokens": 5, "completion_tokens": -1},
        {"prompt_tokens": 2**31, "completion_tokens": 1}, {"prompt_tokens": 1, "completion_tokens": 1e308},
        {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 4_000_000_000},
    ],
)  # fmt: skip
def test_usage_that_cannot_be_read_counts_as_none_and_fails_nothing(usage: object) -> None:
    assert tokens_of(usage) is None


def test_an_answer_without_usage_has_none() -> None:
    completion = read_completion(b'{"choices":[]}')
    assert completion.tokens() is None
    assert not completion.has_usage
    assert not read_completion(b'{"choices":[],"usage":null}').has_usage
    assert read_completion(b'{"choices":[],"usage":{}}').has_usage


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([
        "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "cached_tokens",
        "completion_tokens_details", "reasoning_tokens", "audio_tokens", "prompt_cache_hit_tokens",
    ]), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@given(json_values)
def test_no_usage_whatever_raises(usage: object) -> None:
    tokens = tokens_of(usage)
    if tokens is not None:
        assert all(0 <= count <= MAX_TOKENS for count in tokens)
        assert tokens.cached_tokens + tokens.cache_write_tokens + tokens.input_audio_tokens <= tokens.input_tokens


@pytest.mark.parametrize(
    ("choice", "size"),
    [
        ({"message": {"content": "hello"}}, 5),
        ({"delta": {"content": "hello"}}, 5),
        ({"delta": {"content": "", "role": "assistant"}}, 0),
        ({"delta": {"content": None}}, 0),
        ({"delta": {}}, 0),
        ({"delta": None}, 0),
        ({}, 0),
        ({"delta": {"reasoning_content": "think"}}, 5),
        ({"delta": {"reasoning": "think"}}, 5),
        ({"delta": {"refusal": "no no"}}, 5),
        ({"delta": {"function_call": {"arguments": "12345"}}}, len('"arguments": "12345"')),
        ({"delta": {"reasoning_details": [{"text": "think"}]}}, len('{"text": "think"}')),
        ({"delta": {"reasoning": "think", "reasoning_details": [{"text": "think"}]}}, 5),
        ({"delta": {"audio": {"id": "a", "transcript": "hello"}}}, 5),
        ({"delta": {"audio": {"id": "a", "data": "A" * 4000}}}, 8),
        ({"delta": {"audio": None}}, 0),
        ({"delta": {"audio": "hello"}}, 5),
        ({"message": {"content": "hello", "reasoning_content": "think"}}, 10),
    ],
)
def test_what_was_written_is_measured(choice: dict[str, Any], size: int) -> None:
    assert read_completion(json.dumps({"choices": [choice]}).encode()).written == size


def test_tool_calls_count_as_written() -> None:
    call = {"index": 0, "function": {"name": "f", "arguments": '{"city":"Paris"}'}}
    assert read_completion(json.dumps({"choices": [{"delta": {"tool_calls": [call]}}]}).encode()).written > 20


def test_an_answer_is_finished_when_a_choice_is() -> None:
    assert read_completion(b'{"choices":[{"finish_reason":null},{"finish_reason":"stop"}]}').finished
    assert not read_completion(b'{"choices":[{"finish_reason":null}]}').finished
    assert not read_completion(b'{"choices":[]}').finished
    assert not read_completion(b"{}").finished


@pytest.mark.parametrize("error", ['{"message":"x"}', '"overloaded"', "{}", "1"])
def test_an_error_in_the_place_of_an_answer_is_seen(error: str) -> None:
    assert read_completion(f'{{"error":{error}}}'.encode()).failed


def test_no_error_is_none() -> None:
    assert not read_completion(b'{"choices":[],"error":null}').failed
    assert not read_completion(b'{"choices":[]}').failed


@pytest.mark.parametrize(
    ("body", "message", "kind", "code"),
    [
        (b'{"error":{"message":"No.","type":"t","param":null,"code":"c"}}', "No.", "t", "c"),
        (b'{"error":{"message":"No.","code":42}}', "No.", None, 42),
        (b'{"error":"No."}', "No.", None, None),
        (b'{"message":"No."}', "No.", None, None),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"No."}}', "No.", "overloaded_error", None),
        (b'{"error":null,"message":"No."}', "No.", None, None),
        (b'{"detail":"No."}', None, None, None),
        (b"<html>502</html>", None, None, None),
        (b"", None, None, None),
        (b"\xff\xfe", None, None, None),
        (b'[{"error":{"code":400,"message":"No."}}]', "No.", None, 400),
        (b'{"error":' + b"[" * 100_000, None, None, None),
    ],
)
def test_an_error_is_read_as_far_as_it_has_a_known_form(
    body: bytes, message: str | None, kind: str | None, code: str | int | None
) -> None:
    error = read_error(body)
    assert (error.message, error.type, error.code) == (message, kind, code)


NOW = 784111777.25  # a quarter of a second after Sun, 06 Nov 1994 08:49:37 GMT
LATER = [b"Sun, 06 Nov 1994 08:51:37 GMT", b"Sunday, 06-Nov-94 08:51:37 GMT", b"Sun Nov  6 08:51:37 1994"]


@pytest.mark.parametrize("date", LATER)
def test_a_retry_after_in_any_form_of_a_date_becomes_seconds_from_now_rounded_up(date: bytes) -> None:
    assert read_retry_after([(b"retry-after", date)], NOW) == 120


def test_the_clock_that_wrote_the_date_is_the_one_that_counts() -> None:
    by_its_clock = [(b"date", b"Sun, 06 Nov 1994 08:51:30 GMT"), (b"retry-after", LATER[0])]
    assert read_retry_after(by_its_clock, NOW) == 7
    assert read_retry_after([(b"date", b"yesterday"), *by_its_clock[1:]], NOW) == 120


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"Sun, 06 Nov 1994 08:49:30 GMT", 0), (b"Sun, 06 Nov 2094 08:49:37 GMT", 86_400), (b"0", 0), (b" 17\t", 17),
     (b"86401", 86_400), (b"Sun, 06 Nov 1994 08:49:38 GMT", 1)],
)  # fmt: skip
def test_a_retry_after_is_at_least_now_and_at_most_a_day_away(value: bytes, seconds: int) -> None:
    assert read_retry_after([(b"retry-after", value)], NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [b"", b"soon", b"-1", b"1.5", b"1, 2", b"9999999", "\u0661".encode(), b"\xff", b"Sun, 06 Nov 1994 08:49:37 CET",
     b"Sun, 31 Feb 1994 08:49:37 GMT", b"06 Nov 1994", b"1994-11-06T08:49:37Z"],
)  # fmt: skip
def test_what_is_neither_seconds_nor_a_date_is_no_retry_after(value: bytes) -> None:
    assert read_retry_after([(b"retry-after", value)], NOW) is None
    assert read_retry_after([], NOW) is None


@given(st.binary(max_size=80))
def test_any_retry_after_is_read_or_dropped(value: bytes) -> None:
    seconds = read_retry_after([(b"retry-after", value), (b"date", value)], NOW)
    assert seconds is None or 0 <= seconds <= 86_400


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_long_answer_is_read_as_a_short_one(size: int) -> None:
    said = {"index": 0, "message": {"role": "assistant", "content": "x" * size}, "finish_reason": "stop"}
    answer = {"choices": [said], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    read = COMPLETIONS.reader()(json.dumps(answer).encode())
    assert (read.valid, read.finished, read.failed, read.usage_only, read.written) == (True, True, False, False, size)
    assert read.tokens() == TokenUsage(3, 4)
    empty = json.dumps({"choices": [], "usage": {"x": "y" * size}}).encode()
    assert COMPLETIONS.reader()(empty).usage_only


def test_no_more_choices_are_read_than_can_be_asked_for() -> None:
    choices = [{"index": number, "text": "x", "pad": "y" * 1000} for number in range(200)]
    assert COMPLETIONS.reader()(json.dumps({"choices": choices}).encode()).written == 128
