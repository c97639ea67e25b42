"""What OAuth 2.0 asks and answers, as far as it is spoken here; pure.

RFC 6749 §4.4 (client credentials), RFC 8693 (token exchange), RFC 7662 (introspection), RFC 7009 (revocation). A client
is an API key: its id is the key's id, its secret the key. Requests are forms (RFC 6749 §3.2): a parameter stands once,
one without a value counts as left out, one that nobody knows is passed over.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, final
from urllib.parse import parse_qsl, unquote_plus

import msgspec

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.permissions import FOR_KEYS_ALONE, Permission

CLIENT_CREDENTIALS: Final = "client_credentials"
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - no password
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - no password
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
LONGEST_FORM: Final = 32 * 1024
"""In bytes: two tokens of the longest, encoded, fit into it."""
_FORM: Final = b"application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 50
_SCOPES: Final[dict[str, Permission]] = {permission.value: permission for permission in Permission}

Form = Mapping[str, str]


@final
class OAuthError(StrEnum):
    """The errors of RFC 6749 §5.2, RFC 6750 §3.1 and RFC 8693 §2.2.2 that are used here."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    INVALID_SCOPE = "invalid_scope"
    INVALID_TARGET = "invalid_target"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - no password
    INSUFFICIENT_SCOPE = "insufficient_scope"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    SERVER_ERROR = "server_error"


_CODES: Final = {
    OAuthError.INVALID_CLIENT: Code.INVALID_CREDENTIALS,
    OAuthError.INVALID_TOKEN: Code.INVALID_CREDENTIALS,
    OAuthError.INSUFFICIENT_SCOPE: Code.FORBIDDEN,
}


@final
class RefusedGrant(Refused):
    """A request that OAuth has a name for refusing."""

    def __init__(self, error: OAuthError, message: str) -> None:
        """`message` becomes the `error_description`."""
        code = _CODES.get(error, Code.INVALID_REQUEST)
        super().__init__(code, message)
        self.error = error


@final
class ClientSecret(msgspec.Struct, frozen=True, kw_only=True):
    """How a client says who it is (RFC 6749 §2.3.1); nothing is proven yet."""

    client_id: str
    secret: str

    def __repr__(self) -> str:
        """Name the client without its secret."""
        return f"ClientSecret({self.client_id})"


def read_form(content_type: bytes, body: bytes) -> Form:
    """Read a form; raises `RefusedGrant` (400)."""
    if content_type.partition(b";")[0].strip().lower() != _FORM:
        raise _malformed(f"The body must be {_FORM.decode()}.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict",
            max_num_fields=_MOST_FIELDS,
        )  # fmt: skip
    except ValueError:
        raise _malformed("The form cannot be read.") from None
    form: dict[str, str] = {}
    for name, value in pairs:
        if name in form:
            raise _malformed("A parameter was sent more than once.")
        form[name] = value
    return {name: value for name, value in form.items() if value}


def read_client(basic: str | None, form: Form) -> ClientSecret | None:
    """Find what a client proves itself with: `client_secret_basic` or `client_secret_post`; None if it did not.

    `basic` is what stands behind the scheme `Basic`. Raises `RefusedGrant` (400) if it is said twice, (401) if it
    cannot be read.
    """
    named, secret = form.get("client_id"), form.get("client_secret")
    if basic is None:
        return None if secret is None else ClientSecret(client_id=named or "", secret=secret)
    if secret is not None:
        raise twice()
    try:
        client_id, _, secret = b64decode(basic, validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise invalid_client() from None
    client_id = unquote_plus(client_id)
    if named not in (None, client_id):
        raise _malformed("client_id and the Authorization header name two clients.")
    return ClientSecret(client_id=client_id, secret=unquote_plus(secret))


def granted_scopes(
    held: frozenset[Permission], asked: str | None, *, at_most: frozenset[Permission] | None = None
) -> frozenset[Permission]:
    """The scopes of a token for a client whose key holds `held`; raises `RefusedGrant` (400).

    Without `asked` (RFC 6749 §3.3) all that a token may hold; what is asked for is granted whole or not at all.
    `at_most` bounds them further, None does not.
    """
    most = held - FOR_KEYS_ALONE
    if at_most is not None:
        most &= at_most
    if asked is None:
        granted = most
    else:
        names = asked.split(" ")
        granted = frozenset(_SCOPES[name] for name in names if name in _SCOPES)
        if not granted <= most or not all(name in _SCOPES for name in names):
            raise RefusedGrant(OAuthError.INVALID_SCOPE, "The scope is unknown, or more than can be granted.")
    if not granted:
        raise RefusedGrant(OAuthError.INVALID_SCOPE, "There is nothing that a token could be granted.")
    return granted


def check_target(form: Form, public_url: str) -> None:
    """Raise `RefusedGrant` (400) for a token that is to be used elsewhere (RFC 8707 §2, RFC 8693 §2.1)."""
    for name in ("resource", "audience"):
        if form.get(name, public_url) != public_url:
            message = "Tokens are for this installation only, by its public URL."
            raise RefusedGrant(OAuthError.INVALID_TARGET, message)


@final
class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A token that is to be exchanged (RFC 8693 §2.1), and what type its successor shall be called."""

    subject_token: str
    issued_token_type: str


def read_exchange(form: Form) -> Exchange:
    """Read what is to be exchanged for what; raises `RefusedGrant` (400)."""
    if required(form, "subject_token_type") not in (ACCESS_TOKEN, JWT):
        raise _malformed(f"subject_token_type must be {ACCESS_TOKEN} or {JWT}.")
    issued = form.get("requested_token_type", ACCESS_TOKEN)
    if issued not in (ACCESS_TOKEN, JWT):
        raise _malformed(f"requested_token_type must be {ACCESS_TOKEN} or {JWT}.")
    if "actor_token" in form or "actor_token_type" in form:
        raise _malformed("An actor_token is not supported: the token speaks for its subject alone.")
    return Exchange(subject_token=required(form, "subject_token"), issued_token_type=issued)


def required(form: Form, name: str) -> str:
    """The value of a parameter that must be there; raises `RefusedGrant` (400)."""
    value = form.get(name)
    if value is None:
        raise _malformed(f"{name} is required.")
    return value


def invalid_client(message: str = "The client is not known, or its secret is wrong.") -> RefusedGrant:
    """The one answer to unknown, wrong and malformed clients."""
    return RefusedGrant(OAuthError.INVALID_CLIENT, message)


def twice() -> RefusedGrant:
    """The answer to a client that proves itself in two ways (RFC 6749 §2.3)."""
    return _malformed("The client must authenticate in one way: the Authorization header or the form.")


def _malformed(message: str) -> RefusedGrant:
    return RefusedGrant(OAuthError.INVALID_REQUEST, message)
