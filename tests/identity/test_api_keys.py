"""API keys as text: a form that finds typing errors, and a digest that only the whole key matches."""

from __future__ import annotations

import hashlib
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.identity import api_keys

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KINDS = st.sampled_from([api_keys.PROJECT_KEY, api_keys.OPERATOR_KEY])
RANDOM = st.binary(min_size=48, max_size=48)
PEPPER = bytes(range(32))
SAMPLE = api_keys.make(api_keys.PROJECT_KEY, bytes(range(48)))


@given(KINDS, RANDOM)
def test_a_key_that_was_made_is_read_again(kind: str, random: bytes) -> None:
    key = api_keys.make(kind, random)
    assert api_keys.parse(key.text.decode()) == key
    assert re.fullmatch(rb"bw[ka]_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}", key.text)


@given(RANDOM, st.data())
def test_every_change_of_one_character_is_caught(random: bytes, data: st.DataObject) -> None:
    text = api_keys.make(api_keys.PROJECT_KEY, random).text.decode()
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from(ALPHABET + "_- \n").filter(lambda other: other != text[place]))
    assert api_keys.parse(text[:place] + letter + text[place + 1 :]) is None


def test_every_change_of_one_character_of_a_key_is_caught() -> None:
    text = SAMPLE.text.decode()
    for place, right in enumerate(text):
        for letter in ALPHABET:
            if letter != right:
                assert api_keys.parse(text[:place] + letter + text[place + 1 :]) is None, (place, letter)


def test_two_letters_that_changed_places_are_caught() -> None:
    text = SAMPLE.text.decode()
    for place in range(len(text) - 1):
        swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
        assert swapped == text or api_keys.parse(swapped) is None


@given(RANDOM, st.integers(0, 78))
def test_a_key_that_was_cut_is_none(random: bytes, length: int) -> None:
    text = api_keys.make(api_keys.PROJECT_KEY, random).text.decode()
    assert len(text) == 71
    assert api_keys.parse(text[:length]) is None or length >= 71


TEXT = SAMPLE.text.decode()


@pytest.mark.parametrize(
    "text",
    [
        TEXT + "a", " " + TEXT, TEXT + "\n", TEXT + "\0", TEXT.upper(), TEXT.replace("live", "test"),
        TEXT.replace("bwk", "bwx"), TEXT.replace("_live_", "-live-"), "bwa" + TEXT[3:], TEXT[:9] + "é" + TEXT[10:],
        TEXT[:9] + "\u0660" + TEXT[10:], "' OR 1=1 --", "", "bwk_live_" + "a" * 200_000,
    ],
)  # fmt: skip
def test_what_is_not_formed_like_a_key_is_none(text: str) -> None:
    assert api_keys.parse(TEXT) is not None
    assert api_keys.parse(text) is None


def test_the_checksum_is_crc32_in_base_62() -> None:
    text = SAMPLE.text
    number = 0
    for letter in text[-6:].decode():
        number = number * 62 + ALPHABET.index(letter)
    assert number == zlib.crc32(text[:-6])


@given(RANDOM, RANDOM)
def test_a_rotated_key_keeps_its_look_up_id_and_nothing_else(random: bytes, other: bytes) -> None:
    key = api_keys.make(api_keys.PROJECT_KEY, random)
    rotated = api_keys.make(api_keys.PROJECT_KEY, other, lookup_id=key.lookup_id)
    assert rotated.lookup_id == key.lookup_id
    assert (rotated.text == key.text) is (random[:32] == other[:32])


def test_all_256_bits_of_the_secret_are_in_the_text() -> None:
    plain = bytearray(48)
    texts = {bytes(plain)}
    for bit in range(256):
        changed = bytearray(48)
        changed[bit // 8] = 1 << bit % 8
        texts.add(api_keys.make(api_keys.PROJECT_KEY, bytes(changed)).text)
    assert len(texts) == 257


def test_a_digest_is_that_of_the_whole_key_under_the_pepper() -> None:
    stored = api_keys.digest(PEPPER, SAMPLE)
    assert len(stored) == 32
    assert api_keys.digest(bytes(32), SAMPLE) != stored
    other = api_keys.make(api_keys.PROJECT_KEY, bytes(range(1, 49)), lookup_id=SAMPLE.lookup_id)
    assert api_keys.digest(PEPPER, other) != stored
    operator = api_keys.make(api_keys.OPERATOR_KEY, bytes(range(48)))
    assert api_keys.digest(PEPPER, operator) != stored


def test_a_key_matches_any_of_its_stored_digests_and_no_other() -> None:
    stored = api_keys.digest(PEPPER, SAMPLE)
    wrong = bytes(32)
    assert api_keys.matches(PEPPER, SAMPLE, stored)
    assert api_keys.matches(PEPPER, SAMPLE, wrong, stored)
    assert api_keys.matches(PEPPER, SAMPLE, None, stored)
    assert not api_keys.matches(PEPPER, SAMPLE, wrong, None)
    assert not api_keys.matches(PEPPER, SAMPLE)
    assert not api_keys.matches(bytes(32), SAMPLE, stored)


def test_a_plain_hash_of_the_key_in_a_row_admits_nobody() -> None:
    assert not api_keys.matches(PEPPER, SAMPLE, hashlib.sha256(SAMPLE.text).digest())


def test_a_key_does_not_show_its_secret() -> None:
    secret = SAMPLE.text.decode().rpartition("_")[2]
    assert secret not in repr(SAMPLE)
    assert secret not in str(SAMPLE)
    assert SAMPLE.lookup_id in repr(SAMPLE)
