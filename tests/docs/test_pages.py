"""README, tutorial and how-tos do what they say: their blocks are run against a real installation.

A page finds these variables, as the tutorial sets them: BASE_URL, ADMIN_KEY, API_KEY, TENANT_ID, PROJECT_ID (a tenant,
a project and a key of the page's own, but for README and the first tutorial, which use what the first start made); and,
of a reader's own: PROVIDER_URL and PROVIDER_KEY (an OpenAI-compatible server), DATABASE_URL (a superuser's login to an
empty database), BACKEND_PORT (for a backend, whose process a page notes in `backend.pid`). A page that starts a server
by itself gets a folder of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest

from bailiwick.storage.embedded import EmbeddedPostgres
from tests.docs.pages import ROOT, RUN, blocks, executed_pages
from tests.docs.terminal import Terminal, backend_ended, variables_of
from tests.installation import Installation, clean_environment, free_port
from tests.upstream import Upstream

_FIRST_PROJECT: Final = frozenset({"README.md", "docs/tutorial/first-call.md"})
_OWN_DATABASE: Final = "docs/how-to/use-your-own-postgresql.md"

_STAYS: Final = "it installs the dependencies and then stays; the tests have a server of their own"
# What is not run, by page and reason. A new entry needs a reason that a reader would accept.
NOT_RUN: Final = [
    ("README.md", _STAYS),
    ("README.md", "it is what runs this block"),
    ("README.md", "the key is the reader's own"),
    ("docs/how-to/add-a-provider.md", "the account is the reader's own"),
    ("docs/how-to/add-a-provider.md", "the account is the reader's own"),
    ("docs/how-to/add-a-provider.md", "it needs a server at this address, and stays"),
    ("docs/how-to/use-your-own-postgresql.md", "the login is the reader's own"),
    ("docs/tutorial/first-call.md", _STAYS),
    ("docs/tutorial/first-call.md", "it downloads a package, which the test environment has"),
    ("docs/tutorial/tokens-of-your-provider.md", "it downloads packages, which the test environment has"),
    ("docs/tutorial/tokens-for-users.md", "it downloads packages, which the test environment has"),
    ("docs/tutorial/tokens-for-users.md", "it downloads a package, which the test of the page in a browser has"),
]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The reader's: its data folder is `.bailiwick` in the folder where blocks run."""
    with Installation(tmp_path_factory.mktemp("reader") / ".bailiwick") as started:
        yield started


@pytest.fixture(scope="module")
def provider() -> Iterator[Upstream]:
    """The reader's model provider."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    """The reader's PostgreSQL, with an empty database."""
    engine = EmbeddedPostgres(root=tmp_path / "pg", superuser_password="secret", settings={"fsync": "off"})
    engine.start()
    try:
        with psycopg.connect(engine.conninfo(user="postgres", password="secret"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE gateway")
        yield engine.conninfo(user="postgres", password="secret", database="gateway")
    finally:
        engine.stop()


def _serves(page: str) -> bool:
    return any(block.serves for block in blocks(page))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in executed_pages() if not _serves(page)])
def test_what_a_page_says_happens(page: str, installation: Installation, provider: Upstream) -> None:
    environment = clean_environment({"PROVIDER_URL": provider.base_url, "PROVIDER_KEY": "sk-of-the-reader"})
    if page not in _FIRST_PROJECT:
        environment |= _own_project(installation, page)
    if page == "README.md":
        environment |= variables_of(installation.folder)
    environment["BACKEND_PORT"] = str(free_port())
    _run(page, installation.folder.parent, environment)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in executed_pages() if _serves(page) and page != _OWN_DATABASE])
def test_what_a_page_that_starts_a_server_says_happens(page: str, tmp_path: Path) -> None:
    _run(page, tmp_path, clean_environment())


@pytest.mark.slow
def test_what_the_page_about_an_own_database_says_happens(tmp_path: Path, database_url: str) -> None:
    _run(_OWN_DATABASE, tmp_path, clean_environment({"DATABASE_URL": database_url}))


def test_every_block_is_run_or_says_why_not() -> None:
    found = [(page, block.not_run) for page in executed_pages() for block in blocks(page) if block.not_run is not None]
    assert sorted(found) == sorted(NOT_RUN)


def test_only_blocks_that_can_be_run_carry_marks() -> None:
    for page in executed_pages():
        for block in blocks(page):
            marked = block.expects or block.serves or block.not_run is not None
            assert not marked or block.language in RUN, block.place
            assert block.not_run is None or not (block.expects or block.serves), block.place


def test_every_block_has_a_language() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    nameless = [block.place for path in pages for block in blocks(str(path.relative_to(ROOT))) if not block.language]
    assert not nameless


def test_reference_pages_are_not_meant_to_be_run() -> None:
    """Their blocks are examples; whoever writes a command there should write a how-to."""
    for path in (ROOT / "docs").rglob("*.md"):
        page = str(path.relative_to(ROOT))
        if page not in executed_pages():
            assert not [block.place for block in blocks(page) if block.language in RUN]


def _own_project(installation: Installation, page: str) -> dict[str, str]:
    name = re.sub(r"\W+", " ", Path(page).stem).strip()
    tenant = installation.admin.tenant(name)
    project = installation.admin.project(tenant["id"], name)
    key = installation.admin.key(project["id"], name)
    return {
        **variables_of(installation.folder),
        "TENANT_ID": tenant["id"],
        "PROJECT_ID": project["id"],
        "PROJECT_SLUG": project["slug"],
        "API_KEY": key["key"],
    }


def _run(page: str, folder: Path, environment: dict[str, str]) -> None:
    (folder / ".state").unlink(missing_ok=True)
    with Terminal(folder, environment) as terminal, backend_ended(folder):
        for block in blocks(page):
            if block.language in RUN and block.not_run is None:
                terminal.run(block)
