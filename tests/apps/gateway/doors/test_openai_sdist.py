"""The tests that the `openai` package is released with: through the gateway they end as they do without it.

They come from the package index that pip is set up with, once, into a cache of the user's; without one they are not
run, and it is said. They are the tests of every `create` of our doors, `images.generate` and `models.list`, all three
of their clients. Two things are changed about them: the API key, which they do not let be chosen, and that their tests
of speech would answer themselves.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.apps.gateway.doors.typed_provider import TypedProvider, typed_provider
from tests.serving import Site, opened

VERSION: Final = importlib.metadata.version("openai")
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bailiwick" / f"openai-{VERSION}"
FILES: Final = (
    "audio/test_speech.py", "audio/test_transcriptions.py", "chat/test_completions.py", "test_completions.py",
    "test_embeddings.py", "test_images.py", "test_models.py", "test_moderations.py", "test_responses.py",
)  # fmt: skip
CHOSEN: Final = "(create and not variation) or generate or (list and test_models)"
ADDRESSES: Final = 8
# They themselves do not ask for speech by this one of their clients.
LEFT_OUT: Final = "Skipped: aiohttp client is not compatible with respx2_mock"
# Read below theirs, so it says how it shall be.
CONFTEST: Final = '''
import json
import os
import pathlib
import pytest
import tests.conftest as theirs

theirs.api_key = os.environ["TEST_API_KEY"]


class _Passing:
    """Stands where requests would be answered before they are sent."""

    def post(self, path):
        return self

    def mock(self, return_value):
        pass


@pytest.fixture
def respx2_mock():
    return _Passing()


ended = {}


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        ended[report.nodeid] = f"{report.outcome} {report.longrepr or ''}"[:400].strip()


def pytest_sessionfinish():
    pathlib.Path(os.environ["TEST_REPORT"]).write_text(json.dumps(ended))
'''


def pip(action: str, *arguments: str) -> None:
    """Run pip; what it cannot fetch is no test of ours."""
    patience = ("--retries", "1", "--timeout", "10", "--quiet", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", action, *patience, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
        said = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["nothing"])[-1]
    except subprocess.TimeoutExpired:
        said = "nothing within 110 seconds"
    if said:
        pytest.skip(f"NOT RUN: the tests of openai {VERSION} cannot be fetched; pip says: {said}")


@pytest.fixture(scope="module")
def sdist() -> Path:
    """Where the package's own tests are, and what they need beside it."""
    source, extras, complete = CACHE / f"openai-{VERSION}", CACHE / "extras", CACHE / ".complete"
    if not complete.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        pip(
            "download", f"openai=={VERSION}", "--no-binary", ":all:", "--no-deps", "--no-build-isolation",
            "--dest", str(CACHE),
        )  # fmt: skip
        pip("install", "--upgrade", "--target", str(extras), "aiohttp")
        subprocess.run(["tar", "-xzf", f"openai-{VERSION}.tar.gz"], cwd=CACHE, check=True, timeout=60)
        complete.touch()
    (source / "tests" / "api_resources" / "conftest.py").write_text(CONFTEST)
    return source


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """With the usual patience: where a provider is given a second, an answer that is late is asked for twice."""
    with opened(tmp_path_factory.mktemp("patient") / "data", {}) as site:
        yield site


def outcomes(sdist: Path, base_url: str, key: str, report: Path) -> dict[str, str]:
    """Run their tests; returns how each ended, and why if not well."""
    command = [
        sys.executable, "-m", "pytest", *(f"tests/api_resources/{name}" for name in FILES), "-k", CHOSEN, "-q",
        "-o", "addopts=", "-p", "no:cacheprovider", "--tb=line",
    ]  # fmt: skip
    environment = {
        **os.environ, "TEST_API_BASE_URL": base_url, "TEST_API_KEY": key, "TEST_REPORT": str(report),
        "PYTHONPATH": str(sdist.parent / "extras"),
    }  # fmt: skip
    done = subprocess.run(command, cwd=sdist, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert report.exists(), done.stdout + done.stderr
    found: dict[str, str] = json.loads(report.read_bytes())
    return found


def directly(sdist: Path, provider: TypedProvider, folder: Path) -> dict[str, str]:
    return outcomes(sdist, provider.base_url, "sk-direct", folder / "direct.json")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_openai_packages_own_tests_end_as_they_do_without_us(patient: Site, sdist: Path, tmp_path: Path) -> None:
    with typed_provider() as provider:
        without = directly(sdist, provider, tmp_path)
        assert all(ended == "passed" or LEFT_OUT in ended for ended in without.values()), without
        assert len(set(provider.taken)) == ADDRESSES
        asked, provider.taken = sorted(provider.taken), []
        caller = patient.project(provider={"base_url": provider.base_url})
        through = outcomes(sdist, f"{patient.installation.url}/v1", caller.key, tmp_path / "through.json")
        assert {name: ended for name, ended in through.items() if ended != without[name]} == {}
        assert len(through) == len(without) > 250
        assert provider.refused == []
        assert sorted(provider.taken) == asked


def test_the_typed_provider_refuses_what_the_package_would_not_send() -> None:
    with typed_provider() as provider:
        good = {"model": "m", "input": "x"}
        for wrong in ({"model": "m"}, {**good, "surprise": 1}, {**good, "dimensions": "many"}, {**good, "input": 7}):
            assert provider.answer("/embeddings", "application/json", json.dumps(wrong).encode())[0] == 400
        chat = b'{"model":"m","messages":[{"role":"nobody","content":"x"}]}'
        assert provider.answer("/chat/completions", "application/json", chat)[0] == 400
        assert len(provider.refused) == 5
