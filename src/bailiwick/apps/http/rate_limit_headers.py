"""The headers that tell a client where it stands: OpenAI's, the IETF draft's, and `Retry-After`.

- `x-ratelimit-{limit,remaining,reset}-requests` as OpenAI means them: how many fit before the limit is exhausted
  (`burst`), how many still do, and the time until all do again, as `20ms`, `1s`, `6m0s`.
- `RateLimit-Policy` and `RateLimit`, draft-ietf-httpapi-ratelimit-headers-11 §3 and §4, structured fields (RFC 9651):
  the policy is named by the level; `q` requests in `w` seconds; `r` still fit, and in `t` seconds they all do. On a
  refusal `t` is the wait, so that `Retry-After` is never earlier than the end of the effective window (§6). No `pk`:
  who is counted together is nobody else's business. A `burst` of its own is told as `bailiwick-burst` (§3.1).
- `Retry-After` (RFC 9110 §10.2.3) on a refusal: a client that waits this long is admitted, if nobody came before it.
  There is none for a call that can never pass.

Only the strictest level is shown, and what is constant for a limit is encoded once. Names are lower-case.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from bailiwick.domain.durations import MILLISECOND, SECOND

if TYPE_CHECKING:
    from bailiwick.domain.limits import Decision, LimitLevel, RequestLimit

Header: TypeAlias = tuple[bytes, bytes]

# The largest Integer of structured fields (RFC 9651 §3.3.1).
_LARGEST: Final = 999_999_999_999_999
_MS_OF_A_SECOND: Final = 1_000
_SECONDS_OF_A_MINUTE: Final = 60


def rate_limit_headers(decision: Decision) -> list[Header]:
    """Make the headers of a decision; none when nothing was limited."""
    level, limit = decision.level, decision.limit
    if level is None or limit is None:
        return []
    total, policy, name = _constant(level, limit)
    remaining = b"%d" % decision.remaining
    wait_ns = decision.reset_ns if decision.admitted or decision.retry_after_ns is None else decision.retry_after_ns
    window = b"%d" % min(max(1, -(-wait_ns // SECOND)), _LARGEST)
    headers = [
        total,
        (b"x-ratelimit-remaining-requests", remaining),
        (b"x-ratelimit-reset-requests", _duration(decision.reset_ns)),
        policy,
        (b"ratelimit", b"%b;r=%b;t=%b" % (name, remaining, window)),
    ]
    if not decision.admitted and decision.retry_after_ns is not None:
        headers.append((b"retry-after", window))
    return headers


@lru_cache(maxsize=4096)
def _constant(level: LimitLevel, limit: RequestLimit) -> tuple[Header, Header, bytes]:
    """Encode what does not change: the total, the policy and its name.

    A window is whole seconds: one that is not is rounded up, and the quota to what that many seconds allow, down.
    """
    name = b'"%b"' % level.value.encode()
    window = -(-limit.per_ns // SECOND)
    quota = limit.requests * window * SECOND // limit.per_ns
    policy = b"%b;q=%d;w=%d" % (name, quota, window)
    if limit.burst != quota:
        policy += b";bailiwick-burst=%d" % limit.burst
    return (b"x-ratelimit-limit-requests", b"%d" % limit.burst), (b"ratelimit-policy", policy), name


def _duration(span_ns: int) -> bytes:
    """Write a span as OpenAI does: `0s`, `20ms`, `1.5s`, `6m0s`, `2h0m30s`; milliseconds are rounded up."""
    milliseconds = -(-span_ns // MILLISECOND)
    if 0 < milliseconds < _MS_OF_A_SECOND:
        return b"%dms" % milliseconds
    seconds, milliseconds = divmod(milliseconds, _MS_OF_A_SECOND)
    minutes, seconds = divmod(seconds, _SECONDS_OF_A_MINUTE)
    text = b"%d" % seconds
    if milliseconds:
        text += (b".%03d" % milliseconds).rstrip(b"0")
    if not minutes:
        return text + b"s"
    hours, minutes = divmod(minutes, _SECONDS_OF_A_MINUTE)
    return b"%dh%dm%bs" % (hours, minutes, text) if hours else b"%dm%bs" % (minutes, text)
