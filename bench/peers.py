"""The peers, installed apart from our own environment, in pinned versions, on first use.

They live in `$XDG_CACHE_HOME/bailiwick-bench` (or `~/.cache/bailiwick-bench`). A peer that cannot
be installed is a `BenchError`, which the run turns into a row of the table.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from bench.errors import BenchError
from bench.server import environment

LITELLM_VERSION: Final = "1.104.0"
PORTKEY_VERSION: Final = "1.15.2"
_WITHIN: Final = 900


def cache_folder() -> Path:
    """Return where peers are installed: outside the repository and its environment."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bailiwick-bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A peer's pinned packages, where they live, and the commands that put them there.

    `manifest` is the text of the file `manifest_name`, which the commands read in `folder`.
    """

    name: str
    version: str
    folder: Path
    needs: str
    manifest_name: str
    manifest: str
    steps: tuple[list[str], ...]

    @property
    def is_installed(self) -> bool:
        """Whether an earlier installation of exactly these packages finished."""
        mark = self._mark()
        return mark.exists() and mark.read_text() == self.manifest

    def ensure(self) -> None:
        """Install the peer if it is not there; raise `BenchError` if that fails."""
        if self.is_installed:
            return
        if shutil.which(self.needs) is None:
            message = f"{self.name} {self.version} is not installed: it needs `{self.needs}`"
            raise BenchError(message)
        print(f"installing {self.name} {self.version} (once) …", flush=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        (self.folder / self.manifest_name).write_text(self.manifest)
        log = self.folder.with_name(f"{self.folder.name}.log")
        with log.open("w") as output:
            for step in self.steps:
                self._run(step, output)
        self._mark().write_text(self.manifest)

    def _mark(self) -> Path:
        return self.folder / "installed"

    def _run(self, step: list[str], output: IO[str]) -> None:
        try:
            done = subprocess.run(
                step,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment({}) | _proxies(),
                timeout=_WITHIN,
                check=False,
            )
            failed = done.returncode != 0
        except subprocess.TimeoutExpired:
            failed = True
        if failed:
            print(f"  failed, see {output.name}", flush=True)
            message = f"{self.name} {self.version} could not be installed here"
            raise BenchError(message)


def _proxies() -> dict[str, str]:
    """Return the proxy settings, which only the installation may need."""
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}


def litellm() -> Peer:
    """Return LiteLLM's proxy, in a virtual environment of its own."""
    folder = cache_folder() / f"litellm-{LITELLM_VERSION}"
    python = str(folder / "bin" / "python")
    return Peer(
        name="LiteLLM",
        version=LITELLM_VERSION,
        folder=folder,
        needs="python3",
        manifest_name="requirements.txt",
        manifest=f"litellm[proxy]=={LITELLM_VERSION}\n",
        steps=(
            [sys.executable, "-m", "venv", str(folder)],
            [python, "-m", "pip", "install", "--quiet", "-r", str(folder / "requirements.txt")],
        ),
    )


def portkey() -> Peer:
    """Return Portkey's gateway, in a folder of its own; install scripts do not run."""
    folder = cache_folder() / f"portkey-{PORTKEY_VERSION}"
    return Peer(
        name="Portkey gateway",
        version=PORTKEY_VERSION,
        folder=folder,
        needs="npm",
        manifest_name="package.json",
        manifest=json.dumps(
            {
                "private": True,
                "dependencies": {"@portkey-ai/gateway": PORTKEY_VERSION},
                # With a newer one every stream is a 500: Portkey-AI/gateway issue 1389.
                "overrides": {"@hono/node-server": "1.13.5"},
            }
        ),
        steps=(["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit"],),
    )
