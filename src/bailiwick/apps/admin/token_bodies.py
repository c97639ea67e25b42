"""What operators send of tiers, revocations and signing keys."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from bailiwick.apps.admin.budget_wire import CapBody
from bailiwick.apps.admin.wire import NotYet, StrictBody, ToolsBody, present, tools_asked
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.minting import MintRequest, mint_request
from bailiwick.domain.revocations import RevocationSpec, revocation_spec
from bailiwick.domain.tiers import Tier, TierSpec, tier_spec


class TierBody(StrictBody):
    """A tier. Its `limits` stand in the place of the project's, level by level.

    `models` and `agents` are glob patterns. No answer has more than `max_output_tokens`.
    """

    name: str
    limits: dict[str, Any] | None = Field(None, examples=[{"user": {"requests": 600, "per": "1m"}}])
    models: list[str] | None = None
    agents: list[str] | None = None
    tools: ToolsBody | None = None
    max_output_tokens: int | None = Field(None, examples=[4096])
    budgets: list[CapBody] | None = Field(
        None, examples=[[{"limit": {"usd": "5.00"}, "window": "month"}]], description="What each user may spend."
    )
    memory: NotYet = None


class RevocationBody(StrictBody):
    """What is taken away: exactly one of these."""

    jti: str | None = Field(None, description="A token, by its `jti`.")
    session_id: str | None = Field(None, description="A session, with all its tokens.")
    user_id: str | None = Field(None, description="All tokens that an end user was given by now.")


class MintBody(StrictBody):
    """A token for one end user of a project, as `POST /v1/auth/mint` takes it from an operator key."""

    project_id: str
    user_id: str
    tier: Annotated[Any, WithJsonSchema({"type": ["string", "integer", "null"]})] = Field(
        None, description="Of the project's; an integer is taken as its decimal string."
    )
    ttl: int | None = Field(None, description="Seconds, 60 to 86400; 900 by default.")
    session_id: str | None = None
    role: str | None = None
    scopes: list[str] | None = Field(None, description="All that a token may hold, by default.")
    orgs: list[str] | None = Field(None, description="Other organizations that the user may turn to, by their ids.")


class RotationBody(StrictBody):
    """Whether the new key signs at once, and not when everybody can know it."""

    at_once: bool = False


def tier_body(tier: Tier) -> Document:
    """The body of a tier as it is."""
    spec = tier.spec
    return present(
        name=spec.name,
        limits=spec.limits,
        models=None if spec.models is None else list(spec.models),
        agents=None if spec.agents is None else list(spec.agents),
        tools=None if spec.tools is None else spec.tools.document(),
        max_output_tokens=spec.max_output_tokens,
        budgets=[cap.document() for cap in spec.budgets] or None,
    )


def tier_asked(body: TierBody) -> TierSpec:
    """The tier that a body asks for; raises `Invalid`."""
    return tier_spec(
        name=body.name,
        limits=body.limits,
        models=body.models,
        agents=body.agents,
        tools=tools_asked(body.tools),
        max_output_tokens=body.max_output_tokens,
        budgets=[cap.model_dump(exclude_none=True) for cap in body.budgets or ()],
    )


def mint_asked(body: MintBody) -> MintRequest:
    """The token that a body asks for; raises `Invalid`."""
    try:
        return mint_request(body.model_dump(exclude={"project_id", "orgs"}))
    except Refused as refused:
        field = refused.param or "user_id"
        raise invalid(field, refused.message.removeprefix(f"{field} ").removesuffix(".")) from None


def revocation_asked(body: RevocationBody) -> RevocationSpec:
    """The revocation that a body asks for; raises `Invalid`."""
    return revocation_spec(jti=body.jti, session_id=body.session_id, user_id=body.user_id)
