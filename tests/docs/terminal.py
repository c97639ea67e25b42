"""A reader at a terminal: runs the blocks of one page, one after the other, and keeps what they set."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self, final

from tests.docs.pages import Block
from tests.installation import free_port

_PATIENCE: Final = 60.0
# Every variable of a block is there in the next one, as in a terminal that stays open.
_SHELL: Final = """
set -aeuo pipefail
if [ -f {state} ]; then . {state}; fi
{code}
{{ export -p; declare -f; }} > {state}
"""
_PYTHON: Final = """
import contextlib, io, json, os, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    asked = json.loads(line)
    os.environ.update(asked["environment"])
    said, failed = io.StringIO(), False
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            exec(compile(asked["code"], asked["place"], "exec"), names)
        except BaseException:
            traceback.print_exc()
            failed = True
    print(json.dumps({"said": said.getvalue(), "failed": failed}), flush=True)
"""


@final
class Terminal:
    """Runs blocks in `folder`, in which also the data folder of a server is; one Python session lasts for the page."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """`environment` is all that the blocks see; `bailiwick` and `python3` are this environment's."""
        self._folder = folder
        self._state = folder / ".state"
        self._environment = {**environment, "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"}
        self._python: subprocess.Popen[str] | None = None
        self._server: subprocess.Popen[str] | None = None
        self._port = free_port()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_server()
        if self._python is not None:
            assert self._python.stdin is not None
            assert self._python.stdout is not None
            self._python.stdin.close()
            self._python.wait(_PATIENCE)
            self._python.stdout.close()

    def run(self, block: Block) -> str:
        """Run a block; returns what it printed. AssertionError when it fails, or prints not what it should."""
        if block.serves:
            said = self._serve(block)
        elif block.language == "python":
            said = self._run_python(block)
        else:
            said = self._run_shell(block)
        for expected in block.expects:
            assert expected in said, f"{block.place} does not print {expected!r} but:\n{said}"
        return said

    def _run_shell(self, block: Block) -> str:
        done = subprocess.run(
            ["bash", "-c", _SHELL.format(state=self._state, code=block.code)],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{block.place} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def _run_python(self, block: Block) -> str:
        if self._python is None:
            self._python = subprocess.Popen(
                [sys.executable, "-c", _PYTHON],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._python.stdin is not None
        assert self._python.stdout is not None
        asked = {"code": block.code, "place": block.place, "environment": self._variables()}
        self._python.stdin.write(json.dumps(asked) + "\n")
        self._python.stdin.flush()
        answer = json.loads(self._python.stdout.readline())
        assert not answer["failed"], f"{block.place} fails:\n{answer['said']}"
        return str(answer["said"])

    def _variables(self) -> dict[str, str]:
        """What the shell's blocks have exported by now."""
        if not self._state.exists():
            return {}
        script = f"set -a; . {self._state}; env -0"
        listed = subprocess.run(["bash", "-c", script], env=self._environment, capture_output=True, check=True)
        return dict(entry.split("=", 1) for entry in listed.stdout.decode().split("\0") if entry)

    def _serve(self, block: Block) -> str:
        """Start what the block starts, on this page's port; a server that an earlier block started is ended first."""
        self._end_server()
        self._server = subprocess.Popen(
            ["bash", "-c", f"set -aeu; if [ -f {self._state} ]; then . {self._state}; fi; {block.code}"],
            cwd=self._folder,
            env={**self._environment, "BAILIWICK_PORT": str(self._port)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self._server.stdout is not None
        said = ""
        deadline = time.monotonic() + _PATIENCE
        for line in self._server.stdout:
            said += line
            if line.startswith("ready "):
                self._environment.update(variables_of(self._folder / ".bailiwick"))
                return said
            assert time.monotonic() < deadline, f"{block.place} is not ready:\n{said}"
        message = f"{block.place} ended:\n{said}"
        raise AssertionError(message)

    def _end_server(self) -> None:
        """End what a block started; its shell, and `serve` within it, are a process group of their own."""
        server, self._server = self._server, None
        if server is not None and server.stdout is not None:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            server.stdout.read()
            server.stdout.close()
            server.wait(_PATIENCE)


@contextmanager
def backend_ended(folder: Path) -> Iterator[None]:
    """A backend that a page's blocks started and noted in `backend.pid` is ended, also when the page got no further."""
    noted = folder / "backend.pid"
    try:
        yield
    finally:
        if noted.exists():
            os.kill(int(noted.read_text()), signal.SIGTERM)
            noted.unlink()


def variables_of(data_folder: Path) -> dict[str, str]:
    """What the tutorial tells a reader to set, from `bootstrap.json`: BASE_URL, ADMIN_KEY, API_KEY and the others."""
    kept: dict[str, str] = json.loads((data_folder / "bootstrap.json").read_text())
    return {name.upper(): value for name, value in kept.items()}
