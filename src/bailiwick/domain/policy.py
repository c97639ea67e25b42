"""May this principal do this? Pure functions of values; what is not allowed is denied.

Actor: a `Principal`. Action: a `Permission`. Resource: for now a model, or nothing beyond the principal's own project.
Example: a key with the scopes `models:list` alone asks for a completion -> denied, `forbidden`, "The key lacks the
scope chat:create."; a key with `models: ["gpt-4o-mini"]` asks for `openai/gpt-4o` -> denied, `model_not_allowed`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from bailiwick.domain.confinement import THE_KEY, Confinement
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.ids import PROJECT, TENANT, shown
from bailiwick.domain.permissions import EXERCISED_BY, CredentialKind, Permission
from bailiwick.domain.principal import Principal
from bailiwick.domain.tool_names import Tool
from bailiwick.domain.tool_policy import Effort, ToolPolicy


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer, and why. `code` is None when allowed."""

    code: Code | None
    reason: str

    @property
    def allowed(self) -> bool:
        """Whether the act may go on."""
        return self.code is None

    def or_raise(self) -> None:
        """Raise `Refused` unless allowed."""
        if self.code is not None:
            raise Refused(self.code, self.reason)


# By a name of its own, for every request: Python 3.11 takes 0.1 us to look up a member of an enumeration.
_ACT_AS: Final = Permission.USERS_ACT_AS
_API_KEY: Final = CredentialKind.API_KEY
NOT_A_MEMBER: Final = "The credential does not belong to this organization."
NOT_ITS_PROJECT: Final = "The credential does not belong to this project."
ALLOWED: Final = Decision(code=None, reason="allowed")

Rule = Callable[[Principal, Permission | None], Decision | None]


def _tenant_is_active(principal: Principal, _permission: Permission | None) -> Decision | None:
    if principal.grant.tenant_active:
        return None
    return Decision(code=Code.TENANT_SUSPENDED, reason="The tenant is suspended.")


def _project_is_active(principal: Principal, _permission: Permission | None) -> Decision | None:
    if principal.grant.project_active:
        return None
    return Decision(code=Code.PROJECT_SUSPENDED, reason="The project is suspended.")


def _tenant_is_its_own(principal: Principal, _permission: Permission | None) -> Decision | None:
    named = principal.organization
    if named is None or named == shown(TENANT, principal.grant.tenant_id):
        return None
    return Decision(code=Code.NOT_A_MEMBER, reason=NOT_A_MEMBER)


def _project_is_its_own(principal: Principal, _permission: Permission | None) -> Decision | None:
    named = principal.project
    if named is None or named == shown(PROJECT, principal.grant.project_id):
        return None
    return Decision(code=Code.FORBIDDEN, reason=NOT_ITS_PROJECT)


def _address_is_allowed(principal: Principal, _permission: Permission | None) -> Decision | None:
    if not principal.outside:
        return None
    return Decision(code=Code.FORBIDDEN, reason="The key may not be used from this address.")


def _end_user_may_be_named(principal: Principal, _permission: Permission | None) -> Decision | None:
    grant = principal.grant
    if grant.kind is not _API_KEY:
        if principal.named_uid is None or principal.named_uid == principal.uid:
            return None
        return Decision(code=Code.ACT_AS_NOT_ALLOWED, reason="X-End-User-Id names another user than the token does.")
    if principal.uid is None or _ACT_AS in grant.scopes:
        return None
    return Decision(code=Code.ACT_AS_NOT_ALLOWED, reason="This key may not act for an end user (X-End-User-Id).")


def _session_is_its_own(principal: Principal, _permission: Permission | None) -> Decision | None:
    if principal.named_sid is None or principal.named_sid == principal.sid:
        return None
    return Decision(code=Code.FORBIDDEN, reason="X-Session-Id names another session than the token does.")


def _end_user_is_not_blocked(principal: Principal, _permission: Permission | None) -> Decision | None:
    if not principal.blocked:
        return None
    return Decision(code=Code.USER_BLOCKED, reason="This end user is blocked in this project.")


def _credential_kind_suffices(principal: Principal, permission: Permission | None) -> Decision | None:
    if permission is None or principal.grant.kind in EXERCISED_BY.get(permission, frozenset()):
        return None
    return Decision(code=Code.FORBIDDEN, reason=f"This kind of credential may not do {permission}.")


def _scope_is_held(principal: Principal, permission: Permission | None) -> Decision | None:
    if permission is None or permission in principal.grant.scopes:
        return None
    who = next((source for source, held in principal.grant.resolution.scopes if permission not in held), THE_KEY)
    return Decision(code=Code.FORBIDDEN, reason=f"{who[0].upper()}{who[1:]} lacks the scope {permission}.")


def _end_user_is_named(principal: Principal, permission: Permission | None) -> Decision | None:
    if principal.uid is not None or not principal.grant.require_end_user or permission not in _CALLS:
        return None
    return Decision(code=Code.END_USER_REQUIRED, reason="This project requires X-End-User-Id on every call.")


# What `require_end_user` is about: calls that go to a model.
_CALLS: Final = frozenset(permission for permission in Permission if permission.endswith(":create"))

# In the order in which the contract decides; the first refusal is told.
RULES: Final[tuple[Rule, ...]] = (
    _tenant_is_active,
    _project_is_active,
    _address_is_allowed,
    _tenant_is_its_own,
    _project_is_its_own,
    _end_user_may_be_named,
    _session_is_its_own,
    _end_user_is_not_blocked,
    _end_user_is_named,
    _credential_kind_suffices,
    _scope_is_held,
)


def authorize(principal: Principal, permission: Permission | None) -> Decision:
    """Say whether `principal` may exercise `permission` in its project; the first violation is told.

    None asks only for what every act needs: a living tenant and project, and the right to name the end user.
    """
    for rule in RULES:
        violation = rule(principal, permission)
        if violation is not None:
            return violation
    return ALLOWED


def authorize_model(principal: Principal, *names: str) -> Decision:
    """Say whether `principal` may use a model that goes by `names`: as served, with its provider, by an alias.

    The names come from the resolved route, never from the request alone, so that no spelling of a request reaches a
    model that the key's patterns do not name.
    """
    for confinement in principal.grant.confinements:
        if confinement.models is not None and not confinement.models.match(names):
            return Decision(code=Code.MODEL_NOT_ALLOWED, reason=_not_let(confinement, "model"))
    return ALLOWED


def authorize_tool(names: tuple[str, ...], *policies: ToolPolicy, effort: Effort) -> Decision:
    """Say whether what a tool server has and goes by `names` may be listed, and used, within all of these.

    Raises `TooMany` at the end of the effort.
    """
    tool = Tool("this tool", names)
    for policy in policies:
        source = policy.refusing(tool, effort) if policy.narrows else None
        if source is not None:
            return Decision(code=Code.TOOL_NOT_ALLOWED, reason=f"{_begun(source)} does not allow this tool.")
    return ALLOWED


def authorize_agent(principal: Principal, *names: str) -> Decision:
    """Say whether `principal` may call as an agent that goes by `names`: its name and its id; without any, as none.

    Whoever is confined to agents calls as one of them: the model behind an agent, asked directly, would be the same
    model without the agent's instructions and rules.
    """
    for confinement in principal.grant.confinements:
        if confinement.agents is not None and not confinement.agents.match(names):
            reason = (
                _not_let(confinement, "agent")
                if names
                else f"{_begun(confinement.source)} allows calls as agents only."
            )
            return Decision(code=Code.AGENT_NOT_ALLOWED, reason=reason)
    return ALLOWED


def _not_let(confinement: Confinement, thing: str) -> str:
    return f"{_begun(confinement.source)} does not allow this {thing}."


def _begun(source: str) -> str:
    return source[0].upper() + source[1:]


def authorize_others(principal: Principal, others: str | None, *, shared_account: bool) -> Decision:
    """Say whether a body may name models beside its own, in the field `others`; None for none.

    What is asked there, the provider chooses: no key that is confined to models may let it, and on a platform's
    account nobody, since it is the platform that pays for what our price does not know.
    """
    if others is None:
        return ALLOWED
    confined = any(confinement.models is not None for confinement in principal.grant.confinements)
    if not (confined or shared_account):
        return ALLOWED
    whose = "On a platform's provider a call" if shared_account else "With this key a call"
    return Decision(code=Code.MODEL_NOT_ALLOWED, reason=f"{whose} may name one model, and {others} names others.")
