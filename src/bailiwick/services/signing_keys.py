"""The installation's signing keys, for operators and for what looks after them: made, rotated, forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, final

from bailiwick.domain.audit import INSTALLATION, Actor
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.signing import MOST_KEYS, PUBLISHED_BEFORE, Standing, Status, is_due, published, standings
from bailiwick.domain.times import written
from bailiwick.identity import signing_keys
from bailiwick.identity.sealing import seal, signing_key_row_identity
from bailiwick.services.acts import Acts
from bailiwick.storage import signing_keys as rows
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.signing_keys import StoredSigningKey

_NONCE: Final = 12


@final
class SigningKeys:
    """The keys that sign tokens."""

    def __init__(self, database: Database, acts: Acts, *, sealing: bytes) -> None:
        """`database` is the control process's; `sealing` is the key that the gateway opens them with."""
        self._database = database
        self._acts = acts
        self._sealing = sealing

    async def list(self) -> list[Standing[StoredSigningKey]]:
        """Every key, the first to sign first; raises `Unavailable`."""
        return standings(await self._stored(), self._acts.now())

    async def rotate(self, actor: Actor, *, at_once: bool = False) -> Standing[StoredSigningKey]:
        """Make another key, which signs when everybody can know it, or `at_once`.

        Raises `Refused` (409) if one is still to sign, but for `at_once`; or if too many are published.
        """
        async with self._database.operating() as scope:
            await rows.hold(scope)
            now = self._acts.now()
            keys = await rows.find_all(scope)
            if len(keys) >= MOST_KEYS:
                message = f"{MOST_KEYS} keys are published already. Wait until tokens of the first have expired."
                raise Refused(Code.CONFLICT, message)
            last = keys[-1].signs_from if keys else now
            if last > now and not at_once:
                raise Refused(Code.CONFLICT, f"The next key is made already; it signs from {written(last)}.")
            key = await self._add(scope, actor, now if at_once else now + PUBLISHED_BEFORE)
            return Standing(key, Status.SIGNING if at_once else Status.NEXT, None)

    async def look_after(self, actor: Actor) -> None:
        """Make the first key, or another if it is time; forget those of which no token is good any more."""
        now = self._acts.now()
        keys = await self._stored()
        if not is_due(keys, now) and len(published(keys, now)) == len(keys):
            return
        async with self._database.operating() as scope:
            await rows.hold(scope)
            keys = await rows.find_all(scope)
            if is_due(keys, now):
                await self._add(scope, actor, now + PUBLISHED_BEFORE if keys else now)
            live = {key.kid for key in published(keys, now)}
            for key in keys:
                if key.kid not in live:
                    await rows.remove(scope, key.kid)
                    await self._record(scope, actor, "remove", key)

    async def _stored(self) -> Sequence[StoredSigningKey]:
        async with self._database.reading(None) as scope:
            return await rows.find_all(scope)

    async def _add(self, scope: Scope, actor: Actor, signs_from: datetime) -> StoredSigningKey:
        made, key_id = signing_keys.make(), self._acts.new_id()
        key = StoredSigningKey(
            id=key_id,
            kid=made.kid,
            public_jwk=made.public_jwk(),
            secret=seal(
                self._sealing, signing_key_row_identity(key_id), made.private_pem(), self._acts.entropy(_NONCE)
            ),
            signs_from=signs_from,
            created_at=self._acts.now(),
            created_by=actor.name,
        )
        await rows.add(scope, key)
        await self._record(scope, actor, "create", key)
        return key

    async def _record(self, scope: Scope, actor: Actor, verb: str, key: StoredSigningKey) -> None:
        detail = {"kid": key.kid, "signs_from": key.signs_from.isoformat()}
        await self._acts.record(scope, actor, f"signing_key.{verb}", INSTALLATION, tenant_id=None, detail=detail)
