"""Logout tokens of trusted issuers (OpenID Connect Back-Channel Logout 1.0): whose session ended there; pure.

    logout = read_logout(spec, token.header, token.claims, now)   # raises RefusedToken, which says claim and reason

As with access tokens, its result is to be believed only after the signature was verified with the issuer's keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from bailiwick.domain.access_tokens import LEEWAY_SECONDS, RefusedToken, read_times
from bailiwick.domain.foreign_tokens import check_algorithm, check_issuer, identifier_of, user_of
from bailiwick.domain.issuers import IssuerSpec

FRESH_SECONDS: Final = 300
_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
_TYPES: Final = frozenset({"logout+jwt", "application/logout+jwt", "jwt"})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Logout:
    """What ended: the session `sid`; if that is None, all that the user `uid` had by `issued_at`, in Unix seconds."""

    sid: str | None
    uid: str | None
    jti: str
    issued_at: int


def read_logout(spec: IssuerSpec, header: Mapping[str, Any], claims: Mapping[str, Any], now: float) -> Logout:
    """Say whose session ended by a logout token (§2.6); raises `RefusedToken`. `now` is in Unix seconds."""
    check_issuer(spec, header, claims, now)
    check_algorithm(spec, header, claims, now)
    _check_kind(header, claims)
    _check_audience(spec, claims)
    issued_at, _ = read_times(claims, now)
    if issued_at < now - FRESH_SECONDS - LEEWAY_SECONDS:
        raise RefusedToken("iat", f"is more than {FRESH_SECONDS} seconds ago")
    sid = None if "sid" not in claims else identifier_of("sid", claims["sid"])
    return Logout(
        sid=sid,
        uid=user_of(spec, claims) if sid is None else None,
        jti=identifier_of("jti", claims.get("jti")),
        issued_at=issued_at,
    )


def _check_kind(header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
    """Refuse what was made for another use (RFC 8725 §3.12): access, ID and refresh tokens, and other events."""
    typ = header.get("typ", "JWT")
    if not isinstance(typ, str) or typ.lower() not in _TYPES:
        raise RefusedToken("typ", "is that of another kind of token")
    # As Keycloak says it.
    if claims.get("typ", "Logout") != "Logout":
        raise RefusedToken("typ", "is that of another kind of token")
    events = claims.get("events")
    if not isinstance(events, Mapping) or not isinstance(events.get(_EVENT), Mapping):
        raise RefusedToken("events", "does not say that this is a logout")
    if "nonce" in claims:
        raise RefusedToken("nonce", "is what ID tokens have")


def _check_audience(spec: IssuerSpec, claims: Mapping[str, Any]) -> None:
    """Refuse what is for none of those whose access tokens are taken: the API, or the clients that get them for it."""
    said = claims.get("aud")
    audience = said if isinstance(said, list) else [said]
    ours = {*spec.audiences, *spec.authorized_parties}
    if not all(isinstance(name, str) for name in audience) or not ours & set(audience):
        raise RefusedToken("aud", "is missing" if said is None else "is none of the issuer's audiences and clients")
