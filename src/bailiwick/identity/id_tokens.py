"""ID tokens of OpenID providers: verified by the letter of OpenID Connect Core 1.0 §3.1.3.7, behind a strict front.

The front comes before any library: three parts of base 64, a small header that names an asymmetric algorithm and a key
of the provider's own set, nothing that asks for more (`crit`, `b64`) or brings a key of its own (`jwk`, `jku`, `x5u`,
`x5c`). Then the signature, then every claim that says who, by whom, for whom and for which sign-in.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
_KEY_TYPES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC"}
_REFUSED_HEADERS: Final = frozenset({"crit", "b64", "jwk", "jku", "x5u", "x5c"})
_LONGEST: Final = 16 * 1024
_LONGEST_SUBJECT: Final = 255
_LEEWAY_SECONDS: Final = 30
_OLDEST_SECONDS: Final = 600


class InvalidIdToken(Exception):
    """The token says nothing that can be believed; the message is for the log, and holds nothing of it."""


class UnknownSigningKey(InvalidIdToken):
    """The token names a key that is not in the set; a newer set may have it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """By whom, for whom and for which sign-in a token has to be; `issuer` is compared as it is written."""

    issuer: str
    client_id: str
    nonce: str
    now: datetime


def verify(token: str, keys: Mapping[str, Any], expected: Expected) -> Mapping[str, Any]:
    """Return the claims of an ID token; `keys` is the provider's JWK Set. Raises `InvalidIdToken`."""
    header = _header(token)
    try:
        key_set = KeySet.import_key_set({"keys": [_chosen(keys, header)]})
        registry = jws.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
        payload = jws.deserialize_compact(token, key_set.keys[0], algorithms=[header["alg"]], registry=registry).payload
        claims = json.loads(payload, object_pairs_hook=_names_once)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise InvalidIdToken("the signature or the form is wrong") from None
    if not isinstance(claims, dict):
        raise InvalidIdToken("the claims are no object")
    _check(claims, expected)
    return claims


def _header(token: str) -> Mapping[str, Any]:
    parts = token.split(".")
    if len(token) > _LONGEST or len(parts) != 3 or not all(parts) or not token.isascii():  # noqa: PLR2004 - RFC 7515 §7.1
        raise InvalidIdToken("the form is wrong")
    try:
        header = json.loads(
            base64.b64decode(parts[0] + "=" * (-len(parts[0]) % 4), altchars=b"-_", validate=True),
            object_pairs_hook=_names_once,
        )
    except (binascii.Error, ValueError, RecursionError):
        raise InvalidIdToken("the header cannot be read") from None
    if not isinstance(header, dict) or header.get("alg") not in ALGORITHMS:
        raise InvalidIdToken("the algorithm is none of those that are taken")
    if _REFUSED_HEADERS & header.keys():
        raise InvalidIdToken("the header asks for what is not done here")
    return header


def _chosen(keys: Mapping[str, Any], header: Mapping[str, Any]) -> dict[str, Any]:
    """The one key of the set that the token can be of: by its id, else the only one of the algorithm's type."""
    wanted = _KEY_TYPES[header["alg"][:2]]
    found = [
        key
        for key in keys.get("keys", ())
        if isinstance(key, dict)
        and key.get("kty") == wanted
        and key.get("use", "sig") == "sig"
        and key.get("alg", header["alg"]) == header["alg"]
        and ("kid" not in header or key.get("kid") == header["kid"])
    ]
    if len(found) != 1:
        raise UnknownSigningKey("the key is not in the provider's set")
    return found[0]


def _check(claims: Mapping[str, Any], expected: Expected) -> None:
    client_id, now = expected.client_id, expected.now.timestamp()
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    subject = claims.get("sub")
    if claims.get("iss") != expected.issuer:
        raise InvalidIdToken("the issuer is another")
    if client_id not in audiences or (len(audiences) > 1 and claims.get("azp") != client_id):
        raise InvalidIdToken("it is for somebody else")
    if claims.get("azp", client_id) != client_id:
        raise InvalidIdToken("it was issued to somebody else")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or "\0" in subject:
        raise InvalidIdToken("the subject is none")
    if not (_number(claims.get("exp")) > now - _LEEWAY_SECONDS):
        raise InvalidIdToken("it has expired")
    if not (now - _OLDEST_SECONDS < _number(claims.get("iat")) < now + _LEEWAY_SECONDS):
        raise InvalidIdToken("it was not issued just now")
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), expected.nonce.encode()):
        raise InvalidIdToken("it is of another sign-in")


def _number(value: object) -> float:
    """A NumericDate; what is none compares as never."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else float("nan")


def _names_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("a name stands twice")
    return document
