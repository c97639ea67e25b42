"""The installation's guard: what one address may send at all, before any cryptography and any project's limits.

Two bounds a minute and address: requests, and failures (answers that refuse the caller: 400 to 499, except 429, which
the limits answer for). An address that failed too often is turned away until its failures have drained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from bailiwick.domain.durations import MINUTE
from bailiwick.domain.limits import Decision, LimitLevel, Rate, Unit
from bailiwick.limiting.in_process import InProcessLimitStore
from bailiwick.limiting.store import BucketKey
from bailiwick.services.admission import RateLimited

_INSTALLATION: Final = "installation"
_MOST_TURNED_AWAY: Final = 100_000
# By names of their own, for every request: Python 3.11 takes 0.1 us to look up a member of an enumeration.
_IP: Final = LimitLevel.IP
_REQUESTS: Final = Unit.REQUESTS


@final
class Guard:
    """Counts by address. An IPv6 address is counted by its /64, which the caller has already done."""

    def __init__(self, store: InProcessLimitStore, *, requests: int, failures: int, now_ns: Callable[[], int]) -> None:
        """`requests` and `failures` are a minute's; `store` is this guard's own."""
        self._store = store
        self._now_ns = now_ns
        self._requests = Rate(amount=requests, per_ns=MINUTE, burst=requests)
        self._failures = Rate(amount=failures, per_ns=MINUTE, burst=failures)
        # Addresses whose failures are used up: the refusal, and when it ends.
        self._turned_away: dict[str, tuple[Decision, int]] = {}

    def admit(self, ip: str) -> None:
        """Let a request of `ip` in; raises `RateLimited`."""
        now = self._now_ns()
        if self._turned_away and (refusal := self._turned_away.get(ip)) is not None:
            if now < refusal[1]:
                raise RateLimited(refusal[0].told_to_wait(refusal[1] - now))
            del self._turned_away[ip]
        key: BucketKey = (_IP, _REQUESTS, _INSTALLATION, ip)
        if self._store.admit_one(key, self._requests, now):
            return
        decision = self._store.admit_now([(key, self._requests, 1)], now)
        if not decision.admitted:
            raise RateLimited(decision)

    def failed(self, ip: str) -> None:
        """Count an answer that refused the caller."""
        now = self._now_ns()
        key: BucketKey = (_IP, _REQUESTS, _INSTALLATION, f"failures {ip}")
        decision = self._store.admit_now([(key, self._failures, 1)], now)
        if not decision.admitted and len(self._turned_away) < _MOST_TURNED_AWAY:
            self._turned_away[ip] = (decision, now + (decision.retry_after_ns or MINUTE))
