"""Which pages of the web may ask a project: those whose origin it lists (RFC 6454), byte for byte.

A page that is not listed is refused, and its visitor's browser shows it nothing. What is kept in memory is believed as
long as a credential is (`services/remembered.py`); any number of slugs that nobody has takes a few queries.
"""

from __future__ import annotations

from typing import Final, final

from bailiwick.domain.tenancy import is_slug
from bailiwick.services.remembered import Remembered
from bailiwick.storage.epoch import Epoch
from bailiwick.storage.origins import OriginLookup

_PROJECTS_KEPT: Final = 10_000


@final
class Origins:
    """The origins that projects list, by slug."""

    def __init__(self, lookup: OriginLookup, epoch: Epoch) -> None:
        self._kept: Remembered[str, frozenset[bytes] | None] = Remembered(lookup.find, epoch, capacity=_PROJECTS_KEPT)

    async def listed(self, slug: str, origin: bytes) -> bool:
        """Whether the project with this slug lists `origin`; False if there is none. Raises `Unavailable`."""
        return is_slug(slug) and origin in (await self._kept.get(slug) or ())

    def last_listed(self, slug: str, origin: bytes) -> bool:
        """The same as far as memory goes, however old: enough to let a page read a refusal, and nothing else."""
        return origin in (self._kept.last(slug) or ())
