"""Secrets at rest: AES-256-GCM (NIST SP 800-38D), each bound to the row that holds it.

The stored form is `version (1 byte) | nonce (12) | ciphertext and tag`. The row's identity is the associated data, so
a sealed secret that is copied into another tenant's row opens for nobody. A new version gets a new first byte; old
ones stay readable until they are sealed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION: Final = b"\x01"
_NONCE: Final = 12


class CannotOpen(Exception):
    """The sealed bytes were not made with this key, for this row, or were changed."""


def seal(key: bytes, row: bytes, secret: str, nonce: bytes) -> bytes:
    """Seal `secret` for the row named by `row`; `nonce` is 12 random bytes, never used twice with one key."""
    return _VERSION + nonce + AESGCM(key).encrypt(nonce, secret.encode(), row)


def unseal(key: bytes, row: bytes, sealed: bytes) -> str:
    """Open what `seal` made for the same row; raises `CannotOpen`."""
    if len(sealed) < 1 + _NONCE + 16 or sealed[:1] != _VERSION:
        raise CannotOpen
    try:
        return AESGCM(key).decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], row).decode()
    except InvalidTag:
        raise CannotOpen from None


def unseal_with_any(keys: Sequence[bytes], row: bytes, sealed: bytes) -> str:
    """Open what was sealed with one of `keys`; raises `CannotOpen`."""
    for key in keys:
        with suppress(CannotOpen):
            return unseal(key, row, sealed)
    raise CannotOpen


def provider_row_identity(tenant_id: UUID | None, project_id: UUID | None, provider_id: UUID) -> bytes:
    """Name a provider's row, for its API key: its id and whose it is; 16 zero bytes (the nil UUID) stand for None."""
    nobody = bytes(16)
    return b"".join(
        (
            b"provider/1",
            provider_id.bytes,
            nobody if tenant_id is None else tenant_id.bytes,
            nobody if project_id is None else project_id.bytes,
        )
    )


def mcp_server_row_identity(tenant_id: UUID, project_id: UUID, server_id: UUID) -> bytes:
    """Name a tool server's row, for the credential that goes there: its id and whose it is."""
    return b"".join((b"mcp_server/1", server_id.bytes, tenant_id.bytes, project_id.bytes))


def webhook_row_identity(tenant_id: UUID, webhook_id: UUID) -> bytes:
    """Name a webhook's row, for the secrets that sign what goes there: its id and whose it is."""
    return b"".join((b"webhook/1", webhook_id.bytes, tenant_id.bytes))


def second_factor_row_identity(operator_id: UUID) -> bytes:
    """Name the row of a person's secrets, for the secret that their codes are made of."""
    return b"operator_secrets.totp/1" + operator_id.bytes


def sign_in_provider_row_identity(provider_id: UUID) -> bytes:
    """Name an OpenID provider's row, for the secret of our client there."""
    return b"sign_in_provider/1" + provider_id.bytes


def signing_key_row_identity(key_id: UUID) -> bytes:
    """Name a signing key's row, for its private part."""
    return b"signing_key/1" + key_id.bytes
