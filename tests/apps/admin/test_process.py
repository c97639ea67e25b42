"""`python -m bailiwick.apps.admin`: starts, serves on its socket, and ends with its parent."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import msgspec
import pytest

from bailiwick.apps.handover import ControlSettings
from bailiwick.storage import roles
from tests.control import add_operator
from tests.database import CONTROL_KEYS, TestDatabase
from tests.receiver import HANGS, receiving
from tests.serving import until


class Process:
    """A control process."""

    def __init__(self, database: TestDatabase, folder: Path) -> None:
        keys = CONTROL_KEYS
        settings = ControlSettings(
            control_url=database.url(roles.CONTROL),
            pepper=keys.pepper,
            operator_pepper=keys.operator_pepper,
            sealing=keys.sealing,
            audit=keys.audit,
            audit_witness=str(folder / "witness.jsonl"),
            sign_in_pepper=keys.sign_in_pepper,
            sign_in_sealing=keys.sign_in_sealing,
            session_idle_seconds=1800,
            session_seconds=43_200,
            socket=str(folder / "control.sock"),
            gateway_socket=str(folder / "gateway.sock"),
            outbound_allow=["10.0.0.0/8", "127.0.0.0/8"],
            public_url="http://127.0.0.1:8080",
            log_level="info",
            log_format="json",
        )
        self.socket = folder / "control.sock"
        self.log = folder / "log"
        began = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bailiwick.apps.admin"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(settings) + b"\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"ready\n", self.log.read_text()
        self.took = time.monotonic() - began

    def ask(self, token: str, method: str = "GET", path: str = "/tenants", body: object = None) -> httpx2.Response:
        """Ask by an operator key for what is below `/admin/v1`."""
        transport = httpx2.HTTPTransport(uds=str(self.socket))
        with httpx2.Client(transport=transport, base_url="http://control") as http:
            headers = {"Authorization": f"Bearer {token}"}
            return http.request(method, f"/admin/v1{path}", headers=headers, **({} if body is None else {"json": body}))

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def started(database: TestDatabase, folder: Path) -> Iterator[Process]:
    process = Process(database, folder)
    try:
        yield process
    finally:
        process.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="control-") as path:
        yield Path(path)


def test_the_process_serves_on_a_socket_of_its_own_account_and_ends_on_sigterm(
    database: TestDatabase, folder: Path
) -> None:
    operator_id, token = add_operator(database)
    (folder / "control.sock").touch()  # What a dead process left is replaced.
    with started(database, folder) as control:
        assert stat.S_IMODE(control.socket.stat().st_mode) == 0o600
        assert control.ask(token).status_code == 200
        os.kill(control.process.pid, signal.SIGINT)
        assert control.ask(token).status_code == 200
        os.kill(control.process.pid, signal.SIGTERM)
        assert control.process.wait(10) == 0
        assert not control.socket.exists()
        lines = [json.loads(line) for line in control.log.read_text().splitlines()]
        assert [line["operator"] for line in lines if line["event"] == "request"] == [operator_id, operator_id]
        assert token not in control.log.read_text()


def test_the_process_ends_when_its_parent_is_gone(database: TestDatabase, folder: Path) -> None:
    with started(database, folder) as control:
        assert control.process.stdin is not None
        control.process.stdin.close()
        control.process.stdin = None
        assert control.process.wait(10) == 0


def test_the_process_starts_without_a_database_and_says_so(database: TestDatabase, folder: Path) -> None:
    nowhere = TestDatabase(name="nowhere", superuser_url="host=/nowhere dbname=nowhere user=postgres")
    with started(nowhere, folder) as control:
        _, token = add_operator(database)
        assert control.ask(token).status_code == 503
        os.kill(control.process.pid, signal.SIGTERM)
        assert control.process.wait(10) == 0


def test_an_event_whose_process_was_killed_while_it_was_sent_is_sent_again_by_the_next(
    database: TestDatabase, folder: Path
) -> None:
    _, token = add_operator(database)
    with receiving() as receiver:
        receiver.statuses = [HANGS]
        with started(database, folder) as control:
            tenant = control.ask(token, "POST", "/tenants", {"name": "T"}).json()["id"]
            asked = {"name": "Hook", "url": receiver.url, "events": ["usage.hour"]}
            webhook = control.ask(token, "POST", f"/tenants/{tenant}/webhooks", asked).json()["id"]
            address = f"/tenants/{tenant}/webhooks/{webhook}"
            event = control.ask(token, "POST", f"{address}/test").json()["event_id"]
            until(lambda: receiver.received)
            control.process.kill()
            control.process.wait()
        with started(database, folder) as control:
            # Until the lease is over it is the dead one's.
            assert control.ask(token, "GET", f"{address}/deliveries").json()["data"][0]["status"] == "pending"
            database.run("UPDATE bailiwick.webhooks SET leased_until = now()")
            until(lambda: len(receiver.received) > 1)

            def delivered() -> bool:
                (delivery,) = control.ask(token, "GET", f"{address}/deliveries").json()["data"]
                return (delivery["status"], delivery["attempts"]) == ("delivered", 1)

            until(delivered)
        assert [received.id for received in receiver.received] == [event] * 2
