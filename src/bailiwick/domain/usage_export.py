"""Calls as they are exported: one line for each settled call, as JSON lines or as CSV; pure.

    {"id": "0198…", "opened_at": "2026-11-22T10:00:00.000001Z", "project_id": "prj_…", "key_id": "key_…",
     "user_id": "ada", "session_id": null, "agent_id": null, …, "cost_usd": "0.000123", "latency_ms": 420, …}

CSV is that of RFC 4180, in UTF-8, with a head. What an application chose as an id may begin like a formula, and many
programs would run that: in CSV such a text stands behind an apostrophe. JSON lines have every text as it is.

Evolution: fields are added at the end, their meaning never changes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, final
from uuid import UUID

import msgspec

from bailiwick.domain import ids
from bailiwick.domain.fields import invalid
from bailiwick.domain.money import usd
from bailiwick.domain.price_versions import shown_version
from bailiwick.domain.times import written
from bailiwick.domain.usage import Outcome, TokenUsage, UsageSource

FIELDS: Final = (
    "id", "opened_at", "project_id", "key_id", "user_id", "session_id", "agent_id", "agent_version", "tier", "provider",
    "model", "stream", "outcome", "status", "usage_source", "input_tokens", "output_tokens", "cached_tokens",
    "cache_write_tokens", "reasoning_tokens", "audio_tokens", "cost_usd", "latency_ms", "first_byte_ms",
    "price_version", "cache_write_1h_tokens", "input_audio_tokens", "output_audio_tokens", "input_image_tokens",
    "output_image_tokens", "model_asked",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")

Value = str | int | bool | None


class ExportFormat(StrEnum):
    """How lines are written."""

    JSON_LINES = "jsonl"
    CSV = "csv"

    @property
    def media_type(self) -> str:
        """What the answer says it is."""
        return "text/csv; charset=utf-8" if self is ExportFormat.CSV else "application/x-ndjson"

    @property
    def headers(self) -> Mapping[str, str]:
        """What has a browser keep the answer as a file."""
        return {"content-disposition": f'attachment; filename="calls.{self.value}"'}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SettledCall:
    """A row of the ledger. `asked` is how the caller named the model."""

    id: UUID
    opened_at: datetime
    project_id: UUID
    key_id: UUID | None
    uid: str | None
    sid: str | None
    agent_id: UUID | None
    agent_version: int | None
    tier: str | None
    provider: str
    model: str
    streamed: bool
    outcome: Outcome
    status: int | None
    usage_source: UsageSource
    usage: TokenUsage
    cost_nano: int | None
    latency_ms: int
    first_byte_ms: int | None
    price: int | None
    asked: str

    def values(self) -> tuple[Value, ...]:
        """The values of `FIELDS`."""
        usage = self.usage
        return (
            self.id.hex,
            written(self.opened_at),
            ids.shown(ids.PROJECT, self.project_id),
            None if self.key_id is None else ids.shown(ids.KEY, self.key_id),
            self.uid,
            self.sid,
            None if self.agent_id is None else ids.shown(ids.AGENT, self.agent_id),
            self.agent_version,
            self.tier,
            self.provider,
            self.model,
            self.streamed,
            self.outcome.name.lower(),
            self.status,
            self.usage_source.name.lower(),
            usage.input_tokens,
            usage.output_tokens,
            usage.cached_tokens,
            usage.cache_write_tokens,
            usage.reasoning_tokens,
            usage.input_audio_tokens + usage.output_audio_tokens,
            None if self.cost_nano is None else usd(self.cost_nano),
            self.latency_ms,
            self.first_byte_ms,
            None if self.price is None else shown_version(self.price),
            usage.cache_write_1h_tokens,
            usage.input_audio_tokens,
            usage.output_audio_tokens,
            usage.input_image_tokens,
            usage.output_image_tokens,
            self.asked,
        )


def read_format(text: str | None) -> ExportFormat:
    """Take the format that was asked for, JSON lines if none was; raises `Invalid`."""
    try:
        return ExportFormat(text or ExportFormat.JSON_LINES)
    except ValueError:
        raise invalid("format", f"must be one of {', '.join(ExportFormat)}") from None


def head(form: ExportFormat) -> bytes:
    """What stands before the first line."""
    return _csv([FIELDS]) if form is ExportFormat.CSV else b""


def lines(form: ExportFormat, calls: Iterable[SettledCall]) -> bytes:
    """Some calls, each a line with its end."""
    if form is ExportFormat.CSV:
        return _csv([_cell(value) for value in call.values()] for call in calls)
    return b"".join(msgspec.json.encode(dict(zip(FIELDS, call.values(), strict=True))) + b"\n" for call in calls)


def _csv(rows: Iterable[Iterable[Value]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Value) -> Value:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
