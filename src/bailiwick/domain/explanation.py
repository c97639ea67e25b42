"""Why a call went as it went: the decisions that it met, in their order, each with its reason.

A refused call is told by where it was refused: the first refusal wins, so whatever comes before was passed and what
comes after was not reached. A call that went to a provider is told by its row. Example: a call beyond its user's limit
-> credential passed, …, limits refused, "The user's rate limit is reached.", ledger and provider not reached.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, final
from uuid import UUID

from bailiwick.domain.errors import Code
from bailiwick.domain.ids import AGENT, KEY, PROJECT, TENANT, AgentId, KeyId, ProjectId, TenantId, shown
from bailiwick.domain.money import usd
from bailiwick.domain.price_versions import KeptVersion
from bailiwick.domain.times import written
from bailiwick.domain.usage import Outcome, UsageSource


class Step(StrEnum):
    """The decisions of a call, in their order. The texts are stored: never changed."""

    CREDENTIAL = "credential"
    TENANT = "tenant"
    PROJECT = "project"
    ORGANIZATION = "organization"
    END_USER = "end_user"
    PERMISSION = "permission"
    REQUEST = "request"
    AGENT = "agent"
    MODEL = "model"
    TOOLS = "tools"
    LIMITS = "limits"
    BUDGETS = "budgets"
    LEDGER = "ledger"
    PROVIDER = "provider"


_S = Step
# Where a call is that is refused so; `unavailable` and `internal_error` can come anywhere.
STEP_OF: Final[dict[Code, Step]] = {
    Code.EXPIRED_CREDENTIALS: _S.CREDENTIAL,
    Code.REVOKED_CREDENTIALS: _S.CREDENTIAL,
    Code.INVALID_CREDENTIALS: _S.CREDENTIAL,
    Code.TENANT_SUSPENDED: _S.TENANT,
    Code.PROJECT_SUSPENDED: _S.PROJECT,
    Code.NOT_A_MEMBER: _S.ORGANIZATION,
    Code.ACT_AS_NOT_ALLOWED: _S.END_USER,
    Code.USER_BLOCKED: _S.END_USER,
    Code.END_USER_REQUIRED: _S.END_USER,
    Code.FORBIDDEN: _S.PERMISSION,
    Code.INVALID_REQUEST: _S.REQUEST,
    Code.REQUEST_TOO_LARGE: _S.REQUEST,
    Code.REQUEST_TIMEOUT: _S.REQUEST,
    Code.MODEL_NOT_FOUND: _S.MODEL,
    Code.MODEL_NOT_ALLOWED: _S.MODEL,
    Code.AGENT_NOT_ALLOWED: _S.AGENT,
    Code.NOT_FOUND: _S.AGENT,
    Code.TOOL_NOT_ALLOWED: _S.TOOLS,
    Code.RATE_LIMITED: _S.LIMITS,
    Code.MODEL_UNPRICED: _S.BUDGETS,
    Code.BUDGET_EXCEEDED: _S.BUDGETS,
    Code.BUDGET_BUSY: _S.BUDGETS,
    Code.PROVIDER_ERROR: _S.PROVIDER,
    Code.PROVIDER_TIMEOUT: _S.PROVIDER,
}
_ERRORS: Final = 400
_PASSED: Final[dict[Step, str]] = {
    _S.CREDENTIAL: "The credential is known and genuine, and has neither ended nor expired.",
    _S.TENANT: "The tenant is active.",
    _S.PROJECT: "The project is active.",
    _S.ORGANIZATION: "No other tenant or project is named.",
    _S.PERMISSION: "The credential holds the scope.",
    _S.REQUEST: "The request can be read.",
    _S.AGENT: "No agent is named, or one that the caller may call as.",
    _S.MODEL: "The model is served in this project, and the caller may use it.",
    _S.TOOLS: "Every tool may be offered.",
    _S.LIMITS: "Every limit that applies had room.",
    _S.BUDGETS: "Every budget that applies had room.",
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """Which call it is, and whose. `door` is its address, None where nothing kept it.

    `agent` is what it was made as, with the version: None for none, and for a call that was refused;
    `tier` is the plan that it was made on, `asked` how it named its model, likewise.
    """

    id: UUID
    tenant_id: TenantId
    project_id: ProjectId
    key_id: KeyId | None
    uid: str | None
    sid: str | None
    at: datetime
    door: str | None
    agent: tuple[AgentId, int] | None
    tier: str | None = None
    asked: str | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedCall:
    """A call that we refused; `step` None: it met trouble of ours, wherever it was.

    With a `status` of success it was answered, and a part of its answer was refused.
    """

    call: CallFacts
    status: int
    code: str
    step: Step | None
    reason: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedCall:
    """A call that is open in the ledger, with whom was asked first."""

    call: CallFacts
    provider: str
    model: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SettledCall:
    """A call that is settled; `status` is the provider's, `cost_nano` None if no price is known.

    `price` is the version by which its tokens come to that, None if none is kept.
    `blocked` says which calls of tools were taken out of its answer, None if none was.
    """

    call: CallFacts
    provider: str
    model: str
    outcome: Outcome
    source: UsageSource
    status: int | None
    input_tokens: int
    output_tokens: int
    cost_nano: int | None
    price: KeptVersion | None
    latency_ms: int
    blocked: str | None


_REQUEST_ID: Final = re.compile("req_([0-9a-f]{32})")


def read_request_id(text: str) -> UUID | None:
    """The id in an `x-request-id` of ours; None for anything else."""
    match = _REQUEST_ID.fullmatch(text)
    return None if match is None else UUID(hex=match[1])


Found = RefusedCall | OpenedCall | SettledCall


def explained(found: Found) -> dict[str, object]:
    """The form outside; `decisions` in their order."""
    call = found.call
    refused = found if isinstance(found, RefusedCall) else None
    answered = refused is not None and refused.status < _ERRORS
    state = "open" if isinstance(found, OpenedCall) else "settled" if refused is None or answered else "refused"
    return {
        "request_id": f"req_{call.id.hex}",
        "state": state,
        "tenant_id": shown(TENANT, call.tenant_id),
        "project_id": shown(PROJECT, call.project_id),
        "key_id": None if call.key_id is None else shown(KEY, call.key_id),
        "user_id": call.uid,
        "session_id": call.sid,
        "agent": None if call.agent is None else {"id": shown(AGENT, call.agent[0]), "version": call.agent[1]},
        "at": written(call.at),
        "address": call.door,
        "status": None if refused is None else refused.status,
        "code": None if refused is None else refused.code,
        "decisions": list(_decisions(found)),
        "usage": _usage(found) if isinstance(found, SettledCall) else None,
    }


def _decisions(found: Found) -> Iterator[dict[str, object]]:
    if isinstance(found, RefusedCall):
        yield from _until(found) if found.status >= _ERRORS else _within(found)
        return
    for step in Step:
        if step not in {Step.LEDGER, Step.PROVIDER}:
            yield _decision(step, "passed", _passed(step, found.call))
    opened = f"The call was opened at {written(found.call.at)}, before its provider heard of it."
    yield _decision(Step.LEDGER, "passed", opened)
    whom = f"{found.provider}/{found.model}"
    if isinstance(found, OpenedCall):
        yield _decision(Step.PROVIDER, "open", f"{whom} was asked, and the call has not ended yet.")
        return
    status = "" if found.status is None else f", with the status {found.status}"
    ended = _ENDED[found.outcome]
    outcome = "passed" if found.outcome is Outcome.COMPLETED else "failed"
    yield _decision(Step.PROVIDER, outcome, f"{whom} was asked{status}. {ended}")
    if found.blocked is not None:
        yield _blocked(found.blocked)


def _until(refused: RefusedCall) -> Iterator[dict[str, object]]:
    if refused.step is None:
        yield _decision(Step.CREDENTIAL, "passed", _PASSED[Step.CREDENTIAL])
        yield {"step": "service", "outcome": "refused", "code": refused.code, "reason": refused.reason}
        return
    reached = True
    for step in Step:
        if step is refused.step:
            reached = False
            yield {**_decision(step, "refused", refused.reason), "code": refused.code}
        elif reached and step is not Step.LEDGER:
            yield _decision(step, "passed", _passed(step, refused.call))
        else:
            yield _decision(step, "not_reached", None)


def _within(answered: RefusedCall) -> Iterator[dict[str, object]]:
    """The decisions of a call that was answered, as far as they are known from what was refused of its answer."""
    for step in Step:
        yield _decision(step, "passed", _PASSED.get(step))
    yield _blocked(answered.reason)


def _blocked(reason: str) -> dict[str, object]:
    """What was decided of the calls of tools in an answer."""
    return {**_decision(Step.TOOLS, "refused", reason), "code": Code.TOOL_NOT_ALLOWED.value}


def _passed(step: Step, call: CallFacts) -> str:
    if step is Step.END_USER:
        if call.uid is None:
            return "The call names no end user, and the project does not require one."
        return f"The call may be made for {call.uid!r}, who is not blocked."
    if step is Step.AGENT and call.agent is not None:
        return f"The call was made as the agent {shown(AGENT, call.agent[0])}, by its version {call.agent[1]}."
    if step is Step.MODEL and call.asked is not None:
        return f"{call.asked!r} leads to a model of this project, and the caller may use it."
    if step is Step.LIMITS and call.tier is not None:
        return f"Every limit that applies on the tier {call.tier!r} had room."
    return _PASSED[step]


def _decision(step: Step, outcome: str, reason: str | None) -> dict[str, object]:
    return {"step": step.value, "outcome": outcome, "code": None, "reason": reason}


_ENDED: Final[dict[Outcome, str]] = {
    Outcome.COMPLETED: "The answer came to its end.",
    Outcome.PROVIDER_ERROR: "It refused, failed, or could not be understood.",
    Outcome.PROVIDER_TIMEOUT: "It took too long.",
    Outcome.CLIENT_GONE: "The client went away, or stopped reading.",
    Outcome.OUR_FAILURE: "An error of ours, or a shutdown, came before the answer's end.",
    Outcome.TAKEN_AWAY: "What its caller came with was taken away in its middle.",
    Outcome.LOST: "The process that held the call died; usage is an estimate.",
}


def _usage(settled: SettledCall) -> dict[str, object]:
    return {
        "provider": settled.provider,
        "model": settled.model,
        "model_asked": settled.call.asked,
        "outcome": settled.outcome.name.lower(),
        "usage_source": settled.source.name.lower(),
        "input_tokens": settled.input_tokens,
        "output_tokens": settled.output_tokens,
        "cost_usd": None if settled.cost_nano is None else usd(settled.cost_nano),
        "price": None if settled.price is None else settled.price.document(),
        "latency_ms": settled.latency_ms,
    }
