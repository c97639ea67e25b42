"""What the client asks, as values: the same for both clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias, final

from bailiwick.client.answers import UsagePage
from bailiwick.client.errors import InvalidRequest
from bailiwick.domain.times import written

GroupBy: TypeAlias = Literal["day", "hour", "project", "user", "model", "provider", "key", "session", "agent", "tier"]
_FIRST_VISIBLE: Final = 0x20
_DELETE: Final = 0x7F


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    headers: Mapping[bytes, bytes] = field(default_factory=dict)


ME: Final = Asked(method="GET", path="/v1/me")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A token that is asked for; None is left for the gateway to choose."""

    user_id: str
    tier: str | int | None = None
    ttl: int = 900
    session_id: str | None = None
    role: str | None = None
    scopes: Sequence[str] | None = None

    def asked(self) -> Asked:
        """The request."""
        named = {
            "user_id": self.user_id,
            "tier": self.tier,
            "ttl": self.ttl,
            "session_id": self.session_id,
            "role": self.role,
            "scopes": None if self.scopes is None else list(self.scopes),
        }
        body = {name: value for name, value in named.items() if value is not None}
        return Asked(method="POST", path="/v1/auth/mint", body=body)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UsageWish:
    """A report that is asked for; None is left for the gateway to choose."""

    since: datetime | None
    until: datetime | None
    group_by: GroupBy
    limit: int | None
    after: str | None
    user_id: str | None

    def asked(self) -> Asked:
        """The request; raises `InvalidRequest` for what cannot be said."""
        named = {
            "from": _moment("since", self.since),
            "to": _moment("until", self.until),
            "group_by": self.group_by,
            "limit": None if self.limit is None else str(self.limit),
            "after": self.after,
        }
        return Asked(
            method="GET",
            path="/v1/usage",
            params={name: value for name, value in named.items() if value is not None},
            headers={} if self.user_id is None else {b"x-end-user-id": _header("user_id", self.user_id)},
        )

    def following(self, page: UsagePage) -> Asked | None:
        """The request for the page after this one: of the same span, although time has passed; None after the last."""
        if page.next is None:
            return None
        return UsageWish(
            since=page.since,
            until=page.until,
            group_by=self.group_by,
            limit=self.limit,
            after=page.next,
            user_id=self.user_id,
        ).asked()


def _moment(name: str, moment: datetime | None) -> str | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise InvalidRequest(f"{name} must say its time zone, as datetime(2026, 11, 1, tzinfo=UTC) does.", param=name)
    return written(moment)


def _header(name: str, text: str) -> bytes:
    """Its bytes, which a header must carry as they are: nobody else's name comes out of it."""
    carried = text.encode()
    if carried.strip(b" \t") != carried or any(byte < _FIRST_VISIBLE or byte == _DELETE for byte in carried):
        raise InvalidRequest(f"{name} must not begin or end with a space, or hold control characters.", param=name)
    return carried
