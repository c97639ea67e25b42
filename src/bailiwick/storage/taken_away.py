"""As the gateway's role: reads what a project took away before its time, and takes a client's own token away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from bailiwick.domain.ids import IssuerId, KeyId, ProjectId, TenantId
from bailiwick.domain.revocations import RevocationKind
from bailiwick.storage.scope import Database
from bailiwick.storage.sql import load

_SQL: Final = load("taken_away")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change: `kind` None is a block of the user `value`, which `holds` or was lifted; else a revocation."""

    kind: RevocationKind | None
    value: str
    holds: bool
    at: datetime
    change: int


@final
class TakenAwayChanges:
    """The changes of projects, each with its number."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def after(self, tenant_id: TenantId, project_id: ProjectId, change: int) -> list[Change]:
        """What changed after a change, in order; raises `Unavailable`."""
        values = {"tenant": tenant_id, "project": project_id, "after": change}
        async with self._database.reading(tenant_id) as scope:
            rows = await scope.fetch_all(_SQL["changes"], values)
        return [
            Change(
                kind=None if row["kind"] is None else RevocationKind(row["kind"]),
                value=row["value"],
                holds=row["holds"],
                at=row["at"],
                change=row["change"],
            )
            for row in rows
        ]

    async def revoke_token(self, tenant_id: TenantId, key_id: KeyId, jti: str) -> bool:
        """Take a token away that a key minted, by its `jti`; raises `Unavailable`.

        False if the key has ended, or if its project did so ten thousand times within an hour.
        """
        async with self._database.acting(tenant_id) as scope:
            row = await scope.fetch_one(_SQL["revoke_token"], {"key": key_id, "jti": jti})
        return row is not None and row["done"] is True

    async def log_out(
        self, tenant_id: TenantId, issuer_id: IssuerId, kind: RevocationKind, value: str, at: datetime
    ) -> bool:
        """End a session, or all that a user had by `at`, in the project of an issuer; raises `Unavailable`.

        False if there is no such issuer, or if its project's issuers did so ten thousand times within an hour.
        """
        values = {"issuer": issuer_id, "kind": kind.value, "value": value, "at": at}
        async with self._database.acting(tenant_id) as scope:
            row = await scope.fetch_one(_SQL["log_out"], values)
        return row is not None and row["done"] is True
