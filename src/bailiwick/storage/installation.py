"""The installation's one row, and the lock under which a first start is decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from bailiwick.storage.scope import Scope
from bailiwick.storage.sql import load

_SQL: Final = load("installation")
# Any two processes that start on the same database meet at this number.
_LOCK: Final = 0x62616977


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What was kept of the first start."""

    master_check: str
    public_url: str
    created_at: datetime


async def lock(scope: Scope) -> None:
    """Wait until no other process decides on the installation; held until the end of the transaction."""
    await scope.execute(_SQL["lock_installation"], {"lock": _LOCK})


async def find(scope: Scope) -> Installation | None:
    """The installation; None before the first start."""
    row = await scope.fetch_one(_SQL["find_installation"])
    if row is None:
        return None
    return Installation(master_check=row["master_check"], public_url=row["public_url"], created_at=row["created_at"])


async def add(scope: Scope, installation: Installation) -> None:
    """Keep what later starts are held against, in an operator's scope."""
    await scope.execute(
        _SQL["add_installation"],
        {
            "master_check": installation.master_check,
            "public_url": installation.public_url,
            "created_at": installation.created_at,
        },
    )


async def change_public_url(scope: Scope, public_url: str) -> None:
    """Keep another public URL, in an operator's scope."""
    await scope.execute(_SQL["change_public_url"], {"public_url": public_url})
