"""Writes what full-length trials found to `bench/faults.md`: a table for each kind, with date and machine.

A run replaces the tables that it made and leaves the others, so a single trial can be run again by itself.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final, final

_FILE: Final = Path(__file__).parents[2] / "bench" / "faults.md"
_HEADER: Final = """\
# What happens when things break

Made by `make prove` (`tests/faults`), which says exactly what each trial does and what it holds against the contract.
Every trial compares the ledger with what the scripted provider saw: each call has exactly one row, or the trial fails.
Figures are seconds unless they say otherwise: median (smallest to largest).
"""
_SECTION: Final = re.compile(r"^## (?P<title>.+)\n(?P<text>(?:(?!^## ).*\n?)*)", re.MULTILINE)


@final
class Findings:
    """Rows of tables, by the title of their table."""

    def __init__(self) -> None:
        self._tables: dict[str, list[dict[str, str]]] = {}

    def add(self, title: str, **row: str | float | Sequence[float]) -> None:
        """Add a row; its names are the columns, the same for all rows of a table. A sequence is shown as its spread."""
        shown = {name.replace("_", " "): _shown(value) for name, value in row.items()}
        self._tables.setdefault(title, []).append(shown)

    def write(self) -> None:
        """Replace these tables in the file."""
        if not self._tables:
            return
        there = _FILE.read_text() if _FILE.exists() else ""
        sections = {found["title"]: found["text"].strip() for found in _SECTION.finditer(there)}
        sections |= {title: f"{_when_and_where()}\n\n{_table(rows)}" for title, rows in self._tables.items()}
        texts = [f"## {title}\n\n{sections[title]}\n" for title in sorted(sections)]
        _FILE.write_text("\n".join([_HEADER, *texts]))


def _shown(value: str | float | Sequence[float]) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{statistics.median(value):.2f} ({min(value):.2f} to {max(value):.2f})" if value else "-"


def _table(rows: Sequence[dict[str, str]]) -> str:
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([row[column] for column in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _when_and_where() -> str:
    processor = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    memory = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9)
    kernel = platform.release().split("-", maxsplit=1)[0]
    today = dt.datetime.now(tz=dt.UTC).date()
    machine = f"{os.cpu_count()} cores ({processor}), {memory} GB, Linux {kernel}"
    return f"{today}, {machine}, Python {platform.python_version()}"
