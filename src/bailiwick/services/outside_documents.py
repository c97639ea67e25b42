"""JSON documents that identity providers publish: what they are, their keys, and their answers to a form.

Everything is asked through the guard for outbound addresses, bounded in size and time, without redirects.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final, final

from bailiwick.domain.errors import BailiwickError
from bailiwick.identity.jws import InvalidKeys, PublicKeys
from bailiwick.identity.outbound import OutboundGuard, OutboundRefused
from bailiwick.providers.http1 import Timeouts
from bailiwick.providers.transport import Transport, TransportError
from bailiwick.services.outside_requests import origin_of, request_bytes

WELL_KNOWN: Final = "/.well-known/openid-configuration"
_MOST_BYTES: Final = 512 * 1024
_TIMEOUTS: Final = Timeouts(connect=5.0, first_byte=10.0, between_bytes=5.0)
_MOST_SECONDS: Final = 20.0
_ACCEPT: Final = {"accept": "application/json"}


@final
class ProviderTrouble(BailiwickError):
    """A provider cannot be asked, or said what makes no sense; the message is for an operator, without secrets."""


@final
class OutsideDocuments:
    """Asks for documents; remembers nothing."""

    def __init__(self, transport: Transport, guard: OutboundGuard) -> None:
        self._transport = transport
        self._guard = guard

    def check_url(self, url: str) -> None:
        """Raise `OutboundRefused` unless this is a URL that we could ask."""
        self._guard.check_url(url)

    async def configuration(self, issuer: str) -> Mapping[str, Any]:
        """What an issuer says of itself (OpenID Connect Discovery 1.0 §4); raises `ProviderTrouble`.

        It must name exactly the issuer that it was asked as (§4.3), so that nobody can pass for another.
        """
        said = await self.get(issuer.rstrip("/") + WELL_KNOWN)
        if said.get("issuer") != issuer:
            raise ProviderTrouble("the provider's configuration names another issuer")
        return said

    async def keys(self, url: str) -> PublicKeys:
        """A JWK Set; raises `ProviderTrouble`."""
        try:
            return PublicKeys.parse(await self.get(url))
        except InvalidKeys as invalid:
            raise ProviderTrouble(f"the provider's keys: {invalid}") from None

    async def get(self, url: str) -> Mapping[str, Any]:
        """A JSON object; raises `ProviderTrouble`."""
        return await self.ask("GET", url, {}, b"")

    async def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, Any]:
        """Ask for a JSON object; raises `ProviderTrouble`."""
        try:
            self._guard.check_url(url)
            async with asyncio.timeout(_MOST_SECONDS):
                response = await self._transport.send(
                    origin_of(url), request_bytes(method, url, {**_ACCEPT, **headers}, body), timeouts=_TIMEOUTS
                )
                content = await response.read(_MOST_BYTES)
            if response.status != 200:  # noqa: PLR2004 - whatever else it is, it is not what was asked for
                raise ProviderTrouble(f"the provider answered with status {response.status}")
            document = json.loads(content)
        except OutboundRefused as refused:
            raise ProviderTrouble(f"the provider's address: {refused.reason}") from None
        except (TransportError, TimeoutError) as error:
            raise ProviderTrouble(f"the provider cannot be asked: {error or 'it takes too long'}") from None
        except (ValueError, RecursionError):
            raise ProviderTrouble("the provider's answer is not JSON") from None
        if not isinstance(document, dict):
            raise ProviderTrouble("the provider's answer is no object")
        return document
