"""Versions of what can be changed, for two who change one thing at once (RFC 9110 §8.8.3 and §13.1.1).

An `ETag` is a digest of the resource's document as it is shown, so what is shown alike has one version; but for fields
that are shown once, or go on by themselves. Whoever sends `If-Match` has its change made only if what is there is still
that version; compared on the locked row.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, final

from bailiwick.domain.errors import Code, Refused

_DIGITS: Final = 32
_TAG: Final = re.compile(r'(?:W/)?"[!#-~\x80-\xff]*"')


@final
class Changed(Refused):
    """It is another version than the one that the change was meant for; `document` is what is there (412)."""

    def __init__(self, document: Mapping[str, object], etag: str) -> None:
        """`document` may be shown to whoever asked; `etag` is its version."""
        super().__init__(Code.PRECONDITION_FAILED, "It was changed since: this is not the version that If-Match names.")
        self.document = dict(document)
        self.etag = etag


@final
@dataclass(frozen=True, slots=True)
class Expected:
    """The versions of which a change is meant for one; None for any."""

    etags: frozenset[str] | None

    def check(self, document: Mapping[str, object], unversioned: AbstractSet[str] = frozenset()) -> None:
        """Raise `Changed` unless what is there, as it is shown, is one of these versions."""
        if self.etags is not None and (version := etag(document, unversioned)) not in self.etags:
            raise Changed(document, version)


WHATEVER: Final = Expected(None)


def etag(document: Mapping[str, object], unversioned: AbstractSet[str] = frozenset()) -> str:
    """The strong validator of a document without some of its fields, in its quotes."""
    versioned = {name: value for name, value in document.items() if name not in unversioned}
    text = json.dumps(versioned, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"'


def read_if_match(values: list[str]) -> Expected:
    """Read the values of `If-Match`, none if it was not sent; raises `Refused` (400).

    A weak validator names no version here, since the comparison is the strong one.
    """
    if not values:
        return WHATEVER
    text = ",".join(values).strip()
    if text == "*":
        return WHATEVER
    tags = [tag.strip() for tag in _split(text)]
    if not all(_TAG.fullmatch(tag) for tag in tags):
        raise Refused(Code.INVALID_REQUEST, "If-Match must be an ETag, several, or *.", param="If-Match")
    return Expected(frozenset(tags))


def _split(text: str) -> list[str]:
    """The members of a list of tags: a comma may stand within quotes."""
    members = re.split(r',(?=(?:[^"]*"[^"]*")*[^"]*$)', text)
    return [member for member in members if member.strip()] or [""]
