"""Spans of time as the control plane writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.durations import MILLISECOND, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "span_ns"),
    [
        ("1ms", 1_000_000),
        ("500ms", 500_000_000),
        ("30s", 30_000_000_000),
        ("1m", 60_000_000_000),
        ("1h", 3_600_000_000_000),
        ("1d", 86_400_000_000_000),
    ],
)
def test_a_span_is_read_and_written_alike(text: str, span_ns: int) -> None:
    assert parse_duration(text) == span_ns
    assert format_duration(span_ns) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "m",
        "0s",
        "-1s",
        "+1s",
        "01m",
        "1.5s",
        "1 m",
        " 1m",
        "1m ",
        "1m\n",
        "1M",
        "1w",
        "1us",
        "1m30s",
        "\u0661m",
        "1_0s",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole number and a unit"):
        parse_duration(text)


def test_a_hostile_length_is_refused_before_it_is_a_number() -> None:
    with pytest.raises(ValueError, match="whole number and a unit"):
        parse_duration("9" * 100_000 + "s")


@given(st.integers(1, 10**12 - 1))
def test_what_is_written_reads_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds * MILLISECOND)) == milliseconds * MILLISECOND


@pytest.mark.parametrize(
    ("span_ns", "text"), [(90_000_000_000, "90s"), (60_000_000_000, "1m"), (172_800_000_000_000, "2d")]
)
def test_the_largest_exact_unit_is_written(span_ns: int, text: str) -> None:
    assert format_duration(span_ns) == text


@pytest.mark.parametrize("span_ns", [0, -1_000_000, 1, 1_500_000 + 1])
def test_what_is_no_whole_millisecond_is_not_written(span_ns: int) -> None:
    with pytest.raises(ValueError, match="milliseconds"):
        format_duration(span_ns)
