"""Speaks to OpenID providers: their configuration, their keys, and the exchange of a code for an ID token.

Everything is asked through the guard for outbound addresses, bounded in size and time, without redirects. What a
provider says of itself is kept for five minutes; it must name exactly the issuer that it was asked as (OpenID Connect
Discovery 1.0 §4.3), so that nobody can pass for another.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final
from urllib.parse import quote_plus, urlencode, urlsplit

from bailiwick.domain.errors import BailiwickError
from bailiwick.identity.jws import InvalidKeys, PublicKeys
from bailiwick.identity.outbound import OutboundGuard, OutboundRefused
from bailiwick.providers.http1 import Timeouts
from bailiwick.providers.transport import Origin, Transport, TransportError

_KEPT_SECONDS: Final = 300.0
_KEYS_AGAIN_SECONDS: Final = 30.0
_MOST_BYTES: Final = 512 * 1024
_TIMEOUTS: Final = Timeouts(connect=5.0, first_byte=10.0, between_bytes=5.0)
_MOST_SECONDS: Final = 20.0
_WELL_KNOWN: Final = "/.well-known/openid-configuration"


@final
class ProviderTrouble(BailiwickError):
    """A provider cannot be asked, or said what makes no sense; the message is for an operator, without secrets."""


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

    def __init__(self, transport: Transport, guard: OutboundGuard, *, monotonic: Callable[[], float]) -> None:
        """`monotonic` is a steady clock in seconds."""
        self._transport = transport
        self._guard = guard
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
            known.keys = await self._keys(known.endpoints.keys)
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
        answer = await self._ask("POST", endpoints.token, headers, urlencode(form).encode())
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
                endpoints = self._read(issuer, await self._get(issuer.rstrip("/") + _WELL_KNOWN))
                keys = await self._keys(endpoints.keys)
                now = self._monotonic()
                known = self._known[issuer] = _Known(endpoints=endpoints, keys=keys, at=now, keys_at=now)
            return known

    def _read(self, issuer: str, said: Mapping[str, Any]) -> Endpoints:
        if said.get("issuer") != issuer:
            raise ProviderTrouble("the provider's configuration names another issuer")
        addresses = [said.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        for address in addresses:
            if not isinstance(address, str):
                raise ProviderTrouble("the provider's configuration lacks an address")
            try:
                self._guard.check_url(address)
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

    async def _keys(self, url: str) -> PublicKeys:
        try:
            return PublicKeys.parse(await self._get(url))
        except InvalidKeys as invalid:
            raise ProviderTrouble(f"the provider's keys: {invalid}") from None

    async def _get(self, url: str) -> Mapping[str, Any]:
        return await self._ask("GET", url, {}, b"")

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, Any]:
        """Ask for a JSON object; raises `ProviderTrouble`."""
        try:
            self._guard.check_url(url)
            async with asyncio.timeout(_MOST_SECONDS):
                response = await self._transport.send(
                    _origin(url), _request(method, url, headers, body), timeouts=_TIMEOUTS
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


def _origin(url: str) -> Origin:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Origin(scheme=parts.scheme, host=parts.hostname or "", port=port, guarded=True)


def _request(method: str, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"{method} {target} HTTP/1.1",
        f"host: {parts.netloc}",
        "accept: application/json",
        "accept-encoding: identity",
    ]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + body
