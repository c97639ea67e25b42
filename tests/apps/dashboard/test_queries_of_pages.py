"""How many queries a page takes, as the database's own log has them: three at most, those of refusals aside.

What a look across tenants leaves in the audit log is written, and is no query of the page.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import httpx2
import pytest

from bailiwick.apps.admin.app import create_app
from bailiwick.apps.dashboard.app import PAGES, create_dashboard
from bailiwick.apps.dashboard.sign_in.visitors import SessionVisitors
from bailiwick.apps.http.session_cookie import SessionCookie
from bailiwick.domain import ids
from bailiwick.telemetry.logs import Log
from tests.control import PUBLIC_URL, Control, controlled
from tests.database import TestDatabase, TestServer
from tests.ledger import Call, settle
from tests.people import COOKIE, add_person, signed_in

MOST: Final = 3
ADDRESSES: Final = sorted(page.path for page in PAGES if page.method == "GET")
_STATEMENT: Final = re.compile(r"LOG:  (?:statement|execute [^:]+): (.*(?:\n\t.*)*)")
_AROUND: Final = re.compile(r"BEGIN|COMMIT|ROLLBACK|SET |SELECT set_config|SELECT$|SAVEPOINT|RELEASE")
_AUDITED: Final = re.compile(r"(?:INSERT INTO|UPDATE) bailiwick\.audit")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A control plane whose every statement the database's log has."""

    control: Control
    database: TestDatabase
    log: Path
    known: dict[str, str]

    async def queries(self, paths: Iterable[str], **person: str) -> AsyncIterator[tuple[str, list[str]]]:
        """What is asked of the database for each page that somebody opens."""
        plane = self.control.plane
        opened = await signed_in(self.control, add_person(self.database, **person))
        visitors = SessionVisitors(plane.person.sessions, SessionCookie(plane.public_url))
        app = create_app(
            plane,
            new_id=plane.acts.new_id,
            monotonic=lambda: 0.0,
            log=Log(self.control.log, process="control", level="debug", now=self.control.clock),
            dashboard=create_dashboard(plane, visitors, public_url=PUBLIC_URL),
        )
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=PUBLIC_URL) as http:
            for path in paths:
                began = self.log.stat().st_size
                answer = await http.get(f"/dashboard{path}", headers={"cookie": f"{COOKIE}={opened.token}"})
                assert answer.status_code == 200, (path, answer.status_code)
                with self.log.open() as log:
                    log.seek(began)
                    said = _STATEMENT.findall(log.read())
                yield path, [one for one in said if not _AROUND.match(one) and not _AUDITED.match(one)]


@pytest.fixture
async def watched(server: TestServer, database: TestDatabase) -> AsyncIterator[Watched]:
    database.run(f"ALTER ROLE bailiwick_control IN DATABASE {database.name} SET log_statement = 'all'")
    async with controlled(database) as control:
        key = await control.key()
        project, tenant = key["project_id"], key["tenant_id"]
        provider = {"name": "up", "kind": "openai", "base_url": "https://up.example.com/v1", "api_key": "sk-1"}
        trusted = {"issuer": "https://login.example.com", "audiences": ["api"], "algorithms": ["ES256"]}
        tools = {"name": "docs", "url": "https://tools.example.com/mcp"}
        budget: dict[str, Any] = {"scope": "user", "subject": "*", "limit": {"usd": "5"}, "window": "month"}
        by = {"name": "Okta", "issuer": "https://issuer.example.com", "client_id": "x"}
        own = ids.parsed(ids.TENANT, tenant), ids.parsed(ids.PROJECT, project)
        assert own[0] is not None
        assert own[1] is not None
        settle(database, own[0], own[1], [Call(opened_at=control.clock(), uid="ann")])
        hook = {"name": "Hook", "url": "https://hooks.example.com", "events": ["usage.hour"]}
        webhook = (await control.make(f"/tenants/{tenant}/webhooks", **hook))["id"]
        await control.make(f"/tenants/{tenant}/webhooks/{webhook}/test")
        known = {
            "tenant_id": tenant, "project_id": project, "key_id": key["id"],
            "tier_id": (await control.make(f"/projects/{project}/tiers", name="pro"))["id"],
            "budget_of_project": (await control.make(f"/projects/{project}/budgets", **budget))["id"],
            "budget_of_tenant": (await control.make(f"/tenants/{tenant}/budgets", **budget))["id"],
            "issuer_id": (await control.make(f"/projects/{project}/issuers", **trusted))["id"],
            "platform_issuer_id": (await control.make("/issuers", **{**trusted, "issuer": "https://all.example"}))["id"],
            "role_id": (await control.make(f"/tenants/{tenant}/roles", name="analyst", permissions=[]))["id"],
            "member_id": (await control.make(f"/tenants/{tenant}/members", subject="ann", role="member"))["id"],
            "webhook_id": webhook,
            "agent_id": (await control.make(f"/projects/{project}/agents", name="support", model="echo"))["id"],
            "server_id": (await control.make(f"/projects/{project}/mcp-servers", **tools))["id"],
            "operator_id": ids.shown(ids.OPERATOR, add_person(database, tenant=tenant).id),
            "sign_in_provider_id": (await control.make("/sign-in/providers", **by))["id"],
            "of_project": (await control.make(f"/projects/{project}/providers", **provider))["id"],
            "of_tenant": (await control.make(f"/tenants/{tenant}/providers", **provider))["id"],
            "of_all": (await control.make("/providers", **provider))["id"],
        }  # fmt: skip
        yield Watched(control=control, database=database, log=server.engine._root / "postgres.log", known=known)


def filled(path: str, known: dict[str, str]) -> str:
    """The address of something that is there."""
    place = "of_project" if "{project_id}" in path else "of_tenant" if "{tenant_id}" in path else "of_all"
    shown = path.replace("{provider_id}", known[place])
    budget = "budget_of_project" if "{project_id}" in path else "budget_of_tenant"
    shown = shown.replace("{budget_id}", known[budget])
    if path.startswith("/issuers"):
        shown = shown.replace("{issuer_id}", known["platform_issuer_id"])
    for name, value in known.items():
        shown = shown.replace(f"{{{name}}}", value)
    return f"{shown}?uid=ann" if shown.endswith("/users/one") else shown


async def test_a_page_takes_three_queries_at_most(watched: Watched) -> None:
    paths = [filled(path, watched.known) for path in ADDRESSES]
    of_all = ("/installation", "/providers", "/issuers", "/tenants/new", "/sign-in-providers")
    own = [path for path in paths if not path.startswith(of_all)]
    for person, reached in (({}, paths), ({"tenant": watched.known["tenant_id"]}, own)):
        async for path, found in watched.queries(reached, **person):
            assert found, "nothing was asked at all: the log is not read as it is written"
            assert len(found) <= MOST, (path, person, found)
