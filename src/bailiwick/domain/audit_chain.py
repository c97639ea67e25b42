"""The audit log as a chain: whoever changes a past entry, even as the database's superuser, is found out.

Each tenant has a chain, and the installation has one. An entry has the next number of its chain and a SHA-256 over
itself and the digest of the entry before. Of the last entry of each chain there is a head, signed with a key that the
database never sees (HMAC-SHA-256). So

- an edit, a gap, an addition or another order breaks a digest, or the head, which cannot be signed anew;
- a tail that was cut does not end at the head;
- a head that was put back to an earlier one is behind a witness: a copy of a head that was kept outside the database.

What is digested never changes its form: another form gets another `FORM`, and both are read.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final, TypeAlias, final
from uuid import UUID

from bailiwick.domain.ids import TenantId

FORM: Final = 1
BEGINNING: Final = bytes(32)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# A chain is named by its tenant, the installation's by None.
Chain: TypeAlias = TenantId | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An entry as it is stored. `detail` is its JSON text, to the byte; `digest` covers it and the one before."""

    seq: int
    id: UUID
    at: datetime
    actor: str
    actor_name: str | None
    ip: str | None
    action: str
    target: str
    detail: str
    request_id: str | None
    digest: bytes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of a chain: the number and digest of its last entry, signed."""

    seq: int
    digest: bytes
    signature: bytes


def link_digest(chain: Chain, previous: bytes, link: Link) -> bytes:
    """SHA-256 over the entry before and everything of this one but its own digest."""
    written = [
        FORM,
        previous.hex(),
        None if chain is None else str(chain),
        link.seq,
        str(link.id),
        (link.at - _EPOCH) // timedelta(microseconds=1),
        link.actor,
        link.actor_name,
        link.ip,
        link.action,
        link.target,
        link.detail,
        link.request_id,
    ]
    return hashlib.sha256(json.dumps(written, ensure_ascii=True, separators=(",", ":")).encode()).digest()


def signed_head(key: bytes, chain: Chain, seq: int, digest: bytes) -> Head:
    """The head of a chain that ends with this entry."""
    text = f"bailiwick audit head {FORM} {'installation' if chain is None else chain} {seq} {digest.hex()}"
    return Head(seq=seq, digest=digest, signature=hmac.digest(key, text.encode(), "sha256"))


@final
class ChainWalk:
    """Walks a chain from its first entry to its head and notes what is wrong, the first hundred things at most.

    `seen` are the digests of entries, by number, as they were witnessed outside the database.
    """

    _AT_MOST: Final = 100

    def __init__(self, chain: Chain, seen: Mapping[int, bytes] = MappingProxyType({})) -> None:
        self._chain = chain
        self._seen = seen
        self._met: set[int] = set()
        self._previous = BEGINNING
        self._expected = 1
        self._found: list[str] = []
        self.entries = 0

    def take(self, link: Link) -> None:
        """Look at the next entry, in the order of their numbers."""
        self.entries += 1
        if link.seq > self._expected:
            self._note(f"entries {self._expected} to {link.seq - 1} are missing")
        elif link.seq < self._expected:
            self._note(f"entry {link.seq} is not one that was written, or is there twice")
        if link_digest(self._chain, self._previous, link) != link.digest and link.seq == self._expected:
            self._note(f"entry {link.seq} ({link.action}, {link.at.isoformat()}) is not what was written")
        if link.seq in self._seen:
            self._met.add(link.seq)
            if self._seen[link.seq] != link.digest:
                self._note(f"entry {link.seq} is not the one that was witnessed")
        self._previous, self._expected = link.digest, link.seq + 1

    def end(self, head: Head | None, key: bytes) -> tuple[str, ...]:
        """Compare the end of the walk with the head, and with what was witnessed; returns all findings."""
        for seq in sorted(set(self._seen) - self._met):
            self._note(f"entry {seq} was witnessed and is missing")
        if head is None:
            self._note("its signed head is missing")
            return tuple(self._found)
        signature = signed_head(key, self._chain, head.seq, head.digest).signature
        if not hmac.compare_digest(signature, head.signature):
            self._note("its head was not signed by this installation")
        if head.seq >= self._expected:
            self._note(f"entries {self._expected} to {head.seq} are missing at its end")
        elif head.seq < self._expected - 1:
            self._note(f"entries after {head.seq} were never signed")
        elif head.digest != self._previous:
            self._note(f"its last entry, {head.seq}, is not the one that was signed")
        return tuple(self._found)

    def _note(self, finding: str) -> None:
        if len(self._found) < self._AT_MOST:
            self._found.append(finding)
