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
    return headers_in(rate_limit_lines(decision))


def rate_limit_lines(decision: Decision) -> bytes:
    """The same as the lines of a head, each with its end."""
    requests, tokens = decision.requests, decision.tokens
    if tokens is None:
        if requests is None:
            return b""
        lines, policy, limit = _told(requests, _REQUESTS)
    else:
        lines, policy, limit = _told(tokens, Unit.TOKENS)
        if requests is not None:
            first_lines, first_policy, first_limit = _told(requests, _REQUESTS)
            lines = first_lines + lines
            policy, limit = b"%b, %b" % (first_policy, policy), b"%b, %b" % (first_limit, limit)
    lines = b"%bratelimit-policy: %b\r\nratelimit: %b\r\n" % (lines, policy, limit)
    if not decision.admitted:
        wait_ns = decision.retry_after_ns
        lines += b"x-should-retry: false\r\n" if wait_ns is None else b"retry-after: %b\r\n" % _seconds(wait_ns)
    return lines


def headers_in(lines: bytes) -> list[Header]:
    """Split lines, each with its end, into names and values."""
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines.split(b"\r\n")[:-1])]


def _told(standing: Standing, unit: Unit) -> tuple[bytes, bytes, bytes]:
    """Write OpenAI's headers of one unit, and its items of `RateLimit-Policy` and `RateLimit`."""
    lines, policy, limit = _constant(standing.level, unit, standing.rate)
    remaining, reset_ns = standing.remaining, standing.reset_ns
    window = _seconds(standing.retry_after_ns or reset_ns)
    return lines % (remaining, _duration(reset_ns)), policy, limit % (remaining, window)


@lru_cache(maxsize=4096)
def _constant(level: LimitLevel, unit: Unit, rate: Rate) -> tuple[bytes, bytes, bytes]:
    """Encode what does not change: OpenAI's lines, the policy, the limit; with places for what does.

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
    limit = b"x-ratelimit-limit-%b: %d\r\n" % (counted, rate.burst)
    left = b"x-ratelimit-remaining-%b: %%d\r\nx-ratelimit-reset-%b: %%b\r\n" % (counted, counted)
    return limit + left, policy, name + b";r=%d;t=%b"


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
