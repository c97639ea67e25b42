"""Tiers: named plans of a project. What a tier says stands in the place of what the project says, and only that.

A tier's limits replace the project's level by level: `{"user": {…}}` says all there is to say of each user, and leaves
the other levels as they are. Its models and agents are further lists: one must be in them and in the credential's own.
A call runs under the tier of its token, or of its key; without one, or with one that does not exist, under the
project's `default_tier`; and without that under what the project says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from bailiwick.domain.fields import Findings, invalid
from bailiwick.domain.identifiers import identifier_field
from bailiwick.domain.ids import ProjectId, TenantId, TierId
from bailiwick.domain.limit_settings import parse_limits
from bailiwick.domain.limits import InvalidLimit
from bailiwick.domain.model_names import read_models

MAX_TIERS: Final = 200


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TierSpec:
    """What can be asked of a tier. `limits` is the contract's object, checked; None of the others for any."""

    name: str
    limits: Mapping[str, object]
    models: tuple[str, ...] | None
    agents: tuple[str, ...] | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A tier as it is."""

    id: TierId
    tenant_id: TenantId
    project_id: ProjectId
    spec: TierSpec
    created_at: datetime
    created_by: str


def tier_spec(
    *,
    name: str,
    limits: Mapping[str, object] | None = None,
    models: Sequence[str] | None = None,
    agents: Sequence[str] | None = None,
) -> TierSpec:
    """Check what is asked of a tier; raises `Invalid`."""
    findings = Findings()
    spec = TierSpec(
        name=findings.take(lambda: read_tier("name", name), ""),
        limits=findings.take(lambda: _read_limits(limits or {}), {}),
        models=findings.take(lambda: read_models("models", models), None),
        agents=findings.take(lambda: read_models("agents", agents), None),
    )
    findings.or_raise()
    return spec


def read_tier(field: str, text: str) -> str:
    """Take a tier's name; raises `Invalid`."""
    return identifier_field(field, text)


def _read_limits(document: Mapping[str, object]) -> Mapping[str, object]:
    try:
        parse_limits(document)
    except InvalidLimit as error:
        raise invalid(error.field, error.message) from None
    return document
