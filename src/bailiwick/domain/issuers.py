"""Trusted issuers: what can be asked of one, from the fields of a request to a value; pure.

    {"issuer": "https://acme.eu.auth0.com/", "audiences": ["https://api.acme.com"], "algorithms": ["RS256"],
     "claims": {"user": "sub", "tenant": "org_id", "tier": "https://acme.com/plan"}}

Keys come from `jwks_url`, from `jwks` itself (the tenant signs with a key of its own and calls nobody), or else from
what the issuer's discovery document names. A claim is named by a path: its parts are separated by dots
(`app_metadata.plan`); a name that is a URL is one part; a list names parts that hold dots themselves. It stands alone
or as `{"claim": path, "default"?: value, "one_of"?: [value…]}`: the default is for tokens without the claim, `one_of`
takes the first of its values that the claim holds, of which it may have many.

`required` says what a token must hold besides: {path: null} for any value, {path: [value…]} for one of these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias, final

from bailiwick.domain.access_tokens import ALGORITHMS
from bailiwick.domain.fields import Findings, invalid
from bailiwick.domain.ids import IssuerId
from bailiwick.domain.providers import Place

Path: TypeAlias = tuple[str, ...]

TARGETS: Final = ("user", "project", "tenant", "tier", "role", "scopes", "orgs", "session")
"""What a claim can be mapped to. The user is `sub` and the session `sid` unless something else is said."""
DEFAULT_LIFETIME: Final = 24 * 3600
LIFETIMES: Final = (60, 7 * 24 * 3600)
MAX_PREFIX: Final = 64
_MAX_ITEMS: Final = 50
_MAX_TEXT: Final = 500
_MAX_KEYS: Final = 50
_MAX_JWKS: Final = 64 * 1024
MAX_ISSUERS: Final = 50
_VISIBLE: Final = re.compile(r"[!-~]{1,500}")
_URL: Final = re.compile(r"https?://[!-~]+")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # and halves of characters, which nothing can hold
_OWN_VALUES: Final = frozenset({"user", "session"})  # what has no default: two people would be one
_SECRET_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSource:
    """Where in a token something is said. `default` is for tokens that do not say it."""

    path: Path
    default: str | None = None
    one_of: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What a token must hold: one of `values`, or anything at all if there are none."""

    path: Path
    values: tuple[str | bool | int, ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSpec:
    """A trusted issuer. `issuer` is compared as it is written.

    `jwks_url` and `jwks` are both None when the keys are found by discovery. A token is for us if its `aud` is one of
    `audiences` and its `azp` one of `authorized_parties`, whichever of the two is given.
    """

    issuer: str
    jwks_url: str | None
    jwks: Mapping[str, Any] | None
    audiences: tuple[str, ...]
    authorized_parties: tuple[str, ...]
    algorithms: tuple[str, ...]
    max_lifetime: int
    user_prefix: str | None
    claims: Mapping[str, ClaimSource]
    required: tuple[Requirement, ...]

    @property
    def asked_at(self) -> str | None:
        """The URL that we ask for keys or, by discovery, for where they are; None if the keys are given."""
        if self.jwks is not None:
            return None
        return self.jwks_url or self.issuer

    def written(self) -> dict[str, Any]:
        """The fields, such that `issuer_spec(**written)` is this again: as they are kept and as they are shown."""
        return {
            "issuer": self.issuer,
            "jwks_url": self.jwks_url,
            "jwks": self.jwks,
            "audiences": list(self.audiences),
            "authorized_parties": list(self.authorized_parties),
            "algorithms": list(self.algorithms),
            "max_lifetime": self.max_lifetime,
            "user_prefix": self.user_prefix,
            "claims": {target: _written(source) for target, source in self.claims.items()},
            "required": {_written_path(need.path): list(need.values) or None for need in self.required},
        }


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """An issuer as somebody trusts it: a project, or the platform."""

    id: IssuerId
    place: Place
    spec: IssuerSpec
    created_at: datetime
    created_by: str


def issuer_spec(
    *,
    issuer: str,
    algorithms: Sequence[str],
    audiences: Sequence[str] = (),
    authorized_parties: Sequence[str] = (),
    jwks_url: str | None = None,
    jwks: Mapping[str, Any] | None = None,
    max_lifetime: int | None = None,
    user_prefix: str | None = None,
    claims: Mapping[str, Any] | None = None,
    required: Mapping[str, Any] | None = None,
    reserved: Collection[str] = (),
) -> IssuerSpec:
    """Check what is asked of an issuer; raises `Invalid`.

    `reserved` are the issuers that cannot be registered: this installation's own and, for a project, the platform's.
    Whether an address may be asked, and whether `jwks` holds a key that can be used, is judged by others.
    """
    findings = Findings()
    if jwks_url is not None and jwks is not None:
        findings.add("jwks", "must be left out when jwks_url is given")
    if jwks_url is not None and _URL.fullmatch(jwks_url) is None:
        findings.add("jwks_url", "must be a URL that starts with https://")
    with findings.noted():
        _check_issuer(issuer, reserved, discovered=jwks_url is None and jwks is None)
    with findings.noted():
        _check_keys(jwks)
    if not audiences and not authorized_parties:
        findings.add("audiences", "must not be empty unless authorized_parties are given")
    spec = IssuerSpec(
        issuer=issuer,
        jwks_url=jwks_url,
        jwks=jwks,
        audiences=findings.take(lambda: _texts("audiences", audiences), ()),
        authorized_parties=findings.take(lambda: _texts("authorized_parties", authorized_parties), ()),
        algorithms=findings.take(lambda: _algorithms(algorithms), ()),
        max_lifetime=findings.take(lambda: _lifetime(max_lifetime), 0),
        user_prefix=findings.take(lambda: _prefix(user_prefix), None),
        claims=findings.take(lambda: _sources(claims or {}), {}),
        required=findings.take(lambda: _requirements(required or {}), ()),
    )
    findings.or_raise()
    return spec


def is_issuer_name(text: str) -> bool:
    """Whether an issuer can have this name."""
    return _VISIBLE.fullmatch(text) is not None


def _check_issuer(issuer: str, reserved: Collection[str], *, discovered: bool) -> None:
    if not is_issuer_name(issuer):
        raise invalid("issuer", f"must be 1 to {_MAX_TEXT} characters of visible ASCII")
    # Compared without its last slash and its case, so that none that looks like ours is ever asked for ours.
    if issuer.rstrip("/").lower() in {other.rstrip("/").lower() for other in reserved}:
        raise invalid("issuer", "is trusted already, by this installation")
    if (discovered or "://" in issuer) and (_URL.fullmatch(issuer) is None or "?" in issuer or "#" in issuer):
        raise invalid("issuer", "must be a URL that starts with https:// and has neither query nor fragment")


def _check_keys(jwks: Mapping[str, Any] | None) -> None:
    if jwks is None:
        return
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not 0 < len(keys) <= _MAX_KEYS or not all(isinstance(key, dict) for key in keys):
        raise invalid("jwks", f"must be a JWK Set with 1 to {_MAX_KEYS} keys")
    if len(json.dumps(jwks)) > _MAX_JWKS:
        raise invalid("jwks", f"must be at most {_MAX_JWKS} bytes")
    findings = Findings()
    for place, key in enumerate(keys):
        if not _SECRET_MEMBERS.isdisjoint(key):
            findings.add(f"jwks.keys.{place}", "must be a public key; what was sent holds a secret and is not safe now")
    findings.or_raise()


def _algorithms(names: Sequence[str]) -> tuple[str, ...]:
    if not names or not set(names) <= set(ALGORITHMS):
        raise invalid("algorithms", f"must be some of {', '.join(ALGORITHMS)}")
    return tuple(dict.fromkeys(names))


def _lifetime(seconds: int | None) -> int:
    least, most = LIFETIMES
    if seconds is None:
        return DEFAULT_LIFETIME
    if not least <= seconds <= most:
        raise invalid("max_lifetime", f"must be {least} to {most} seconds")
    return seconds


def _prefix(text: str | None) -> str | None:
    if text is not None and not (_is_text(text) and len(text.encode()) <= MAX_PREFIX):
        raise invalid("user_prefix", f"must be 1 to {MAX_PREFIX} bytes without control characters")
    return text


def _texts(field: str, texts: Sequence[str]) -> tuple[str, ...]:
    if len(texts) > _MAX_ITEMS or not all(map(_is_text, texts)):
        raise invalid(field, f"must be at most {_MAX_ITEMS} texts of 1 to {_MAX_TEXT} characters")
    return tuple(dict.fromkeys(texts))


def _sources(claims: Mapping[str, Any]) -> dict[str, ClaimSource]:
    findings = Findings()
    sources: dict[str, ClaimSource] = {}
    for target, said in claims.items():
        with findings.noted():
            sources[target] = _source(target, said)
    findings.or_raise()
    return sources


def _source(target: str, said: object) -> ClaimSource:
    field = f"claims.{target}"
    if target not in TARGETS:
        raise invalid(field, f"is no target; targets are {', '.join(TARGETS)}")
    if not isinstance(said, Mapping):
        return ClaimSource(path=_path(field, said))
    if not said.keys() <= {"claim", "default", "one_of"}:
        raise invalid(field, "may hold claim, default and one_of")
    default, one_of = said.get("default"), said.get("one_of", [])
    if isinstance(default, int) and not isinstance(default, bool) and target == "tier":
        default = str(default)
    if default is not None and not (isinstance(default, str) and _is_text(default)):
        raise invalid(f"{field}.default", f"must be a text of 1 to {_MAX_TEXT} characters")
    if (default is not None or one_of) and target in _OWN_VALUES:
        raise invalid(field, "must be a claim alone, since each token has its own")
    if not isinstance(one_of, list) or not all(isinstance(value, str) for value in one_of):
        raise invalid(f"{field}.one_of", "must be a list of texts")
    if one_of and target in ("scopes", "orgs"):
        raise invalid(f"{field}.one_of", "is for what has one value")
    return ClaimSource(
        path=_path(f"{field}.claim", said.get("claim")), default=default, one_of=_texts(f"{field}.one_of", one_of)
    )


def _requirements(required: Mapping[str, Any]) -> tuple[Requirement, ...]:
    if len(required) > _MAX_ITEMS:
        raise invalid("required", f"must be at most {_MAX_ITEMS}")
    findings = Findings()
    needs: list[Requirement] = []
    for name, values in required.items():
        field = f"required.{name}"
        accepted = [] if values is None else values if isinstance(values, list) else [values]
        if values == [] or not all(isinstance(value, (str, bool, int)) for value in accepted):
            findings.add(field, "must be null for any value, or the values that are accepted")
            continue
        with findings.noted():
            needs.append(Requirement(path=_path(field, name), values=tuple(accepted)))
    findings.or_raise()
    return tuple(needs)


def _path(field: str, said: object) -> Path:
    """Read the path of a claim."""
    if isinstance(said, str):
        parts = _parts(said)
    elif isinstance(said, list) and all(isinstance(part, str) for part in said):
        parts = tuple(said)
    else:
        raise invalid(field, "must be the name of a claim, or a list of the names that lead to it")
    if not 0 < len(parts) <= _MAX_ITEMS or not all(map(_is_text, parts)):
        raise invalid(field, "must name a claim, with dots between its parts")
    return parts


def _parts(text: str) -> Path:
    return (text,) if "://" in text else tuple(text.split("."))


def _is_text(text: str) -> bool:
    return 0 < len(text) <= _MAX_TEXT and _CONTROL.search(text) is None


def _written(source: ClaimSource) -> Any:
    path = _written_path(source.path)
    if source.default is None and not source.one_of:
        return path
    written = {"claim": path, "default": source.default, "one_of": list(source.one_of)}
    return {name: value for name, value in written.items() if value}


def _written_path(path: Path) -> Any:
    text = ".".join(path)
    return text if _parts(text) == path else list(path)
