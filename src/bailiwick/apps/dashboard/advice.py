"""What an operator can do about a refused call: a sentence for each code, and the page of the project that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from bailiwick.domain.errors import Code


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """`label` names the page at `ending` below the project's address; "" if no page of it helps."""

    text: str
    label: str = ""
    ending: str = ""


_KEY: Final = Advice(
    text="Give the application a key that is good; a key's text is shown only when it is made or rotated.",
    label="Keys",
    ending="/keys",
)
_MODELS: Final = Advice(
    text="Set up a provider that serves this model, or give the name to a model that is served.",
    label="Models",
    ending="/models",
)
_ADVICE: Final[dict[Code, Advice]] = {
    Code.INVALID_CREDENTIALS: _KEY,
    Code.EXPIRED_CREDENTIALS: _KEY,
    Code.REVOKED_CREDENTIALS: _KEY,
    Code.TENANT_SUSPENDED: Advice(text="Every project of the tenant is stopped until somebody resumes the tenant."),
    Code.PROJECT_SUSPENDED: Advice(
        text="Every call of the project is refused until somebody resumes it.", label="Settings", ending="/settings"
    ),
    Code.NOT_A_MEMBER: Advice(
        text="The call names another tenant by a header. A project's key stays in its own: leave the header out. "
        "Whoever comes with a token of a platform issuer must be a member of the tenant."
    ),
    Code.ACT_AS_NOT_ALLOWED: Advice(
        text="The call names an end user. Give the key the scope users:act_as, or leave X-End-User-Id out.",
        label="Keys",
        ending="/keys",
    ),
    Code.USER_BLOCKED: Advice(
        text="Somebody blocked this user. Unblock them to let them in again.", label="Users", ending="/users"
    ),
    Code.END_USER_REQUIRED: Advice(
        text="Send X-End-User-Id with the call, or stop requiring it for every call of the project.",
        label="Settings",
        ending="/settings",
    ),
    Code.FORBIDDEN: Advice(
        text="Give the key the scope that the reason names, or use another key.", label="Keys", ending="/keys"
    ),
    Code.MODEL_NOT_ALLOWED: Advice(
        text="The key is confined to some models. Add this one to the key, or call another.",
        label="Keys",
        ending="/keys",
    ),
    Code.TOOL_NOT_ALLOWED: Advice(
        text="The reason says whose rules on tools refuse it: the key's, the tier's, the role's or the project's.",
        label="Settings",
        ending="/settings",
    ),
    Code.AGENT_NOT_ALLOWED: Advice(
        text="The key is confined to some agents. Add this one to the key, or call another.",
        label="Keys",
        ending="/keys",
    ),
    Code.MODEL_NOT_FOUND: _MODELS,
    Code.INVALID_REQUEST: Advice(text="Mend the request as the reason says; sending it again unchanged cannot pass."),
    Code.REQUEST_TOO_LARGE: Advice(text="Send less in one request; sending it again unchanged cannot pass."),
    Code.REQUEST_TIMEOUT: Advice(text="The request's body came too slowly. Send it again."),
    Code.RATE_LIMITED: Advice(
        text="Wait as Retry-After says and send it again; if this should have passed, raise the limit.",
        label="Limits",
        ending="/limits",
    ),
    Code.PROVIDER_ERROR: Advice(
        text="The provider is at fault, or its account is. Test it, and look at its own status page.",
        label="Providers",
        ending="/providers",
    ),
    Code.PROVIDER_TIMEOUT: Advice(
        text="The provider was too slow. Send it again; if it stays so, add a fallback.",
        label="Models",
        ending="/models",
    ),
    Code.UNAVAILABLE: Advice(text="This was trouble of the server, not of the call. Send it again after Retry-After."),
    Code.INTERNAL_ERROR: Advice(
        text="This was an error of the server, not of the call. The server's log has it under this request id."
    ),
}


def advice_for(code: str | None) -> Advice | None:
    """What to do about a refusal; None for a call that was not refused, or a code that needs no word."""
    return next((advice for known, advice in _ADVICE.items() if known == code), None)
