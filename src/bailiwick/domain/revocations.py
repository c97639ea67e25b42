"""What can be taken away before it expires: a token by its `jti`, a session with all its tokens, all that a user has.

`user` ends what was issued by then, and nothing that is issued later; whoever shall get nothing more is blocked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, final

from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.identifiers import read_identifier
from bailiwick.domain.ids import ProjectId, RevocationId, TenantId


class RevocationKind(StrEnum):
    """What is taken away; as the database has it."""

    TOKEN = "token"  # noqa: S105 - no password
    SESSION = "session"
    USER = "user"


FIELDS: Final = {
    "jti": RevocationKind.TOKEN,
    "session_id": RevocationKind.SESSION,
    "user_id": RevocationKind.USER,
}
"""By which field of the control plane's body each is named."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationSpec:
    """What is to be taken away: `value` is the token's id, the session's, or the user's, byte for byte."""

    kind: RevocationKind
    value: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """What was taken away, at `revoked_at`."""

    id: RevocationId
    tenant_id: TenantId
    project_id: ProjectId
    spec: RevocationSpec
    revoked_at: datetime
    created_at: datetime
    created_by: str


def revocation_spec(
    *, jti: str | None = None, session_id: str | None = None, user_id: str | None = None
) -> RevocationSpec:
    """Check what is asked of a revocation, which names one thing; raises `Invalid`."""
    named = {"jti": jti, "session_id": session_id, "user_id": user_id}
    given = [(field, value) for field, value in named.items() if value is not None]
    if len(given) != 1:
        raise invalid("jti", "is to be named, or session_id, or user_id, and only one of them")
    field, value = given[0]
    try:
        return RevocationSpec(kind=FIELDS[field], value=read_identifier(field, value.encode("utf-8", "surrogatepass")))
    except Refused:
        raise invalid(field, "must be 1 to 255 bytes of UTF-8 without control characters") from None
