"""Whose issuer a token is of: found whoever else trusts one of that name, and at no cost if nobody does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from psycopg_pool import AsyncConnectionPool

from bailiwick.domain.errors import Code, Refused
from bailiwick.identity import signing_keys
from bailiwick.services.trusted_issuers import TrustedIssuers
from bailiwick.storage import roles
from bailiwick.storage.credentials import CredentialLookup
from bailiwick.storage.epoch import Epoch
from bailiwick.storage.scope import Database, open_pool
from tests.control import Control
from tests.database import TestDatabase

NAME: Final = "https://login.example"
KEYS: Final = {"keys": [signing_keys.make().public_jwk()]}
# Of the look-ups by an issuer's name alone that once were, this is what the two thousand oldest kept out.
SQUATTERS: Final = 2_100
_SQUAT: Final = """
    WITH tenant AS (
        INSERT INTO bailiwick.tenants (id, slug, name, created_by)
        SELECT gen_random_uuid(), 'squatter', 'Squatter', 'test' RETURNING id
    ), projects AS (
        INSERT INTO bailiwick.projects (id, tenant_id, slug, name, created_by)
        SELECT gen_random_uuid(), tenant.id, 'squatter-' || n, 'Squatter', 'test'
        FROM tenant, generate_series(1, %s) n RETURNING tenant_id, id
    )
    INSERT INTO bailiwick.issuers (id, tenant_id, project_id, issuer, document, created_at, created_by)
    SELECT gen_random_uuid(), tenant_id, id, %s,
           jsonb_build_object('issuer', %s::text, 'algorithms', jsonb_build_array('ES256'),
                              'audiences', jsonb_build_array('us'), 'jwks', %s::jsonb,
                              'claims', jsonb_build_object('project', 'pid')),
           'epoch', 'test'
    FROM projects
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finder:
    """The issuers as a gateway finds them, with one connection of its role, and a control plane to register them."""

    control: Control
    database: TestDatabase
    pool: AsyncConnectionPool[Any]
    issuers: TrustedIssuers
    epoch: Epoch

    @property
    def queries(self) -> int:
        """How often the database was asked."""
        return self.pool.get_stats().get("requests_num", 0)

    def hear(self) -> None:
        """Know of all changes, as by `follow_epoch`."""
        ((value,),) = self.database.rows("SELECT value FROM bailiwick.epoch")
        self.epoch.confirm(value, 0.0)

    async def trust(self, project: dict[str, Any] | None, name: str = NAME, **fields: Any) -> str:
        """A project, or the platform, trusts an issuer; returns its id."""
        place = "/issuers" if project is None else f"/projects/{project['id']}/issuers"
        asked = {"issuer": name, "jwks": KEYS, "audiences": ["us"], "algorithms": ["ES256"], **fields}
        made = await self.control.make(place, **asked)
        self.hear()
        return str(made["id"])

    async def project(self, **fields: Any) -> dict[str, Any]:
        """A new project of a new tenant."""
        return await self.control.project(**fields)

    async def chosen(self, slug: str | None, /, **claims: Any) -> str | None:
        """Whose issuer is chosen: the project's slug, None for the platform's, or the code of the refusal."""
        try:
            _, issuer = await self.issuers.choose({"iss": NAME, **claims}, slug)
        except Refused as refused:
            return refused.code
        return issuer.slug


@pytest.fixture
async def finder(control: Control, database: TestDatabase) -> AsyncIterator[Finder]:
    database.run("DELETE FROM bailiwick.issuers")
    epoch = Epoch(lambda: 0.0)
    pool: AsyncConnectionPool[Any]
    async with open_pool(database.url(roles.APP), name="test", size=1) as pool:
        issuers = TrustedIssuers(CredentialLookup(Database(pool)), epoch)
        made = Finder(control=control, database=database, pool=pool, issuers=issuers, epoch=epoch)
        made.hear()
        yield made


async def test_however_many_trust_an_issuer_of_one_name_nobodys_is_crowded_out(finder: Finder) -> None:
    finder.database.run(_SQUAT, SQUATTERS, NAME, NAME, json.dumps(KEYS))
    late, by_claim = await finder.project(), await finder.project()
    await finder.trust(late)
    await finder.trust(by_claim, claims={"project": ["app", "project"]})
    assert await finder.chosen(late["slug"]) == late["slug"]
    assert await finder.chosen(None, app={"project": by_claim["id"]}) == by_claim["slug"]
    assert await finder.chosen(None, app={"project": by_claim["slug"]}) == by_claim["slug"]
    await finder.trust(None)
    assert await finder.chosen("nobody") is None
    assert await finder.chosen(None, pid="squatter-7") == "squatter-7"


async def test_a_project_is_named_only_where_its_own_issuer_says_that_it_is(finder: Finder) -> None:
    one, other = await finder.project(), await finder.project()
    await finder.trust(one, claims={"project": "pid"})
    await finder.trust(other, claims={"project": "azp"})
    assert await finder.chosen(None, azp=one["id"]) == Code.PROJECT_REQUIRED
    assert await finder.chosen(None, pid=one["id"], sub=other["id"]) == one["slug"]
    assert await finder.chosen(None, pid=[one["id"]]) == Code.PROJECT_REQUIRED
    assert await finder.chosen(None, pid=one["id"], azp=other["id"]) == Code.PROJECT_REQUIRED
    assert await finder.chosen(None, iss="https://nobody.example", pid=one["id"]) == Code.INVALID_CREDENTIALS


async def test_a_token_of_many_texts_names_no_project_and_costs_no_look_up_of_each(finder: Finder) -> None:
    project = await finder.project()
    await finder.trust(project, claims={"project": "pid"})
    few, many = ({f"claim-{number}": f"name-{number}" for number in range(count)} for count in (98, 99))
    assert await finder.chosen(None, **few, pid=project["slug"]) == project["slug"]
    assert await finder.chosen(None, **many, pid=project["slug"]) == Code.PROJECT_REQUIRED
    assert await finder.chosen(project["slug"], **many) == project["slug"]


async def test_no_flood_of_names_that_nobody_has_asks_the_database(finder: Finder) -> None:
    project = await finder.project()
    await finder.trust(project, claims={"project": "pid"})
    assert await finder.chosen(project["slug"]) == project["slug"]
    assert await finder.chosen(None) == Code.PROJECT_REQUIRED
    before = finder.queries
    for number in range(2_000):
        assert await finder.chosen(f"p-{number}") == Code.INVALID_CREDENTIALS
        assert await finder.chosen(None, pid=f"p-{number}") == Code.PROJECT_REQUIRED
        assert await finder.chosen(None, iss=f"https://{number}.example") == Code.INVALID_CREDENTIALS
        assert await finder.chosen(project["slug"], iss=f"https://{number}.example") == Code.INVALID_CREDENTIALS
    assert finder.queries == before


@pytest.mark.parametrize("name", ["a\0b", "a b", "\ud800", "", "é", ["https://login.example"], None, "x" * 501])
async def test_what_cannot_be_an_issuers_name_is_not_looked_up(finder: Finder, name: object) -> None:
    before = finder.queries
    assert await finder.chosen("somebody", iss=name) == Code.INVALID_CREDENTIALS
    assert await finder.chosen("\0 *", iss=NAME) == Code.INVALID_CREDENTIALS
    assert finder.queries <= before + 1


async def test_what_is_registered_renamed_or_removed_later_counts_from_then_on(finder: Finder) -> None:
    project = await finder.project(slug="before")
    assert await finder.chosen("before") == Code.INVALID_CREDENTIALS
    issuer = await finder.trust(project)
    assert await finder.chosen("before") == "before"
    await finder.control.change(f"/projects/{project['id']}", slug="after")
    finder.hear()
    assert await finder.chosen("before") == Code.INVALID_CREDENTIALS
    assert await finder.chosen("after") == "after"
    assert (await finder.control.ask("DELETE", f"/projects/{project['id']}/issuers/{issuer}")).status_code == 204
    finder.hear()
    assert await finder.chosen("after") == Code.INVALID_CREDENTIALS
    assert await finder.chosen(None) == Code.INVALID_CREDENTIALS
