"""`/oauth/…` and what it says of itself: the addresses where clients get tokens, and their metadata.

Forms are small and read before anybody is recognized, since a client may prove itself in one. What is wrong with a
request is told as OAuth tells it (`apps/http/oauth_errors.py`). Metadata comes from the public URL, never from `Host`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

import msgspec

from bailiwick.apps.gateway.call import Call, Handler
from bailiwick.apps.http.oauth_errors import JSON, NO_STORE
from bailiwick.domain.oauth import (
    CLIENT_CREDENTIALS,
    LONGEST_FORM,
    TOKEN_EXCHANGE,
    Form,
    OAuthError,
    RefusedGrant,
    check_target,
    invalid_client,
    read_client,
    read_exchange,
    read_form,
    required,
    twice,
)
from bailiwick.domain.permissions import ALL_SCOPES, FOR_KEYS_ALONE, Permission
from bailiwick.services.back_channel_logout import BackChannelLogout
from bailiwick.services.client_tokens import ClientTokens
from bailiwick.services.clients import Client, Clients
from bailiwick.services.granting import Granting

_GRANTS: Final[Mapping[str, tuple[Permission, ...]]] = {
    # Each with what the client's key must hold.
    CLIENT_CREDENTIALS: (),
    TOKEN_EXCHANGE: (Permission.TOKENS_MINT, Permission.USERS_ACT_AS),
}
_METHODS: Final = ["client_secret_basic", "client_secret_post"]
_SCOPES: Final = sorted(scope.value for scope in ALL_SCOPES - FOR_KEYS_ALONE)


@final
class OAuthEndpoints:
    """The handlers."""

    def __init__(
        self,
        clients: Clients,
        granting: Granting,
        tokens: ClientTokens,
        logout: BackChannelLogout,
        *,
        public_url: str,
    ) -> None:
        """`public_url` is the issuer, and the one place where tokens are good."""
        self._clients = clients
        self._granting = granting
        self._tokens = tokens
        self._logout = logout
        self._issuer = public_url
        self._server = msgspec.json.encode(self._server_metadata())
        self._resource = msgspec.json.encode(self._resource_metadata())

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Every address, with its methods."""
        return {
            "/oauth/token": {"POST": self.token},
            "/oauth/introspect": {"POST": self.introspect},
            "/oauth/revoke": {"POST": self.revoke},
            "/oauth/backchannel-logout": {"POST": self.log_out},
            "/.well-known/oauth-authorization-server": {"GET": self.server_metadata},
            "/.well-known/oauth-protected-resource": {"GET": self.resource_metadata},
        }

    async def token(self, call: Call) -> None:
        """`POST /oauth/token` (RFC 6749 §4.4.2, RFC 8693 §2.1)."""
        form = await self._form(call)
        grant_type = required(form, "grant_type")
        if grant_type not in _GRANTS:
            message = f"grant_type must be {' or '.join(_GRANTS)}."
            raise RefusedGrant(OAuthError.UNSUPPORTED_GRANT_TYPE, message)
        client = await self._client(call, form, *_GRANTS[grant_type])
        check_target(form, self._issuer)
        asked = form.get("scope")
        if grant_type == TOKEN_EXCHANGE:
            granted = await self._granting.in_exchange(client, read_exchange(form), asked=asked)
        else:
            granted = await self._granting.to_machine(client, asked=asked)
        await call.reply.answer(msgspec.json.encode(granted), JSON, NO_STORE)

    async def introspect(self, call: Call) -> None:
        """`POST /oauth/introspect` (RFC 7662), for a client or a bearer whose key holds `tokens:introspect`."""
        form = await self._form(call)
        if call.head.credential and read_client(call.head.basic, form) is None:
            asks = await self._clients.bearer(call.presented(), Permission.TOKENS_INTROSPECT, call.seen)
        else:
            asks = (await self._client(call, form, Permission.TOKENS_INTROSPECT)).principal
        said = await self._tokens.introspect(required(form, "token"), asks.grant.project_id)
        await call.reply.answer(msgspec.json.encode(said), JSON, NO_STORE)

    async def revoke(self, call: Call) -> None:
        """`POST /oauth/revoke` (RFC 7009), for the client that the token was issued to."""
        form = await self._form(call)
        client = await self._client(call, form)
        await self._tokens.revoke(client, required(form, "token"))
        await call.reply.answer(b"", JSON, NO_STORE)

    async def log_out(self, call: Call) -> None:
        """`POST /p/{slug}/oauth/backchannel-logout` (OpenID Connect Back-Channel Logout 1.0 §2.5), for issuers."""
        form = await self._form(call)
        if call.slug is None:
            message = "A project is logged out of at its own address: /p/{slug}/oauth/backchannel-logout."
            raise RefusedGrant(OAuthError.INVALID_REQUEST, message)
        await self._logout.take(required(form, "logout_token"), call.slug)
        await call.reply.answer(b"", JSON, NO_STORE)

    async def server_metadata(self, call: Call) -> None:
        """`GET /.well-known/oauth-authorization-server` (RFC 8414)."""
        await call.reply.answer(self._server)

    async def resource_metadata(self, call: Call) -> None:
        """`GET /.well-known/oauth-protected-resource` (RFC 9728)."""
        await call.reply.answer(self._resource)

    async def _form(self, call: Call) -> Form:
        return read_form(call.head.content_type, await call.small_body(LONGEST_FORM))

    async def _client(self, call: Call, form: Form, *permissions: Permission) -> Client:
        """The client that asks; raises `RefusedGrant`."""
        head = call.head
        secret = read_client(head.basic, form)
        if secret is not None and head.credential:
            raise twice()
        if secret is None:
            raise invalid_client("The client must authenticate, by HTTP Basic or with client_id and client_secret.")
        if head.uid is not None or head.sid is not None:
            message = "A client speaks for itself here: X-End-User-Id and X-Session-Id have no place."
            raise RefusedGrant(OAuthError.INVALID_REQUEST, message)
        return await self._clients.authenticate(secret, call.presented(), permissions, call.seen)

    def _server_metadata(self) -> dict[str, object]:
        at = self._issuer.rstrip("/")
        return {
            "issuer": self._issuer,
            "token_endpoint": f"{at}/oauth/token",
            "introspection_endpoint": f"{at}/oauth/introspect",
            "revocation_endpoint": f"{at}/oauth/revoke",
            "jwks_uri": f"{at}/.well-known/jwks.json",
            "token_endpoint_auth_methods_supported": _METHODS,
            "introspection_endpoint_auth_methods_supported": [*_METHODS, "Bearer"],
            "revocation_endpoint_auth_methods_supported": _METHODS,
            "grant_types_supported": list(_GRANTS),
            # There is no authorization endpoint that could answer.
            "response_types_supported": [],
            "scopes_supported": _SCOPES,
        }

    def _resource_metadata(self) -> dict[str, object]:
        return {
            "resource": self._issuer,
            "authorization_servers": [self._issuer],
            "scopes_supported": _SCOPES,
            "bearer_methods_supported": ["header"],
            "resource_name": "Bailiwick",
            # Of the project whose issuer it is (RFC 6570).
            "backchannel_logout_uri_template": f"{self._issuer.rstrip('/')}/p/{{slug}}/oauth/backchannel-logout",
        }
