"""When a signing key signs, and for how long it is published; pure.

A new key is published `PUBLISHED_BEFORE` before it signs, since whoever verifies keeps what was published for a while.
It signs until the next one does, and stays published until the last token that it signed has expired.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

LONGEST_TOKEN: Final = timedelta(days=1)
PUBLISHED_BEFORE: Final = timedelta(minutes=10)
ROTATED_AFTER: Final = timedelta(days=90)
# Clocks differ, and a token is believed for a moment after its end.
_MARGIN: Final = timedelta(minutes=5)


class Signing(Protocol):
    """What has a time to sign."""

    @property
    def signs_from(self) -> datetime:
        """When it begins."""
        ...


Key = TypeVar("Key", bound=Signing)


def signer(keys: Sequence[Key], now: datetime) -> Key | None:
    """The key that signs now, of keys in the order in which they sign; None if none does."""
    begun = [key for key in keys if key.signs_from <= now]
    return begun[-1] if begun else None


def published(keys: Sequence[Key], now: datetime) -> list[Key]:
    """The keys by which tokens can be verified now."""
    ends = [*(key.signs_from for key in keys[1:]), None][: len(keys)]
    return [key for key, end in zip(keys, ends, strict=True) if end is None or now < end + LONGEST_TOKEN + _MARGIN]


def is_due(keys: Sequence[Key], now: datetime) -> bool:
    """Whether another key has to be made: there is none, or the last one has signed for long."""
    return not keys or keys[-1].signs_from + ROTATED_AFTER <= now
