"""Signing in: who does, from where, by what; and the session that this opens.

A session is open until it was not used for a while, until its longest time is over, or until it is ended: by its
person, by an owner, by a new password, by whatever changes what its person may do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, final

from bailiwick.domain.audit import Actor
from bailiwick.domain.ids import SessionId
from bailiwick.domain.operators import Operator, Person, PersonStatus

NOBODY: Final = "nobody"


class SignInMethod(StrEnum):
    """By what somebody signed in."""

    LINK = "link"
    PASSWORD = "password"  # noqa: S105 - a name
    PASSWORD_AND_CODE = "password_and_code"  # noqa: S105 - a name
    PASSWORD_AND_RECOVERY_CODE = "password_and_recovery_code"  # noqa: S105 - a name
    OIDC = "oidc"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """Where a request came from: `ip` as it is, `network` as it is counted (IPv6 by its /64)."""

    ip: str
    network: str
    user_agent: str
    request_id: str

    def actor(self, operator: Operator | None) -> Actor:
        """Who acts here: an operator, or somebody who is not yet known."""
        if operator is None:
            return Actor(name=NOBODY, request_id=self.request_id, ip=self.ip)
        return Actor.of(operator, request_id=self.request_id, ip=self.ip)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """How long a session lasts: unused, and at the longest."""

    idle: timedelta
    longest: timedelta


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session as it is, without what its browser holds."""

    id: SessionId
    person: Person
    method: SignInMethod
    ip: str
    user_agent: str
    opened_at: datetime
    seen_at: datetime
    expires_at: datetime

    def is_open(self, now: datetime, limits: SessionLimits) -> bool:
        """Whether it still says who asks."""
        used = now < self.seen_at + limits.idle
        return used and now < self.expires_at and self.person.status is PersonStatus.ACTIVE
