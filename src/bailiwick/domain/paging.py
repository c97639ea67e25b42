"""Lists in pages, by the id of the last item that was seen: pages stay true while rows come and go."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar, final
from uuid import UUID

from bailiwick.domain.fields import invalid

Item = TypeVar("Item")

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """At most `limit` items, those after the item `after`; from the first one if None."""

    limit: int = DEFAULT_LIMIT
    after: UUID | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """Some items in the order of their ids, and whether there are more after them."""

    items: tuple[Item, ...]
    has_more: bool

    @classmethod
    def of(cls, found: Sequence[Item], limit: int) -> Page[Item]:
        """Make a page of `limit` items from what was found when one more was asked for."""
        return cls(items=tuple(found[:limit]), has_more=len(found) > limit)


def read_limit(text: str | None) -> int:
    """Read a page's size; raises `Invalid`."""
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT)) and 1 <= int(text) <= MAX_LIMIT):
        raise invalid("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def cursor(text: str) -> str:
    """Write a text as a page's `next`, where items have no id of ours."""
    return urlsafe_b64encode(text.encode()).decode()


def read_cursor(after: str | None) -> str:
    """Read what `cursor` wrote, "" for None; raises `Invalid`."""
    if after is None:
        return ""
    try:
        text = urlsafe_b64decode(after).decode()
    except ValueError:
        text = ""
    if not text or cursor(text) != after or "\0" in text:
        raise invalid("after", "must be the `next` of an earlier page")
    return text
