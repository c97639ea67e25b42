"""API keys as text: `bwk_live_<12 look-up id>_<43 secret><6 checksum>`, letters and digits only.

The secret holds 256 bits; the checksum (CRC-32 in base 62) rejects typing errors before any I/O and lets secret
scanners tell a key from noise. Operator keys have the same form and begin with `bwa`. Stored is only an HMAC-SHA-256
of the whole text under a pepper that the database never sees: a row inserted with a plain hash admits nobody, and a
slow hash would only help whoever wants to keep us busy.

Evolution: a new form gets a new second word in place of `live`; what was issued stays readable.
"""

from __future__ import annotations

import hmac
import re
import zlib
from dataclasses import dataclass
from typing import Final, final

PROJECT_KEY: Final = "bwk"
OPERATOR_KEY: Final = "bwa"

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID, _SECRET, _CHECK = 12, 43, 6
_FORM: Final = re.compile(rf"(bwk|bwa)_live_([0-9A-Za-z]{{{_ID}}})_([0-9A-Za-z]{{{_SECRET}}})([0-9A-Za-z]{{{_CHECK}}})")
# Compared with when a key is unknown, so that its answer takes the time of a wrong one's.
_NOBODY: Final = bytes(32)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedKey:
    """A text that is formed like a key; nothing is proven yet."""

    kind: str
    lookup_id: str
    text: bytes

    def __repr__(self) -> str:
        """Name the key without its secret."""
        return f"PresentedKey({self.kind}, {self.lookup_id})"


def parse(text: str) -> PresentedKey | None:
    """Read a key's text; None when its form or its checksum is wrong."""
    match = _FORM.fullmatch(text)
    if match is None or _checksum(text[:-_CHECK].encode()) != match[4]:
        return None
    return PresentedKey(kind=match[1], lookup_id=match[2], text=text.encode())


def make(kind: str, random: bytes, *, lookup_id: str | None = None) -> PresentedKey:
    """Make a key of `kind` from 48 random bytes; `lookup_id` keeps the id of a key that is rotated."""
    if lookup_id is None:
        lookup_id = _base62(int.from_bytes(random[32:48], "big"), _ID)
    body = f"{kind}_live_{lookup_id}_{_base62(int.from_bytes(random[:32], 'big'), _SECRET)}"
    return PresentedKey(kind=kind, lookup_id=lookup_id, text=(body + _checksum(body.encode())).encode())


def digest(pepper: bytes, key: PresentedKey) -> bytes:
    """What is stored of a key: 32 bytes."""
    return hmac.digest(pepper, key.text, "sha256")


def matches(pepper: bytes, key: PresentedKey, *stored: bytes | None) -> bool:
    """Tell in constant time whether one of the stored digests is this key's; none stored takes as long."""
    found = digest(pepper, key)
    same = False
    for candidate in stored or (None,):
        same |= hmac.compare_digest(found, _NOBODY if candidate is None else candidate)
    return same


def _checksum(body: bytes) -> str:
    return _base62(zlib.crc32(body), _CHECK)


def _base62(number: int, length: int) -> str:
    letters = []
    for _ in range(length):
        number, value = divmod(number, 62)
        letters.append(_ALPHABET[value])
    return "".join(reversed(letters))
