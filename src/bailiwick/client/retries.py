"""When a request is tried again.

Every request of this client may be: the others only read, and minting keeps nothing, so that a token whose answer was
lost is nobody's. How often and how long is bounded, and a gateway that says when to come back is never asked earlier.
"""

from __future__ import annotations

from typing import Final, final

from bailiwick.client.ambient import Ambient
from bailiwick.client.errors import ClientError

_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 8.0


@final
class Attempts:
    """The attempts at one request; the first has begun when this is made."""

    def __init__(self, ambient: Ambient, *, max_retries: int, give_up_after: float) -> None:
        """`give_up_after`: no attempt begins later than this after the first, in seconds."""
        self._ambient = ambient
        self._left = max_retries
        self._until = ambient.monotonic() + give_up_after
        self._wait = _FIRST_WAIT

    def wait_after(self, failure: ClientError) -> float:
        """For how many seconds to wait before the next attempt; raises `failure` when there is to be none."""
        self._left -= 1
        spread = self._ambient.jitter()
        if failure.retry_after is None:
            wait = self._wait * (0.5 + spread / 2)  # not all at once, after what stopped all at once
            self._wait = min(self._wait * 2, _LONGEST_WAIT)
        else:
            wait = failure.retry_after + spread * _FIRST_WAIT
        if self._left < 0 or not failure.should_retry or self._ambient.monotonic() + wait > self._until:
            raise failure
        return wait
