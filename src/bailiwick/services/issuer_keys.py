"""The keys of trusted issuers, as they publish them.

    key = await keys.choose(spec, token)      # an unknown key id asks the issuer again, within bounds
    key.verify(token)

Guarantees, for each issuer:

- keys are at most five minutes old, so a key that is taken back upstream is refused here within that time; they are
  asked for ahead of it, so that calls do not wait;
- an issuer is asked by one fetch at a time and twice a minute at most, whatever tokens come and however it answers;
- one that is away, or that answers with something else than keys, is believed for what it last published for a day;
  nothing but a good set replaces a good set; without any, calls are refused by 503 and not by 401.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final, final

import msgspec

from bailiwick.domain.errors import Unavailable
from bailiwick.domain.issuers import IssuerSpec
from bailiwick.identity.jws import PublicKey, PublicKeys, UnknownKey, Unverified
from bailiwick.services.outside_documents import OutsideDocuments, ProviderTrouble

_GOOD_SECONDS: Final = 300.0
_AHEAD_SECONDS: Final = 240.0
_STALE_SECONDS: Final = 24 * 3600.0
_APART_SECONDS: Final = 30.0
_KEPT: Final = 10_000


class _Issuer:
    """What is known of one issuer. Times are those of the steady clock; never is long ago."""

    def __init__(self) -> None:
        self.keys: PublicKeys | None = None
        self.loaded_at = -math.inf
        self.jwks_url: str | None = None
        self.discovered_at = -math.inf
        self.asked_at = -math.inf
        self.fetches = 1
        self.trouble: str | None = None
        self.asking: asyncio.Task[None] | None = None


@final
class IssuerKeys:
    """Keeps keys and asks for them. Belongs to one event loop; close it with `aclose`."""

    def __init__(self, documents: OutsideDocuments, *, monotonic: Callable[[], float]) -> None:
        """`monotonic` is a steady clock in seconds."""
        self._documents = documents
        self._monotonic = monotonic
        self._issuers: dict[tuple[str, str | None], _Issuer] = {}

    async def choose(self, spec: IssuerSpec, token: Unverified) -> PublicKey:
        """The key of the issuer that the token can be of; raises `InvalidToken`, or `Unavailable` if none are known."""
        if spec.jwks is not None:
            return _given(msgspec.json.encode(spec.jwks)).choose(token.kid, token.alg)
        known = self._issuer(spec)
        keys = await self._current(spec, known)
        try:
            return keys.choose(token.kid, token.alg)
        except UnknownKey:
            await self._ask_again(spec, known, wait=True)
            if known.keys is None or known.keys is keys:
                raise
            return known.keys.choose(token.kid, token.alg)

    async def aclose(self) -> None:
        """End what is being asked; idempotent."""
        tasks = [known.asking for known in self._issuers.values() if known.asking is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _issuer(self, spec: IssuerSpec) -> _Issuer:
        # By where it publishes as well: what one project says of an issuer is nothing to another.
        place = (spec.issuer, spec.jwks_url)
        known = self._issuers.get(place)
        if known is None:
            if len(self._issuers) >= _KEPT:
                del self._issuers[next(iter(self._issuers))]
            known = self._issuers[place] = _Issuer()
        return known

    async def _current(self, spec: IssuerSpec, known: _Issuer) -> PublicKeys:
        age = self._monotonic() - known.loaded_at
        if age >= _AHEAD_SECONDS:
            # Once it is known that the issuer is away, nobody waits for it any more who has something to go by.
            wait = known.keys is None or age >= _STALE_SECONDS or (age >= _GOOD_SECONDS and known.trouble is None)
            await self._ask_again(spec, known, wait=wait)
        if known.keys is None or self._monotonic() - known.loaded_at >= _STALE_SECONDS:
            wait_seconds = known.asked_at + _APART_SECONDS * known.fetches - self._monotonic()
            raise Unavailable(
                cause=f"the keys of an issuer: {known.trouble}", retry_after=max(1, math.ceil(wait_seconds))
            )
        return known.keys

    async def _ask_again(self, spec: IssuerSpec, known: _Issuer, *, wait: bool) -> None:
        """Ask the issuer unless it was asked just now, or join whoever asks."""
        if known.asking is None:
            now = self._monotonic()
            discovers = spec.jwks_url is None and now - known.discovered_at >= _AHEAD_SECONDS
            fetches = 2 if discovers else 1
            # Two fetches a minute: as far apart as the more expensive one of two in a row needs.
            if now < known.asked_at + _APART_SECONDS * max(fetches, known.fetches):
                return
            known.asked_at, known.fetches = now, fetches
            known.asking = asyncio.get_running_loop().create_task(self._load(spec, known, discovers=discovers))
        if wait:
            await asyncio.shield(known.asking)

    async def _load(self, spec: IssuerSpec, known: _Issuer, *, discovers: bool) -> None:
        began = self._monotonic()
        try:
            if spec.jwks_url is not None:
                known.jwks_url = spec.jwks_url
            elif discovers or known.jwks_url is None:
                known.jwks_url = await self._discovered(spec.issuer)
                known.discovered_at = began
            known.keys = await self._documents.keys(known.jwks_url)
            known.loaded_at, known.trouble = began, None
        except ProviderTrouble as trouble:
            known.trouble = str(trouble)
        finally:
            known.asking = None

    async def _discovered(self, issuer: str) -> str:
        url = (await self._documents.configuration(issuer)).get("jwks_uri")
        if not isinstance(url, str):
            raise ProviderTrouble("the provider's configuration lacks an address")
        return url


@lru_cache(maxsize=1_000)
def _given(jwks: bytes) -> PublicKeys:
    """Import keys that came with the issuer; they were judged when it was registered."""
    return PublicKeys.parse(msgspec.json.decode(jwks))
