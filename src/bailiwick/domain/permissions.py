"""Permissions and which kind of credential may exercise them.

A permission is `resource:action` and is at once the scope that a key must hold. The table says which kinds of
credential may exercise it at all; a kind that a permission does not list may not.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class CredentialKind(StrEnum):
    """What a principal proved itself with."""

    API_KEY = "api_key"
    USER_TOKEN = "user_token"  # noqa: S105 - no password
    ISSUER_TOKEN = "issuer_token"  # noqa: S105 - no password
    MACHINE = "machine"


class Permission(StrEnum):
    """Every permission of the data plane, which is every scope that a key can hold."""

    CHAT_CREATE = "chat:create"
    COMPLETIONS_CREATE = "completions:create"
    EMBEDDINGS_CREATE = "embeddings:create"
    RESPONSES_CREATE = "responses:create"
    MESSAGES_CREATE = "messages:create"
    MODERATIONS_CREATE = "moderations:create"
    IMAGES_CREATE = "images:create"
    AUDIO_CREATE = "audio:create"
    MODELS_LIST = "models:list"
    THREADS_READ = "threads:read"
    THREADS_WRITE = "threads:write"
    USAGE_READ = "usage:read"
    TOKENS_MINT = "tokens:mint"
    TOKENS_INTROSPECT = "tokens:introspect"
    TOOLS_CALL = "tools:call"
    USERS_ACT_AS = "users:act_as"


ALL_SCOPES: Final = frozenset(Permission)

# What a token never holds: it would make more of itself, or speak for others.
FOR_KEYS_ALONE: Final = frozenset({Permission.TOKENS_MINT, Permission.TOKENS_INTROSPECT, Permission.USERS_ACT_AS})

EXERCISED_BY: Final[dict[Permission, frozenset[CredentialKind]]] = {
    permission: frozenset({CredentialKind.API_KEY} if permission in FOR_KEYS_ALONE else CredentialKind)
    for permission in Permission
}
