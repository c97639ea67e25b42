"""The signing keys as a process keeps them: what signs now, and by what tokens are verified."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import final

import msgspec

from bailiwick.domain.errors import Unavailable
from bailiwick.domain.signing import published, signer
from bailiwick.identity.jws import PublicKeys
from bailiwick.identity.sealing import signing_key_row_identity, unseal_with_any
from bailiwick.identity.signing_keys import SigningKey, from_private_pem
from bailiwick.services.remembered import Remembered
from bailiwick.storage.epoch import Epoch
from bailiwick.storage.signing_keys import SigningKeyLookup, StoredSigningKey


@final
class Ring:
    """The keys as they were read."""

    def __init__(self, keys: Sequence[StoredSigningKey], sealing: Callable[[], Sequence[bytes]]) -> None:
        self._keys = keys
        self._sealing = sealing
        self._opened: dict[str, SigningKey] = {}
        self.kids = frozenset(key.kid for key in keys)
        self.public = PublicKeys.parse({"keys": [dict(key.public_jwk) for key in keys]})

    def signer(self, now: datetime) -> SigningKey:
        """What signs now; raises `Unavailable` if nothing does yet."""
        key = signer(self._keys, now)
        if key is None:
            raise Unavailable(cause="there is no signing key")
        opened = self._opened.get(key.kid)
        if opened is None:
            text = unseal_with_any(self._sealing(), signing_key_row_identity(key.id), key.secret)
            opened = self._opened[key.kid] = from_private_pem(text)
        return opened

    def published(self, now: datetime) -> Mapping[str, object]:
        """The JWK Set (RFC 7517 §5)."""
        return {"keys": [dict(key.public_jwk) for key in published(self._keys, now)]}


@final
class Signing:
    """Keeps the ring up to date. Belongs to one event loop."""

    def __init__(
        self,
        lookup: SigningKeyLookup,
        epoch: Epoch,
        *,
        sealing: Callable[[], Sequence[bytes]],
        now: Callable[[], datetime],
    ) -> None:
        """`sealing` are the keys that one of has sealed them; `now` is the wall clock, in UTC."""
        self._now = now

        async def read(_: None) -> Ring:
            return Ring(await lookup.find_all(), sealing)

        self._rings: Remembered[None, Ring] = Remembered(read, epoch, capacity=1)

    async def ring(self) -> Ring:
        """The keys; raises `Unavailable`."""
        return await self._rings.get(None)

    async def jwks(self) -> bytes:
        """The JWK Set, written; raises `Unavailable`."""
        return msgspec.json.encode((await self.ring()).published(self._now()))
