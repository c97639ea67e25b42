"""The policy as a table: role, action, place and kind of credential, every cell, with answers written by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from uuid import UUID

import pytest

from bailiwick.domain.confinement import Confinement
from bailiwick.domain.errors import Code
from bailiwick.domain.ids import PROJECT as PRJ
from bailiwick.domain.ids import TENANT as TEN
from bailiwick.domain.ids import shown
from bailiwick.domain.permissions import CredentialKind, Permission
from bailiwick.domain.policy import authorize
from bailiwick.domain.principal import Grant, Principal
from bailiwick.domain.roles import BUILT_IN, OwnRoles, RoleTerms, role_of_member, role_of_token
from tests.domain.samples import GRANT, PROJECT, TENANT

ALL: Final = {
    "chat:create", "completions:create", "embeddings:create", "responses:create", "messages:create",
    "moderations:create", "images:create", "audio:create", "models:list", "threads:read", "threads:write",
    "usage:read", "tools:call",
}  # fmt: skip
FOR_KEYS: Final = {"tokens:mint", "tokens:introspect", "users:act_as"}
VIEWER: Final = {"models:list", "threads:read", "usage:read"}
ANALYST: Final = {"chat:create", "models:list"}
# What whoever has a role may do, by what says the role. `analyst` is the tenant's own, `gone` was removed, and nobody
# knows `editor`.
LETS: Final[dict[tuple[str, str | None], set[str]]] = {
    ("token", None): ALL,
    ("token", "viewer"): VIEWER,
    ("token", "member"): ALL,
    ("token", "developer"): ALL,
    ("token", "admin"): ALL,
    ("token", "owner"): ALL,
    ("token", "analyst"): ANALYST,
    ("token", "gone"): set(),
    ("token", "editor"): ALL,
    ("membership", "viewer"): VIEWER,
    ("membership", "member"): ALL,
    ("membership", "developer"): ALL,
    ("membership", "admin"): ALL,
    ("membership", "owner"): ALL,
    ("membership", "analyst"): ANALYST,
    ("membership", "gone"): set(),
    ("membership", "editor"): set(),
    ("key", None): ALL | FOR_KEYS,
}
# Which kinds of credential have a role, and from where; and the headers of each place with the refusal it meets.
SAYS: Final = {
    CredentialKind.API_KEY: {"key"},
    CredentialKind.USER_TOKEN: {"token", "membership"},
    CredentialKind.ISSUER_TOKEN: {"token", "membership"},
    CredentialKind.MACHINE: {"token"},
}
OWN: Final = {"organization": shown(TEN, TENANT), "project": shown(PRJ, PROJECT)}
PLACES: Final[dict[str, tuple[dict[str, str], Code | None]]] = {
    "nowhere else": ({}, None),
    "own": (OWN, None),
    "sibling": ({**OWN, "project": shown(PRJ, UUID(int=77))}, Code.FORBIDDEN),
    "foreign": ({"organization": shown(TEN, UUID(int=78))}, Code.NOT_A_MEMBER),
    "foreign project": ({"organization": shown(TEN, UUID(int=78)), "project": OWN["project"]}, Code.NOT_A_MEMBER),
}
OWN_ROLES: Final[OwnRoles] = {
    "analyst": RoleTerms(
        name="analyst",
        permissions=frozenset({Permission.CHAT_CREATE, Permission.MODELS_LIST}),
        confinement=Confinement(source="the role 'analyst'"),
    ),
    "gone": None,
}


def grant(kind: CredentialKind, says: str, role: str | None) -> Grant:
    """What a credential of this kind that holds all it can stands for, with this role."""
    if says == "key":
        return GRANT
    terms = role_of_token(role, OWN_ROLES) if says == "token" else role_of_member(role or "", OWN_ROLES)
    return replace(GRANT, kind=kind, scopes=terms.permissions, role=terms.name)


def test_the_table_has_a_row_for_whatever_there_is() -> None:
    assert {permission.value for permission in Permission} == ALL | FOR_KEYS
    assert set(SAYS) == set(CredentialKind)
    for says in ("token", "membership"):
        assert {role for by, role in LETS if by == says} >= set(BUILT_IN)


@pytest.mark.parametrize(("says", "role"), list(LETS))
def test_every_cell(says: str, role: str | None) -> None:
    cells = 0
    for kind in CredentialKind:
        if says not in SAYS[kind]:
            continue
        held = grant(kind, says, role)
        for permission in Permission:
            for place, (headers, refusal) in PLACES.items():
                decision = authorize(Principal(grant=held, uid="ada", sid=None, **headers), permission)
                expected = refusal or (None if permission.value in LETS[says, role] else Code.FORBIDDEN)
                assert decision.code is expected, (kind, says, role, permission, place, decision.reason)
                cells += 1
    assert cells == sum(says in SAYS[kind] for kind in CredentialKind) * len(Permission) * len(PLACES)
