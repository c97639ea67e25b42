"""Who may do what, and which refusal is told first."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from bailiwick.domain.confinement import THE_KEY, Confinement
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.globs import Globs
from bailiwick.domain.models import Catalogue
from bailiwick.domain.permissions import ALL_SCOPES, FOR_KEYS_ALONE, CredentialKind, Permission
from bailiwick.domain.policy import authorize, authorize_model
from bailiwick.domain.principal import Principal
from tests.domain.samples import principal
from tests.domain.test_models import OTHER, UP

CHAT = Permission.CHAT_CREATE

# Each thing that can be wrong with a chat call, in the order in which they are told.
WRONGS: list[tuple[str, dict[str, Any], Code]] = [
    ("tenant", {"tenant_active": False}, Code.TENANT_SUSPENDED),
    ("project", {"project_active": False}, Code.PROJECT_SUSPENDED),
    ("acting", {"uid": "u", "scopes": {*ALL_SCOPES} - {Permission.USERS_ACT_AS}}, Code.ACT_AS_NOT_ALLOWED),
    ("user", {"require_end_user": True}, Code.END_USER_REQUIRED),
    ("scope", {"scopes": {*ALL_SCOPES} - {CHAT}}, Code.FORBIDDEN),
]


def test_a_key_with_every_scope_may_call() -> None:
    assert authorize(principal(), CHAT).allowed
    assert authorize(principal(uid="u"), CHAT).allowed


@pytest.mark.parametrize(("_name", "wrong", "code"), WRONGS)
def test_each_violation_has_its_code(_name: str, wrong: dict[str, Any], code: Code) -> None:
    decision = authorize(principal(**wrong), CHAT)
    assert (decision.allowed, decision.code) == (False, code)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({}, None),
        ({"named_uid": "ada", "named_sid": "s-1"}, None),
        ({"named_uid": "bob"}, Code.ACT_AS_NOT_ALLOWED),
        ({"named_sid": "s-2"}, Code.FORBIDDEN),
        ({"blocked": True}, Code.USER_BLOCKED),
        ({"outside": True}, Code.FORBIDDEN),
        ({"organization": "ten_other"}, Code.NOT_A_MEMBER),
        ({"project": "prj_other"}, Code.FORBIDDEN),
    ],
    ids=str,
)
def test_what_a_call_says_beside_a_token_must_agree_with_it(said: dict[str, Any], code: Code | None) -> None:
    grant = principal(kind=CredentialKind.USER_TOKEN).grant
    assert authorize(Principal(grant=grant, uid="ada", sid="s-1", **said), CHAT).code is code


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in combinations(WRONGS, 2) if (pair[0][0], pair[1][0]) != ("acting", "user")],
    ids=lambda wrong: wrong[0],
)
def test_of_two_violations_the_earlier_is_told(
    first: tuple[str, dict[str, Any], Code], second: tuple[str, dict[str, Any], Code]
) -> None:
    both = {**first[1], **second[1]}
    if "scopes" in first[1] and "scopes" in second[1]:
        both["scopes"] = first[1]["scopes"] & second[1]["scopes"]
    assert authorize(principal(**both), CHAT).code is first[2]


@pytest.mark.parametrize("kind", [kind for kind in CredentialKind if kind is not CredentialKind.API_KEY])
@pytest.mark.parametrize("permission", sorted(FOR_KEYS_ALONE))
def test_what_is_for_keys_alone_no_token_does_whatever_it_holds(kind: CredentialKind, permission: Permission) -> None:
    decision = authorize(principal(kind=kind, scopes=ALL_SCOPES), permission)
    assert (decision.code, decision.reason) == (
        Code.FORBIDDEN,
        f"This kind of credential may not do {permission}.",
    )


@pytest.mark.parametrize("permission", list(Permission))
def test_a_permission_needs_its_own_scope_and_no_other(permission: Permission) -> None:
    assert authorize(principal(scopes=frozenset({permission})), permission).allowed
    assert authorize(principal(scopes=ALL_SCOPES - {permission}), permission).code is Code.FORBIDDEN


def test_nothing_but_being_known_needs_no_scope() -> None:
    assert authorize(principal(scopes=frozenset()), None).allowed
    assert authorize(principal(scopes=frozenset(), uid="u"), None).code is Code.ACT_AS_NOT_ALLOWED
    assert authorize(principal(tenant_active=False), None).code is Code.TENANT_SUSPENDED
    assert authorize(principal(project_active=False), None).code is Code.PROJECT_SUSPENDED


@pytest.mark.parametrize("permission", list(Permission))
def test_an_end_user_is_required_of_calls_to_models_only(permission: Permission) -> None:
    decision = authorize(principal(require_end_user=True), permission)
    assert decision.code is (Code.END_USER_REQUIRED if permission.endswith(":create") else None)
    assert authorize(principal(require_end_user=True, uid="u"), permission).allowed


def test_a_decision_can_be_raised() -> None:
    authorize(principal(), CHAT).or_raise()
    with pytest.raises(Refused) as caught:
        authorize(principal(scopes=frozenset()), CHAT).or_raise()
    assert caught.value.code is Code.FORBIDDEN
    assert "chat:create" in caught.value.message


@pytest.mark.parametrize(
    ("patterns", "asked", "allowed"),
    [
        (None, "up/gpt-4o", True),
        ((), "up/gpt-4o", False),
        (("gpt-4o",), "gpt-4o", True),
        (("gpt-4o",), "up/gpt-4o", True),
        (("gpt-4o",), "other/gpt-4o", True),
        (("up/gpt-4o",), "gpt-4o", True),
        (("up/gpt-4o",), "other/gpt-4o", False),
        (("up/*",), "up/gpt-4o", True),
        (("up/*",), "other/gpt-4o", False),
        (("gpt-4o*",), "gpt-4o-mini", True),
        (("gpt-4o-*",), "gpt-4o", False),
        (("gpt-4?",), "gpt-4o", True),
        (("gpt-[45]o",), "gpt-4o", True),
        (("gpt-[!4]o",), "gpt-4o", False),
        (("*",), "up/anything", True),
        (("fast",), "fast", True),
        (("small",), "fast", True),
        (("other/small",), "fast", True),
        # No spelling of a request reaches what the pattern does not name.
        (("gpt-4o-mini",), "gpt-4o", False),
        (("gpt-4o-mini",), "up/GPT-4O-MINI", False),
        (("gpt-4o",), "up/GPT-4o", False),
        (("gpt-4o",), "gpt-4o ", False),
        (("gpt-4o",), "up/up/gpt-4o", False),
        (("up/*",), "other/up/gpt-4o", False),
        (("fast",), "up/fast", False),
        (("fast",), "other/fast", False),
        (("gpt-4o",), "up/gpt-4o/", False),
        (("gpt-4o",), "up//gpt-4o", False),
        (("gpt-4o",), "up/./gpt-4o", False),
        (("gpt-4o",), "up/g\u03c1t-4o", False),
        (("echo",), "up/echo", False),
        (("echo",), "echo/echo", True),
    ],
)
def test_a_key_reaches_the_models_that_its_patterns_name(
    patterns: tuple[str, ...] | None, asked: str, allowed: bool
) -> None:
    (route,) = Catalogue([UP, OTHER], {"fast": ["other/small"]}).routes(asked)
    own = Confinement(source=THE_KEY, models=None if patterns is None else Globs(patterns))
    decision = authorize_model(principal(confinements=(own,)), *route.names)
    assert decision.allowed is allowed
    assert decision.code is (None if allowed else Code.MODEL_NOT_ALLOWED)
