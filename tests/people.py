"""People for tests: made in the database, signed in through the use cases, asking as their browsers do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, final

import httpx2
from argon2 import PasswordHasher

from bailiwick.domain import ids
from bailiwick.domain.ids import OperatorId, TenantId
from bailiwick.domain.operators import OperatorRole, Person, PersonStatus
from bailiwick.domain.sign_in import Browser
from bailiwick.services.sessions import SignedIn
from tests.control import PUBLIC_URL, Control
from tests.database import TestDatabase

PASSWORD: Final = "a long walk by the sea"
COOKIE: Final = "__Host-bailiwick"


@cache
def password_hash(password: str = PASSWORD) -> str:
    """A hash that takes no time to make or to compare."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password)


def browser(ip: str = "192.0.2.1") -> Browser:
    """Somebody's browser."""
    return Browser(ip=ip, network=ip, user_agent="Test/1.0", request_id="req_test")


def add_person(
    database: TestDatabase,
    *,
    role: str = "owner",
    tenant: str | None = None,
    status: str = "active",
    password: str | None = PASSWORD,
) -> Person:
    """A new person, of the installation unless of a `tenant` (its shown id), who has a password unless invited."""
    person_id = ids.uuid7(1_700_000_000_000, os.urandom(10))
    email = f"{person_id.hex}@example.com"
    tenant_id = None if tenant is None else ids.parsed(ids.TENANT, tenant)
    ((created_at,),) = database.rows(
        "INSERT INTO bailiwick.operators (id, tenant_id, email, name, role, status, created_at, created_by)"
        " VALUES (%s, %s, %s, 'Ada Lovelace', %s, %s, now(), 'test') RETURNING created_at",
        person_id,
        tenant_id,
        email,
        role,
        status,
    )
    if password is not None and status != "invited":
        database.run(
            "INSERT INTO bailiwick.operator_secrets (operator_id, tenant_id, password_hash) VALUES (%s, %s, %s)",
            person_id,
            tenant_id,
            password_hash(password),
        )
    return Person(
        id=OperatorId(person_id),
        email=email,
        name="Ada Lovelace",
        role=OperatorRole(role),
        tenant_id=None if tenant_id is None else TenantId(tenant_id),
        status=PersonStatus(status),
        created_at=created_at,
        created_by="test",
    )


async def signed_in(control: Control, person: Person, *, ip: str = "192.0.2.1") -> SignedIn:
    """Sign in by password."""
    opened = await control.plane.person.sign_in.with_password(person.email, PASSWORD, browser(ip))
    assert isinstance(opened, SignedIn)
    return opened


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """What asks with a session's cookie, as pages of ours do unless a test says otherwise."""

    control: Control
    token: str

    async def ask(
        self, method: str, path: str, body: object = None, *, csrf: str | None = None, **headers: str
    ) -> httpx2.Response:
        """Any request below `/admin/v1`; a header is named with underscores, and left out where it is empty."""
        given: Mapping[str, str] = {
            "cookie": f"{COOKIE}={self.token}",
            "sec-fetch-site": "same-origin",
            "origin": PUBLIC_URL,
            "x-csrf-token": self.control.plane.person.sessions.csrf(self.token) if csrf is None else csrf,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        options: dict[str, Any] = {} if body is None else {"json": body}
        async with httpx2.AsyncClient(transport=self.control.http._transport, base_url="http://control") as http:
            sent = {name: value for name, value in given.items() if value}
            return await http.request(method, f"/admin/v1{path}", headers=sent, **options)
