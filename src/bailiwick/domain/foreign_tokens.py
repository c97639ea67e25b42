"""Tokens of trusted issuers: from their claims to who somebody is here; pure.

    identity = read_foreign(spec, token.header, token.claims, now)   # raises RefusedToken, which says claim and reason
    findings = judged(spec, token.header, token.claims, now)         # for a person: every claim, accepted or why not

Nothing here needs the signature, so it is asked first: a token that is refused anyway costs no cryptography and no
fetch of keys. Its result is to be believed only after the signature was verified with the issuer's keys.

Who somebody is, is the issuer and `sub`, never an e-mail address. What is mapped and there but malformed refuses the
token, and so does a tenant or a project that is mapped and missing: nobody gets in by leaving something out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from bailiwick.domain.access_tokens import RefusedToken, known_scopes, read_times
from bailiwick.domain.errors import Refused
from bailiwick.domain.identifiers import read_identifier
from bailiwick.domain.issuers import ClaimSource, IssuerSpec, Path
from bailiwick.domain.permissions import Permission

_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_ACCESS: Final = frozenset({"bearer", "access", "at+jwt", "jwt"})  # what `typ` and `token_use` are, as a claim
_OF_ID_TOKENS: Final = ("nonce", "at_hash", "c_hash", "s_hash")
_MAX_ORGS: Final = 100


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignIdentity:
    """What a token of another issuer says. Times are Unix seconds.

    `uid` is the end user here, `subject` the same person at the issuer (of whom a member is known by issuer and
    subject). `project` and `tenant` are as the token names them, and must still be found to fit. `scopes` is None when
    nothing is mapped to them: then the token holds all that a token may.
    """

    issuer: str
    subject: str
    uid: str
    sid: str | None
    jti: str | None
    issued_at: int
    expires_at: int
    project: str | None
    tenant: str | None
    tier: str | None
    role: str | None
    scopes: frozenset[Permission] | None
    orgs: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is thought of one thing about a token: `problem` is None if it is accepted, else a clause."""

    about: str
    problem: str | None


def read_foreign(spec: IssuerSpec, header: Mapping[str, Any], claims: Mapping[str, Any], now: float) -> ForeignIdentity:
    """Say who somebody is by a token of this issuer; raises `RefusedToken`. `now` is in Unix seconds."""
    for _, check in _CHECKS:
        check(spec, header, claims, now)
    issued_at, expires_at = read_times(claims, now)
    return ForeignIdentity(
        issuer=spec.issuer,
        subject=_subject(claims),
        uid=user_of(spec, claims),
        sid=_session(spec, claims),
        jti=_token_id(claims),
        issued_at=issued_at,
        expires_at=expires_at,
        project=_wanted(spec, claims, "project"),
        tenant=_wanted(spec, claims, "tenant"),
        tier=_single(spec, claims, "tier"),
        role=_single(spec, claims, "role"),
        scopes=_scopes(spec, claims),
        orgs=_orgs(spec, claims),
    )


def judged(spec: IssuerSpec, header: Mapping[str, Any], claims: Mapping[str, Any], now: float) -> tuple[Finding, ...]:
    """Judge everything about a token, one finding for each thing, in the order in which `read_foreign` asks."""
    findings: list[Finding] = []
    for about, check in (*_CHECKS, *_READINGS):
        try:
            check(spec, header, claims, now)
        except RefusedToken as refused:
            findings.append(Finding(about=about, problem=f"{refused.claim} {refused.reason}"))
        else:
            findings.append(Finding(about=about, problem=None))
    return tuple(findings)


def claimed(claims: Mapping[str, Any], path: Path) -> object:
    """What stands at a path; None if nothing does."""
    found: object = claims
    for part in path:
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def texts_in(claims: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Every text that `claimed` could find, with its path."""
    left: list[tuple[Path, object]] = [((), claims)]
    while left:
        path, found = left.pop()
        if isinstance(found, str):
            yield path, found
        elif isinstance(found, Mapping):
            left.extend(((*path, name), value) for name, value in found.items())


_Check = Callable[[IssuerSpec, Mapping[str, Any], Mapping[str, Any], float], object]


def check_issuer(spec: IssuerSpec, _header: Mapping[str, Any], claims: Mapping[str, Any], _now: float) -> None:
    """Refuse what is not by exactly this issuer; raises `RefusedToken`."""
    if claims.get("iss") != spec.issuer:
        raise RefusedToken("iss", "is not exactly the issuer's")


def check_algorithm(spec: IssuerSpec, header: Mapping[str, Any], _claims: Mapping[str, Any], _now: float) -> None:
    """Refuse what is signed in another way than the issuer signs; raises `RefusedToken`."""
    if header.get("alg") not in spec.algorithms:
        raise RefusedToken("alg", "is none of the issuer's algorithms")


def _is_an_access_token(_spec: IssuerSpec, header: Mapping[str, Any], claims: Mapping[str, Any], _now: float) -> None:
    """Refuse what was made for another use (RFC 8725 §3.12): ID, refresh and logout tokens."""
    typ = header.get("typ", "JWT")
    if not isinstance(typ, str) or typ.lower() not in _TYPES:
        raise RefusedToken("typ", "is that of another kind of token")
    if "events" in claims:
        raise RefusedToken("events", "is what logout tokens and security events have")
    uses = [claims[name] for name in ("typ", "token_use") if name in claims]
    if not all(isinstance(use, str) and use.lower() in _ACCESS for use in uses):
        raise RefusedToken("typ" if "typ" in claims else "token_use", "is that of another kind of token")
    # Some issuers put a nonce into access tokens as well; those say by a type of their own what they are.
    if uses or typ.lower() != "jwt":
        return
    for name in _OF_ID_TOKENS:
        if name in claims:
            raise RefusedToken(name, "is what ID tokens have; send the access token")


def _is_for_us(spec: IssuerSpec, _header: Mapping[str, Any], claims: Mapping[str, Any], _now: float) -> None:
    if spec.audiences:
        said = claims.get("aud")
        audience = said if isinstance(said, list) else [said]
        if not all(isinstance(name, str) for name in audience) or not set(spec.audiences) & set(audience):
            raise RefusedToken("aud", "is missing" if said is None else "is none of the issuer's audiences")
    if spec.authorized_parties and claims.get("azp") not in spec.authorized_parties:
        raise RefusedToken("azp", "is none of the issuer's authorized parties")


def _lives_now(spec: IssuerSpec, _header: Mapping[str, Any], claims: Mapping[str, Any], now: float) -> None:
    issued_at, expires_at = read_times(claims, now)
    if expires_at - issued_at > spec.max_lifetime:
        raise RefusedToken("exp", f"is more than {spec.max_lifetime} seconds after iat")


def _holds_what_is_required(
    spec: IssuerSpec, _header: Mapping[str, Any], claims: Mapping[str, Any], _now: float
) -> None:
    for need in spec.required:
        said = claimed(claims, need.path)
        held = said if isinstance(said, list) else [said]
        # By type as well: to Python, true is 1.
        if said is None or not (
            not need.values or any(type(one) is type(value) and one == value for one in held for value in need.values)
        ):
            raise RefusedToken(
                ".".join(need.path), "is required, and missing" if said is None else "is not as required"
            )


_CHECKS: Final[tuple[tuple[str, _Check], ...]] = (
    ("issuer", check_issuer),
    ("algorithm", check_algorithm),
    ("kind", _is_an_access_token),
    ("audience", _is_for_us),
    ("time", _lives_now),
    ("required", _holds_what_is_required),
)


def _subject(claims: Mapping[str, Any]) -> str:
    return identifier_of("sub", claims.get("sub"))


def _token_id(claims: Mapping[str, Any]) -> str | None:
    return None if "jti" not in claims else identifier_of("jti", claims["jti"])


def user_of(spec: IssuerSpec, claims: Mapping[str, Any]) -> str:
    """The end user here; raises `RefusedToken`."""
    source = spec.claims.get("user")
    path = ("sub",) if source is None else source.path
    said = identifier_of(".".join(path), claimed(claims, path))
    return said if spec.user_prefix is None else identifier_of(".".join(path), spec.user_prefix + said)


def _session(spec: IssuerSpec, claims: Mapping[str, Any]) -> str | None:
    source = spec.claims.get("session")
    path = ("sid",) if source is None else source.path
    said = claimed(claims, path)
    return None if said is None else identifier_of(".".join(path), said)


def _wanted(spec: IssuerSpec, claims: Mapping[str, Any], target: str) -> str | None:
    """What is mapped to a target, which then must be there."""
    said = _single(spec, claims, target)
    if said is None and target in spec.claims:
        raise RefusedToken(".".join(spec.claims[target].path), f"is missing, and names the {target}")
    return said


def _single(spec: IssuerSpec, claims: Mapping[str, Any], target: str) -> str | None:
    source = spec.claims.get(target)
    if source is None:
        return None
    name, said = ".".join(source.path), claimed(claims, source.path)
    held = [_value(name, one) for one in (said if isinstance(said, list) else [] if said is None else [said])]
    if source.one_of:
        held = [value for value in source.one_of if value in held][:1]
    if len(held) > 1:
        raise RefusedToken(name, "has more than one value; say with one_of which counts")
    return held[0] if held else source.default


def _value(name: str, said: object) -> str:
    """A text, or an integer as its decimal string."""
    if isinstance(said, int) and not isinstance(said, bool):
        return identifier_of(name, str(said))
    return identifier_of(name, said)


def _scopes(spec: IssuerSpec, claims: Mapping[str, Any]) -> frozenset[Permission] | None:
    source = spec.claims.get("scopes")
    return None if source is None else known_scopes(_many(source, claims))


def _orgs(spec: IssuerSpec, claims: Mapping[str, Any]) -> tuple[str, ...]:
    source = spec.claims.get("orgs")
    orgs = [] if source is None else _many(source, claims)
    if source is not None and len(orgs) > _MAX_ORGS:
        raise RefusedToken(".".join(source.path), f"names more than {_MAX_ORGS}")
    return tuple(orgs)


def _many(source: ClaimSource, claims: Mapping[str, Any]) -> list[str]:
    """Several texts: a list, or one text with spaces between them (RFC 6749 §3.3)."""
    said = claimed(claims, source.path)
    if said is None:
        said = source.default or []
    texts = said.split() if isinstance(said, str) else said
    if not isinstance(texts, list):
        raise RefusedToken(".".join(source.path), "is neither a list nor a text")
    return [identifier_of(".".join(source.path), text) for text in texts]


def identifier_of(name: str, said: object) -> str:
    """What a claim of this name says, as an identifier; raises `RefusedToken`."""
    if not isinstance(said, str):
        raise RefusedToken(name, "is missing" if said is None else "is no text")
    try:
        return read_identifier(name, said.encode())
    except (Refused, UnicodeEncodeError):
        raise RefusedToken(name, "is no identifier of 1 to 255 bytes") from None


_READINGS: Final[tuple[tuple[str, _Check], ...]] = (
    ("subject", lambda _s, _h, claims, _n: _subject(claims)),
    ("user", lambda spec, _h, claims, _n: user_of(spec, claims)),
    ("session", lambda spec, _h, claims, _n: _session(spec, claims)),
    ("project", lambda spec, _h, claims, _n: _wanted(spec, claims, "project")),
    ("tenant", lambda spec, _h, claims, _n: _wanted(spec, claims, "tenant")),
    ("tier", lambda spec, _h, claims, _n: _single(spec, claims, "tier")),
    ("role", lambda spec, _h, claims, _n: _single(spec, claims, "role")),
    ("scopes", lambda spec, _h, claims, _n: _scopes(spec, claims)),
    ("orgs", lambda spec, _h, claims, _n: _orgs(spec, claims)),
    ("token", lambda _s, _h, claims, _n: _token_id(claims)),
)
