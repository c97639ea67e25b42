"""Looks up which origins a project lists, by its slug: a preflight carries no credential that could name a tenant."""

from __future__ import annotations

from typing import Final, final

from bailiwick.storage.look_ups import LookUps
from bailiwick.storage.scope import Database
from bailiwick.storage.sql import load

_SQL: Final = load("origins")


@final
class OriginLookup:
    """Reads lists of origins as the gateway's role. Belongs to one event loop."""

    def __init__(self, database: Database) -> None:
        self._look_ups = LookUps(database, _SQL["look_up_origins"], by="slug")

    async def find(self, slug: str) -> frozenset[bytes] | None:
        """The origins that the project with this slug lists.

        None if it lists none, and if there is no such project: these two are not told apart. Raises `Unavailable`.
        """
        row = await self._look_ups.find(slug)
        return None if row is None else frozenset(origin.encode() for origin in row["cors_origins"])
