"""The table of what a provider does wrong and the tests of it name one another."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

from tests.architecture.markdown import DOCS, ROOT, codes, table

FAULTS: Final = ROOT / "tests" / "apps" / "gateway" / "faults"
# Where what needs an installation of its own is tried.
TRIALS: Final = ROOT / "tests" / "faults"


def _tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {node.name for node in functions if node.name.startswith("test_")}


def test_every_fault_in_the_table_has_its_test_and_every_test_its_fault() -> None:
    named = [name for row in table(DOCS / "explanation" / "failure.md", "fault") for name in codes(row[-1])]
    assert len(named) == len(set(named))
    existing = set().union(*map(_tests, FAULTS.glob("test_*.py")))
    trials = set().union(*map(_tests, TRIALS.glob("test_*.py")))
    assert existing <= set(named) <= existing | trials


def test_every_fault_in_the_table_names_a_test() -> None:
    assert [row[0] for row in table(DOCS / "explanation" / "failure.md", "fault") if not codes(row[-1])] == []
