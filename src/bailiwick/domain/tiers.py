"""Tiers: named plans of a project. What a tier says stands in the place of what the project says, and only that.

A tier's limits replace the project's level by level: `{"user": {…}}` says all there is to say of each user, and leaves
the other levels as they are. Its budgets are for each of its users, each in the place of the project's for each user
that counts the same: money or tokens, over the same window, of the same models. Its models and agents are further
lists: one must be in them and in the credential's own.
A call runs under the tier of its token, or of its key; without one, or with one that does not exist, under the
project's `default_tier`; and without that under what the project says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from bailiwick.domain.budgets import Cap, tier_caps
from bailiwick.domain.fields import Findings, invalid
from bailiwick.domain.identifiers import identifier_field
from bailiwick.domain.ids import ProjectId, TenantId, TierId
from bailiwick.domain.limit_settings import parse_limits
from bailiwick.domain.limits import InvalidLimit
from bailiwick.domain.model_names import read_models
from bailiwick.domain.tools import ToolRules, tool_rules

MAX_TIERS: Final = 200
MAX_OUTPUT_TOKENS: Final = 2**31 - 1


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TierSpec:
    """What can be asked of a tier. `limits` is the contract's object, checked; None of the others for any.

    `budgets` are what each of its users may spend.
    """

    name: str
    limits: Mapping[str, object]
    models: tuple[str, ...] | None
    agents: tuple[str, ...] | None
    tools: ToolRules | None
    max_output_tokens: int | None
    budgets: tuple[Cap, ...]


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
    tools: Mapping[str, object] | None = None,
    max_output_tokens: int | None = None,
    budgets: Sequence[object] | None = None,
) -> TierSpec:
    """Check what is asked of a tier; raises `Invalid`."""
    findings = Findings()
    spec = TierSpec(
        name=findings.take(lambda: read_tier("name", name), ""),
        limits=findings.take(lambda: _read_limits(limits or {}), {}),
        models=findings.take(lambda: read_models("models", models), None),
        agents=findings.take(lambda: read_models("agents", agents), None),
        tools=findings.take(lambda: tool_rules("tools", tools), None),
        max_output_tokens=findings.take(lambda: read_most("max_output_tokens", max_output_tokens), None),
        budgets=findings.take(lambda: tier_caps("budgets", budgets), ()),
    )
    findings.or_raise()
    return spec


def read_tier(field: str, text: str) -> str:
    """Take a tier's name; raises `Invalid`."""
    return identifier_field(field, text)


def read_most(field: str, tokens: int | None) -> int | None:
    """Take how many tokens an answer may have, None for what is said nowhere; raises `Invalid`."""
    if tokens is not None and not 1 <= tokens <= MAX_OUTPUT_TOKENS:
        raise invalid(field, f"must be 1 to {MAX_OUTPUT_TOKENS}")
    return tokens


def _read_limits(document: Mapping[str, object]) -> Mapping[str, object]:
    try:
        parse_limits(document)
    except InvalidLimit as error:
        raise invalid(error.field, error.message) from None
    return document
