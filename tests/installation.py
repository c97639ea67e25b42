"""A running installation for tests: the real `bailiwick serve`, as a process, with its own PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from typing import Any, Final, Self, final

import httpx2
import psycopg

from bailiwick.identity.keyring import MasterKey

_START_SECONDS: Final = 60.0
# Below those that are given to whoever asks for any (from 32,768 on, as a rule), of which other tests ask all the time.
_NOBODYS_PORTS: Final = (12_000, 32_000)
_CHANCE: Final = SystemRandom()


def free_port() -> int:
    """A port that nobody has just now, nor gets by chance: one that the system gives to nobody who asks for any."""
    while True:
        port = _CHANCE.randrange(*_NOBODYS_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings and provider keys, which a test states itself."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BAILIWICK_", "OTEL_")) and not name.endswith("_API_KEY") and name != "OPENAI_BASE_URL"
    }
    return {**kept, **(extra or {})}


@final
class Installation:
    """`serve` in a data folder. `start` and `stop` may follow each other; the folder stays."""

    def __init__(self, folder: Path, *, settings: Mapping[str, str] | None = None, own_group: bool = False) -> None:
        """`settings` are environment variables; loopback addresses may be providers unless they say otherwise.

        With `own_group` it is started as a terminal would: in a process group that can be sent a Ctrl-C.
        """
        self.folder: Final = folder
        self.port: Final = free_port()
        self.url: Final = f"http://127.0.0.1:{self.port}"
        self.output = ""
        self._settings = {"BAILIWICK_OUTBOUND_ALLOW": "127.0.0.0/8", **(settings or {})}
        self._own_group = own_group
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start and wait for the `ready` line; raises AssertionError with what was printed otherwise."""
        log = (self.folder.parent / f"{self.folder.name}.log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bailiwick.apps.cli.main", "serve", "--port", str(self.port),
             "--data-dir", str(self.folder)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=clean_environment(self._settings),
            start_new_session=self._own_group,
        )  # fmt: skip
        log.close()
        assert self.process.stdout is not None
        self.output = ""
        deadline = time.monotonic() + _START_SECONDS
        for line in self.process.stdout:
            self.output += line
            if line.startswith("ready "):
                return self
            assert time.monotonic() < deadline, self.told()
        self.stop()
        raise AssertionError(self.told())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; returns the exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(60)
        if self.process.stdout is not None:
            self.output += self.process.stdout.read()
            self.process.stdout.close()
        self.process = None
        return status

    def told(self) -> str:
        """Everything printed, on both streams."""
        return self.output + (self.folder.parent / f"{self.folder.name}.log").read_text()

    @property
    def log(self) -> str:
        """What was printed on standard error, over all starts: whole lines, since one may be on its way."""
        text = (self.folder.parent / f"{self.folder.name}.log").read_text()
        return text[: text.rfind("\n") + 1]

    @property
    def keys(self) -> dict[str, str]:
        """`bootstrap.json`."""
        found: dict[str, str] = json.loads((self.folder / "bootstrap.json").read_text())
        return found

    def client(self, key: str | None = None, **headers: str) -> httpx2.Client:
        """A data-plane client with the first project's key, or another."""
        authorization = {"Authorization": f"Bearer {key or self.keys['api_key']}"}
        return httpx2.Client(base_url=self.url, headers={**authorization, **headers}, timeout=30)

    @property
    def admin(self) -> Admin:
        """The control plane, as the first operator."""
        return Admin(self)

    def sql(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A superuser's connection to the installation's own database."""
        key = MasterKey.parse((self.folder / "master.key").read_text())
        run = (self.folder / "postgres" / "run").resolve()
        return psycopg.connect(
            host=str(run),
            user="postgres",
            password=key.role_password("postgres"),
            dbname="bailiwick",
            autocommit=True,
        )

    def children(self) -> dict[str, int]:
        """The process ids of parent, gateway, control and PostgreSQL's postmaster."""
        assert self.process is not None
        found = {"parent": self.process.pid}
        for pid in children_of(self.process.pid):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue  # it has just ended
            for name, sign in (("gateway", "apps.gateway"), ("control", "apps.admin"), ("postgres", "bin/postgres")):
                if sign in command:
                    found[name] = pid
        return found


@final
class Admin:
    """A few lines of control plane, for tests that need a project, a key or a provider."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def request(self, method: str, path: str, body: object = None) -> httpx2.Response:
        """Any request."""
        return httpx2.request(
            method,
            f"{self._installation.url}/admin/v1{path}",
            headers={"Authorization": f"Bearer {self._installation.keys['admin_key']}"},
            timeout=30,
            verify=False,  # plain HTTP; reading the system's certificates would take most of the time
            **({} if body is None else {"json": body}),
        )

    def make(self, path: str, body: object) -> dict[str, Any]:
        """Create something that must be creatable."""
        answer = self.request("POST", path, body)
        assert answer.status_code == 201, (path, body, answer.text)
        made: dict[str, Any] = answer.json()
        return made

    def change(self, path: str, body: object) -> dict[str, Any]:
        """Change something that must be changeable."""
        answer = self.request("PATCH", path, body)
        assert answer.status_code == 200, (path, body, answer.text)
        changed: dict[str, Any] = answer.json()
        return changed

    def tenant(self, name: str = "Tenant", **fields: object) -> dict[str, Any]:
        """A new tenant."""
        return self.make("/tenants", {"name": name, **fields})

    def project(self, tenant_id: str | None = None, name: str = "Project", **fields: object) -> dict[str, Any]:
        """A new project, of the first tenant unless another is named."""
        tenant = tenant_id or self._installation.keys["tenant_id"]
        return self.make(f"/tenants/{tenant}/projects", {"name": name, **fields})

    def key(self, project_id: str, name: str = "Key", **fields: object) -> dict[str, Any]:
        """A new key; its secret is in `key`."""
        return self.make(f"/projects/{project_id}/keys", {"name": name, **fields})

    def provider(self, project_id: str, base_url: str, name: str = "up", **fields: object) -> dict[str, Any]:
        """A new provider of kind `openai`."""
        return self.make(
            f"/projects/{project_id}/providers",
            {"name": name, "kind": "openai", "base_url": base_url, "api_key": "sk-upstream-canary", **fields},
        )

    def mcp_server(self, project_id: str, url: str, name: str = "tools", **fields: object) -> dict[str, Any]:
        """A new tool server."""
        return self.make(f"/projects/{project_id}/mcp-servers", {"name": name, "url": url, **fields})


def children_of(pid: int) -> list[int]:
    """The living children of a process, and theirs."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    found: list[int] = []
    pending = [pid]
    while pending:
        parent = pending.pop()
        mine = [child for child, its_parent in parents.items() if its_parent == parent]
        found.extend(mine)
        pending.extend(mine)
    return found
