"""Speaks to OpenID providers: their configuration, their keys, and the exchange of a code for an ID token.

What a provider says of itself, and its keys, are kept for five minutes.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final
from urllib.parse import quote_plus, urlencode

from bailiwick.identity.jws import PublicKeys
from bailiwick.identity.outbound import OutboundRefused
from bailiwick.services.outside_documents import OutsideDocuments, ProviderTrouble

_KEPT_SECONDS: Final = 300.0
_KEYS_AGAIN_SECONDS: Final = 30.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where a provider is asked for what."""

    authorization: str
    token: str
    keys: str
    basic: bool
    """Whether the client names itself in the header (RFC 6749 §2.3.1), and not in the body."""
    names_issuer: bool
    """Whether an answer to the browser says whose it is (RFC 9207)."""


@dataclass(slots=True)
class _Known:
    endpoints: Endpoints
    keys: PublicKeys
    at: float
    keys_at: float


@final
class OidcClient:
    """Asks providers, and remembers for a while what they said of themselves."""

    def __init__(self, documents: OutsideDocuments, *, monotonic: Callable[[], float]) -> None:
        """`monotonic` is a steady clock in seconds."""
        self._documents = documents
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}
        self._asking = asyncio.Lock()

    async def endpoints(self, issuer: str) -> Endpoints:
        """Where the provider is asked; raises `ProviderTrouble`."""
        return (await self._provider(issuer)).endpoints

    async def keys(self, issuer: str, *, again: bool = False) -> PublicKeys:
        """The provider's keys; `again`, if a key was missing from it. Raises `ProviderTrouble`."""
        known = await self._provider(issuer)
        if again and self._monotonic() - known.keys_at >= _KEYS_AGAIN_SECONDS:
            known.keys = await self._documents.keys(known.endpoints.keys)
            known.keys_at = self._monotonic()
        return known.keys

    async def redeem(
        self, issuer: str, *, client_id: str, secret: str | None, code: str, verifier: str, redirect_uri: str
    ) -> str:
        """Exchange a code for an ID token (RFC 6749 §4.1.3, RFC 7636 §4.5); raises `ProviderTrouble`."""
        endpoints = await self.endpoints(issuer)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"content-type": "application/x-www-form-urlencoded"}
        if secret is not None and endpoints.basic:
            credentials = f"{quote_plus(client_id)}:{quote_plus(secret)}"
            headers["authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode()
        else:
            form["client_id"] = client_id
            if secret is not None:
                form["client_secret"] = secret
        answer = await self._documents.ask("POST", endpoints.token, headers, urlencode(form).encode())
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ProviderTrouble("the provider gave no ID token")
        return token

    async def _provider(self, issuer: str) -> _Known:
        known = self._known.get(issuer)
        if known is not None and self._monotonic() - known.at < _KEPT_SECONDS:
            return known
        # One at a time: a crowd at the door asks the provider once.
        async with self._asking:
            known = self._known.get(issuer)
            if known is None or self._monotonic() - known.at >= _KEPT_SECONDS:
                endpoints = self._read(await self._documents.configuration(issuer))
                keys = await self._documents.keys(endpoints.keys)
                now = self._monotonic()
                known = self._known[issuer] = _Known(endpoints=endpoints, keys=keys, at=now, keys_at=now)
            return known

    def _read(self, said: Mapping[str, Any]) -> Endpoints:
        addresses = [said.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        for address in addresses:
            if not isinstance(address, str):
                raise ProviderTrouble("the provider's configuration lacks an address")
            try:
                self._documents.check_url(address)
            except OutboundRefused as refused:
                raise ProviderTrouble(f"the provider's configuration: {refused.reason}") from None
        methods = said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return Endpoints(
            authorization=str(addresses[0]),
            token=str(addresses[1]),
            keys=str(addresses[2]),
            basic=isinstance(methods, list) and "client_secret_basic" in methods,
            names_issuer=said.get("authorization_response_iss_parameter_supported") is True,
        )
