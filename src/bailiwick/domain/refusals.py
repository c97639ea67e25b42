"""How many calls were refused, over time: by project and code.

`{"from", "to", "step", "data": [{"at", "project_id", "code", "requests"}]}`; counted by whole hours, told by the hour
up to two days and by the day beyond. A refused call cost nothing and is in no other report.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, final

from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import PROJECT, ProjectId, shown
from bailiwick.domain.times import written
from bailiwick.domain.usage_report import UsageQuery

PARAMETERS: Final = ("from", "to")
_BY_THE_HOUR: Final = timedelta(days=2)
_LONGEST: Final = timedelta(days=366)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalCount:
    """So many calls of a project were refused with a code in the hour, or on the day, that began `at`."""

    at: datetime
    project_id: ProjectId
    code: str
    requests: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalsReport:
    """All of a span, in the order of time."""

    query: UsageQuery
    counts: tuple[RefusalCount, ...]

    def document(self) -> dict[str, object]:
        """The form outside."""
        return {
            "from": written(self.query.first_hour),
            "to": written(self.query.end_hour),
            "step": step_of(self.query),
            "data": [
                {
                    "at": written(count.at),
                    "project_id": shown(PROJECT, count.project_id),
                    "code": count.code,
                    "requests": count.requests,
                }
                for count in self.counts
            ],
        }


def step_of(query: UsageQuery) -> str:
    """By what time refusals of this span are counted together; raises `Invalid` for one that is too long."""
    span = query.until - query.since
    if span > _LONGEST:
        raise invalid("from", f"must not be more than {_LONGEST.days} days before to")
    return "hour" if span <= _BY_THE_HOUR else "day"
