"""Ids: UUIDv7 inside, a typed prefix and Crockford's base 32 outside, and one spelling for each."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain import ids

PREFIXES = st.sampled_from([ids.TENANT, ids.PROJECT, ids.KEY, ids.PROVIDER, ids.OPERATOR_KEY])
TIMES = st.integers(0, 2**48 - 1)
NOISE = st.binary(min_size=10, max_size=10)


@given(TIMES, NOISE)
def test_a_uuid_is_of_version_7_and_tells_its_time(unix_ms: int, noise: bytes) -> None:
    value = ids.uuid7(unix_ms, noise)
    assert value.version == 7
    assert value.variant == "specified in RFC 4122"
    assert value.int >> 80 == unix_ms


@given(TIMES, NOISE)
def test_as_text_it_is_the_same(unix_ms: int, noise: bytes) -> None:
    assert ids.uuid7_hex(unix_ms, noise.hex()) == ids.uuid7(unix_ms, noise).hex


def test_74_bits_of_a_uuid_are_random() -> None:
    plain = ids.uuid7(0, bytes(10))
    flipped = {ids.uuid7(0, (1 << bit).to_bytes(10, "big")) for bit in range(80)} - {plain}
    assert len(flipped) == 74


@given(TIMES, TIMES, NOISE, NOISE)
def test_ids_sort_by_their_time(earlier: int, later: int, one: bytes, other: bytes) -> None:
    first, second = sorted((earlier, later))
    if first < second:
        assert ids.shown("ten", ids.uuid7(first, one)) < ids.shown("ten", ids.uuid7(second, other))


@given(PREFIXES, st.uuids())
def test_what_is_shown_is_read_again(prefix: str, value: UUID) -> None:
    text = ids.shown(prefix, value)
    assert ids.parsed(prefix, text) == value
    assert len(text) == len(prefix) + 27


@given(PREFIXES, st.uuids(), PREFIXES)
def test_an_id_of_one_kind_is_none_of_another(prefix: str, value: UUID, other: str) -> None:
    if prefix != other:
        assert ids.parsed(other, ids.shown(prefix, value)) is None


@given(st.text(st.sampled_from("0123456789abcdefghjkmnpqrstvwxyzilouABCZ_- \n"), min_size=20, max_size=32))
def test_no_other_text_is_an_id(text: str) -> None:
    value = ids.parsed("ten", f"ten_{text}")
    assert value is None or ids.shown("ten", value) == f"ten_{text}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ten",
        "ten_",
        "01hf7qxkw0000000000000000a",
        "TEN_01hf7qxkw0000000000000000a",
        "ten-01hf7qxkw0000000000000000a",
        "ten_01HF7QXKW0000000000000000A",
        "ten_01hf7qxkw0000000000000000",
        "ten_01hf7qxkw0000000000000000aa",
        "ten_01hf7qxkw0000000000000000a ",
        " ten_01hf7qxkw0000000000000000a",
        "ten_01hf7qxkw0000000000000000i",
        "ten_01hf7qxkw0000000000000000l",
        "ten_01hf7qxkw0000000000000000o",
        "ten_01hf7qxkw0000000000000000u",
        "ten_zzzzzzzzzzzzzzzzzzzzzzzzzz",
        "ten_80000000000000000000000000",
        "ten_01hf7qxkw000000000000000\u0966a",
        "ten_018b9a3c-6d80-7000-8000-00000000000a",
    ],
)
def test_foreign_spellings_are_no_ids(text: str) -> None:
    assert ids.parsed("ten", text) is None


def test_the_largest_id_is_read() -> None:
    assert ids.parsed("ten", "ten_7zzzzzzzzzzzzzzzzzzzzzzzzz") == UUID(int=2**128 - 1)
