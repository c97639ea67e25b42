"""A set that forgets nobody and takes few for members who are none."""

from __future__ import annotations

from hashlib import sha256

from bailiwick.domain.bloom_filter import BloomFilter


def digest(number: int) -> bytes:
    return sha256(b"%d" % number).digest()[:8]


def test_every_member_is_known_and_hardly_anybody_else() -> None:
    known = BloomFilter(bits=1 << 20)
    for number in range(30_000):
        known.add(digest(number))
    assert all(digest(number) in known for number in range(30_000))
    others = sum(digest(number) in known for number in range(30_000, 130_000))
    assert others < 100
