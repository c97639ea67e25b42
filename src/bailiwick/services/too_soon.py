"""What somebody is told who has to wait before the next attempt."""

from __future__ import annotations

from bailiwick.domain.errors import Code, Refused
from bailiwick.limiting.sign_in_delays import TooSoon


def too_soon(wait: TooSoon) -> Refused:
    """Refuse (429) an attempt that was not made."""
    message = f"Too many attempts. Try again in {wait.seconds} second{'s' if wait.seconds > 1 else ''}."
    return Refused(Code.RATE_LIMITED, message, retry_after=wait.seconds)
