"""How a call ended that did not come to its end."""

from __future__ import annotations

from bailiwick.domain.errors import Code, ProviderFailed
from bailiwick.domain.usage import Outcome
from bailiwick.services.reply import Reply


def cut_by(reply: Reply) -> Outcome:
    """Why a call was cancelled."""
    if reply.taken_away:
        return Outcome.TAKEN_AWAY
    return Outcome.CLIENT_GONE if reply.client_gone else Outcome.OUR_FAILURE


def failed(failure: ProviderFailed) -> Outcome:
    """How a call ended whose provider failed."""
    return Outcome.PROVIDER_TIMEOUT if failure.code is Code.PROVIDER_TIMEOUT else Outcome.PROVIDER_ERROR
