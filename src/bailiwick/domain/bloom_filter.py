"""What has surely never been put in, told from little memory (B. H. Bloom, 1970); pure.

    known = BloomFilter(bits=1 << 24)
    known.add(digest)
    digest in known      # True; of what was never put in, almost always False

With 16 million bits, which are 2 MiB, one in a million of what was never put in is taken for known beside 100,000
members, and one in 200 beside a million. Nothing is ever taken out.
"""

from __future__ import annotations

from typing import Final, final

_HASHES: Final = 4


@final
class BloomFilter:
    """A set of digests of 8 bytes."""

    def __init__(self, *, bits: int) -> None:
        """`bits` is a power of two."""
        self._mask = bits - 1
        self._bits = bytearray(bits // 8)

    def add(self, digest: bytes) -> None:
        """Put a digest in."""
        bits, mask = self._bits, self._mask
        at, step = int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:8], "big") | 1
        for _ in range(_HASHES):
            at &= mask
            bits[at >> 3] |= 1 << (at & 7)
            at += step

    def __contains__(self, digest: bytes) -> bool:
        """Whether a digest may have been put in; False if it surely was not."""
        bits, mask = self._bits, self._mask
        at, step = int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:8], "big") | 1
        for _ in range(_HASHES):
            at &= mask
            if not bits[at >> 3] >> (at & 7) & 1:
                return False
            at += step
        return True
