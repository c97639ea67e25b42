"""The headers that tell a client where it stands: OpenAI's, the IETF draft's, and `Retry-After`.

- `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` as OpenAI means them: how many fit before the limit is
  exhausted (`burst`), how many still do, and the time until all do again, as `20ms`, `1s`, `6m0s`.
- `RateLimit-Policy` and `RateLimit`, draft-ietf-httpapi-ratelimit-headers-11 §3 and §4, structured fields (RFC 9651):
  the policy is named by the level, with `-tokens` if it counts these, as `qu` says too; `q` in `w` seconds; `r` still
  fit, and in `t` seconds they all do. On a refusal `t` is the wait, so that `Retry-After` is never earlier than the end
  of the effective window (§6). No `pk`: who is counted together is nobody else's business. A `burst` of its own is told
  as `bailiwick-burst` (§3.1).
- `Retry-After` (RFC 9110 §10.2.3) on a refusal: a client that waits this long is admitted, if nobody came before it.
  There is none for a call that can never pass; `x-should-retry: false` keeps OpenAI's SDKs from trying it again.

Only the strictest level of requests and the strictest of tokens are shown, and what is constant for a limit is encoded
once. Names are lower-case.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from bailiwick.domain.durations import MILLISECOND, SECOND
from bailiwick.domain.limits import Unit

if TYPE_CHECKING:
    from bailiwick.domain.limits import Decision, LimitLevel, Rate, Standing

Header: TypeAlias = tuple[bytes, bytes]

# The largest Integer of structured fields (RFC 9651 §3.3.1).
_LARGEST: Final = 999_999_999_999_999
# By a name of its own, for every answer: Python 3.11 takes 0.1 us to look up a member of an enumeration.
_REQUESTS: Final = Unit.REQUESTS
_MS_OF_A_SECOND: Final = 1_000
_SECONDS_OF_A_MINUTE: Final = 60


def rate_limit_headers(decision: Decision) -> list[Header]:
    """Make the headers of a decision; none when nothing was limited."""
    requests, tokens = decision.requests, decision.tokens
    if tokens is None:
        if requests is None:
            return []
        headers, policy, limit = _told(requests, _REQUESTS)
    else:
        headers, policy, limit = _told(tokens, Unit.TOKENS)
        if requests is not None:
            more, first_policy, first_limit = _told(requests, _REQUESTS)
            headers = more + headers
            policy, limit = b"%b, %b" % (first_policy, policy), b"%b, %b" % (first_limit, limit)
    headers += ((b"ratelimit-policy", policy), (b"ratelimit", limit))
    if not decision.admitted:
        wait_ns = decision.retry_after_ns
        headers.append((b"x-should-retry", b"false") if wait_ns is None else (b"retry-after", _seconds(wait_ns)))
    return headers


def _told(standing: Standing, unit: Unit) -> tuple[list[Header], bytes, bytes]:
    """Write OpenAI's headers of one unit, and its items of `RateLimit-Policy` and `RateLimit`."""
    total, policy, name, remaining_name, reset_name = _constant(standing.level, unit, standing.rate)
    remaining = b"%d" % standing.remaining
    window = _seconds(standing.retry_after_ns or standing.reset_ns)
    headers = [total, (remaining_name, remaining), (reset_name, _duration(standing.reset_ns))]
    return headers, policy, b"%b;r=%b;t=%b" % (name, remaining, window)


@lru_cache(maxsize=4096)
def _constant(level: LimitLevel, unit: Unit, rate: Rate) -> tuple[Header, bytes, bytes, bytes, bytes]:
    """Encode what does not change: the total, the policy and its name, the names of the other two headers.

    A window is whole seconds: one that is not is rounded up, and the quota to what that many seconds allow, down.
    """
    counted = unit.value.encode()
    plain = unit is _REQUESTS
    name = b'"%b"' % level.value.encode() if plain else b'"%b-%b"' % (level.value.encode(), counted)
    window = -(-rate.per_ns // SECOND)
    quota = rate.amount * window * SECOND // rate.per_ns
    policy = b"%b;q=%d;w=%d" % (name, quota, window)
    if not plain:
        policy += b';qu="%b"' % counted
    if rate.burst != quota:
        policy += b";bailiwick-burst=%d" % rate.burst
    total = (b"x-ratelimit-limit-" + counted, b"%d" % rate.burst)
    return total, policy, name, b"x-ratelimit-remaining-" + counted, b"x-ratelimit-reset-" + counted


def _seconds(span_ns: int) -> bytes:
    """Write a span in whole seconds, at least one, rounded up."""
    return b"%d" % min(max(1, -(-span_ns // SECOND)), _LARGEST)


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
