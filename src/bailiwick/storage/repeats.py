"""What was done with an `Idempotency-Key`, in the database; written in the act's own transaction."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from bailiwick.domain.ids import TenantId
from bailiwick.domain.operators import Operator
from bailiwick.domain.repeats import Answer, Once, running
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("idempotency")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An act that was done; `answer` is None until it is kept."""

    digest: bytes
    answer: Answer | None


@asynccontextmanager
async def within(database: Database, operator: Operator) -> AsyncGenerator[Scope]:
    """Where an operator's own rows are: within its tenant, or across tenants for one of the installation."""
    opened = database.operating() if operator.tenant_id is None else database.acting(operator.tenant_id)
    async with opened as scope:
        yield scope


async def claim(scope: Scope, once: Once, tenant_id: TenantId | None, at: datetime) -> None:
    """Write that this is done, in the act's scope; raises `Refused` (409) if another request does it."""
    if await scope.execute(_SQL["claim"], _claimed(once, tenant_id, at)):
        return
    row = await scope.fetch_one(_SQL["find_done"], _name(once))
    if row is None or row["request_id"] != once.request_id:
        raise running()


async def find(scope: Scope, once: Once) -> Done | None:
    """What was done under this key."""
    row = await scope.fetch_one(_SQL["find_done"], _name(once))
    if row is None:
        return None
    answer: Answer | None = None
    if row["status"] is not None:
        answer = Answer(status=row["status"], location=row["location"], etag=row["etag"], body=bytes(row["answer"]))
    return Done(digest=bytes(row["digest"]), answer=answer)


async def keep(scope: Scope, once: Once, tenant_id: TenantId | None, answer: Answer, at: datetime) -> None:
    """Keep the answer of this request."""
    values = {"status": answer.status, "location": answer.location, "etag": answer.etag, "answer": answer.body}
    await scope.execute(_SQL["keep_answer"], {**_claimed(once, tenant_id, at), **values})


async def forget(scope: Scope, *, before: datetime) -> None:
    """Remove what is older, as far as the scope sees."""
    await scope.execute(_SQL["forget_done"], {"before": before})


def _name(once: Once) -> dict[str, object]:
    return {"operator": once.operator, "route": once.route, "key": once.key}


def _claimed(once: Once, tenant_id: TenantId | None, at: datetime) -> dict[str, object]:
    values = {"tenant": tenant_id, "digest": once.digest, "request_id": once.request_id, "created_at": at}
    return {**_name(once), **values}
