"""Who trusts an issuer: the project in the address, the project that a token names, the platform.

Each is looked up by itself, by the issuer's exact name and whose it is, so that however many trust an issuer of one
name, none of them keeps another's tokens out.

Whoever sends tokens can name any issuer and any project. So before the database is asked, a filter is, which knows
what is there and is brought up to date once for every change in the installation: what nobody registered costs no
query, however often and by however many names it is asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, final

from bailiwick.domain.bloom_filter import BloomFilter
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.foreign_tokens import texts_in
from bailiwick.domain.ids import PROJECT, ProjectId, parsed
from bailiwick.domain.issuers import Path, is_issuer_name
from bailiwick.domain.tenancy import is_slug
from bailiwick.services.credential_errors import refused_credentials
from bailiwick.services.remembered import Remembered
from bailiwick.storage.credentials import CredentialLookup, Trust, TrustedIssuer
from bailiwick.storage.epoch import Epoch

_ISSUERS_KEPT: Final = 2_000
_FILTER_BITS: Final = 1 << 24
# Of a token that nobody has verified: each text costs some microseconds, and 8 KiB hold hundreds of them.
_MOST_TEXTS: Final = 100


@final
class TrustedIssuers:
    """Finds issuers. Belongs to one event loop."""

    def __init__(self, lookup: CredentialLookup, epoch: Epoch) -> None:
        self._lookup = lookup
        self._filter = BloomFilter(bits=_FILTER_BITS)
        self._filtered = 0
        self._filters: Remembered[None, BloomFilter] = Remembered(self._read_filter, epoch, capacity=1)
        self._issuers: Remembered[Trust, TrustedIssuer | None] = Remembered(self._read, epoch, capacity=_ISSUERS_KEPT)

    async def find(self, trust: Trust) -> TrustedIssuer | None:
        """The issuer that this is; None for none. Raises `Unavailable`."""
        return await self._issuers.get(trust)

    async def trusts(self, project_id: ProjectId, name: str) -> bool:
        """Whether a project itself trusts an issuer; raises `Unavailable`."""
        return is_issuer_name(name) and await self.find(_by_id(name, project_id)) is not None

    async def choose(self, claims: Mapping[str, Any], slug: str | None) -> tuple[Trust, TrustedIssuer]:
        """The one whose token it is, as its claims say, which nobody has verified yet.

        At an address that is the project's own; else that of the project which the token names where the project's
        issuer is said to name it; else the platform's. Raises `Refused` (400, 401) or `Unavailable`.
        """
        name = claims.get("iss")
        if not isinstance(name, str) or not is_issuer_name(name):
            raise refused_credentials()
        if slug is not None:
            candidates = await self._found(_by_slug(name, slug)) if is_slug(slug) else []
        elif await self.find(Trust(f"{name} *")) is None:
            raise refused_credentials()
        else:
            candidates = [
                (trust, issuer)
                for path, trust in _named(name, claims, await self._filters.get(None))
                for _, issuer in await self._found(trust)
                if (source := issuer.spec.claims.get("project")) is not None and source.path == path
            ]
        candidates = candidates or await self._found(Trust(f"{name} "))
        if len(candidates) == 1:
            return candidates[0]
        if slug is not None:
            raise refused_credentials()
        message = "The token does not say which project it is for. Use the project's own address, /p/{slug}/v1."
        raise Refused(Code.PROJECT_REQUIRED, message)

    async def _found(self, trust: Trust) -> list[tuple[Trust, TrustedIssuer]]:
        issuer = await self.find(trust)
        return [] if issuer is None else [(trust, issuer)]

    async def _read(self, trust: Trust) -> TrustedIssuer | None:
        if _mark(trust) not in await self._filters.get(None):
            return None
        return await self._lookup.find_issuer(trust)

    async def _read_filter(self, _: None) -> BloomFilter:
        async for change, marks in self._lookup.issuer_marks(after=self._filtered):
            for start in range(0, len(marks), 8):
                self._filter.add(marks[start : start + 8])
            self._filtered = max(self._filtered, change)
        return self._filter


def _named(name: str, claims: Mapping[str, Any], known: BloomFilter) -> Iterator[tuple[Path, Trust]]:
    """Every project with such an issuer that a token could name, and where; none of a token with too many texts."""
    texts = list(islice(texts_in(claims), _MOST_TEXTS + 1))
    if len(texts) > _MOST_TEXTS:
        return
    for path, text in texts:
        if is_slug(text):
            trust = _by_slug(name, text)
        elif (project_id := parsed(PROJECT, text)) is not None:
            trust = _by_id(name, ProjectId(project_id))
        else:
            continue
        if _mark(trust) in known:
            yield path, trust


def _by_slug(name: str, slug: str) -> Trust:
    return Trust(f"{name} {slug}")


def _by_id(name: str, project_id: ProjectId) -> Trust:
    return Trust(f"{name} @{project_id}")


def _mark(trust: Trust) -> bytes:
    return hashlib.sha256(trust.encode()).digest()[:8]
