"""Whatever is taken away is gone at every gateway on the database within a second, and soon when nobody is told."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

import httpx2
import psycopg
import pytest

from bailiwick.domain import ids
from bailiwick.identity import jws, signing_keys
from bailiwick.identity.keyring import MasterKey
from bailiwick.storage.embedded import EmbeddedPostgres
from tests.faults.report import Findings
from tests.faults.trial import seconds, times
from tests.installation import Installation

pytestmark = pytest.mark.proof

OF_EACH_KIND = times(100, 2)
LASTS = seconds(120.0, 2.0)
# From the moment at which the operator has the answer.
TOLD, UNTOLD = 1.0, 3.0
KNOWN_WITHIN: Final = 5.0
KEY: Final = MasterKey(secret=b"k" * 32).written()
ISSUER: Final = "https://login.example"
CHAT: Final = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
_REFUSED: Final = frozenset({401, 403})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Two gateways on one database, and its superuser."""

    urls: tuple[str, str]
    admin: httpx2.AsyncClient
    tenant_id: str
    project: dict[str, Any]
    superuser: str
    key: str
    issuer: signing_keys.SigningKey = field(default_factory=signing_keys.make)

    def sql(self, query: str, *values: object) -> None:
        """Run a statement that no address has."""
        with psycopg.connect(self.superuser, dbname="postgres", autocommit=True) as connection:
            connection.execute(query.encode(), values)

    async def make(self, path: str, **body: object) -> dict[str, Any]:
        """Make something."""
        answer = await self.admin.post(path, json=body)
        assert answer.status_code in {200, 201}, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def minted(self, uid: str, key: str | None = None) -> str:
        """A token for a user."""
        answer = await self.admin.post(
            f"{self.urls[0]}/v1/auth/mint",
            json={"user_id": uid},
            headers={"authorization": f"Bearer {key or self.key}"},
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])

    def revoke(self, kind: str, value: str) -> None:
        """Take something away by its name."""
        self.sql(
            "INSERT INTO bailiwick.revocations"
            " (id, tenant_id, project_id, kind, value, revoked_at, created_at, created_by)"
            " VALUES (%s, %s, %s, %s, %s, now(), now(), 'test')",
            ids.uuid7(int(time.time() * 1000), os.urandom(10)), ids.parsed(ids.TENANT, self.tenant_id),
            ids.parsed(ids.PROJECT, self.project["id"]), kind, value,
        )  # fmt: skip


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody who may call until `take_away`."""

    kind: str
    credential: str
    take_away: Callable[[], Awaitable[object]]
    path: str = "/v1/me"


@pytest.fixture
def superuser(tmp_path: Path) -> Iterator[str]:
    engine = EmbeddedPostgres(root=tmp_path / "engine", superuser_password="super")
    engine.start()
    try:
        yield engine.conninfo(user="postgres", password="super")
    finally:
        engine.stop()


@asynccontextmanager
async def two(folder: Path, superuser: str) -> AsyncIterator[Node]:
    settings = {
        "BAILIWICK_DATABASE_URL": superuser, "BAILIWICK_MASTER_KEY": KEY, "BAILIWICK_LIMIT_STORE": "local",
    }  # fmt: skip
    one, other = (Installation(folder / name, settings=settings) for name in ("one", "other"))
    with one, other:
        keys = one.keys
        async with httpx2.AsyncClient(
            base_url=f"{one.url}/admin/v1", headers={"authorization": f"Bearer {keys['admin_key']}"}, verify=False,
            timeout=30,
        ) as admin:  # fmt: skip
            project = (await admin.get(f"/projects/{keys['project_id']}")).json()
            yield Node(
                urls=(one.url, other.url), admin=admin, tenant_id=keys["tenant_id"], project=project,
                superuser=superuser, key=keys["api_key"],
            )  # fmt: skip


@contextmanager
def nobody_told(node: Node) -> Iterator[None]:
    """Notifications are cut: what changes is only there to be asked for."""
    with psycopg.connect(node.superuser, dbname="postgres", autocommit=True) as connection:
        bodies = connection.execute(
            "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE prosrc LIKE '%pg_notify%'"
            " AND pronamespace = 'bailiwick'::regnamespace"
        ).fetchall()
        assert bodies
        for (body,) in bodies:
            connection.execute(body.replace("PERFORM pg_notify", "-- PERFORM pg_notify").encode())
        try:
            yield
        finally:
            for (body,) in bodies:
                connection.execute(body.encode())


async def principals(node: Node) -> list[Principal]:
    """As many of each kind."""
    made: list[Principal] = []
    for number in (os.urandom(4).hex() for _ in range(OF_EACH_KIND)):
        made += [
            await _key(node), await _token_of_key(node), await _token_of_operator(node),
            await _by_name(node, "token", f"t-{number}"),
            await _by_name(node, "session", f"s-{number}"), await _by_name(node, "user", f"u-{number}"),
            await _blocked(node, f"b-{number}"), await _suspended(node), await _of_issuer(node),
        ]  # fmt: skip
    return made


async def _key(node: Node) -> Principal:
    key = await node.make(f"/projects/{node.project['id']}/keys", name="k")
    return Principal(kind="key", credential=key["key"], take_away=lambda: node.admin.post(f"/keys/{key['id']}/revoke"))


async def _token_of_key(node: Node) -> Principal:
    key = await node.make(f"/projects/{node.project['id']}/keys", name="k")
    token = await node.minted("of-key", key["key"])
    return Principal(
        kind="token of a key", credential=token, take_away=lambda: node.admin.post(f"/keys/{key['id']}/revoke")
    )


async def _token_of_operator(node: Node) -> Principal:
    key = await node.make("/operator-keys", name="k", role="admin")
    answer = await node.admin.post(
        f"{node.urls[0]}/v1/auth/mint",
        json={"user_id": "of-operator", "project_id": node.project["id"]},
        headers={"authorization": f"Bearer {key['key']}"},
    )
    assert answer.status_code == 200, answer.text
    return Principal(
        kind="token of an operator key",
        credential=answer.json()["token"],
        take_away=lambda: node.admin.post(f"/operator-keys/{key['id']}/revoke"),
    )


async def _by_name(node: Node, kind: str, uid: str) -> Principal:
    token = await node.minted(uid)
    said = jws.read(token).claims
    value = str(said[{"token": "jti", "session": "sid", "user": "uid"}[kind]])

    async def take_away() -> None:
        await asyncio.to_thread(node.revoke, kind, value)

    return Principal(kind=kind, credential=token, take_away=take_away)


async def _blocked(node: Node, uid: str) -> Principal:
    path = f"/projects/{node.project['id']}/users/{uid}"
    return Principal(
        kind="user, blocked",
        credential=await node.minted(uid),
        take_away=lambda: node.admin.patch(path, json={"blocked": True}),
    )


async def _suspended(node: Node) -> Principal:
    project = await node.make(f"/tenants/{node.tenant_id}/projects", name="p")
    key = await node.make(f"/projects/{project['id']}/keys", name="k")
    return Principal(
        kind="project, suspended",
        credential=key["key"],
        take_away=lambda: node.admin.patch(f"/projects/{project['id']}", json={"status": "suspended"}),
    )


async def _of_issuer(node: Node) -> Principal:
    project = await node.make(f"/tenants/{node.tenant_id}/projects", name="p")
    place = ids.parsed(ids.TENANT, node.tenant_id), ids.parsed(ids.PROJECT, project["id"])
    document = psycopg.types.json.Jsonb(
        {
            "issuer": ISSUER,
            "jwks": {"keys": [node.issuer.public_jwk()]},
            "audiences": ["a"],
            "algorithms": ["ES256"],
        }
    )
    node.sql(
        "INSERT INTO bailiwick.issuers (id, tenant_id, project_id, issuer, document, created_at, created_by)"
        " VALUES (%s, %s, %s, %s, %s, now(), 'test')",
        ids.uuid7(1, os.urandom(10)), *place, ISSUER, document,
    )  # fmt: skip
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": "a", "sub": "u", "iat": now, "exp": now + 3600}

    async def take_away() -> None:
        await asyncio.to_thread(node.sql, "DELETE FROM bailiwick.issuers WHERE project_id = %s", place[1])

    return Principal(
        kind="issuer", credential=node.issuer.sign(claims, typ="JWT"), take_away=take_away,
        path=f"/p/{project['slug']}/v1/me",
    )  # fmt: skip


async def admitted(http: httpx2.AsyncClient, url: str, principal: Principal) -> None:
    """Wait until somebody may call: an issuer of whom nobody was told is found when a gateway looks for itself."""
    began = time.monotonic()
    while (answer := await http.get(url + principal.path, headers=_bearer(principal))).status_code != 200:
        assert time.monotonic() - began < KNOWN_WITHIN, (principal.kind, answer.text)
        await asyncio.sleep(0.05)


async def refused_after(http: httpx2.AsyncClient, url: str, principal: Principal, since: float) -> float:
    """Seconds from `since` to the start of the last call that was admitted."""
    last = since
    while True:
        began = time.monotonic()
        answer = await http.get(url + principal.path, headers=_bearer(principal))
        if answer.status_code in _REFUSED:
            return last - since
        assert answer.status_code == 200, answer.text
        last = began
        assert last - since < 10, f"{principal.kind}: still admitted"
        await asyncio.sleep(0.005)


def _bearer(principal: Principal) -> dict[str, str]:
    return {"authorization": f"Bearer {principal.credential}"}


async def load(http: httpx2.AsyncClient, node: Node) -> None:
    """Calls without a pause on both."""
    number = 0
    while True:
        number += 1
        answer = await http.post(
            node.urls[number % 2] + "/v1/chat/completions", json=CHAT, headers={"authorization": f"Bearer {node.key}"}
        )
        assert answer.status_code == 200, answer.text


async def run(node: Node) -> dict[str, list[float]]:
    """Take everybody away at random moments; returns how long each was still admitted anywhere, by kind."""
    found: dict[str, list[float]] = defaultdict(list)
    everybody = await principals(node)
    async with httpx2.AsyncClient(verify=False, timeout=30) as http:
        for principal in everybody:
            for url in node.urls:
                await admitted(http, url, principal)

        async def end(principal: Principal) -> None:
            await asyncio.sleep(random.uniform(0, LASTS))
            # Known at both, so that it is what they keep in memory that has to go.
            await asyncio.gather(*(http.get(url + principal.path, headers=_bearer(principal)) for url in node.urls))
            await principal.take_away()
            since = time.monotonic()
            found[principal.kind] += await asyncio.gather(
                *(refused_after(http, url, principal, since) for url in node.urls)
            )

        loads = [asyncio.create_task(load(http, node)) for _ in range(4)]
        try:
            await asyncio.gather(*map(end, everybody))
        finally:
            for task in loads:
                assert not task.done(), task.exception()
                task.cancel()
    return found


async def test_what_is_taken_away_is_gone_at_both_gateways(tmp_path: Path, superuser: str, findings: Findings) -> None:
    async with two(tmp_path, superuser) as node:
        told = await run(node)
        with nobody_told(node):
            untold = await run(node)
    for kind in told:
        findings.add(
            "Taken away, at two gateways on one database under load",
            what=kind, how_many=len(told[kind]) // 2, still_admitted_for=told[kind], without_notifications=untold[kind],
        )  # fmt: skip
        assert max(told[kind]) < TOLD, (kind, told[kind])
        assert max(untold[kind]) < UNTOLD, (kind, untold[kind])
