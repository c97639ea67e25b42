"""The audit log as operators read it, and as it is verified."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, final

from bailiwick.domain import ids
from bailiwick.domain.audit import INSTALLATION, TENANT_MADE, Actor, Search
from bailiwick.domain.audit_chain import Chain, ChainWalk, Head, Link
from bailiwick.domain.ids import TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.storage import audit
from bailiwick.storage.scope import Database
from bailiwick.storage.tenants import TenantRows

# Number and digest of chains' entries, as they were seen at some time, kept outside the database.
Witnessed = Mapping[Chain, Mapping[int, bytes]]
# Number and digest of the last entry of some chains.
Ends = Iterable[tuple[Chain, int, bytes]]

# A transaction that began earlier may commit its entry later by this much, and a head is then seen by the next look.
_LATE: Final = timedelta(minutes=2)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A chain that was walked from its first entry to its head; nothing found means that it is intact."""

    chain: Chain
    entries: int
    findings: tuple[str, ...]


@final
class AuditTrail:
    """Reads the audit log. A tenant's is read under that tenant's policies; the installation's, by an operator."""

    def __init__(self, database: Database, acts: Acts) -> None:
        """`database` is the control process's."""
        self._database = database
        self._acts = acts

    async def search(self, chain: Chain, actor: Actor, asked: Search, page: PageRequest) -> Page[Link]:
        """A page of entries, the newest first; raises `Refused` (404) for a tenant that does not exist.

        Reading the installation's crosses tenants, and is itself an entry.
        """
        if chain is None:
            async with self._database.operating() as scope:
                entries = await audit.search(scope, None, asked, limit=page.limit + 1, after=page.after)
                await self._acts.record(
                    scope, actor, "audit.read", INSTALLATION, tenant_id=None, detail=asked.document()
                )
            return Page.of(entries, page.limit)
        async with self._database.reading(chain) as scope:
            found(await TenantRows(scope, chain).find())
            return Page.of(await audit.search(scope, chain, asked, limit=page.limit + 1, after=page.after), page.limit)

    async def export(self, chain: Chain, actor: Actor) -> AsyncIterator[tuple[Link, ...]]:
        """A whole chain in order, in pages, after an entry that says who took it; raises `Refused` (404)."""
        if chain is not None:
            async with self._database.reading(chain) as scope:
                found(await TenantRows(scope, chain).find())
        target = INSTALLATION if chain is None else ids.shown(ids.TENANT, chain)
        scoped = self._database.operating() if chain is None else self._database.acting(chain)
        async with scoped as scope:
            await self._acts.record(scope, actor, "audit.export", target, tenant_id=chain, detail={})
        return self._entries(chain)

    async def _entries(self, chain: Chain) -> AsyncIterator[tuple[Link, ...]]:
        async for links, _ in self._pages(chain):
            yield tuple(links)

    async def verify(self, key: bytes, witnessed: Witnessed) -> AsyncIterator[Verified]:
        """Walk every chain; `key` is the one that heads are signed with."""
        async with self._database.operating() as scope:
            chains = list(dict.fromkeys([None, *await audit.chains(scope), *witnessed]))
        # Grows on the way: the installation's own chain, which comes first, says which tenants there have been.
        for chain in chains:
            walk = ChainWalk(chain, witnessed.get(chain, {}))
            head: Head | None = None
            async for links, found_head in self._pages(chain, spanning=True):
                head = found_head
                for link in links:
                    walk.take(link)
                    made = ids.parsed(ids.TENANT, link.target) if link.action == TENANT_MADE else None
                    if made is not None and made not in chains:
                        chains.append(TenantId(made))
            yield Verified(chain=chain, entries=walk.entries, findings=walk.end(head, key))

    async def _pages(self, chain: Chain, *, spanning: bool = False) -> AsyncIterator[tuple[list[Link], Head | None]]:
        """A whole chain, a page a transaction, so that a long one holds nothing up."""
        after: int | None = None
        while True:
            scoped = self._database.operating() if chain is None or spanning else self._database.reading(chain)
            async with scoped as scope:
                links, head = await audit.page(scope, chain, after)
            yield links, head
            if len(links) < audit.PAGE:
                return
            after = links[-1].seq


@final
class Witness:
    """Keeps the ends of chains outside the database, so that a head that is put back is found out."""

    def __init__(
        self,
        database: Database,
        *,
        keep: Callable[[datetime, Ends], None],
        now: Callable[[], datetime],
    ) -> None:
        """`keep` writes heads durably; it may raise `OSError`."""
        self._database = database
        self._keep = keep
        self._now = now
        self._known: dict[Chain, int] = {}
        self._looked_at: datetime | None = None

    async def look(self) -> None:
        """Keep what has grown since the last look; raises `Unavailable` and `OSError`."""
        began = self._now()
        since = datetime.min.replace(tzinfo=began.tzinfo) if self._looked_at is None else self._looked_at - _LATE
        async with self._database.operating() as scope:
            heads = await audit.moved_heads(scope, since)
        news = [head for head in heads if self._known.get(head[0], 0) < head[1]]
        if news:
            self._keep(began, news)
        self._known = {chain: seq for chain, seq, _ in heads}
        self._looked_at = began
