"""Operator keys: made, read, renamed, rotated, revoked, removed. Each change is audited in its own transaction.

Nobody gives more than they hold, and nobody touches an operator of a higher role than their own. A key's text exists in
the answer to its making or rotating, and nowhere else: the database holds an HMAC of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, final

from bailiwick.domain import ids
from bailiwick.domain.administration import authorize_grant, authorize_touch
from bailiwick.domain.audit import INSTALLATION, Actor, changes
from bailiwick.domain.credentials import Active, Expired, Lifetime, Revoked
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import OperatorKeyId
from bailiwick.domain.operators import OperatorKey, OperatorKeySpec
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.versions import WHATEVER, Expected
from bailiwick.identity import api_keys
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.documents import operator_key_document
from bailiwick.services.owners import check_owner_remains
from bailiwick.services.reach import acting_within, reading_within
from bailiwick.storage.operator_keys import OperatorKeyRows, add_operator_key
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.tenants import TenantRows

_RANDOM_BYTES: Final = 48


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedOperatorKey:
    """A key with its text, which is shown this once."""

    key: OperatorKey
    text: str

    def __repr__(self) -> str:
        """Name the key without its secret."""
        return f"IssuedOperatorKey({self.key.lookup_id})"


@final
class OperatorKeys:
    """The operator keys of the installation and of its tenants."""

    def __init__(self, database: Database, acts: Acts, *, pepper: bytes) -> None:
        """`pepper` is the operators' own."""
        self._database = database
        self._acts = acts
        self._pepper = pepper

    async def list(self, actor: Actor, page: PageRequest) -> Page[OperatorKey]:
        """A page of the keys within reach."""
        reading = reading_within(self._database, self._acts, actor, action="operator_key.list", target=INSTALLATION)
        async with reading as scope:
            return await OperatorKeyRows(scope, actor.authority.tenant_id).list(page)

    async def find(self, actor: Actor, key_id: OperatorKeyId) -> OperatorKey:
        """One key; raises `Refused` (404)."""
        target = ids.shown(ids.OPERATOR_KEY, key_id)
        reading = reading_within(self._database, self._acts, actor, action="operator_key.read", target=target)
        async with reading as scope:
            return found(await OperatorKeyRows(scope, actor.authority.tenant_id).find(key_id))

    async def create(self, actor: Actor, spec: OperatorKeySpec) -> IssuedOperatorKey:
        """Make a key; raises `Refused` (403) and `Invalid`."""
        authorize_grant(actor.authority, spec.role, spec.tenant_id, spec.expires_at).or_raise()
        made = api_keys.make(api_keys.OPERATOR_KEY, self._acts.entropy(_RANDOM_BYTES))
        key = OperatorKey(
            id=OperatorKeyId(self._acts.new_id()),
            name=spec.name,
            role=spec.role,
            tenant_id=spec.tenant_id,
            lookup_id=made.lookup_id,
            lifetime=Lifetime(expires_at=spec.expires_at, revoked_at=None),
            created_at=self._acts.now(),
            created_by=actor.name,
        )
        async with acting_within(self._database, spec.tenant_id) as scope:
            if spec.tenant_id is not None and not await TenantRows(scope, spec.tenant_id).hold():
                raise invalid("tenant_id", "must be a tenant of this installation")
            await add_operator_key(scope, key, digest=api_keys.digest(self._pepper, made))
            document = operator_key_document(key, self._acts.now())
            await self._record(scope, actor, "create", key, {"after": document})
        return IssuedOperatorKey(key=key, text=made.text.decode())

    async def rename(
        self,
        actor: Actor,
        key_id: OperatorKeyId,
        rename: Callable[[OperatorKey], str],
        *,
        expected: Expected = WHATEVER,
    ) -> OperatorKey:
        """Give a key the name that `rename` says; raises `Refused` (403, 404, 412) and `Invalid`."""
        async with acting_within(self._database, actor.authority.tenant_id) as scope:
            rows = OperatorKeyRows(scope, actor.authority.tenant_id)
            before = await self._locked(rows, actor, key_id, expected)
            after = found(await rows.rename(key_id, rename(before)))
            await self._record_change(scope, actor, "change", before, after)
            return after

    async def rotate(
        self, actor: Actor, key_id: OperatorKeyId, *, grace_seconds: int, expected: Expected = WHATEVER
    ) -> IssuedOperatorKey:
        """Give a key another secret under the same id; the one before stays good for `grace_seconds`.

        Whoever rotates a key learns its secret, so it must hold what the key holds. Raises `Refused` (403, 404, 412;
        409 unless the key is active).
        """
        async with acting_within(self._database, actor.authority.tenant_id) as scope:
            rows = OperatorKeyRows(scope, actor.authority.tenant_id)
            before = await self._locked(rows, actor, key_id, expected)
            authorize_grant(actor.authority, before.role, before.tenant_id, before.lifetime.expires_at).or_raise()
            now = self._acts.now()
            _check_active(before, self._acts)
            made = api_keys.make(api_keys.OPERATOR_KEY, self._acts.entropy(_RANDOM_BYTES), lookup_id=before.lookup_id)
            previous_until = now + timedelta(seconds=grace_seconds) if grace_seconds else None
            digest = api_keys.digest(self._pepper, made)
            after = found(await rows.rotate(key_id, digest=digest, previous_until=previous_until))
            await self._record_change(scope, actor, "rotate", before, after)
            return IssuedOperatorKey(key=after, text=made.text.decode())

    async def revoke(self, actor: Actor, key_id: OperatorKeyId, *, expected: Expected = WHATEVER) -> OperatorKey:
        """End a key with all its secrets, for good; one that was revoked stays as it is.

        Raises `Refused` (403, 404, 412; 409 for the installation's last owner).
        """
        async with acting_within(self._database, actor.authority.tenant_id) as scope:
            rows = OperatorKeyRows(scope, actor.authority.tenant_id)
            before = await self._locked(rows, actor, key_id, expected)
            after = await rows.revoke(key_id, self._acts.now())
            if after is None:
                return before
            await check_owner_remains(scope, before.operator)
            await self._record_change(scope, actor, "revoke", before, after)
            return after

    async def remove(self, actor: Actor, key_id: OperatorKeyId, *, expected: Expected = WHATEVER) -> None:
        """Remove a key; raises `Refused` (403, 404, 412; 409 for the installation's last owner)."""
        async with acting_within(self._database, actor.authority.tenant_id) as scope:
            rows = OperatorKeyRows(scope, actor.authority.tenant_id)
            before = await self._locked(rows, actor, key_id, expected)
            if before.lifetime.revoked_at is None:
                await check_owner_remains(scope, before.operator)
            await rows.remove(key_id)
            document = operator_key_document(before, self._acts.now())
            await self._record(scope, actor, "remove", before, {"before": document})

    async def _locked(
        self, rows: OperatorKeyRows, actor: Actor, key_id: OperatorKeyId, expected: Expected
    ) -> OperatorKey:
        """The key as it stays until the end of the act, if the actor may touch it."""
        before = found(await rows.lock(key_id))
        authorize_touch(actor.authority, before.role).or_raise()
        expected.check(operator_key_document(before, self._acts.now()))
        return before

    async def _record_change(
        self, scope: Scope, actor: Actor, verb: str, before: OperatorKey, after: OperatorKey
    ) -> None:
        now = self._acts.now()
        detail = changes(operator_key_document(before, now), operator_key_document(after, now))
        await self._record(scope, actor, verb, after, detail)

    async def _record(
        self, scope: Scope, actor: Actor, verb: str, key: OperatorKey, detail: Mapping[str, object]
    ) -> None:
        target = ids.shown(ids.OPERATOR_KEY, key.id)
        await self._acts.record(scope, actor, f"operator_key.{verb}", target, tenant_id=key.tenant_id, detail=detail)


def _check_active(key: OperatorKey, acts: Acts) -> None:
    """A new secret would bring nothing back."""
    match key.lifetime.state(acts.now()):
        case Active():
            return
        case Expired():
            raise Refused(Code.CONFLICT, "The key has expired. Create another one.")
        case Revoked():
            raise Refused(Code.CONFLICT, "The key was revoked. Create another one.")
