"""The first start: made once, whoever comes first, and never without whoever can enter it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bailiwick.bootstrap.installation import Introduced, introduce
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.models import ProviderKind
from bailiwick.domain.providers import EnvironmentProvider
from bailiwick.identity import api_keys
from bailiwick.identity.keyring import ControlKeys
from bailiwick.identity.outbound import OutboundGuard
from bailiwick.identity.sealing import provider_row_identity, unseal
from bailiwick.services.acts import Acts
from bailiwick.services.installation import FirstKeys, Installing, KeysNotKept, WrongMasterKey
from bailiwick.services.operators import Operators
from bailiwick.services.provider_accounts import ProviderAccounts
from bailiwick.storage import roles
from bailiwick.storage.operator_keys import OperatorLookup
from bailiwick.storage.scope import Database, open_pool
from tests.control import controlled
from tests.database import CONTROL_KEYS, MASTER_KEY, TestDatabase

CHECK = MASTER_KEY.check_value()
NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
TABLES = ("installation", "operator_keys", "tenants", "projects", "api_keys", "audit")


@asynccontextmanager
async def installing(database: TestDatabase, keys: ControlKeys = CONTROL_KEYS) -> AsyncIterator[Installing]:
    pool = open_pool(database.url(roles.CONTROL), name="test", size=1)
    async with pool:
        made = Database(pool)
        acts = Acts(now=lambda: NOW, entropy=os.urandom, audit_key=keys.audit)
        accounts = ProviderAccounts(made, acts, sealing=keys.sealing, guard=OutboundGuard())
        yield Installing(made, acts, keys=keys, accounts=accounts)


async def start(database: TestDatabase, kept: list[FirstKeys], public_url: str | None = None) -> FirstKeys | None:
    async with installing(database) as start_up:
        return await start_up.first_start(
            master_check=CHECK,
            public_url=public_url,
            default_public_url="http://127.0.0.1:8080",
            before_commit=kept.append,
        )


def counts(database: TestDatabase) -> dict[str, int]:
    return {table: int(database.rows(f"SELECT count(*) FROM bailiwick.{table}")[0][0]) for table in TABLES}  # noqa: S608


async def test_eight_processes_at_once_make_one_installation(scratch: TestDatabase) -> None:
    kept: list[FirstKeys] = []
    made = await asyncio.gather(*(start(scratch, kept) for _ in range(8)))
    assert [found for found in made if found is not None] == kept
    assert len(kept) == 1
    assert counts(scratch) == {
        "installation": 1, "operator_keys": 1, "tenants": 1, "projects": 1, "api_keys": 1, "audit": 6,
    }  # fmt: skip


async def test_what_the_first_start_made_lets_one_in(scratch: TestDatabase) -> None:
    kept: list[FirstKeys] = []
    first = await start(scratch, kept)
    assert first is not None
    async with controlled(scratch) as control:
        headers = {"Authorization": f"Bearer {first.admin_key}"}
        tenant = (await control.ask("GET", f"/tenants/{first.tenant_id}", headers=headers)).json()
        project = (await control.ask("GET", f"/projects/{first.project_id}", headers=headers)).json()
    assert (tenant["name"], tenant["default_project"]) == ("Default", first.project_id)
    assert (project["slug"], project["created_by"]) == (first.project_slug, "bootstrap")
    key = api_keys.parse(first.api_key)
    assert key is not None
    (row,) = scratch.rows("SELECT digest, act_as FROM bailiwick.api_keys WHERE lookup_id = %s", key.lookup_id)
    assert row == (api_keys.digest(CONTROL_KEYS.pepper, key), True)


async def test_nothing_is_made_when_the_keys_cannot_be_kept(scratch: TestDatabase) -> None:
    def full(_first: FirstKeys) -> None:
        raise OSError("no space left on device")

    async with installing(scratch) as start_up:
        with pytest.raises(KeysNotKept, match="no space left on device"):
            await start_up.first_start(
                master_check=CHECK, public_url=None, default_public_url="http://a", before_commit=full
            )
    assert set(counts(scratch).values()) == {0}
    assert await start(scratch, []) is not None


async def test_the_database_is_not_entered_with_another_master_key(scratch: TestDatabase) -> None:
    await start(scratch, [])
    before = counts(scratch)
    async with installing(scratch) as start_up:
        with pytest.raises(WrongMasterKey):
            await start_up.first_start(
                master_check="0" * 64, public_url=None, default_public_url="http://a", before_commit=lambda _: None
            )
    assert counts(scratch) == before


async def test_no_secret_of_the_first_start_is_in_the_database(scratch: TestDatabase) -> None:
    first = await start(scratch, [])
    assert first is not None
    for table in TABLES:
        text = str(scratch.rows(f"SELECT t::text FROM bailiwick.{table} t"))  # noqa: S608
        for secret in (first.admin_key, first.api_key):
            assert secret[len("bwk_live_") + 13 :] not in text
    assert first.admin_key not in repr(first)


async def test_the_public_url_is_the_first_starts_until_another_is_given(scratch: TestDatabase) -> None:
    async def public_url() -> str:
        async with installing(scratch) as start_up:
            return await start_up.public_url()

    await start(scratch, [])
    assert await public_url() == "http://127.0.0.1:8080"
    await start(scratch, [], "https://ai.example")
    assert await public_url() == "https://ai.example"
    await start(scratch, [])
    assert await public_url() == "https://ai.example"
    (entry,) = scratch.rows("SELECT actor, detail FROM bailiwick.audit WHERE action = 'installation.change'")
    assert entry == (
        "environment",
        {"before": {"public_url": "http://127.0.0.1:8080"}, "after": {"public_url": "https://ai.example"}},
    )


OPENAI = EnvironmentProvider(kind=ProviderKind.OPENAI, api_key="sk-canary-1", base_url="http://127.0.0.1:9/v1/")
GEMINI = EnvironmentProvider(kind=ProviderKind.GEMINI, api_key="sk-canary-2")


def platform(database: TestDatabase) -> dict[str, tuple[object, ...]]:
    rows = database.rows("SELECT name, id, secret, base_url, from_environment, created_by FROM bailiwick.providers")
    found: dict[str, tuple[object, ...]] = {}
    for name, provider_id, secret, *rest in rows:
        row = provider_row_identity(None, None, provider_id)
        found[name] = (unseal(CONTROL_KEYS.sealing, row, bytes(secret)) if secret else None, *rest)
    return found


async def test_the_environments_providers_follow_it(scratch: TestDatabase) -> None:
    async with installing(scratch) as start_up:
        sync = await start_up.sync_environment_providers([OPENAI, GEMINI])
        assert (sync.served, sync.kept) == (("openai", "gemini"), ())
        assert platform(scratch) == {
            "openai": ("sk-canary-1", "http://127.0.0.1:9/v1", True, "environment"),
            "gemini": (
                "sk-canary-2",
                "https://generativelanguage.googleapis.com/v1beta/openai",
                True,
                "environment",
            ),
        }
        await start_up.sync_environment_providers([replace(OPENAI, api_key="sk-canary-3", base_url=None)])
        assert platform(scratch) == {"openai": ("sk-canary-3", "https://api.openai.com/v1", True, "environment")}
        await start_up.sync_environment_providers([])
        assert platform(scratch) == {}
    acts = scratch.rows("SELECT action, count(*)::int FROM bailiwick.audit GROUP BY action")
    assert dict(acts) == {"provider.create": 2, "provider.change": 1, "provider.remove": 2}
    assert "canary" not in str(scratch.rows("SELECT a::text FROM bailiwick.audit a"))


async def test_a_start_that_changes_nothing_writes_nothing(scratch: TestDatabase) -> None:
    def written() -> object:
        return scratch.rows(
            "SELECT p.secret, p.xmin::text, e.value, (SELECT count(*) FROM bailiwick.audit)"
            " FROM bailiwick.providers p, bailiwick.epoch e"
        )

    async with installing(scratch) as start_up:
        await start_up.sync_environment_providers([OPENAI])
        before = written()
        await start_up.sync_environment_providers([OPENAI])
        assert written() == before


async def test_a_provider_of_the_control_plane_is_never_touched_by_the_environment(scratch: TestDatabase) -> None:
    async with controlled(scratch) as control:
        made = await control.make("/providers", name="openai", kind="openai", api_key="sk-theirs")
        other = await control.make("/providers", name="mine", kind="openai")
        async with installing(scratch) as start_up:
            sync = await start_up.sync_environment_providers([OPENAI, GEMINI])
            assert (sync.served, sync.kept) == (("gemini",), ("openai",))
            await start_up.sync_environment_providers([])
        assert await control.read(f"/providers/{made['id']}") == made
        assert await control.read(f"/providers/{other['id']}") == other
    assert platform(scratch)["openai"][0] == "sk-theirs"


async def test_a_key_that_could_not_stand_in_a_header_is_refused_without_being_told(scratch: TestDatabase) -> None:
    async with installing(scratch) as start_up:
        with pytest.raises(Refused) as caught:
            await start_up.sync_environment_providers([replace(OPENAI, api_key="sk-canary\r\nx: y")])
    assert "canary" not in str(caught.value)
    assert platform(scratch) == {}


async def test_introducing_a_database_does_it_all(scratch: TestDatabase) -> None:
    kept: list[FirstKeys] = []

    async def introduced(public_url: str | None) -> Introduced:
        return await introduce(
            control_url=scratch.url(roles.CONTROL),
            keys=CONTROL_KEYS,
            master_check=CHECK,
            public_url=public_url,
            default_public_url="http://127.0.0.1:8080",
            providers=[OPENAI],
            before_commit=kept.append,
        )

    first = await introduced(None)
    assert (first.public_url, first.notes) == ("http://127.0.0.1:8080", [])
    assert first.owner_link is not None
    assert first.owner_link.startswith("http://127.0.0.1:8080/dashboard/sign-in/link/")
    second = await introduced("https://ai.example")
    assert (second.public_url, second.notes, second.owner_link) == ("https://ai.example", [], None)
    assert len(kept) == 1
    scratch.run("UPDATE bailiwick.providers SET from_environment = false")
    told = await introduced(None)
    assert told.notes == ["the environment's key for openai is not used: the control plane has a provider of that name"]


async def test_an_operator_key_of_another_pepper_is_unknown(scratch: TestDatabase) -> None:
    first = await start(scratch, [])
    assert first is not None
    pool = open_pool(scratch.url(roles.CONTROL), name="test", size=1)
    async with pool:
        operators = Operators(OperatorLookup(Database(pool)), pepper=CONTROL_KEYS.pepper, now=lambda: NOW)
        with pytest.raises(Refused) as caught:
            await operators.authenticate(first.admin_key)
    assert caught.value.code is Code.INVALID_CREDENTIALS
