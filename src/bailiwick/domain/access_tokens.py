"""The access tokens that this installation mints: their claims, by the profile for JWT access tokens (RFC 9068).

    iss, aud    the installation's public URL: by whom, and for whom
    sub, uid    the end user, byte for byte as the application names them; of a machine its client id
    client_id   whom the token was minted with: an API key, an operator key; of a machine the same as `sub`
    iat exp jti when, until when, and which one (what `jti`, `sid` and `iat` with `uid` are revoked by)
    tid pid sid tenant, project and session
    tier role scope orgs    what the user may; left out where there is none
    src         of a token that was exchanged (RFC 8693): the issuer (`iss`), the time (`iat`) and the id (`jti`) of the
                foreign one

The format is public. Members may be added; none is renamed or changes its meaning. Whoever reads one passes over what
it does not know, an unknown scope among it. The text is signed with ES256 and its header says `typ: at+jwt`, so that
no other kind of token can pass for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, final
from uuid import UUID

from bailiwick.domain import ids
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.identifiers import read_identifier
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.permissions import Permission

ALGORITHM: Final = "ES256"
TYPE: Final = "at+jwt"
ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
"""Every algorithm that a token may be signed with: all of them asymmetric."""
LEEWAY_SECONDS: Final = 30
_SCOPES: Final[dict[str, Permission]] = {permission.value: permission for permission in Permission}
_LATEST: Final = 253_402_300_800  # the year 10000, which no calendar here has


class RefusedToken(Refused):
    """A token that is not accepted (401). The caller is told no more than that; an operator, which claim and why."""

    def __init__(self, claim: str, reason: str, *, expired: bool = False) -> None:
        """`claim` names the claim, or the member of the header; `reason` is a clause that goes on from it."""
        super().__init__(
            Code.EXPIRED_CREDENTIALS if expired else Code.INVALID_CREDENTIALS,
            "The token has expired." if expired else "The token is not valid.",
        )
        self.claim = claim
        self.reason = reason


@final
class IssuedFor(Enum):
    """Whom a token speaks for."""

    END_USER = "end_user"
    MACHINE = "machine"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a token was exchanged for: the issuer and, if it had one, the `jti` of the foreign token.

    `issued_at` is when that one was issued, in Unix seconds: what its user had by then includes this one.
    """

    issuer: str
    issued_at: int
    jti: str | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenClaims:
    """What one of our tokens says. Times are Unix seconds; `issuer` is also the audience."""

    issuer: str
    uid: str
    issued_at: int
    expires_at: int
    jti: str
    tenant_id: TenantId
    project_id: ProjectId
    sid: str | None
    client_id: str
    scopes: frozenset[Permission]
    tier: str | None = None
    role: str | None = None
    orgs: tuple[str, ...] = ()
    source: Source | None = None

    @property
    def issued_for(self) -> IssuedFor:
        """A machine is its own client (RFC 9068 §2.2: `sub` is then the `client_id`)."""
        return IssuedFor.MACHINE if self.uid == self.client_id else IssuedFor.END_USER

    def written(self) -> dict[str, Any]:
        """The claims as they are signed."""
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": self.uid,
            "iat": self.issued_at,
            "exp": self.expires_at,
            "jti": self.jti,
            "tid": ids.shown(ids.TENANT, self.tenant_id),
            "pid": ids.shown(ids.PROJECT, self.project_id),
            "uid": self.uid,
            "client_id": self.client_id,
            "scope": " ".join(sorted(self.scopes)),
        }
        optional = (("sid", self.sid), ("tier", self.tier), ("role", self.role))
        claims.update((name, value) for name, value in optional if value is not None)
        if self.orgs:
            claims["orgs"] = list(self.orgs)
        if self.source is not None:
            claims["src"] = {"iss": self.source.issuer, "iat": self.source.issued_at, "jti": self.source.jti}
        return claims


def read_own(header: Mapping[str, Any], claims: Mapping[str, Any], *, issuer: str, now: float) -> TokenClaims:
    """Take the claims of a token whose signature is ours; raises `RefusedToken`. `now` is in Unix seconds."""
    for name, value in (("typ", TYPE), ("alg", ALGORITHM)):
        if header.get(name) != value:
            raise RefusedToken(name, "is not that of this installation's access tokens")
    for name in ("iss", "aud"):
        if claims.get(name) != issuer:
            raise RefusedToken(name, "is not this installation")
    issued_at, expires_at = read_times(claims, now)
    uid, client_id = _identifier(claims, "uid"), _identifier(claims, "client_id")
    if claims.get("sub") != uid:
        raise RefusedToken("sub", "is not the user")
    return TokenClaims(
        issuer=issuer,
        uid=uid,
        issued_at=issued_at,
        expires_at=expires_at,
        jti=_identifier(claims, "jti"),
        tenant_id=TenantId(_id(claims, "tid", ids.TENANT)),
        project_id=ProjectId(_id(claims, "pid", ids.PROJECT)),
        sid=None if "sid" not in claims else _identifier(claims, "sid"),
        client_id=client_id,
        scopes=known_scopes(_of(claims, "scope", str, "").split(" ")),
        tier=_of(claims, "tier", str, None),
        role=_of(claims, "role", str, None),
        orgs=_orgs(claims),
        source=_source(claims),
    )


def read_times(claims: Mapping[str, Any], now: float) -> tuple[int, int]:
    """`iat` and `exp`, both required, in whole Unix seconds (RFC 7519 §4.1); raises `RefusedToken`.

    The clocks of issuers may differ from ours by the leeway.
    """
    expires_at, issued_at = _time(claims, "exp"), _time(claims, "iat")
    if "nbf" in claims and _time(claims, "nbf") > now + LEEWAY_SECONDS:
        raise RefusedToken("nbf", "is ahead of now")
    if issued_at > now + LEEWAY_SECONDS:
        raise RefusedToken("iat", "is ahead of now")
    if expires_at <= issued_at:
        raise RefusedToken("exp", "is before iat")
    if expires_at + LEEWAY_SECONDS < now:
        raise RefusedToken("exp", "is past", expired=True)
    return int(issued_at), int(expires_at)


def known_scopes(names: list[str]) -> frozenset[Permission]:
    """Those of them that are scopes here; others are another service's."""
    return frozenset(_SCOPES[name] for name in names if name in _SCOPES)


def _time(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate, which is a finite number (RFC 7519 §2)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RefusedToken(name, "is missing" if value is None else "is no number")
    if not 0 <= value < _LATEST:
        raise RefusedToken(name, "is out of range")
    return value


def _identifier(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str):
        raise RefusedToken(name, "is missing" if value is None else "is no text")
    try:
        return read_identifier(name, value.encode())
    except Refused:
        raise RefusedToken(name, "is no identifier") from None


def _id(claims: Mapping[str, Any], name: str, prefix: str) -> UUID:
    found = ids.parsed(prefix, _identifier(claims, name))
    if found is None:
        raise RefusedToken(name, "is no id")
    return found


def _of(claims: Mapping[str, Any], name: str, kind: type, otherwise: Any) -> Any:
    value = claims.get(name, otherwise)
    if value is not otherwise and not isinstance(value, kind):
        raise RefusedToken(name, "is of the wrong type")
    return value


def _orgs(claims: Mapping[str, Any]) -> tuple[str, ...]:
    orgs = _of(claims, "orgs", list, [])
    if not all(isinstance(org, str) for org in orgs):
        raise RefusedToken("orgs", "is of the wrong type")
    return tuple(orgs)


def _source(claims: Mapping[str, Any]) -> Source | None:
    said = _of(claims, "src", dict, None)
    if said is None:
        return None
    return Source(issuer=_of(said, "iss", str, ""), issued_at=int(_time(said, "iat")), jti=_of(said, "jti", str, None))
