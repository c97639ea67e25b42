"""Limits outlive the process that counts them, however it ends: a restart refills nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import httpx2
import pytest

from tests.installation import Installation
from tests.serving import until

pytestmark = pytest.mark.slow

LEVELS = ("project", "key", "user")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("restarts") / "data") as made:
        yield made


def drain(installation: Installation) -> None:
    assert installation.stop() == 0
    installation.start()


def kill_the_parent(installation: Installation) -> None:
    installation.stop(signal.SIGKILL)
    installation.start()


def kill_the_gateway(installation: Installation) -> None:
    before = installation.children()["gateway"]
    os.kill(before, signal.SIGKILL)
    until(lambda: installation.children().get("gateway", before) != before)
    until(lambda: reachable(installation), patience=10)


def reachable(installation: Installation) -> bool:
    try:
        return httpx2.get(f"{installation.url}/readyz", verify=False).status_code == 200
    except httpx2.TransportError:
        return False


def call(installation: Installation, key: str) -> int:
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": f"Bearer {key}", "x-end-user-id": "alice"}
    url = f"{installation.url}/v1/chat/completions"
    return httpx2.post(url, json=body, headers=headers, timeout=30, verify=False).status_code


@pytest.mark.parametrize("end", [drain, kill_the_gateway, kill_the_parent], ids=lambda end: end.__name__)
def test_a_restart_refills_no_limit(installation: Installation, end: Callable[[Installation], None]) -> None:
    admin = installation.admin
    projects = [admin.project(limits={level: {"requests": 4, "per": "31d"}}) for level in LEVELS]
    keys = [admin.key(project["id"])["key"] for project in projects]
    assert [[call(installation, key) for _ in range(3)] for key in keys] == [[200] * 3] * 3
    end(installation)
    assert [[call(installation, key) for _ in range(2)] for key in keys] == [[200, 429]] * 3
    end(installation)
    assert [call(installation, key) for key in keys] == [429] * 3


def test_what_nobody_asked_for_between_a_kill_and_a_drain_is_refilled_by_neither(installation: Installation) -> None:
    admin = installation.admin
    project = admin.project(limits={"key": {"requests": 2, "per": "31d"}})
    key = admin.key(project["id"])["key"]
    assert [call(installation, key) for _ in range(2)] == [200, 200]
    kill_the_gateway(installation)
    drain(installation)
    assert call(installation, key) == 429


def test_what_a_limit_by_address_holds_outlives_a_drain(installation: Installation) -> None:
    admin = installation.admin
    project = admin.project(limits={"ip": {"requests": 2, "per": "31d"}})
    key = admin.key(project["id"])["key"]
    assert [call(installation, key) for _ in range(3)] == [200, 200, 429]
    drain(installation)
    assert call(installation, key) == 429


def test_what_was_saved_is_for_its_owner_alone(installation: Installation) -> None:
    installation.stop()
    saved = installation.folder / "run" / "limits.snapshot"
    assert saved.stat().st_mode & 0o777 == 0o600
    installation.start()
    assert not saved.exists()


@pytest.mark.parametrize("damage", [b"", None], ids=["emptied", "cut"])
def test_a_damaged_record_is_left_out_and_the_ledger_asked(installation: Installation, damage: bytes | None) -> None:
    admin = installation.admin
    project = admin.project(limits={"key": {"requests": 2, "per": "31d"}})
    key = admin.key(project["id"])["key"]
    assert [call(installation, key) for _ in range(2)] == [200, 200]
    installation.stop()
    saved = installation.folder / "run" / "limits.snapshot"
    saved.write_bytes(saved.read_bytes()[:-10] if damage is None else damage)
    installation.start()
    assert "limits could not be read" in installation.log
    assert call(installation, key) == 429
