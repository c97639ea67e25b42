"""Reads the documentation as tests need it: its tables and its links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
SOURCE: Final = ROOT / "src" / "bailiwick"

_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FENCED: Final = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"`([^`]+)`")


def pages() -> list[Path]:
    """Every page of the repository's documentation."""
    return [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *sorted(DOCS.rglob("*.md")),
        *sorted((ROOT / "bench").glob("*.md")),
    ]


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return _FENCED.sub("", page.read_text("utf-8"))


def table(page: Path, first: str) -> list[list[str]]:
    """The rows of all tables of a page whose first column is headed `first`; cells without surrounding space."""
    rows: list[list[str]] = []
    wanted = False
    for line in prose(page).splitlines():
        if not line.startswith("|"):
            wanted = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if wanted and set(cells[0]) != {"-"}:
            rows.append(cells)
        wanted = wanted or cells[0] == first
    return rows


def code(cell: str) -> str:
    """What stands in a cell as code."""
    found = _CODE.search(cell)
    assert found is not None, cell
    return found[1]


def codes(text: str) -> list[str]:
    """Everything that stands in a text as code."""
    return _CODE.findall(text)


def links(page: Path) -> Iterator[tuple[str, str]]:
    """The relative links of a page, as (path, anchor); either may be empty."""
    for target in _LINK.findall(prose(page)):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield path, anchor


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "")).strip().lower().replace(" ", "-")
        for heading in _HEADING.findall(prose(page))
    }
