"""What the source looks like: small modules, small functions, docstrings, errors that are raised, a light import."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from bailiwick.domain.errors import Code
from tests.architecture.markdown import ROOT, SOURCE

_MODULE: Final = 400
_FUNCTION: Final = 50
Function = ast.FunctionDef | ast.AsyncFunctionDef

# Longer functions, with the reason. An entry that is no longer needed fails too.
_LONGER: Final = {
    "src/bailiwick/apps/gateway/__main__.py:run": "what the process is told, handed on to what needs it",
    "src/bailiwick/bootstrap/control.py:control_plane": "the list of all use cases, each with what it needs",
    "src/bailiwick/bootstrap/person_access.py:person_access": "the same for how people come in",
}


def _trees(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text("utf-8"))


def test_modules_are_shorter_than_400_lines() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines())
        for folder in ("src", "tests", "bench")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert not {name: length for name, length in lengths.items() if length >= _MODULE}


def test_functions_are_shorter_than_50_lines() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{node.name}": node.end_lineno - node.lineno + 1
        for path, tree in _trees("src", "bench")
        for node in ast.walk(tree)
        if isinstance(node, Function) and node.end_lineno is not None and node.end_lineno - node.lineno + 1 >= _FUNCTION
    }
    assert set(long) == set(_LONGER), long


def test_everything_public_has_a_docstring() -> None:
    bare = [
        f"{path.relative_to(SOURCE)}: {name}"
        for path, tree in _trees("src")
        for name, node in _public(tree)
        if ast.get_docstring(node) is None
    ]
    assert not bare


def _public(tree: ast.Module) -> Iterator[tuple[str, ast.Module | ast.ClassDef | Function]]:
    """The module, its public functions and classes, and the public methods of these."""
    yield "the module", tree
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, *Function.__args__)) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, Function) and not inner.name.startswith("_"):
                        yield f"{node.name}.{inner.name}", inner


def test_every_error_code_is_raised() -> None:
    """A code that nothing raises is a promise that nobody keeps; comparing with it is not raising it."""
    raised: set[str] = set()
    for path, tree in _trees("src"):
        compared = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.Compare) for inner in ast.walk(node)}
        listed = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.Dict) and path.name == "errors.py"
            for inner in ast.walk(node)
        }
        raised |= {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "Code"
            and id(node) not in compared | listed
        }
    assert sorted(set(Code.__members__) - raised) == []


@pytest.mark.parametrize("path", [path for path, _ in _trees("src")], ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_package_is_a_package(path: Path) -> None:
    assert (path.parent / "__init__.py").exists()


def test_importing_the_package_loads_nothing_but_the_standard_library() -> None:
    program = (
        "import json, sys; before = set(sys.modules); import bailiwick;"
        " print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert loaded - sys.stdlib_module_names == {"bailiwick"}


def test_a_command_that_speaks_to_an_installation_reads_nothing_that_opens_its_database() -> None:
    program = "import json, sys; import bailiwick.apps.cli.main; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert [name for name in json.loads(done.stdout) if name.startswith(("psycopg", "bailiwick.bootstrap"))] == []
