"""The steps of a rotation of the master key, each by itself, over a database that nobody else works with."""

from __future__ import annotations

import asyncio
import io
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import psycopg
import pytest

from bailiwick.apps.cli import master_keys
from bailiwick.apps.cli.cannot_start import CannotStart
from bailiwick.apps.cli.database import owner_login
from bailiwick.apps.cli.rotation import rotate
from bailiwick.apps.cli.store import Store, hold_folder
from bailiwick.bootstrap.installation import rotate_master_key, verify_audit
from bailiwick.config import Config, load
from bailiwick.domain.audit import Actor
from bailiwick.identity.keyring import MasterKey
from bailiwick.identity.sealing import CannotOpen
from bailiwick.storage import roles
from bailiwick.storage.rotation import kept_check, kept_lasting_secret
from tests.control import controlled
from tests.database import LASTING_SECRET, MASTER_KEY, TestDatabase, TestServer
from tests.faults.trial import eventually
from tests.sealed import KINDS, opened, seal_for_sign_in, seal_for_webhook

NEW: Final = MasterKey(secret=b"n" * 32)
THIRD: Final = MasterKey(secret=b"t" * 32)


@pytest.fixture(scope="module")
def furnished(server: TestServer) -> TestDatabase:
    """A database that is kept with the tests' master key, and has one of each thing that can be sealed."""
    database = server.create()
    database.run(
        "INSERT INTO bailiwick.installation (master_check, public_url) VALUES (%s, 'x')", MASTER_KEY.check_value()
    )
    kept_lasting_secret(database.superuser_url, MASTER_KEY.seal_lasting(LASTING_SECRET, os.urandom(12)))

    async def furnish() -> None:
        async with controlled(database) as control:
            project = await control.project()
            await control.make(f"/projects/{project['id']}/providers", name="up", kind="openai", api_key="provider")
            servers, tools = f"/projects/{project['id']}/mcp-servers", "https://tools.example/mcp"
            await control.make(servers, name="tools", url=tools, credential="tool server")
            person = await control.make("/operators", name="Ada", email="ada@example.com", role="owner")
            await control.plane.signing_keys.look_after(Actor(name="upkeep"))
            with database.connect() as sql:
                seal_for_sign_in(sql, MASTER_KEY, person["id"])
                seal_for_webhook(sql, MASTER_KEY)

    asyncio.run(furnish())
    return database


@pytest.fixture
def kept(server: TestServer, furnished: TestDatabase) -> TestDatabase:
    """The same, of the test's own."""
    return server.create(furnished.name)


def settings(database: TestDatabase, folder: Path, **more: str) -> Config:
    """Of an installation over this database; roles belong to the server, so that their passwords stay."""
    logins = {f"{role.removeprefix('bailiwick_')}_url": database.url(role) for role in roles.LOGINS}
    return load({"data_dir": str(folder), "database_url": database.superuser_url, **logins, **more}, {})


def configured(folder: Path, key: MasterKey, *, following: MasterKey | None = None) -> None:
    for name, each in ((master_keys.FILE, key), (master_keys.NEXT, following)):
        if each is not None:
            (folder / name).touch(0o600)
            (folder / name).write_text(each.written())


async def change(database: TestDatabase, old: MasterKey, new: MasterKey) -> None:
    await rotate_master_key(owner_url=database.superuser_url, old=old, new=new, passwords={})


def start(config: Config) -> tuple[MasterKey, list[str]]:
    """What a start of `serve` does to the database: the key that it is kept with then, and what it tells."""
    told: list[str] = []
    with ExitStack() as stack:
        hold_folder(config, stack)
        store = Store(config, stack, told.append)
        store.prepare()
        return store.key, told


def holds(database: TestDatabase, key: MasterKey, old: MasterKey, secrets: dict[str, str]) -> None:
    """Everything is `key`'s, and nothing is `old`'s."""
    sealed = kept_lasting_secret(database.superuser_url)
    assert sealed is not None
    assert kept_check(database.superuser_url) == key.check_value()
    assert key.open_lasting(sealed) == LASTING_SECRET
    with pytest.raises(CannotOpen):
        old.open_lasting(sealed)
    with database.connect() as sql:
        assert opened(sql, key) == secrets
        assert opened(sql, old) == {}


async def found(database: TestDatabase, key: MasterKey) -> list[str]:
    """What is wrong with the audit log."""
    verified = await verify_audit(control_url=database.url(roles.CONTROL), key=key.audit(), witnessed={})
    assert sum(chain.entries for chain in verified) > 3
    return [finding for chain in verified for finding in chain.findings]


def secrets_of(database: TestDatabase) -> dict[str, str]:
    with database.connect() as sql:
        secrets = opened(sql, MASTER_KEY)
    assert tuple(secrets) == KINDS
    return secrets


async def test_everything_that_follows_from_the_old_key_follows_from_the_new_one(kept: TestDatabase) -> None:
    secrets = secrets_of(kept)
    await change(kept, MASTER_KEY, NEW)
    holds(kept, NEW, MASTER_KEY, secrets)
    assert await found(kept, NEW) == []
    assert await found(kept, MASTER_KEY) != []
    assert kept.rows(
        "SELECT actor, target, detail FROM bailiwick.audit WHERE action = 'installation.rotate_master_key'"
    ) == [
        (
            "command_line",
            "installation",
            {"before": {"master_key": MASTER_KEY.fingerprint()}, "after": {"master_key": NEW.fingerprint()}},
        )
    ]


async def test_an_audit_log_that_was_tampered_with_before_is_as_wrong_after(kept: TestDatabase) -> None:
    kept.run("UPDATE bailiwick.audit_heads SET signature = 'forged' WHERE tenant_id IS NOT NULL")
    before = await found(kept, MASTER_KEY)
    await change(kept, MASTER_KEY, NEW)
    assert await found(kept, NEW) == before
    assert before == ["its head was not signed by this installation"]


async def test_what_the_old_key_does_not_open_stays_as_it_is(kept: TestDatabase) -> None:
    secrets = secrets_of(kept)
    kept.run("UPDATE bailiwick.providers SET secret = '\\x00112233' WHERE secret IS NOT NULL")
    await change(kept, MASTER_KEY, NEW)
    assert kept.rows("SELECT secret FROM bailiwick.providers WHERE secret IS NOT NULL") == [(b"\x00\x11\x22\x33",)]
    del secrets["provider"]
    holds(kept, NEW, MASTER_KEY, secrets)


async def test_whatever_ends_before_the_commit_changes_nothing(kept: TestDatabase) -> None:
    secrets = secrets_of(kept)
    with kept.connect() as busy, busy.transaction():
        busy.execute("LOCK TABLE bailiwick.audit_heads IN ROW EXCLUSIVE MODE")
        rotation = asyncio.create_task(change(kept, MASTER_KEY, NEW))
        await eventually(lambda: waits(kept), 10, "a rotation that waits for writers")
        kept.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bailiwick rotation'")
        with pytest.raises(psycopg.OperationalError):
            await rotation
    holds(kept, MASTER_KEY, NEW, secrets)
    assert await found(kept, MASTER_KEY) == []


def waits(database: TestDatabase) -> bool:
    """Whether a rotation waits for somebody."""
    return bool(
        database.rows(
            "SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted"
            " AND a.application_name = 'bailiwick rotation' AND a.datname = current_database()"
        )
    )


async def test_a_rotation_waits_for_a_command_that_works_with_the_key(kept: TestDatabase, tmp_path: Path) -> None:
    configured(tmp_path, MASTER_KEY, following=NEW)
    with owner_login(settings(kept, tmp_path)) as login:
        rotation = asyncio.create_task(change(kept, MASTER_KEY, NEW))
        await eventually(lambda: waits(kept), 10, "a rotation that waits for a command")
        assert login.key() == MASTER_KEY
    await asyncio.wait_for(rotation, 10)
    with owner_login(settings(kept, tmp_path)) as login:
        assert login.key() == NEW


async def test_a_command_that_comes_during_a_rotation_works_with_the_key_of_after(
    kept: TestDatabase, tmp_path: Path
) -> None:
    configured(tmp_path, MASTER_KEY, following=NEW)

    def key_of_a_command() -> MasterKey:
        with owner_login(settings(kept, tmp_path)) as login:
            return login.key()

    with kept.connect() as busy, busy.transaction():
        busy.execute("LOCK TABLE bailiwick.audit_heads IN ROW EXCLUSIVE MODE")
        rotation = asyncio.create_task(change(kept, MASTER_KEY, NEW))
        await eventually(lambda: waits(kept), 10, "a rotation that waits for writers")
        command = asyncio.create_task(asyncio.to_thread(key_of_a_command))
        # It either has its answer by now, or waits for us.
        await asyncio.wait({command}, timeout=0.5)
    await rotation
    assert await asyncio.wait_for(command, 10) == NEW


async def test_a_start_carries_out_a_rotation_that_was_noted_and_no_more(kept: TestDatabase, tmp_path: Path) -> None:
    secrets = secrets_of(kept)
    configured(tmp_path, MASTER_KEY, following=NEW)
    assert await asyncio.to_thread(start, settings(kept, tmp_path)) == (NEW, [])
    holds(kept, NEW, MASTER_KEY, secrets)
    assert MasterKey.parse((tmp_path / master_keys.FILE).read_text()) == NEW
    assert not (tmp_path / master_keys.NEXT).exists()


async def test_a_start_after_the_commit_does_what_is_left(kept: TestDatabase, tmp_path: Path) -> None:
    secrets = secrets_of(kept)
    await change(kept, MASTER_KEY, NEW)
    configured(tmp_path, MASTER_KEY, following=NEW)
    assert await asyncio.to_thread(start, settings(kept, tmp_path)) == (NEW, [])
    holds(kept, NEW, MASTER_KEY, secrets)
    assert kept.rows("SELECT count(*) FROM bailiwick.audit WHERE action = 'installation.rotate_master_key'") == [(1,)]
    assert MasterKey.parse((tmp_path / master_keys.FILE).read_text()) == NEW
    assert not (tmp_path / master_keys.NEXT).exists()


@pytest.mark.parametrize("following", [None, THIRD])
async def test_with_a_key_of_before_nothing_starts(
    kept: TestDatabase, tmp_path: Path, following: MasterKey | None
) -> None:
    secrets = secrets_of(kept)
    await change(kept, MASTER_KEY, NEW)
    configured(tmp_path, MASTER_KEY, following=following)
    for act in (start, lambda config: rotate(config, None, io.StringIO())):
        with pytest.raises(CannotStart, match=r"^the master key is not the one that this installation has"):
            await asyncio.to_thread(act, settings(kept, tmp_path))
    holds(kept, NEW, MASTER_KEY, secrets)


async def test_the_key_that_there_is_cannot_follow_itself(kept: TestDatabase, tmp_path: Path) -> None:
    configured(tmp_path, MASTER_KEY)
    with pytest.raises(CannotStart, match="the new master key is the one that there is"):
        await asyncio.to_thread(rotate, settings(kept, tmp_path), tmp_path / master_keys.FILE, io.StringIO())
    assert not (tmp_path / master_keys.NEXT).exists()


async def test_the_new_key_is_on_the_disk_before_the_database_is_kept_with_it(
    kept: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(tmp_path, MASTER_KEY)
    synced: list[tuple[str, bool]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        synced.append((name, kept_check(kept.superuser_url) == MASTER_KEY.check_value()))

    monkeypatch.setattr(os, "fsync", noted)
    await asyncio.to_thread(rotate, settings(kept, tmp_path), None, io.StringIO())
    assert synced == [(master_keys.NEXT + ".new", True), (tmp_path.name, True), (tmp_path.name, False)]


async def test_a_configured_key_is_followed_by_one_that_is_noted_until_it_is_configured(
    kept: TestDatabase, tmp_path: Path
) -> None:
    secrets, out = secrets_of(kept), io.StringIO()
    before = settings(kept, tmp_path, master_key=MASTER_KEY.written())
    await asyncio.to_thread(rotate, before, None, out)
    assert f"it is in {tmp_path / master_keys.NEXT}: configure it" in out.getvalue()
    new = MasterKey.parse((tmp_path / master_keys.NEXT).read_text())
    holds(kept, new, MASTER_KEY, secrets)
    with pytest.raises(CannotStart, match="first: it has been rotated to it"):
        await asyncio.to_thread(rotate, before, None, out)
    # As a supervisor would start it, that knows nothing of it yet.
    key, told = await asyncio.to_thread(start, before)
    assert key == new
    assert "is used until it is configured" in told[0]
    after = settings(kept, tmp_path, master_key=new.written())
    assert await asyncio.to_thread(start, after) == (new, [])
    assert not (tmp_path / master_keys.FILE).exists()
    assert not (tmp_path / master_keys.NEXT).exists()
