"""ID tokens of OpenID providers: verified by the letter of OpenID Connect Core 1.0 §3.1.3.7, behind the strict front.

First the form and the signature (`jws`), then every claim that says who, by whom, for whom and for which sign-in.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, final

from bailiwick.identity import jws
from bailiwick.identity.jws import InvalidToken, PublicKeys

_LONGEST: Final = 16 * 1024  # those of people in many groups are longer than what a call brings along
_LONGEST_SUBJECT: Final = 255
_LEEWAY_SECONDS: Final = 30
_OLDEST_SECONDS: Final = 600


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """By whom, for whom and for which sign-in a token has to be; `issuer` is compared as it is written."""

    issuer: str
    client_id: str
    nonce: str
    now: datetime


def verify(text: str, keys: PublicKeys, expected: Expected) -> Mapping[str, Any]:
    """Return the claims of an ID token; raises `InvalidToken`, and its `UnknownKey` where newer keys may help."""
    token = jws.read(text, longest=_LONGEST)
    keys.choose(token.kid, token.alg).verify(token)
    _check(token.claims, expected)
    return token.claims


def _check(claims: Mapping[str, Any], expected: Expected) -> None:
    client_id, now = expected.client_id, expected.now.timestamp()
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    subject = claims.get("sub")
    if claims.get("iss") != expected.issuer:
        raise InvalidToken("the issuer is another")
    if client_id not in audiences or (len(audiences) > 1 and claims.get("azp") != client_id):
        raise InvalidToken("it is for somebody else")
    if claims.get("azp", client_id) != client_id:
        raise InvalidToken("it was issued to somebody else")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or "\0" in subject:
        raise InvalidToken("the subject is none")
    if not (_number(claims.get("exp")) > now - _LEEWAY_SECONDS):
        raise InvalidToken("it has expired")
    if not (now - _OLDEST_SECONDS < _number(claims.get("iat")) < now + _LEEWAY_SECONDS):
        raise InvalidToken("it was not issued just now")
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), expected.nonce.encode()):
        raise InvalidToken("it is of another sign-in")


def _number(value: object) -> float:
    """A NumericDate; what is none compares as never."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else float("nan")
