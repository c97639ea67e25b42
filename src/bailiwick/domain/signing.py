"""When a signing key signs, and for how long it is published; pure.

A new key is published `PUBLISHED_BEFORE` before it signs, since whoever verifies keeps what was published for a while.
It signs until the next one does, and stays published until the last token that it signed has expired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Generic, Protocol, TypeVar, final

LONGEST_TOKEN: Final = timedelta(days=1)
PUBLISHED_BEFORE: Final = timedelta(minutes=10)
MOST_KEYS: Final = 50
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


class Status(StrEnum):
    """Where a key stands: it is still to sign, it signs, or it is published for the tokens that it signed."""

    NEXT = "next"
    SIGNING = "signing"
    PUBLISHED = "published"


@final
@dataclass(frozen=True, slots=True)
class Standing(Generic[Key]):
    """A key, where it stands, and until when it is published; None as long as no later key says it."""

    key: Key
    status: Status
    published_until: datetime | None


def standings(keys: Sequence[Key], now: datetime) -> list[Standing[Key]]:
    """Where keys stand that are given in the order in which they sign."""
    signing = signer(keys, now)
    followers = [*keys[1:], None]
    return [
        Standing(
            key,
            Status.NEXT if key.signs_from > now else Status.SIGNING if key is signing else Status.PUBLISHED,
            None if follower is None else follower.signs_from + LONGEST_TOKEN + _MARGIN,
        )
        for key, follower in zip(keys, followers, strict=False)
    ]


def published(keys: Sequence[Key], now: datetime) -> list[Key]:
    """The keys by which tokens can be verified now."""
    return [
        standing.key
        for standing in standings(keys, now)
        if standing.published_until is None or now < standing.published_until
    ]


def is_due(keys: Sequence[Key], now: datetime) -> bool:
    """Whether another key has to be made: there is none, or the last one has signed for long."""
    return not keys or keys[-1].signs_from + ROTATED_AFTER <= now
