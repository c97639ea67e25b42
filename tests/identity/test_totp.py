"""One-time codes: RFC 6238, each of them once."""

from __future__ import annotations

import base64
import os
from urllib.parse import parse_qs, urlsplit

import pytest
from pyotp.totp import TOTP

from bailiwick.identity import totp

# RFC 6238, appendix B: the secret of its SHA-1 column, and the last six of its eight digits.
RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
RFC_TIMES = {59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 20000000000: "353130"}
NOW = 1_795_000_005


def code_at(seconds: int) -> str:
    return str(TOTP(RFC_SECRET).at(seconds))


@pytest.mark.parametrize(("seconds", "code"), RFC_TIMES.items())
def test_the_codes_of_rfc_6238_are_known(seconds: int, code: str) -> None:
    assert totp.match(RFC_SECRET, code, unix_seconds=seconds, last_counter=0) == seconds // 30


@pytest.mark.parametrize(("apart", "known"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_a_code_is_good_for_half_a_minute_more_on_both_sides(apart: int, known: bool) -> None:
    found = totp.match(RFC_SECRET, code_at(NOW + apart), unix_seconds=NOW, last_counter=0)
    assert (found is not None) is known


def test_a_code_that_was_used_and_any_before_it_is_not_taken_again() -> None:
    used = totp.match(RFC_SECRET, code_at(NOW), unix_seconds=NOW, last_counter=0)
    assert used is not None
    assert totp.match(RFC_SECRET, code_at(NOW), unix_seconds=NOW, last_counter=used) is None
    assert totp.match(RFC_SECRET, code_at(NOW - 30), unix_seconds=NOW, last_counter=used) is None
    assert totp.match(RFC_SECRET, code_at(NOW + 30), unix_seconds=NOW, last_counter=used) == used + 1


def test_spaces_in_a_code_do_not_matter() -> None:
    code = code_at(NOW)
    assert totp.match(RFC_SECRET, f" {code[:3]} {code[3:]} ", unix_seconds=NOW, last_counter=0) is not None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "\uff112345\uff16", "12345\0", "-12345", "٠٠٥٩٢٤"])
def test_what_is_no_code_is_none(code: str) -> None:
    assert totp.match(RFC_SECRET, code, unix_seconds=NOW, last_counter=0) is None


def test_an_authenticator_reads_secret_account_and_issuer_from_the_address() -> None:
    secret = totp.secret_text(os.urandom(20))
    parts = urlsplit(totp.address(secret, account="ada+x@example.com", issuer="Bailiwick, at home"))
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert parts.path == "/Bailiwick%2C%20at%20home:ada%2Bx@example.com"
    assert parse_qs(parts.query) == {"secret": [secret], "issuer": ["Bailiwick, at home"]}
    assert len(base64.b32decode(secret)) == 20


def test_recovery_codes_are_ten_of_eighty_bits_and_read_however_they_are_typed() -> None:
    codes = totp.recovery_codes(os.urandom(100))
    assert len(set(codes)) == 10
    assert all(len(code) == 19 for code in codes)
    pepper = os.urandom(32)
    digest = totp.recovery_digest(pepper, codes[0])
    assert totp.recovery_digest(pepper, codes[0].upper().replace("-", " ")) == digest
    assert totp.recovery_digest(pepper, codes[1]) != digest
    assert totp.recovery_digest(os.urandom(32), codes[0]) != digest
