"""Every page can be reached, and nothing that a page names is missing."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.markdown import DOCS, ROOT, SOURCE, anchors, codes, links, pages, prose

_FILE: Final = re.compile(r"(?!/)[\w./-]+\.(?:py|sql|md|toml|lock|json|yml|template)")
# Files that an installation makes, and that documentation names.
_MADE: Final = frozenset({"bootstrap.json", ".bailiwick/bootstrap.json", "serve.lock", "bench/results.json"})

# What every module speaks in, and no station is.
_VOCABULARY: Final = frozenset(
    {"domain/errors.py", "domain/permissions.py", "domain/usage.py", "providers/transport_errors.py"}
)


def _shown(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", pages(), ids=_shown)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        if not target.is_relative_to(ROOT) or not target.exists():
            broken.append(path)
        elif anchor and anchor not in anchors(target):
            broken.append(f"{path}#{anchor}")
    assert not broken


@pytest.mark.parametrize("page", pages(), ids=_shown)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = {text for text in codes(prose(page)) if _FILE.fullmatch(text)} - _MADE
    missing = sorted(name for name in named if not (SOURCE / name).exists() and not (ROOT / name).exists())
    assert not missing


def test_a_link_is_labelled_with_the_file_that_it_leads_to() -> None:
    """`[domain/limits.py](…/domain/limits.py)`: what is read and what is opened are the same."""
    wrong = []
    for page in pages():
        for label, target in re.findall(r"\[`([^`]+\.(?:py|sql))`\]\(([^)]+)\)", prose(page)):
            if not (page.parent / target).resolve().is_relative_to(SOURCE) or not target.endswith(f"/{label}"):
                wrong.append(f"{_shown(page)}: {label}")
    assert not wrong


def test_the_index_leads_to_every_page() -> None:
    index = DOCS / "README.md"
    reached = {(index.parent / path).resolve() for path, _ in links(index) if path}
    assert sorted(DOCS.rglob("*.md")) == sorted((reached & set(DOCS.rglob("*.md"))) | {index})


def test_the_path_of_a_call_visits_what_the_pipeline_uses() -> None:
    """Whatever `services/pipeline.py` imports is a station of a call, and is named on the page."""
    page = prose(DOCS / "explanation" / "request-path.md")
    tree = ast.parse((SOURCE / "services" / "pipeline.py").read_text("utf-8"))
    used = {
        node.module.removeprefix("bailiwick.").replace(".", "/") + ".py"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("bailiwick.")
    }
    assert used
    assert sorted(name for name in used - _VOCABULARY if f"`{name}`" not in page) == []
