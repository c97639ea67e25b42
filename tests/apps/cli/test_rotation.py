"""The master key of an installation that runs, and of one that does not, gives way to another."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import httpx2
import psycopg
import pytest

from bailiwick.identity.keyring import MasterKey
from bailiwick.storage import roles
from tests.apps.cli.test_operators_link import come_in, printed
from tests.apps.cli.test_operators_link import command as link_command
from tests.faults.trial import PROVE, times
from tests.installation import Installation, clean_environment
from tests.sealed import KINDS, opened, seal_for_sign_in, seal_for_webhook
from tests.serving import until
from tests.upstream import Upstream

PROVIDER_KEY: Final = "sk-upstream-canary"
KILLS: Final = times(30, 2)
ASK: Final = {"model": "up/gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
BUSY: Final = "LOCK TABLE bailiwick.providers IN ROW EXCLUSIVE MODE"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Installation]:
    """An installation in which everything is sealed that can be."""
    with Installation(tmp_path_factory.mktemp("rotation") / "data") as installation:
        installation.admin.provider(installation.keys["project_id"], upstream.base_url)
        tools = {"credential": "tool server"}
        installation.admin.mcp_server(installation.keys["project_id"], "https://tools.example/mcp", **tools)
        person = installation.admin.make("/operators", {"name": "Ada", "email": "ada@example.com", "role": "owner"})
        with installation.sql() as sql:
            seal_for_sign_in(sql, master_key(installation), person["id"])
            seal_for_webhook(sql, master_key(installation))
        yield installation


def master_key(installation: Installation) -> MasterKey:
    return MasterKey.parse((installation.folder / "master.key").read_text())


def command(installation: Installation, *arguments: str, typed: str | None = None) -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-m", "bailiwick.apps.cli.main", *arguments, "--data-dir", str(installation.folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=clean_environment(),
    )  # fmt: skip
    if typed is not None and started.stdin is not None:
        started.stdin.write(typed)
        started.stdin.close()
        started.stdin = None
    return started


def told(process: subprocess.Popen[str], *, status: int = 0) -> str:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == status, out
    return out


def rotate(installation: Installation, *arguments: str, typed: str | None = None) -> str:
    return told(command(installation, "rotate-master-key", *arguments, typed=typed))


def mint(installation: Installation) -> str:
    with installation.client() as client:
        answer = client.post("/v1/auth/mint", json={"user_id": "somebody", "ttl": 3600})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


def published(installation: Installation) -> bytes:
    return httpx2.get(f"{installation.url}/.well-known/jwks.json").raise_for_status().content


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Entrusted:
    """What was there before any rotation: a user's token, what it is verified with, and what is sealed."""

    token: str
    published: bytes
    secrets: dict[str, str]


@pytest.fixture(scope="module")
def entrusted(site: Installation) -> Entrusted:
    with site.sql() as sql:
        secrets = opened(sql, master_key(site))
    assert tuple(secrets) == KINDS
    return Entrusted(token=mint(site), published=published(site), secrets=secrets)


def holds(
    installation: Installation, upstream: Upstream, entrusted: Entrusted, *, key: MasterKey, old: MasterKey
) -> None:
    """Everything is `key`'s, nothing is `old`'s, and whoever could come in still can."""
    assert master_key(installation) == key
    assert not (installation.folder / "master.key.next").exists()
    with installation.sql() as sql:
        assert opened(sql, key) == entrusted.secrets
        assert opened(sql, old) == {}
    run = str((installation.folder / "postgres" / "run").resolve())
    for role in ("postgres", *roles.LOGINS):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(host=run, user=role, password=old.role_password(role), dbname="bailiwick")
    with installation.client() as client:
        answer = client.post("/v1/chat/completions", json=ASK)
    assert answer.status_code == 200, answer.text
    assert upstream.requests[-1].header("authorization") == f"Bearer {PROVIDER_KEY}"
    for token in (entrusted.token, mint(installation)):
        with installation.client(token) as client:
            assert client.get("/v1/me").json()["user_id"] == "somebody"
    assert published(installation) == entrusted.published
    # The control process starts again, and is soon there.
    until(lambda: installation.admin.request("GET", "/tenants").status_code == 200, patience=20)


def rotations(installation: Installation) -> list[Any]:
    with installation.sql() as sql:
        return sql.execute(
            "SELECT actor, target, detail FROM bailiwick.audit WHERE action = 'installation.rotate_master_key'"
            " ORDER BY seq"
        ).fetchall()


def test_calls_go_on_while_the_key_of_a_running_installation_is_rotated(
    site: Installation, upstream: Upstream, entrusted: Entrusted
) -> None:
    before, over, statuses = master_key(site), threading.Event(), list[int]()
    link = printed(link_command(site).stdout, site.url)
    gateway = site.children()["gateway"]

    def call() -> None:
        with site.client() as client:
            while not over.is_set():
                statuses.append(client.post("/v1/chat/completions", json=ASK).status_code)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    until(lambda: len(statuses) > 5)
    out = rotate(site)
    asked = len(statuses)
    until(lambda: len(statuses) > asked + 30)
    over.set()
    for caller in callers:
        caller.join()
    after = master_key(site)
    assert out == f"the master key was {before.fingerprint()} and is {after.fingerprint()}\n"
    assert set(statuses) == {200}
    assert site.children()["gateway"] == gateway
    holds(site, upstream, entrusted, key=after, old=before)
    assert "is what was written" in told(command(site, "audit", "verify"))
    assert rotations(site) == [
        (
            "command_line",
            "installation",
            {"before": {"master_key": before.fingerprint()}, "after": {"master_key": after.fingerprint()}},
        )
    ]
    with httpx2.Client(base_url=site.url) as http:
        assert come_in(http, link, name="Bea", email="bea@example.com").status_code == 303
    # Connections that it makes later log in with the passwords of now.
    with site.sql() as sql:
        sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'bailiwick%'")
    with site.client() as client:
        until(lambda: client.post("/v1/chat/completions", json=ASK).status_code == 200)


def test_what_is_killed_in_the_middle_is_brought_to_its_end_by_the_next_start(
    site: Installation, upstream: Upstream, entrusted: Entrusted
) -> None:
    before, done = master_key(site), len(rotations(site))
    # The server goes too, and with it whoever is busy.
    with suppress(psycopg.OperationalError), site.sql() as busy, busy.transaction():
        busy.execute(BUSY)
        running = command(site, "rotate-master-key")
        until(lambda: waits_for_a_table(site), patience=20)
        site.stop(signal.SIGKILL)
        running.kill()
        running.communicate()
    after = MasterKey.parse((site.folder / "master.key.next").read_text())
    assert master_key(site) == before
    site.start()
    holds(site, upstream, entrusted, key=after, old=before)
    assert len(rotations(site)) == done + 1


def waits_for_a_table(site: Installation) -> bool:
    with site.sql() as sql:
        return bool(
            sql.execute(
                "SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                " WHERE NOT l.granted AND a.application_name = 'bailiwick rotation'"
            ).fetchall()
        )


@pytest.mark.proof
def test_whatever_is_killed_whenever_nothing_is_lost(
    site: Installation, upstream: Upstream, entrusted: Entrusted
) -> None:
    chance = random.Random() if PROVE else random.Random(4)
    for _ in range(KILLS):
        before = master_key(site)
        running = command(site, "rotate-master-key")
        until((site.folder / "master.key.next").exists, patience=20)
        time.sleep(chance.uniform(0, 1.5))
        site.stop(signal.SIGKILL)
        running.kill()
        running.communicate()
        site.start()
        assert master_key(site) != before
        holds(site, upstream, entrusted, key=master_key(site), old=before)


def test_the_key_of_an_installation_that_does_not_run_is_rotated_to_a_given_one_and_a_start_sets_the_file_right(
    site: Installation, upstream: Upstream, entrusted: Entrusted
) -> None:
    before, given, done = master_key(site), MasterKey(secret=os.urandom(32)), len(rotations(site))
    site.stop()
    try:
        rotate(site, "--new-key-file", "-", typed=given.written() + "\n")
        assert master_key(site) == given
        # As whoever is killed between the transaction and the file leaves it.
        (site.folder / "master.key").rename(site.folder / "master.key.next")
        (site.folder / "master.key").touch(0o600)
        (site.folder / "master.key").write_text(before.written())
    finally:
        site.start()
    holds(site, upstream, entrusted, key=given, old=before)
    assert len(rotations(site)) == done + 1


def test_a_running_installation_with_a_configured_key_is_rotated_and_goes_on(tmp_path: Path) -> None:
    old = MasterKey(secret=os.urandom(32))
    with Installation(tmp_path / "data", settings={"BAILIWICK_MASTER_KEY": old.written()}) as running:
        out = rotate(running, "--master-key", old.written())
        assert f"it is in {tmp_path / 'data' / 'master.key.next'}: configure it" in out
        with running.client() as client:
            assert client.get("/v1/me").status_code == 200
        until(lambda: running.admin.request("GET", "/tenants").status_code == 200, patience=20)
