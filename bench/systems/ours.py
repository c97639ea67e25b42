"""Ours: `bailiwick serve` doing its whole job, with its own PostgreSQL on the same core.

Key, four limits (address, project, key, user: too generous to refuse anything), an end user on
every call and the durable ledger are all on.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from bench import ports
from bench.calls import MODEL, STREAM_MODEL, Call, Kind
from bench.errors import BenchError
from bench.preload import preload
from bench.proc import GATEWAY_CORE
from bench.server import Server
from bench.systems.system import answers

_GENEROUS: Final = {"requests": 100_000_000, "per": "1m"}
AGENT: Final = "bench"
_RULES: Final = {"allow": ["tool_*"], "deny": ["*_delete"]}
_ENVIRONMENT: Final = {
    "BAILIWICK_OUTBOUND_ALLOW": "127.0.0.0/8",
    "BAILIWICK_GUARD_REQUESTS": str(_GENEROUS["requests"]),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """What the first start wrote down for us."""

    base_url: str
    admin_key: str
    tenant_id: str
    project_id: str
    api_key: str


def serve_command(stated: str | None) -> list[str]:
    """Return the command that serves: the one stated, or `bailiwick serve` of this environment."""
    if stated is not None:
        return shlex.split(stated)
    beside = Path(sys.executable).with_name("bailiwick")
    found = str(beside) if beside.exists() else shutil.which("bailiwick")
    if found is None:
        message = "`bailiwick` is not installed in this environment"
        raise BenchError(message)
    return [found, "serve"]


class Ours:
    """One `bailiwick serve` on a data directory of its own, which outlives a stop."""

    worker_marker: str | None = "bailiwick.apps.gateway"

    def __init__(
        self,
        command: list[str],
        data: Path,
        *,
        name: str = "ours",
        port: int = ports.OURS,
        core: int | None = GATEWAY_CORE,
    ) -> None:
        """Serve `data` on `port`; nothing runs yet."""
        self.name = name
        self._data = data
        self._bootstrap: Bootstrap | None = None
        self._port = port
        self._server = Server(
            [*command, "--port", str(port), "--data-dir", str(data)],
            log=data.parent / f"{data.name}.log",
            ports=(port,),
            extra_environment=_ENVIRONMENT,
            core=core,
        )

    @property
    def title(self) -> str:
        """The name and version, with what is switched on."""
        try:
            version = metadata.version("bailiwick")
        except metadata.PackageNotFoundError:
            version = "(not installed)"
        return f"**Bailiwick {version}**, key + four limits + durable ledger"

    @property
    def pid(self) -> int:
        """The root of the process tree."""
        return self._server.pid

    def start(self) -> None:
        """Start, set provider and limits if this is the first start, wait for a good answer."""
        self.start_only()
        if self._bootstrap is None:
            self._bootstrap = self._read_bootstrap()
            self._set_up(self._project)
        self._server.wait_until(lambda: answers(self.call))

    def start_only(self) -> float:
        """Start and return the seconds until the `ready` line."""
        self._server.start()
        return self._server.wait_until(
            lambda: re.search(r"^ready http", self._server.log_text(), re.MULTILINE) is not None,
            every=0.005,
        )

    def stop(self) -> None:
        """Stop the whole tree; the data directory stays."""
        self._server.stop()

    def call(self, kind: Kind) -> Call:
        """Return the call with the project's key."""
        return Call(port=self._port, kind=kind, bearer=self._known().api_key)

    @property
    def key(self) -> str:
        """The project's key."""
        return self._known().api_key

    def recorded(self, project: str | None = None) -> int | None:
        """Return how many settled calls the ledger holds, as the usage report counts them; of ours unless stated."""
        project = project or self._known().project_id
        answer = self._admin("GET", f"/admin/v1/projects/{project}/usage?group_by=day")
        total = answer.get("total")
        return int(total["requests"]) if isinstance(total, dict) else None

    def preload(self, rows: int) -> None:
        """Write `rows` settled calls into the ledger of the running server."""
        preload(self._data, rows)

    def add_provider(self, name: str, *, port: int, model: str, kind: str = "openai") -> None:
        """Give the project the mock provider at `port` for one model."""
        self._add_provider(self._project, name, port=port, model=model, kind=kind)

    def _add_provider(self, project: str, name: str, *, port: int, model: str, kind: str = "openai") -> None:
        provider = {
            "name": name,
            "kind": kind,
            "base_url": f"http://127.0.0.1:{port}/v1",
            "api_key": "sk-upstream",
            "models": [model],
        }
        self._admin("POST", f"{project}/providers", provider)

    def confined_key(self) -> str:
        """Give the project a tier and an agent, each with rules of tools; return a key of that tier."""
        tier = {"name": "bench", "max_output_tokens": 500, "tools": _RULES}
        agent = {"name": AGENT, "model": MODEL, "instructions": "Answer in one sentence.", "tools": _RULES}
        self._admin("POST", f"{self._project}/tiers", tier)
        self._admin("POST", f"{self._project}/agents", agent)
        return str(self._admin("POST", f"{self._project}/keys", {"name": "confined", "tier": "bench"})["key"])

    def project(self, *, budgets: bool = False) -> tuple[str, str]:
        """Make another project, with two budgets or without; return its id and a key."""
        tenant = self._known().tenant_id
        made = str(self._admin("POST", f"/admin/v1/tenants/{tenant}/projects", {"name": "another"})["id"])
        path = f"/admin/v1/projects/{made}"
        self._set_up(path)
        if budgets:
            month = {"scope": "project", "limit": {"usd": "1000000"}, "window": "month"}
            day = {"scope": "user", "subject": "*", "limit": {"tokens": 10**15}, "window": "day"}
            self._admin("POST", f"{path}/budgets", month)
            self._admin("POST", f"{path}/budgets", day)
        return made, str(self._admin("POST", f"{path}/keys", {"name": "bench"})["key"])

    @property
    def _project(self) -> str:
        return f"/admin/v1/projects/{self._known().project_id}"

    def _known(self) -> Bootstrap:
        if self._bootstrap is None:
            message = f"{self.name} has not been started"
            raise BenchError(message)
        return self._bootstrap

    def _read_bootstrap(self) -> Bootstrap:
        written = json.loads((self._data / "bootstrap.json").read_text())
        return Bootstrap(
            base_url=written["base_url"],
            admin_key=written["admin_key"],
            tenant_id=written["tenant_id"],
            project_id=written["project_id"],
            api_key=written["api_key"],
        )

    def _set_up(self, project: str) -> None:
        self._add_provider(project, "mock", port=ports.MOCK_JSON, model=MODEL)
        self._add_provider(project, "mock-streams", port=ports.MOCK_STREAM, model=STREAM_MODEL)
        limits = dict.fromkeys(("ip", "project", "key", "user"), _GENEROUS)
        self._admin("PATCH", project, {"limits": limits})

    def _admin(self, method: str, path: str, body: object = None) -> dict[str, object]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._known().admin_key}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - loopback
                answer: dict[str, object] = json.load(response)
        except urllib.error.HTTPError as error:
            said = error.read()[:400].decode(errors="replace")
            message = f"{method} {path} was answered {error.code}: {said}"
            raise BenchError(message) from error
        return answer
