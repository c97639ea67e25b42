"""The audit log in the database: appended to, in the transaction of the act that an entry tells of, and read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bailiwick.domain.audit import Entry, Search
from bailiwick.domain.audit_chain import BEGINNING, Chain, Head, Link, link_digest, signed_head
from bailiwick.domain.ids import TenantId
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("audit")
PAGE: Final = 1000
# Before any number that a row could have been given.
_BEFORE_ALL: Final = -(2**63)


async def append(scope: Scope, key: bytes, entry_id: UUID, entry: Entry, at: datetime) -> None:
    """Write an entry at the end of its chain, and sign the chain's new head; `scope` is the act's.

    Two acts of one tenant write one after the other: the head's row is the lock.
    """
    chain = entry.tenant_id
    head = await scope.fetch_one(_SQL["claim_head"], {"tenant": chain, "beginning": BEGINNING, "at": at})
    if head is None:
        msg = "the end of an audit chain is out of reach in this scope"
        raise RuntimeError(msg)
    link = Link(
        seq=head["seq"] + 1,
        id=entry_id,
        at=at,
        actor=entry.actor.name,
        actor_name=entry.actor.shown,
        ip=entry.actor.ip,
        action=entry.action,
        target=entry.target,
        detail=json.dumps(entry.detail, separators=(",", ":")),
        request_id=entry.actor.request_id,
        digest=b"",
    )
    link = replace(link, digest=link_digest(chain, bytes(head["digest"]), link))
    new = signed_head(key, chain, link.seq, link.digest)
    await scope.execute(_SQL["append_entry"], _values(chain, link))
    moved = {"tenant": chain, "seq": new.seq, "digest": new.digest, "signature": new.signature}
    await scope.execute(_SQL["move_head"], moved)


async def search(scope: Scope, chain: Chain, asked: Search, *, limit: int, after: UUID | None) -> list[Link]:
    """Entries of a chain, the newest first; those before the entry `after`, if given."""
    values = {
        "tenant": chain,
        "limit": limit,
        "after": after,
        "actor": asked.actor,
        "action": asked.action,
        "target": asked.target,
        "since": asked.since,
        "until": asked.until,
    }
    return [_link(row) for row in await scope.fetch_all(_SQL["list_entries"], values)]


async def chains(scope: Scope) -> list[Chain]:
    """Every chain that there is anything of, or must be; the installation's first."""
    return [_chain(row["tenant_id"]) for row in await scope.fetch_all(_SQL["chains"])]


async def page(scope: Scope, chain: Chain, after: int | None) -> tuple[list[Link], Head | None]:
    """Up to a thousand entries in order, those after the number `after`, and the chain's head of the same moment.

    Fewer than `PAGE` entries: the chain ends there.
    """
    values = {"tenant": chain, "after": _BEFORE_ALL if after is None else after, "limit": PAGE}
    rows = await scope.fetch_all(_SQL["chain_page"], values)
    links = [_link(row) for row in rows if row["id"] is not None]
    first = rows[0]
    if first["head_seq"] is None:
        return links, None
    digest, signature = bytes(first["head_digest"]), bytes(first["signature"])
    return links, Head(seq=first["head_seq"], digest=digest, signature=signature)


async def moved_heads(scope: Scope, since: datetime) -> list[tuple[Chain, int, bytes]]:
    """Number and digest of the last entry of each chain that has grown since."""
    rows = await scope.fetch_all(_SQL["moved_heads"], {"since": since})
    return [(_chain(row["tenant_id"]), row["seq"], bytes(row["digest"])) for row in rows]


def _chain(tenant: UUID | None) -> Chain:
    return None if tenant is None else TenantId(tenant)


def _values(chain: Chain, link: Link) -> dict[str, Any]:
    return {
        "tenant": chain,
        "id": link.id,
        "seq": link.seq,
        "at": link.at,
        "actor": link.actor,
        "actor_name": link.actor_name,
        "ip": link.ip,
        "action": link.action,
        "target": link.target,
        "detail": link.detail,
        "request_id": link.request_id,
        "digest": link.digest,
    }


def _link(row: Row) -> Link:
    return Link(
        seq=row["seq"],
        id=row["id"],
        at=row["at"],
        actor=row["actor"],
        actor_name=row["actor_name"],
        ip=row["ip"],
        action=row["action"],
        target=row["target"],
        detail=row["detail"],
        request_id=row["request_id"],
        digest=bytes(row["digest"]),
    )
