"""What the database itself says of its tables, and rows of two tenants in each of those that have a tenant."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, final
from uuid import UUID

from bailiwick.domain import ids
from tests.database import Connection, TestDatabase
from tests.ledger import Call, settle

# How many of the ledger's partitions are made ahead.
MONTHS_AHEAD: Final = 3
VERBS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A tenant, and the ids that its rows need."""

    tenant_id: UUID
    project_id: UUID


def new_id() -> UUID:
    """A UUIDv7."""
    return ids.uuid7(1_700_000_000_000, os.urandom(10))


def seeded(database: TestDatabase) -> tuple[Owner, Owner]:
    """Two tenants with a row in every table that has a tenant."""
    owners = [Owner(tenant_id=new_id(), project_id=new_id()) for _ in range(2)]
    with database.connect() as connection:
        for owner in owners:
            _seed(connection, owner)
    for owner in owners:
        settle(database, owner.tenant_id, owner.project_id, [Call(opened_at=moment) for moment in _months()])
    return owners[0], owners[1]


def _months() -> list[datetime]:
    """A moment in each partition of the ledger, the default one too."""
    this = datetime.now(UTC).replace(day=1)
    months = [this]
    for _ in range(MONTHS_AHEAD):
        months.append((months[-1] + timedelta(days=31)).replace(day=1))
    return [datetime(2000, 1, 1, tzinfo=UTC), *months]


def _seed(connection: Connection, owner: Owner) -> None:
    slug = owner.tenant_id.hex
    tenant, project = owner.tenant_id, owner.project_id
    connection.execute(
        "INSERT INTO bailiwick.tenants (id, slug, name, created_by) VALUES (%s, %s, 'T', 'test')", (tenant, slug)
    )
    connection.execute(
        "INSERT INTO bailiwick.projects (id, tenant_id, slug, name, created_by) VALUES (%s, %s, %s, 'P', 'test')",
        (project, tenant, slug),
    )
    connection.execute(
        "INSERT INTO bailiwick.api_keys"
        " (id, tenant_id, project_id, name, lookup_id, digest, scopes, act_as, created_by)"
        " VALUES (%s, %s, %s, 'K', %s, %s, '{}', true, 'test')",
        (new_id(), tenant, project, slug[-12:], os.urandom(32)),
    )
    connection.execute(
        "INSERT INTO bailiwick.providers (id, tenant_id, project_id, name, kind, base_url, secret, created_by)"
        " VALUES (%s, %s, %s, 'p', 'openai', 'https://a.example', %s, 'test')",
        (new_id(), tenant, project, os.urandom(40)),
    )
    connection.execute(
        "INSERT INTO bailiwick.operator_keys (id, tenant_id, name, role, lookup_id, digest, created_by)"
        " VALUES (%s, %s, 'k', 'owner', %s, %s, 'test')",
        (new_id(), tenant, slug[-12:], os.urandom(32)),
    )
    _seed_person(connection, tenant)
    connection.execute(
        "INSERT INTO bailiwick.idempotency (operator, route, key, tenant_id, digest, request_id, created_at)"
        " VALUES (%s, 'POST /', 'k', %s, %s, 'r', now())",
        (slug, tenant, os.urandom(32)),
    )
    connection.execute(
        "INSERT INTO bailiwick.audit (id, tenant_id, seq, actor, action, target, detail, digest)"
        " VALUES (%s, %s, 1, 'a', 'b', 'c', '{}', '')",
        (new_id(), tenant),
    )
    connection.execute(
        "INSERT INTO bailiwick.audit_heads (tenant_id, seq, digest, signature, moved_at) VALUES (%s, 1, '', '', now())",
        (tenant,),
    )
    connection.execute(
        "INSERT INTO bailiwick.open_calls (id, tenant_id, project_id, process_id, opened_at, provider, model, streamed,"
        " input_estimate) VALUES (%s, %s, %s, %s, now(), 'p', 'm', false, 1)",
        (new_id(), tenant, project, new_id()),
    )
    _seed_usage(connection, owner)
    _seed_tokens(connection, owner)


def _seed_usage(connection: Connection, owner: Owner) -> None:
    tenant, project = owner.tenant_id, owner.project_id
    connection.execute(
        "INSERT INTO bailiwick.ledger_corrections (id, tenant_id, project_id, opened_at, input_tokens, output_tokens,"
        " latency_ms, provider, model, replaced_xid) VALUES (%s, %s, %s, now(), 1, 1, 1, 'p', 'm', 1)",
        (new_id(), tenant, project),
    )
    connection.execute(
        "INSERT INTO bailiwick.budget_slices (tenant_id, budget_id, counted, subject, slice, span, in_tokens, lim)"
        " VALUES (%s, %s, '', '', 0, 0, false, 1)",
        (tenant, new_id()),
    )
    connection.execute(
        "INSERT INTO bailiwick.budget_events (tenant_id, budget_id, subject, slice, share, in_tokens, lim, settled)"
        " VALUES (%s, %s, '', 0, 50, false, 2, 1)",
        (tenant, new_id()),
    )
    connection.execute(
        "INSERT INTO bailiwick.price_versions (id, tenant_id, kind, model, source, rates)"
        " VALUES (%s, %s, 'openai', 'm', 'override', '{}')",
        (int.from_bytes(os.urandom(7), "big"), tenant),
    )
    connection.execute("INSERT INTO bailiwick.usage_hours VALUES (%s, now())", (tenant,))
    for table in ("usage_hourly", "usage_daily"):
        connection.execute(
            f"INSERT INTO bailiwick.{table} VALUES (%s, 'all', now(), %s, '', 1, 1, 1, 1, 1)".encode(),  # noqa: S608
            (tenant, project),
        )
    connection.execute(
        "INSERT INTO bailiwick.usage_hourly_of_users"
        " VALUES (%s, %s, 'u', now(), NULL, 'p', 'm', 1, 1, 1, 1, 1, NULL, '')",
        (tenant, project),
    )
    connection.execute(
        "INSERT INTO bailiwick.refused_crossings VALUES (%s, %s, now(), 'user', 'u', 'not_a_member', %s, 1)",
        (tenant, project, new_id()),
    )
    connection.execute(
        "INSERT INTO bailiwick.refused_calls (id, tenant_id, project_id, key_id, at, door, status, code, reason)"
        " VALUES (%s, %s, %s, %s, now(), '/v1', 403, 'forbidden', 'no')",
        (new_id(), tenant, project, new_id()),
    )
    connection.execute(
        "INSERT INTO bailiwick.usage_refusals VALUES (%s, %s, now(), 'forbidden', %s, 1)", (tenant, project, new_id())
    )
    connection.execute("INSERT INTO bailiwick.key_uses VALUES (%s, %s, %s, now())", (tenant, project, new_id()))
    connection.execute("INSERT INTO bailiwick.end_users VALUES (%s, %s, 'u', now())", (tenant, project))
    connection.execute(
        "INSERT INTO bailiwick.blocked_users (tenant_id, project_id, uid, blocked, changed_at, changed_by)"
        " VALUES (%s, %s, 'u', true, now(), 'test')",
        (tenant, project),
    )


def _seed_tokens(connection: Connection, owner: Owner) -> None:
    tenant, project = owner.tenant_id, owner.project_id
    connection.execute(
        "INSERT INTO bailiwick.tiers (id, tenant_id, project_id, name, created_at, created_by)"
        " VALUES (%s, %s, %s, 't', now(), 'test')",
        (new_id(), tenant, project),
    )
    connection.execute(
        "INSERT INTO bailiwick.budgets (id, tenant_id, project_id, scope, unit, amount, period, timezone, on_exceed,"
        " max_wait_ms, on_lost, created_at, created_by)"
        " VALUES (%s, %s, %s, 'project', 'usd', 1, 'day', 'UTC', 'cap', 2000, 'estimate', now(), 'test')",
        (new_id(), tenant, project),
    )
    connection.execute(
        "INSERT INTO bailiwick.members (id, tenant_id, issuer, subject, role, created_at, created_by)"
        " VALUES (%s, %s, '', 'u', 'member', now(), 'test')",
        (new_id(), tenant),
    )
    connection.execute(
        "INSERT INTO bailiwick.roles (id, tenant_id, name, permissions, created_at, created_by)"
        " VALUES (%s, %s, 'r', '{}', now(), 'test')",
        (new_id(), tenant),
    )
    webhook = new_id()
    connection.execute(
        "INSERT INTO bailiwick.webhooks (id, tenant_id, name, url, events, status, secret, created_at, created_by)"
        " VALUES (%s, %s, 'w', 'https://w.example', '{}', 'active', %s, now(), 'test')",
        (webhook, tenant, os.urandom(40)),
    )
    connection.execute(
        "INSERT INTO bailiwick.webhook_deliveries"
        " (id, tenant_id, webhook_id, event_id, event, body, next_attempt_at, created_at)"
        " VALUES (%s, %s, %s, %s, 'webhook.test', '{}', now(), now())",
        (new_id(), tenant, webhook, new_id()),
    )
    connection.execute("INSERT INTO bailiwick.removed_roles VALUES (%s, 'gone', now())", (tenant,))
    agent = new_id()
    connection.execute(
        "INSERT INTO bailiwick.agents"
        " (id, tenant_id, project_id, name, model, enabled, version, created_at, created_by)"
        " VALUES (%s, %s, %s, 'a', 'm', true, 1, now(), 'test')",
        (agent, tenant, project),
    )
    connection.execute(
        "INSERT INTO bailiwick.agent_versions (id, tenant_id, agent_id, version, spec, created_at, created_by)"
        " VALUES (%s, %s, %s, 1, '{}', now(), 'test')",
        (new_id(), tenant, agent),
    )
    connection.execute(
        "INSERT INTO bailiwick.issuers (id, tenant_id, project_id, issuer, document, created_at, created_by)"
        " VALUES (%s, %s, %s, 'https://issuer.example', '{}', now(), 'test')",
        (new_id(), tenant, project),
    )
    connection.execute(
        "INSERT INTO bailiwick.mcp_servers"
        " (id, tenant_id, project_id, name, url, credential_header, credential, enabled, created_at, created_by)"
        " VALUES (%s, %s, %s, 'm', 'https://m.example', 'authorization', %s, true, now(), 'test')",
        (new_id(), tenant, project, os.urandom(40)),
    )
    connection.execute(
        "INSERT INTO bailiwick.revocations"
        " (id, tenant_id, project_id, kind, value, revoked_at, created_at, created_by)"
        " VALUES (%s, %s, %s, 'user', 'u', now(), now(), 'test')",
        (new_id(), tenant, project),
    )


def _seed_person(connection: Connection, tenant: UUID) -> None:
    person = new_id()
    connection.execute(
        "INSERT INTO bailiwick.operators (id, tenant_id, email, name, role, status, created_at, created_by)"
        " VALUES (%s, %s, %s, 'o', 'owner', 'active', now(), 'test')",
        (person, tenant, f"{tenant.hex}@example.com"),
    )
    connection.execute(
        "INSERT INTO bailiwick.operator_secrets (operator_id, tenant_id, password_hash) VALUES (%s, %s, 'h')",
        (person, tenant),
    )
    connection.execute(
        "INSERT INTO bailiwick.sessions (id, tenant_id, operator_id, digest, method, opened_at, seen_at, expires_at)"
        " VALUES (%s, %s, %s, %s, 'link', now(), now(), now())",
        (new_id(), tenant, person, os.urandom(32)),
    )
    connection.execute(
        "INSERT INTO bailiwick.operator_identities (issuer, subject, tenant_id, operator_id, created_at)"
        " VALUES ('https://issuer.example', %s, %s, %s, now())",
        (tenant.hex, tenant, person),
    )
    connection.execute(
        "INSERT INTO bailiwick.sign_in_links"
        " (digest, tenant_id, operator_id, resets_codes, created_at, created_by, expires_at)"
        " VALUES (%s, %s, %s, false, now(), 'test', now())",
        (os.urandom(32), tenant, person),
    )


def tenant_tables(connection: Connection) -> dict[str, str]:
    """Every table with a tenant, partitions too, and the column that says whose a row is."""
    query = """
        SELECT c.relname, CASE WHEN c.relname = 'tenants' THEN 'id' ELSE 'tenant_id' END
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'bailiwick' AND c.relkind IN ('r', 'p')
          AND (c.relname = 'tenants' OR EXISTS (
              SELECT FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
        ORDER BY c.relname
    """
    return {str(name): str(column) for name, column in connection.execute(query).fetchall()}


def columns(connection: Connection, table: str) -> list[str]:
    """The columns of a table."""
    query = """
        SELECT a.attname FROM pg_attribute a
        WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
    """
    return [str(name) for (name,) in connection.execute(query, (f"bailiwick.{table}",)).fetchall()]


def unique_columns(connection: Connection, table: str) -> set[str]:
    """The columns by which a table tells rows apart, but for those that say whose they are, and when."""
    query = """
        SELECT DISTINCT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid
        WHERE i.indrelid = %s::regclass AND i.indisunique AND a.attnum = ANY (i.indkey)
    """
    found = {str(name) for (name,) in connection.execute(query, (f"bailiwick.{table}",)).fetchall()}
    return found - {"tenant_id", "project_id", "opened_at"}
