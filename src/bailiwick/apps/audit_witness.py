"""Where the ends of the audit log's chains are kept outside the database: `audit-witness.jsonl` in the data folder.

One line for each chain and look at which it had grown: `{"at", "tenant_id", "seq", "digest"}`, `tenant_id` null for the
installation's. A later end implies the earlier ones, so a file that has grown long is written anew with the last of
each chain. Copies of it on another machine are as good, and better against whoever owns this one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from bailiwick.domain import ids
from bailiwick.domain.audit_chain import Chain
from bailiwick.domain.ids import TenantId
from bailiwick.domain.times import written
from bailiwick.services.audit_trail import Ends

FILE: Final = "audit-witness.jsonl"
_LONG: Final = 4 << 20


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A chain's end as it was once."""

    at: str
    tenant_id: str | None
    seq: int
    digest: str


class NoWitness(Exception):
    """The file holds something that no Bailiwick wrote."""


def keeper(path: Path) -> Callable[[datetime, Ends], None]:
    """Return what appends ends to the file, mode 0600, durably; it raises `OSError`."""

    def keep(at: datetime, ends: Ends) -> None:
        lines = [
            Line(
                at=written(at),
                tenant_id=None if chain is None else ids.shown(ids.TENANT, chain),
                seq=seq,
                digest=digest.hex(),
            )
            for chain, seq, digest in ends
        ]
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            file.write(_written(lines))
            file.flush()
            os.fsync(file.fileno())
            long = file.tell() > _LONG
        if long:
            _shorten(path)

    return keep


def read(path: Path) -> dict[Chain, dict[int, bytes]]:
    """The ends of each chain by number; nothing if there is no file. Raises `NoWitness`."""
    seen: dict[Chain, dict[int, bytes]] = {}
    for line in _lines(path):
        tenant = None if line.tenant_id is None else ids.parsed(ids.TENANT, line.tenant_id)
        if line.tenant_id is not None and tenant is None:
            raise _foreign(path)
        try:
            digest = bytes.fromhex(line.digest)
        except ValueError:
            raise _foreign(path) from None
        known = seen.setdefault(None if tenant is None else TenantId(tenant), {})
        if known.setdefault(line.seq, digest) != digest:
            msg = f"{path} says two different things of entry {line.seq}"
            raise NoWitness(msg)
    return seen


def _lines(path: Path) -> list[Line]:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    # What a full disk or a kill cut off is no line.
    whole, _, _ = text.rpartition(b"\n")
    try:
        return [msgspec.json.decode(line, type=Line) for line in whole.split(b"\n") if line]
    except msgspec.MsgspecError:
        raise _foreign(path) from None


def _foreign(path: Path) -> NoWitness:
    return NoWitness(f"{path} holds something that Bailiwick did not write")


def _written(lines: Iterable[Line]) -> bytes:
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def _shorten(path: Path) -> None:
    last = {line.tenant_id: line for line in _lines(path)}
    unfinished = path.with_suffix(".new")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(_written(last.values()))
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
