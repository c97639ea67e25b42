"""What can be asked of a user token, and what a key may give; pure.

An operator key names the project besides, and may name other organizations that its user may turn to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

import msgspec

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.identifiers import read_identifier
from bailiwick.domain.json_body import decoded, read_object
from bailiwick.domain.permissions import FOR_KEYS_ALONE, Permission

SHORTEST_SECONDS: Final = 60
LONGEST_SECONDS: Final = 86_400
USUAL_SECONDS: Final = 900
_FIELDS: Final = frozenset({"user_id", "tier", "ttl", "session_id", "role", "scopes"})
_MOST_SCOPES: Final = 100


@final
class MintRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A token that is asked for. `scopes` None: all that may be given; `tier` and `session_id` None: not said."""

    user_id: str
    tier: str | None
    ttl: int
    session_id: str | None
    role: str | None
    scopes: frozenset[Permission] | None


def read_mint_request(body: bytes) -> MintRequest:
    """Read the body of `POST /v1/auth/mint`; raises `Refused` (400)."""
    fields = read_object(body, content="", names=_FIELDS)
    for name in fields:
        if name not in _FIELDS:
            raise _wrong(name[:64], f"is no field of this request; fields are {', '.join(sorted(_FIELDS))}")
    return mint_request({name: decoded(fields, name) for name in fields})


def mint_request(document: Mapping[str, object]) -> MintRequest:
    """Read the fields of a body that has no others; raises `Refused` (400), with the field as its `param`."""
    if "user_id" not in document:
        raise _wrong("user_id", "is required")
    return MintRequest(
        user_id=_identifier("user_id", document["user_id"]),
        tier=read_tier_claim("tier", document.get("tier")),
        ttl=_ttl(document.get("ttl")),
        session_id=_optional("session_id", document),
        role=_optional("role", document),
        scopes=_scopes(document.get("scopes")),
    )


def read_tier_claim(field: str, value: object) -> str | None:
    """A tier's name as tokens carry it: a string, or an integer as its decimal string; None for none."""
    if value is None:
        return None
    return _identifier(field, str(value) if isinstance(value, int) and not isinstance(value, bool) else value)


def new_session(unguessable: str) -> str:
    """The id of a session that nobody named."""
    return f"sess_{unguessable}"


def minted_tier(asked: str | None, key_tier: str | None) -> str | None:
    """The tier of a token: a key that has one gives no other; raises `Refused` (403)."""
    if key_tier is None:
        return asked
    if asked not in (None, key_tier):
        raise Refused(Code.FORBIDDEN, f"This key mints tokens of the tier {key_tier!r} only.", param="tier")
    return key_tier


def minted_scopes(held: frozenset[Permission], asked: frozenset[Permission] | None) -> frozenset[Permission]:
    """The scopes of a token that is minted with what is `held`: never more than that; raises `Refused` (403)."""
    held -= FOR_KEYS_ALONE
    if asked is None:
        return held
    for scope in sorted(asked - held):
        message = f"A token cannot hold {scope}." if scope in FOR_KEYS_ALONE else f"This key does not hold {scope}."
        raise Refused(Code.FORBIDDEN, message, param="scopes")
    return asked


def _ttl(value: object) -> int:
    if value is None:
        return USUAL_SECONDS
    if not isinstance(value, int) or isinstance(value, bool) or not SHORTEST_SECONDS <= value <= LONGEST_SECONDS:
        raise _wrong("ttl", f"must be a whole number of seconds from {SHORTEST_SECONDS} to {LONGEST_SECONDS}")
    return value


def _optional(field: str, document: Mapping[str, object]) -> str | None:
    value = document.get(field)
    return None if value is None else _identifier(field, value)


def _identifier(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(field, "must be a string")
    return read_identifier(field, value.encode())


def _scopes(value: object) -> frozenset[Permission] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > _MOST_SCOPES:
        raise _wrong("scopes", "must be a list of scopes")
    try:
        return frozenset(Permission(scope) for scope in value)
    except ValueError:
        raise _wrong("scopes", f"must be a list of scopes, which are {', '.join(Permission)}") from None


def _wrong(field: str, message: str) -> Refused:
    return Refused(Code.INVALID_REQUEST, f"{field} {message}.", param=field)
