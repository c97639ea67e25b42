"""The saved form of the buckets, written when a process drains and read when the next one starts."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, final

from bailiwick.domain.errors import BailiwickError
from bailiwick.domain.limits import InvalidLimit, LimitLevel, Rate, Stored, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailiwick.limiting.store import BucketKey

# Format 3: the line `bailiwick-limits 3 SHA256`, then one JSON object that the digest (hex) covers:
#   {"now_ns": …, "projects": [project, …], "rates": [[amount, per_ns, burst], …],
#    "buckets": [[level, unit, project, subject, place in rates, drained_at, returned, since_ns], …]}
# `projects` are those all of whose buckets are here.
# Evolution: whatever changes the meaning or number of fields gets the next number in the first line, and the reader
# keeps reading every number that a release has written. An unknown number is refused, as damage is: the caller then
# rebuilds from the ledger.
_HEAD: Final = b"bailiwick-limits 3 "


@final
class DamagedSnapshot(BailiwickError):
    """The bytes are no snapshot of ours, or not whole."""


def encode_buckets(now_ns: int, projects: Iterable[str], buckets: Iterable[tuple[BucketKey, Stored]]) -> bytes:
    """Write buckets, the projects of which none is missing, and the latest time their store has seen."""
    places: dict[Rate, int] = {}
    rows = [
        (*key, places.setdefault(rate, len(places)), drained_at, returned, since_ns)
        for key, (drained_at, returned, since_ns, rate) in buckets
    ]
    rates = [(rate.amount, rate.per_ns, rate.burst) for rate in places]
    document = {"now_ns": now_ns, "projects": [*projects], "rates": rates, "buckets": rows}
    body = json.dumps(document, separators=(",", ":")).encode()
    return _HEAD + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def decode_buckets(data: bytes) -> tuple[int, set[str], list[tuple[BucketKey, Stored]]]:
    """Read what `encode_buckets` wrote; DamagedSnapshot for anything else."""
    head, _, body = data.partition(b"\n")
    if head != _HEAD + hashlib.sha256(body).hexdigest().encode():
        message = "not a whole snapshot of rate limits in a form that this version reads"
        raise DamagedSnapshot(message)
    try:
        # Any: the digest vouches for accidents only; what follows checks each field that arithmetic will touch.
        document: Any = json.loads(body)
        rates = [Rate(amount=amount, per_ns=per_ns, burst=burst) for amount, per_ns, burst in document["rates"]]
        buckets = [
            (
                (LimitLevel(level), Unit(unit), _text(project), _text(subject)),
                (_count(drained_at), _count(returned), _count(since), rates[_count(place)]),
            )
            for level, unit, project, subject, place, drained_at, returned, since in document["buckets"]
        ]
        return _count(document["now_ns"]), {_text(project) for project in document["projects"]}, buckets
    except (ValueError, TypeError, LookupError, InvalidLimit) as error:
        message = "a snapshot of rate limits that does not hold what it should"
        raise DamagedSnapshot(message) from error


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        message = "not a number of ours"
        raise ValueError(message)
    return value


def _text(value: object) -> str:
    if type(value) is not str:
        message = "not a text"
        raise ValueError(message)
    return value
