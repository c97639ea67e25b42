"""Everything that an installation keeps sealed, one of each kind, as tests put it there and open it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

import psycopg

from bailiwick.domain import ids
from bailiwick.identity.keyring import MasterKey
from bailiwick.identity.sealing import (
    CannotOpen,
    mcp_server_row_identity,
    provider_row_identity,
    seal,
    second_factor_row_identity,
    sign_in_provider_row_identity,
    signing_key_row_identity,
    unseal,
    webhook_row_identity,
)

Connection = psycopg.Connection[tuple[Any, ...]]
KINDS: Final = (
    "provider", "tool server", "second factor", "client", "signing key", "webhook", "old webhook",
)  # fmt: skip
_PROVIDERS: Final = "provider-secrets/1"
_SIGN_IN: Final = "sign-in-secrets/1"


def seal_for_sign_in(sql: Connection, key: MasterKey, operator_id: str) -> None:
    """Add a second factor of this operator's, and an OpenID provider with our client's secret."""
    operator, provider = ids.parsed(ids.OPERATOR, operator_id), uuid4()
    assert operator is not None
    sealing = key.derive(_SIGN_IN)
    sql.execute(
        "INSERT INTO bailiwick.operator_secrets (operator_id, totp_secret) VALUES (%s, %s)",
        (operator, seal(sealing, second_factor_row_identity(operator), "second factor", os.urandom(12))),
    )
    sql.execute(
        "INSERT INTO bailiwick.sign_in_providers (id, name, issuer, client_id, client_secret, scopes, rules,"
        " created_at, created_by) VALUES (%s, 'x', 'https://x', 'x', %s, '{}', '[]', now(), 'x')",
        (provider, seal(sealing, sign_in_provider_row_identity(provider), "client", os.urandom(12))),
    )


def seal_for_webhook(sql: Connection, key: MasterKey) -> None:
    """Add a webhook of some tenant's, that has a secret and one from before."""
    (tenant,) = sql.execute("SELECT id FROM bailiwick.tenants LIMIT 1").fetchone() or (uuid4(),)
    webhook = uuid4()
    row, sealing = webhook_row_identity(tenant, webhook), key.derive(_PROVIDERS)
    secrets = [seal(sealing, row, secret, os.urandom(12)) for secret in ("webhook", "old webhook")]
    sql.execute(
        "INSERT INTO bailiwick.webhooks (id, tenant_id, name, url, events, status, secret, old_secret,"
        " old_secret_until, created_at, created_by)"
        " VALUES (%s, %s, 'x', 'https://x', '{}', 'active', %s, %s, now(), now(), 'x')",
        (webhook, tenant, *secrets),
    )


def opened(sql: Connection, key: MasterKey) -> dict[str, str]:
    """What of it `key` opens, by its kind."""
    found: dict[str, str] = {}
    for kind, purpose, row, value in _everything(sql):
        with suppress(CannotOpen):
            found[kind] = unseal(key.derive(purpose), row, value)
    return found


def _everything(sql: Connection) -> list[tuple[str, str, bytes, bytes]]:
    """Each sealed value: its kind, the purpose of its key, the identity of its row, and what stands there."""
    providers = sql.execute(
        "SELECT id, tenant_id, project_id, secret FROM bailiwick.providers WHERE secret IS NOT NULL"
    ).fetchall()
    servers = sql.execute(
        "SELECT id, tenant_id, project_id, credential FROM bailiwick.mcp_servers WHERE credential IS NOT NULL"
    ).fetchall()
    factors = sql.execute(
        "SELECT operator_id, totp_secret FROM bailiwick.operator_secrets WHERE totp_secret IS NOT NULL"
    ).fetchall()
    clients = sql.execute("SELECT id, client_secret FROM bailiwick.sign_in_providers").fetchall()
    signing = sql.execute("SELECT id, secret FROM bailiwick.signing_keys").fetchall()
    webhooks = sql.execute("SELECT tenant_id, id, secret, old_secret FROM bailiwick.webhooks").fetchall()
    assert [len(rows) for rows in (providers, servers, factors, clients, signing, webhooks)] == [1] * 6
    return [
        *(("provider", _PROVIDERS, provider_row_identity(row[1], row[2], row[0]), row[3]) for row in providers),
        *(("tool server", _PROVIDERS, mcp_server_row_identity(row[1], row[2], row[0]), row[3]) for row in servers),
        *(("second factor", _SIGN_IN, second_factor_row_identity(row[0]), row[1]) for row in factors),
        *(("client", _SIGN_IN, sign_in_provider_row_identity(row[0]), row[1]) for row in clients),
        *(("signing key", _PROVIDERS, signing_key_row_identity(row[0]), row[1]) for row in signing),
        *(("webhook", _PROVIDERS, webhook_row_identity(row[0], row[1]), row[2]) for row in webhooks),
        *(("old webhook", _PROVIDERS, webhook_row_identity(row[0], row[1]), row[3]) for row in webhooks),
    ]
