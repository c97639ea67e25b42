"""import-linter holds the direction of imports in `make check`; this holds that its contract leaves nothing out."""

from __future__ import annotations

import tomllib

from tests.architecture.markdown import DOCS, ROOT, SOURCE


def _layers() -> list[set[str]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (contract,) = [contract for contract in settings["contracts"] if contract["type"] == "layers"]
    return [
        {name.strip(" ()").removeprefix("bailiwick.") for part in layer.split("|") for name in part.split(":")}
        for layer in contract["layers"]
    ]


def test_the_contract_names_every_top_level_module() -> None:
    modules = {path.stem for path in SOURCE.glob("*.py")} | {path.name for path in SOURCE.iterdir() if path.is_dir()}
    assert set().union(*_layers()) == modules - {"__init__", "__pycache__"}


def test_the_picture_in_the_documentation_is_the_contract() -> None:
    page = (DOCS / "explanation" / "architecture.md").read_text("utf-8")
    picture = page.partition("```text\n")[2].partition("```")[0]
    rows = [line.partition("—")[0].split() for line in picture.splitlines()]
    assert [set(row) for row in rows if row != ["↓"]] == _layers()
