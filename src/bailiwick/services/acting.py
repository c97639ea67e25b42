"""Finds the agent that a call names.

It is found among those of the caller's own project alone, and only while it is enabled: another's, one that was never
made and one that is switched off are not there, in the same words.
"""

from __future__ import annotations

from typing import Final

from bailiwick.domain.agent_calls import AgentForm, CalledAgent
from bailiwick.domain.agents import AGENT_MODELS
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.form_data import FormRequest
from bailiwick.domain.json_body import wrong
from bailiwick.domain.policy import authorize_agent
from bailiwick.domain.principal import Principal
from bailiwick.domain.requests import ModelRequest
from bailiwick.services.serving import Serving

AGENT_HEADER: Final = "X-Agent-Id"
_PREFIX: Final = f"{AGENT_MODELS}/"


async def called_agent(
    serving: Serving,
    principal: Principal,
    request: ModelRequest | FormRequest,
    form: AgentForm | None,
    named: str | None,
) -> CalledAgent | None:
    """The agent that a call is to be made as, None for none; `form` None where there are no agents.

    `named` is the header's value. Raises `Refused` (400, 403, 404) or `Unavailable`.
    """
    model = request.model
    if named is None and not model.startswith(_PREFIX):
        authorize_agent(principal).or_raise()
        return None
    if form is None:
        raise wrong("model" if named is None else AGENT_HEADER, "names an agent, and there are none at this address")
    agent = await _find(serving, principal, model, named)
    if named is not None and isinstance(request, ModelRequest) and request.named and not _is_meant(model, agent):
        raise wrong("model", f"names something else than {AGENT_HEADER} does")
    return agent


async def acting(serving: Serving, principal: Principal, named: str | None) -> Principal:
    """Whoever asks for what is no model, as the agent that the header names, None for none, and within its rules.

    Raises `Refused` (403, 404) or `Unavailable`.
    """
    if named is None:
        authorize_agent(principal).or_raise()
        return principal
    return (await _find(serving, principal, "", named)).called_by(principal)


async def _find(serving: Serving, principal: Principal, model: str, named: str | None) -> CalledAgent:
    grant = principal.grant
    place = (grant.tenant_id, grant.project_id)
    listed = (await serving.of(*place)).agent(model.removeprefix(_PREFIX) if named is None else named)
    agent = None
    if listed is not None:
        authorize_agent(principal, *listed.names).or_raise()
        agent = await serving.agent(*place, listed)
    if agent is not None:
        return agent
    if named is None:
        raise Refused(Code.MODEL_NOT_FOUND, f"The model {model!r} does not exist in this project.", param="model")
    raise Refused(Code.NOT_FOUND, f"The agent {named!r} does not exist in this project.", param=AGENT_HEADER)


def _is_meant(model: str, agent: CalledAgent) -> bool:
    """Whether a model that is named beside the header is the agent's, or the agent itself."""
    return model in {agent.spec.model, f"{_PREFIX}{agent.spec.name}", f"{_PREFIX}{agent.shown_id}"}
