"""Roles: what the people of a tenant may do on the data plane; pure.

A role narrows, and never widens: whoever has one may what their credential lets and what the role lets. Those that are
built in stand in this file, least first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bailiwick.domain.permissions import ALL_SCOPES, FOR_KEYS_ALONE, Permission

FOR_TOKENS: Final = ALL_SCOPES - FOR_KEYS_ALONE
"""All that a token may hold."""
MEMBER: Final = "member"
"""The role of whoever comes with one that is not known."""

_P = Permission

BUILT_IN: Final[Mapping[str, frozenset[Permission]]] = {
    "viewer": frozenset({_P.MODELS_LIST, _P.USAGE_READ, _P.THREADS_READ}),
    MEMBER: FOR_TOKENS,
    "developer": FOR_TOKENS,
    "admin": FOR_TOKENS,
    "owner": FOR_TOKENS,
}
