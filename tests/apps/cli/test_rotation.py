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
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx2
import psycopg
import pytest

from bailiwick.domain import ids
from bailiwick.identity.keyring import MasterKey
from bailiwick.identity.sealing import (
    CannotOpen,
    provider_row_identity,
    seal,
    second_factor_row_identity,
    sign_in_provider_row_identity,
    unseal,
)
from tests.apps.cli.test_operators_link import come_in, printed
from tests.apps.cli.test_operators_link import command as link_command
from tests.faults.trial import PROVE, times
from tests.installation import Installation, clean_environment
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
        person = installation.admin.make("/operators", {"name": "Ada", "email": "ada@example.com", "role": "owner"})
        sealing, owner, provider = master_key(installation).sign_in_sealing(), ids.parsed("opr", person["id"]), uuid4()
        assert owner is not None
        with installation.sql() as sql:
            sql.execute(
                "INSERT INTO bailiwick.operator_secrets (operator_id, totp_secret) VALUES (%s, %s)",
                (owner, seal(sealing, second_factor_row_identity(owner), "second factor", os.urandom(12))),
            )
            sql.execute(
                "INSERT INTO bailiwick.sign_in_providers (id, name, issuer, client_id, client_secret, scopes, rules,"
                " created_at, created_by) VALUES (%s, 'x', 'https://x', 'x', %s, '{}', '[]', now(), 'x')",
                (provider, seal(sealing, sign_in_provider_row_identity(provider), "client", os.urandom(12))),
            )
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


def sealed(installation: Installation) -> dict[str, tuple[bytes, bytes, str]]:
    """Every sealed value: the identity of its row, what stands there, and the key's purpose."""
    with installation.sql() as sql:
        providers = sql.execute(
            "SELECT id, tenant_id, project_id, secret FROM bailiwick.providers WHERE secret IS NOT NULL"
        ).fetchall()
        factors = sql.execute(
            "SELECT operator_id, totp_secret FROM bailiwick.operator_secrets WHERE totp_secret IS NOT NULL"
        ).fetchall()
        clients = sql.execute("SELECT id, client_secret FROM bailiwick.sign_in_providers").fetchall()
    (provider,), (factor,), (client,) = providers, factors, clients
    return {
        PROVIDER_KEY: (provider_row_identity(provider[1], provider[2], provider[0]), provider[3], "provider-secrets/1"),
        "second factor": (second_factor_row_identity(factor[0]), factor[1], "sign-in-secrets/1"),
        "client": (sign_in_provider_row_identity(client[0]), client[1], "sign-in-secrets/1"),
    }


def holds(installation: Installation, upstream: Upstream, key: MasterKey, old: MasterKey) -> None:
    """Everything is `key`'s, nothing is `old`'s, and whoever could come in still can."""
    assert master_key(installation) == key
    assert not (installation.folder / "master.key.next").exists()
    for secret, (row, value, purpose) in sealed(installation).items():
        assert unseal(key.derive(purpose), row, value) == secret
        with pytest.raises(CannotOpen):
            unseal(old.derive(purpose), row, value)
    run = str((installation.folder / "postgres" / "run").resolve())
    for role in ("postgres", "bailiwick_app", "bailiwick_ledger", "bailiwick_control"):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(host=run, user=role, password=old.role_password(role), dbname="bailiwick")
    with installation.client() as client:
        answer = client.post("/v1/chat/completions", json=ASK)
    assert answer.status_code == 200, answer.text
    assert upstream.requests[-1].header("authorization") == f"Bearer {PROVIDER_KEY}"
    # The control process starts again, and is soon there.
    until(lambda: installation.admin.request("GET", "/tenants").status_code == 200, patience=20)


def serves(installation: Installation) -> bool:
    with installation.client() as client:
        return client.get("/v1/me").status_code == 200


def rotations(installation: Installation) -> list[Any]:
    with installation.sql() as sql:
        return sql.execute(
            "SELECT actor, target, detail FROM bailiwick.audit WHERE action = 'installation.rotate_master_key'"
            " ORDER BY seq"
        ).fetchall()


def test_calls_go_on_while_the_key_of_a_running_installation_is_rotated(site: Installation, upstream: Upstream) -> None:
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
    holds(site, upstream, after, before)
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
    site: Installation, upstream: Upstream
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
    holds(site, upstream, after, before)
    assert len(rotations(site)) == done + 1


def waits_for_a_table(site: Installation) -> bool:
    with site.sql() as sql:
        return bool(
            sql.execute(
                "SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                " WHERE NOT l.granted AND a.application_name = 'bailiwick rotation'"
            ).fetchall()
        )


def test_a_start_after_a_kill_between_the_transaction_and_the_file_finds_the_key(
    site: Installation, upstream: Upstream
) -> None:
    before, done = master_key(site), len(rotations(site))
    rotate(site)
    after = master_key(site)
    site.stop(signal.SIGKILL)
    (site.folder / "master.key").rename(site.folder / "master.key.next")
    write(site.folder / "master.key", before)
    site.start()
    holds(site, upstream, after, before)
    assert len(rotations(site)) == done + 1


def write(path: Path, key: MasterKey) -> None:
    path.touch(0o600)
    path.write_text(key.written())


@pytest.mark.proof
def test_whatever_is_killed_whenever_nothing_is_lost(site: Installation, upstream: Upstream) -> None:
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
        holds(site, upstream, master_key(site), before)


def test_the_key_of_an_installation_that_does_not_run_is_rotated_to_a_given_one(
    site: Installation, upstream: Upstream
) -> None:
    before, given = master_key(site), MasterKey(secret=os.urandom(32))
    site.stop()
    try:
        rotate(site, "--new-key-file", "-", typed=given.written() + "\n")
        assert master_key(site) == given
        refused = command(site, "rotate-master-key", "--new-key-file", str(site.folder / "master.key"))
        assert "the new master key is the one that there is" in told(refused, status=1)
    finally:
        site.start()
    holds(site, upstream, given, before)


def test_a_key_of_before_does_not_start_and_is_told_why(site: Installation) -> None:
    before = master_key(site)
    rotate(site)
    after = master_key(site)
    site.stop()
    try:
        write(site.folder / "master.key", before)
        for words in (("serve", "--port", "0"), ("rotate-master-key",)):
            out = told(command(site, *words), status=1)
            assert out.startswith("bailiwick: the master key is not the one that this installation has")
    finally:
        write(site.folder / "master.key", after)
        site.start()


def test_an_audit_log_that_was_tampered_with_before_is_as_wrong_after(site: Installation) -> None:
    until(lambda: site.admin.request("GET", "/tenants").status_code == 200, patience=20)
    tenant = site.admin.tenant("Tampered with")
    tenant_id = ids.parsed("ten", tenant["id"])
    with site.sql() as sql:
        (original,) = sql.execute(
            "SELECT signature FROM bailiwick.audit_heads WHERE tenant_id = %s", (tenant_id,)
        ).fetchone() or (b"",)
        sql.execute("UPDATE bailiwick.audit_heads SET signature = 'forged' WHERE tenant_id = %s", (tenant_id,))
    assert original
    rotate(site)
    assert "its head was not signed by this installation" in told(command(site, "audit", "verify"), status=1)


@pytest.mark.slow
def test_a_configured_key_is_followed_by_one_that_is_noted_until_it_is_configured(tmp_path: Path) -> None:
    old = MasterKey(secret=os.urandom(32))
    first = Installation(tmp_path / "data", settings={"BAILIWICK_MASTER_KEY": old.written()})

    def rotated(key: MasterKey, *, status: int = 0) -> str:
        return told(command(first, "rotate-master-key", "--master-key", key.written()), status=status)

    with first:
        assert f"it is in {tmp_path / 'data' / 'master.key.next'}: configure it" in rotated(old)
        new = MasterKey.parse((tmp_path / "data" / "master.key.next").read_text())
        assert serves(first)
        assert "first: it has been rotated to it" in rotated(old, status=1)
    with first:  # As a supervisor would start it, that knows nothing of it yet.
        assert "is used until it is configured" in first.log
        assert serves(first)
    with Installation(tmp_path / "data", settings={"BAILIWICK_MASTER_KEY": new.written()}) as second:
        assert serves(second)
    assert {path.name for path in (tmp_path / "data").glob("master.key*")} == set()
