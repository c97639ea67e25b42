"""Identifiers that the application chooses, taken byte for byte."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.identifiers import read_identifier


def refused(raw: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        read_identifier("X-End-User-Id", raw)
    assert caught.value.code is Code.INVALID_REQUEST
    assert caught.value.param == "X-End-User-Id"
    return caught.value


@given(st.binary(max_size=300))
def test_an_identifier_is_1_to_255_bytes_of_utf8_without_control_characters(raw: bytes) -> None:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = "\0"
    if 1 <= len(raw) <= 255 and not any(unicodedata.category(letter) == "Cc" for letter in text):
        assert read_identifier("X-End-User-Id", raw).encode() == raw
    else:
        refused(raw)


@pytest.mark.parametrize(
    "alike",
    [
        ("john_doe", "john-doe", "JOHN_DOE", "john_doe "),
        ("é", "e\u0301"),
        ("a", "ab", "a%", "a_", "a\\", "a.", "a:"),
        ("\ufb01", "fi"),
        ("\u0661", "1"),
        ("\u200b", "\u200c", "\ufeff"),
    ],
)
def test_identifiers_that_look_alike_stay_apart(alike: tuple[str, ...]) -> None:
    assert [read_identifier("x", text.encode()) for text in alike] == list(alike)


@pytest.mark.parametrize(
    "raw",
    [b"", b"a\nb", b"a\r", b"\x00", b"\x7f", "\x85".encode(), "\x9f".encode(), b"\xff", b"\xed\xa0\x80", b"a" * 256],
)
def test_what_is_no_identifier_is_refused(raw: bytes) -> None:
    refused(raw)


@pytest.mark.parametrize("text", ["a" * 255, "é" * 127, "😀" * 63, " ", "auth0|abc123", "a b", "\u2028"])
def test_what_is_one_is_taken_as_it_is(text: str) -> None:
    assert read_identifier("x", text.encode()) == text


def test_the_refusal_does_not_repeat_what_was_sent() -> None:
    assert "canary" not in refused(b"canary\x00").message
