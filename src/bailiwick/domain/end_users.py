"""End users of a project, as operators see them: who called, how much, when last, and whether they may.

Nobody registers an end user: whoever an application names is one, and somebody who never called can be blocked too.
`{"project_id", "uid", "blocked", "blocked_at", "blocked_by", "last_seen", "requests", "input_tokens", "output_tokens",
"cost_usd", "latency_p50_ms", "latency_p95_ms"}`; the numbers are those of the span that is asked for.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, final

from bailiwick.domain.fields import Findings, invalid
from bailiwick.domain.identifiers import MAX_BYTES
from bailiwick.domain.ids import PROJECT, ProjectId, shown
from bailiwick.domain.times import written
from bailiwick.domain.usage_report import NO_CALLS, Usage, UsageQuery, usage_query

# Who is blocked is kept in memory by every process that serves the project.
MAX_BLOCKED: Final = 20_000
# What goes on by itself: whoever changes a user need not know of their last call.
UNVERSIONED: Final = frozenset({"last_seen", *NO_CALLS.document()})
PARAMETERS: Final = ("from", "to", "limit", "after", "prefix", "blocked")
# How the name of an erased user begins.
ERASED: Final = "erased-"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """When and by whom somebody was blocked."""

    at: datetime
    by: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What erasing a user came to: the pseudonym that stands for them, and how many settled calls it stands at."""

    pseudonym: str
    calls: int

    def document(self) -> dict[str, object]:
        """The form outside."""
        return {"pseudonym": self.pseudonym, "calls": self.calls}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EndUser:
    """One end user; `last_seen` is when the last of their settled calls was opened, None if there is none."""

    project_id: ProjectId
    uid: str
    blocked: Blocked | None
    last_seen: datetime | None
    usage: Usage

    def document(self) -> dict[str, object]:
        """The form outside."""
        return {
            "project_id": shown(PROJECT, self.project_id),
            "uid": self.uid,
            "blocked": self.blocked is not None,
            "blocked_at": None if self.blocked is None else written(self.blocked.at),
            "blocked_by": None if self.blocked is None else self.blocked.by,
            "last_seen": None if self.last_seen is None else written(self.last_seen),
            **self.usage.document(),
        }


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LastSeen:
    """Where a page ended: users are listed from the last seen to the first, and of one moment by their ids."""

    at: datetime
    uid: str

    def written(self) -> str:
        """Write it so that it can stand in an address as it is."""
        micros = (self.at - _EPOCH) // timedelta(microseconds=1)
        return base64.urlsafe_b64encode(f"{micros}={self.uid}".encode()).rstrip(b"=").decode()

    @classmethod
    def read(cls, text: str) -> LastSeen:
        """Read what `written` wrote; raises `Invalid`."""
        try:
            plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
            micros, _, uid = plain.partition("=")
            cursor = cls(at=_EPOCH + timedelta(microseconds=int(micros)), uid=uid)
            if uid and cursor.written() == text and "\0" not in uid:
                return cursor
        except (binascii.Error, ValueError, OverflowError):
            pass
        raise invalid("after", "must be the `next` of an earlier page")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UsersQuery:
    """What is asked: users whose id begins with `prefix`, perhaps only blocked ones; numbers of the span `usage`."""

    usage: UsageQuery
    after: LastSeen | None
    prefix: str
    blocked: bool


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UsersPage:
    """A page of users, the last seen first."""

    query: UsersQuery
    users: tuple[EndUser, ...]
    following: LastSeen | None

    def document(self) -> dict[str, object]:
        """The form outside."""
        return {
            "from": written(self.query.usage.since),
            "to": written(self.query.usage.until),
            "data": [user.document() for user in self.users],
            "has_more": self.following is not None,
            "next": None if self.following is None else self.following.written(),
        }


def users_query(parameters: Mapping[str, str], now: datetime) -> UsersQuery:
    """Read the query of a list of users (names as in `PARAMETERS`); raises `Invalid`. The span is as in reports."""
    findings = Findings()
    span = {name: parameters[name] for name in ("from", "to", "limit") if name in parameters}
    usage = findings.take(lambda: usage_query(span, now), usage_query({}, now))
    after = parameters.get("after")
    query = UsersQuery(
        usage=usage,
        after=None if after is None else findings.take(lambda: LastSeen.read(after), None),
        prefix=parameters.get("prefix", ""),
        blocked=parameters.get("blocked") == "true",
    )
    if len(query.prefix.encode(errors="replace")) > MAX_BYTES or "\0" in query.prefix:
        findings.add("prefix", f"must be the beginning of an id, of at most {MAX_BYTES} bytes")
    if parameters.get("blocked", "true") != "true":
        findings.add("blocked", "must be true, or absent")
    findings.or_raise()
    return query
