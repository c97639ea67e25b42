"""The most that calls may come to: tables of requests, and that no usage within what was asked ever costs more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.ceilings import Ceiling, Extent, bounded, ceiling, extent
from bailiwick.domain.form_data import FormRequest
from bailiwick.domain.pricing import Price, Rate
from bailiwick.domain.requests import JsonForm, ModelRequest, read_request
from bailiwick.domain.usage import MAX_TOKENS, TokenUsage

CHAT = JsonForm(content="messages", conversation=True, maxima=("max_completion_tokens", "max_tokens"))
PICTURE = JsonForm(content="prompt")
RESPONSES = JsonForm(content="input", optional=True, unnamed=True, maxima=("max_output_tokens",))
ASK = [{"role": "user", "content": "hi"}]


def read(form: JsonForm = CHAT, **fields: Any) -> ModelRequest:
    return read_request(json.dumps({"model": "m", form.content: ASK, **fields}).encode(), form)


def measured(request: ModelRequest, most: int | None = None) -> Extent:
    return extent(bounded(request, most, 4096), 100, untold=7)


@pytest.mark.parametrize(
    ("fields", "written", "choices", "said"),
    [
        ({}, 4096, 1, False),
        ({"max_tokens": None}, 4096, 1, False),
        ({"max_tokens": 10}, 10, 1, True),
        ({"max_tokens": 0}, 0, 1, True),
        ({"max_tokens": 1, "max_completion_tokens": 10_000}, 10_000, 1, True),
        ({"max_output_tokens": 50}, 50, 1, True),
        ({"max_tokens": 10, "n": 3}, 10, 3, True),
        ({"n": 3}, 4096, 3, False),
        ({"max_tokens": 10, "n": 2, "best_of": 5}, 10, 5, True),
        ({"max_tokens": 10, "n": 5, "best_of": 0}, 10, 5, True),
    ],
)
def test_what_is_written_is_the_largest_of_the_maxima_for_each_choice(
    fields: dict[str, Any], written: int, choices: int, said: bool
) -> None:
    assert measured(read(**fields)) == Extent(read=100, written=written, choices=choices, said=said)


@pytest.mark.parametrize(
    ("fields", "tier", "cut", "written"),
    [
        ({}, 100, None, 100),
        ({}, 9000, None, 4096),
        ({}, None, 30, 30),
        ({"max_tokens": 50}, 20, None, 20),
        ({"max_tokens": 50}, 200, None, 50),
    ],
)
def test_a_tier_and_a_cut_bound_it_and_so_it_is_sent(
    fields: dict[str, Any], tier: int | None, cut: int | None, written: int
) -> None:
    asked = read(**fields)
    asked = ModelRequest(**{**{name: getattr(asked, name) for name in asked.__struct_fields__}, "most": tier})
    request = bounded(asked, cut, 4096)
    assert extent(request, 1, untold=0).written == written
    sent = json.loads(request.upstream(model="m", user=None, shared_account=False))
    assert [sent[name] for name in ("max_tokens", "max_completion_tokens") if name in sent] == [written]


def test_where_no_request_can_say_how_much_it_is_as_much_as_there_can_be() -> None:
    assert measured(read(PICTURE, prompt="a cat", n=2)) == Extent(read=100, written=7, choices=2, said=True)
    form = FormRequest(pieces=(b"",), place=0, content_type=b"", model="m", stream=False, size=4)
    assert extent(form, 100, untold=9) == Extent(read=100, written=9, said=True, counted=True)


def test_what_of_a_prediction_was_not_right_is_counted_beside() -> None:
    prediction = {"type": "content", "content": "x" * 40}
    assert measured(read(prediction=prediction)).beside == len(json.dumps(prediction))


def part(kind: str, **fields: Any) -> list[Any]:
    return [{"role": "user", "content": [{"type": "text", "text": "see"}, {"type": kind, **fields}]}]


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": part("image_url", image_url={"url": "https://a.example/a.png"})},
        {"messages": part("image_url", image_url={"url": "data:image/png;base64,AAAA"})},
        {"messages": part("input_audio", input_audio={"data": "AAAA"})},
        {"messages": part("file", file={"file_id": "file-1"})},
        {"messages": part("image", source={"type": "url", "url": "https://a.example"})},
        {"messages": part("document", source={"type": "base64"})},
        {"messages": part("video_url", video_url={})},
        {"tools": [{"type": "web_search_20260209", "name": "web_search"}]},
        {"tools": [{"type": "file_search"}]},
        {"tools": [{"type": "code_interpreter"}]},
        {"mcp_servers": [{"url": "https://a.example"}]},
        {"web_search_options": {"search_context_size": "low"}},
        {"previous_response_id": "resp_1"},
        {"conversation": {"id": "conv_1"}},
        {"prompt": {"id": "pmpt_1"}},
    ],
)
def test_what_the_body_does_not_hold_counts_as_all_that_a_model_can_read(fields: dict[str, Any]) -> None:
    measure = measured(read(**fields, max_tokens=5))
    assert measure.beyond
    assert ceiling(measure, None, None) is None
    assert ceiling(measure, None, 128_000) == Ceiling(128_000, 5, None)


def test_a_part_hides_behind_no_escape() -> None:
    body = rb'{"model":"m","messages":[{"content":[{"\u0074ype":"im\u0061ge_url","image_url":{"url":"x"}}]}]}'
    assert extent(read_request(body, CHAT), 1, untold=0).beyond


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": 'see {"type": "image_url"} and "type": "file"'}]},
        {"messages": part("text", text="Ünïcode 日本")},
        {"messages": part("tool_result", tool_use_id="1", content="done")},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
        {"tools": [{"name": "f", "input_schema": {"type": "object"}}]},
        {"web_search_options": None},
        {"prompt": "text"},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_text_is_only_text_whatever_it_speaks_of(fields: dict[str, Any]) -> None:
    assert not measured(read(**fields)).beyond


GOLDEN = Price(input=Rate(base=2_500_000_000), output=Rate(base=10_000_000_000), cached=Rate(base=1_250_000_000))


@pytest.mark.parametrize(
    ("price", "nano"),
    [
        (GOLDEN, 100 * 2500 + 10 * 10_000),
        # Anthropic's: what goes to its cache for an hour costs twice what is only read.
        (Price(input=Rate(base=3 * 10**9), output=Rate(base=15 * 10**9), cache_write_1h=Rate(base=6 * 10**9)), 750_000),
        # Gemini's: more from so many tokens on.
        (
            Price(input=Rate(base=10**9, steps=((99, 2 * 10**9),)), output=Rate(base=10**9, steps=((99, 4 * 10**9),))),
            240_000,
        ),
        (Price(input=Rate(base=10**9, steps=((100, 2 * 10**9),)), output=Rate(base=10**9)), 110_000),
        (Price(input=Rate(base=1), output=Rate(base=1)), 1),
        (None, None),
    ],
)
def test_a_ceiling_is_at_the_dearest_rates(price: Price | None, nano: int | None) -> None:
    assert ceiling(Extent(read=100, written=10), price, None) == Ceiling(100, 10, nano)


def test_no_ceiling_is_more_than_a_row_can_hold() -> None:
    most = ceiling(Extent(read=2**25, written=MAX_TOKENS, choices=128), GOLDEN, None)
    assert most is not None
    assert most.tokens == MAX_TOKENS


RATES = st.builds(
    lambda base, steps: Rate(base=base, steps=tuple(sorted(steps.items()))),
    st.integers(0, 10**11),
    st.dictionaries(st.integers(0, 300_000), st.integers(0, 10**11), max_size=3),
)
PRICES = st.builds(
    Price, input=RATES, output=RATES,
    **{name: st.none() | RATES for name in (
        "cached", "cache_write", "cache_write_1h", "input_audio", "output_audio", "input_image", "output_image",
    )},
)  # fmt: skip
COUNTS = st.integers(0, 400_000)


@given(price=PRICES, most=st.tuples(COUNTS, COUNTS), used=st.lists(COUNTS, min_size=10, max_size=10))
def test_whatever_is_used_within_a_ceiling_costs_no_more(price: Price, most: tuple[int, int], used: list[int]) -> None:
    usage = TokenUsage.of(
        input_tokens=min(used[0], most[0]), output_tokens=min(used[1], most[1]), cached=used[2], cache_write=used[3],
        reasoning=used[4], input_audio=used[5], output_audio=used[6], cache_write_1h=used[7], input_image=used[8],
        output_image=used[9],
    )  # fmt: skip
    assert usage is not None
    assert price.cost(usage) <= price.most(*most)


@given(price=PRICES, read=COUNTS, nano=st.integers(0, 10**12))
def test_what_can_be_written_for_an_amount_is_all_that_costs_no_more(price: Price, read: int, nano: int) -> None:
    written = price.writes(read, nano)
    if price.most(read, 1) == price.most(read, 10**9):
        assert written == 0
    elif written >= 0:
        assert price.most(read, written) <= nano < price.most(read, written + 1)
    else:
        assert price.most(read, 0) > nano
