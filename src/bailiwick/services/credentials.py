"""A project's API keys: made, read, changed, rotated, revoked, removed. Each change is audited in its own transaction.

A key's text exists in the answer to its making or rotating, and nowhere else: the database holds an HMAC of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import final

from bailiwick.domain import ids
from bailiwick.domain.audit import Actor, changes
from bailiwick.domain.credentials import ApiKey, KeySpec
from bailiwick.domain.ids import KeyId, ProjectId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.versions import WHATEVER, Expected
from bailiwick.identity import api_keys
from bailiwick.services.absence import found, not_found
from bailiwick.services.acts import Acts
from bailiwick.services.documents import key_document
from bailiwick.storage.keys import KeyRows, ListedKey
from bailiwick.storage.projects import ProjectRows
from bailiwick.storage.scope import Database, Scope

_RANDOM_BYTES = 48


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlace:
    """Where a key was asked for: within a tenant, and within one of its projects unless None."""

    tenant_id: TenantId
    project_id: ProjectId | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedKey:
    """A key with its text, which is shown this once."""

    key: ApiKey
    text: str

    def __repr__(self) -> str:
        """Name the key without its secret."""
        return f"IssuedKey({self.key.lookup_id})"


@final
class Credentials:
    """The API keys of projects."""

    def __init__(self, database: Database, acts: Acts, *, pepper: bytes) -> None:
        """`pepper` is the one by which the gateway recognizes keys."""
        self._database = database
        self._acts = acts
        self._pepper = pepper

    async def list(
        self, tenant_id: TenantId, project_id: ProjectId, page: PageRequest, *, is_there: bool = False
    ) -> Page[ListedKey]:
        """A page of a project's keys, each with when it was last used.

        Raises `Refused` (404) unless whoever asks knows that the project is there.
        """
        async with self._database.reading(tenant_id) as scope:
            if not is_there:
                found(await ProjectRows(scope, tenant_id).find(project_id))
            return await KeyRows(scope, tenant_id, project_id).list(page)

    async def find(self, place: KeyPlace, key_id: KeyId) -> ApiKey:
        """One key; raises `Refused` (404)."""
        async with self._database.reading(place.tenant_id) as scope:
            return found(await KeyRows(scope, place.tenant_id, place.project_id).find(key_id))

    async def create(self, actor: Actor, tenant_id: TenantId, project_id: ProjectId, spec: KeySpec) -> IssuedKey:
        """Make a key; raises `Refused` (404)."""
        async with self._database.acting(tenant_id) as scope:
            if not await ProjectRows(scope, tenant_id).hold(project_id):
                raise not_found()
            return await add_key(scope, self._acts, actor, (tenant_id, project_id), spec, pepper=self._pepper)

    async def change(
        self,
        actor: Actor,
        place: KeyPlace,
        key_id: KeyId,
        change: Callable[[ApiKey], KeySpec],
        *,
        expected: Expected = WHATEVER,
    ) -> ApiKey:
        """Make a key what `change` says of it; raises `Refused` (404, 412) and `Invalid`."""
        async with self._database.acting(place.tenant_id) as scope:
            rows = KeyRows(scope, place.tenant_id, place.project_id)
            before = found(await rows.lock(key_id))
            expected.check(key_document(before, self._acts.now()))
            after = found(await rows.change(key_id, change(before)))
            await self._record_change(scope, actor, "change", before, after)
            return after

    async def rotate(
        self, actor: Actor, place: KeyPlace, key_id: KeyId, *, grace_seconds: int, expected: Expected = WHATEVER
    ) -> IssuedKey:
        """Give a key another secret under the same id; the one before stays good for `grace_seconds`.

        With no grace it ends at once, and so does the one before that in any case. Raises `Refused` (404, 412;
        409 unless the key is active).
        """
        async with self._database.acting(place.tenant_id) as scope:
            rows = KeyRows(scope, place.tenant_id, place.project_id)
            before = found(await rows.lock(key_id))
            expected.check(key_document(before, self._acts.now()))
            now = self._acts.now()
            before.check_rotatable(now)
            made = api_keys.make(api_keys.PROJECT_KEY, self._acts.entropy(_RANDOM_BYTES), lookup_id=before.lookup_id)
            previous_until = now + timedelta(seconds=grace_seconds) if grace_seconds else None
            digest = api_keys.digest(self._pepper, made)
            after = found(await rows.rotate(key_id, digest=digest, previous_until=previous_until))
            await self._record_change(scope, actor, "rotate", before, after)
            return IssuedKey(key=after, text=made.text.decode())

    async def revoke(self, actor: Actor, place: KeyPlace, key_id: KeyId, *, expected: Expected = WHATEVER) -> ApiKey:
        """End a key with all its secrets, for good; one that was revoked stays as it is.

        Raises `Refused` (404, 412).
        """
        async with self._database.acting(place.tenant_id) as scope:
            rows = KeyRows(scope, place.tenant_id, place.project_id)
            before = found(await rows.lock(key_id))
            expected.check(key_document(before, self._acts.now()))
            after = await rows.revoke(key_id, self._acts.now())
            if after is None:
                return before
            await self._record_change(scope, actor, "revoke", before, after)
            return after

    async def remove(self, actor: Actor, place: KeyPlace, key_id: KeyId, *, expected: Expected = WHATEVER) -> None:
        """Remove a key; raises `Refused` (404, 412)."""
        async with self._database.acting(place.tenant_id) as scope:
            rows = KeyRows(scope, place.tenant_id, place.project_id)
            before = found(await rows.lock(key_id))
            expected.check(key_document(before, self._acts.now()))
            await rows.remove(key_id)
            detail = {"before": key_document(before, self._acts.now())}
            await _record(scope, self._acts, actor, "remove", before, detail)

    async def _record_change(self, scope: Scope, actor: Actor, verb: str, before: ApiKey, after: ApiKey) -> None:
        now = self._acts.now()
        detail = changes(key_document(before, now), key_document(after, now))
        await _record(scope, self._acts, actor, verb, after, detail)


async def add_key(
    scope: Scope,
    acts: Acts,
    actor: Actor,
    project: tuple[TenantId, ProjectId],
    spec: KeySpec,
    *,
    pepper: bytes,
) -> IssuedKey:
    """Make a key of a project that is there, in a tenant's or an operator's scope, audited."""
    made = api_keys.make(api_keys.PROJECT_KEY, acts.entropy(_RANDOM_BYTES))
    key = await KeyRows(scope, *project).add(
        KeyId(acts.new_id()),
        spec,
        lookup_id=made.lookup_id,
        digest=api_keys.digest(pepper, made),
        created_at=acts.now(),
        created_by=actor.name,
    )
    await _record(scope, acts, actor, "create", key, {"after": key_document(key, acts.now())})
    return IssuedKey(key=key, text=made.text.decode())


async def _record(scope: Scope, acts: Acts, actor: Actor, verb: str, key: ApiKey, detail: Mapping[str, object]) -> None:
    target = ids.shown(ids.KEY, key.id)
    await acts.record(scope, actor, f"key.{verb}", target, tenant_id=key.tenant_id, detail=detail)
