"""The control plane for tests: the real application over a real database, asked through HTTP."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final, final
from uuid import UUID

import httpx2
import pytest

from bailiwick.apps.admin.app import create_app
from bailiwick.bootstrap.control import ControlPlane, control_plane
from bailiwick.domain import ids
from bailiwick.domain.sign_in import SessionLimits
from bailiwick.identity import api_keys
from bailiwick.identity.passwords import Passwords
from bailiwick.storage import roles
from bailiwick.telemetry.logs import Log
from tests.database import CONTROL_KEYS, TestDatabase

PUBLIC_URL: Final = "https://bailiwick.example"
SESSION_LIMITS: Final = SessionLimits(idle=timedelta(minutes=30), longest=timedelta(hours=12))
UNKNOWN: Final = {
    prefix: ids.shown(prefix, ids.uuid7(1_700_000_000_000, bytes(range(10))))
    for prefix in (
        ids.TENANT,
        ids.PROJECT,
        ids.KEY,
        ids.TIER,
        ids.BUDGET,
        ids.WEBHOOK,
        ids.DELIVERY,
        ids.REVOCATION,
        ids.PROVIDER,
        ids.ISSUER,
        ids.MEMBER,
        ids.ROLE,
        ids.MCP_SERVER,
        ids.AGENT,
        ids.OPERATOR,
        ids.OPERATOR_KEY,
        ids.SESSION,
        ids.SIGN_IN_PROVIDER,
    )
}


@final
class Clock:
    """A wall clock that only moves when a test says so."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **spans: float) -> None:
        """Move on by a `timedelta`."""
        self.time += timedelta(**spans)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The application, as one operator asks it."""

    plane: ControlPlane
    http: httpx2.AsyncClient
    clock: Clock
    log: io.StringIO
    operator_id: str

    def asked_by(self, operator: tuple[str, str] | None) -> Control:
        """The same application, as somebody else asks it: an operator's shown id and its text, or nobody."""
        operator_id, text = operator or ("nobody", "")
        headers = {"Authorization": f"Bearer {text}"} if text else {}
        http = httpx2.AsyncClient(transport=self.http._transport, base_url=self.http.base_url, headers=headers)
        return replace(self, http=http, operator_id=operator_id)

    async def ask(self, method: str, path: str, body: object = None, **options: Any) -> httpx2.Response:
        """Any request below `/admin/v1`; it takes a second."""
        if body is not None:
            options["json"] = body
        answer = await self.http.request(method, f"/admin/v1{path}", **options)
        self.clock.advance(seconds=1)
        return answer

    async def make(self, path: str, **body: object) -> dict[str, Any]:
        """Create what must be creatable."""
        answer = await self.ask("POST", path, body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def read(self, path: str) -> dict[str, Any]:
        """Read what must be readable."""
        answer = await self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def change(self, path: str, **patch: object) -> dict[str, Any]:
        """Change what must be changeable."""
        answer = await self.ask("PATCH", path, patch)
        assert answer.status_code == 200, answer.text
        changed: dict[str, Any] = answer.json()
        return changed

    async def refused(self, method: str, path: str, body: object = None, **options: Any) -> tuple[int, dict[str, Any]]:
        """The problem that must be the answer: its status and its document."""
        answer = await self.ask(method, path, body, **options)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        problem: dict[str, Any] = answer.json()
        assert problem["status"] == answer.status_code
        return answer.status_code, problem

    async def wrong_fields(self, method: str, path: str, body: object) -> dict[str, str]:
        """The wrong fields of a body that must be refused, each with its message."""
        status, problem = await self.refused(method, path, body)
        assert status == 422, problem
        return {error["field"]: error["message"] for error in problem["errors"]}

    async def tenant(self, name: str = "Tenant", **fields: object) -> dict[str, Any]:
        """A new tenant."""
        return await self.make("/tenants", name=name, **fields)

    async def project(self, name: str = "Project", **fields: object) -> dict[str, Any]:
        """A new project of a new tenant."""
        tenant = await self.tenant()
        return await self.make(f"/tenants/{tenant['id']}/projects", name=name, **fields)

    async def key(self, name: str = "Key", **fields: object) -> dict[str, Any]:
        """A new key of a new project of a new tenant."""
        project = await self.project()
        return await self.make(f"/projects/{project['id']}/keys", name=name, **fields)


def add_operator(
    database: TestDatabase,
    *,
    role: str = "owner",
    tenant: str | None = None,
    expires_at: datetime | None = None,
    revoked_at: datetime | None = None,
) -> tuple[str, str]:
    """A new operator key, of the installation unless `tenant` is one's id; returns its shown id and its text."""
    made = api_keys.make(api_keys.OPERATOR_KEY, os.urandom(48))
    key_id = ids.uuid7(1_700_000_000_000, os.urandom(10))
    digest = api_keys.digest(CONTROL_KEYS.operator_pepper, made)
    database.run(
        "INSERT INTO bailiwick.operator_keys"
        " (id, name, role, tenant_id, lookup_id, digest, expires_at, revoked_at, created_by)"
        " VALUES (%s, 'Test', %s, %s, %s, %s, %s, %s, 'test')",
        key_id,
        role,
        None if tenant is None else ids.parsed(ids.TENANT, tenant),
        made.lookup_id,
        digest,
        expires_at,
        revoked_at,
    )
    return ids.shown(ids.OPERATOR_KEY, key_id), made.text.decode()


def quick_passwords() -> Passwords:
    """As cheap as Argon2 can be."""
    return Passwords(time_cost=1, memory_kib=8, lanes=1)


@asynccontextmanager
async def controlled(
    database: TestDatabase,
    *,
    passwords: Callable[[], Passwords] = quick_passwords,
    outbound_allow: Sequence[IPv4Network | IPv6Network] = (),
) -> AsyncIterator[Control]:
    """The control plane over a database, with an operator key of its own."""
    operator_id, text = add_operator(database)
    clock, log = Clock(), io.StringIO()
    async with control_plane(
        control_url=database.url(roles.CONTROL),
        keys=CONTROL_KEYS,
        outbound_allow=outbound_allow,
        public_url=PUBLIC_URL,
        session_limits=SESSION_LIMITS,
        now=clock,
        monotonic=lambda: clock().timestamp(),
        entropy=os.urandom,
        passwords=passwords,
    ) as plane:
        app = create_app(
            plane,
            new_id=plane.acts.new_id,
            monotonic=lambda: clock().timestamp(),
            log=Log(log, process="control", level="debug", now=clock),
        )
        transport = httpx2.ASGITransport(app)
        headers = {"Authorization": f"Bearer {text}"}
        async with httpx2.AsyncClient(transport=transport, base_url="http://control", headers=headers) as http:
            yield Control(plane=plane, http=http, clock=clock, log=log, operator_id=operator_id)


@pytest.fixture
async def control(database: TestDatabase) -> AsyncIterator[Control]:
    """The control plane over the module's database."""
    async with controlled(database) as made:
        yield made


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A row of the audit log."""

    actor: str
    action: str
    tenant_id: UUID | None
    detail: dict[str, Any]
    request_id: str | None


Audit = Callable[[str], list[AuditEntry]]


@pytest.fixture
def audit(database: TestDatabase) -> Audit:
    """What the audit log says of a target, in order."""

    def entries(target: str) -> list[AuditEntry]:
        # A tenant's making stands in the installation's chain too.
        query = (
            "SELECT actor, action, tenant_id, detail, request_id FROM bailiwick.audit WHERE target = %s"
            " AND (tenant_id IS NOT NULL OR action <> 'tenant.create') ORDER BY at, seq"
        )
        return [
            AuditEntry(actor=actor, action=action, tenant_id=tenant_id, detail=detail, request_id=request_id)
            for actor, action, tenant_id, detail, request_id in database.rows(query, target)
        ]

    return entries
