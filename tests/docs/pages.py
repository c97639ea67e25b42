"""The pages whose code blocks are executed, and how a block is marked.

Every ```sh and ```python block of these pages is run, in order, as a reader would. Comments right before a block, which
a reader does not see, say what the test cannot know:

    <!-- expect: some text -->     the block prints this text (several comments: all of them)
    <!-- serves -->                the block starts a server that stays; it goes on when the server says `ready`
    <!-- not run: the reason -->   the block is not executed; `test_pages.py` lists all of these

Blocks in another language (`text`, `json`, `nginx`) are for the eye.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

ROOT: Final = Path(__file__).parents[2]
_FENCE: Final = re.compile(r"^( *)```(\w*)$")
_MARK: Final = re.compile(r"^<!-- (expect|not run|serves)(?:: (.+))? -->$")
RUN: Final = frozenset({"sh", "python"})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block; `line` is that of its fence, `code` ends with a line break."""

    page: str
    line: int
    language: str
    code: str
    expects: tuple[str, ...]
    serves: bool
    not_run: str | None

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.page}:{self.line}"


def executed_pages() -> list[str]:
    """The pages whose blocks are run, relative to the repository."""
    folders = (ROOT / "docs" / "tutorial", ROOT / "docs" / "how-to")
    pages = [path for folder in folders for path in sorted(folder.glob("*.md"))]
    return ["README.md", *(str(path.relative_to(ROOT)) for path in pages)]


def blocks(page: str) -> list[Block]:
    """Every fenced block of a page; raises ValueError for one without an end or with a mark that means nothing."""
    found: list[Block] = []
    marks: list[tuple[str, str]] = []
    fence: tuple[int, str] | None = None
    indent = ""
    code: list[str] = []
    for number, line in enumerate((ROOT / page).read_text("utf-8").splitlines(), 1):
        opening = _FENCE.match(line)
        if fence is not None:
            if line == f"{indent}```":
                found.append(_block(page, *fence, code, marks))
                fence, code, marks = None, [], []
            else:
                code.append(line.removeprefix(indent))
        elif opening is not None:
            indent, fence = opening[1], (number, opening[2])
        elif (mark := _MARK.match(line)) is not None:
            marks.append((mark[1], mark[2] or ""))
        elif marks:
            message = f"{page}:{number}: a mark must stand right before a block"
            raise ValueError(message)
    if fence is not None or marks:
        message = f"{page}: a block or a mark without an end"
        raise ValueError(message)
    return found


def _block(page: str, line: int, language: str, code: list[str], marks: list[tuple[str, str]]) -> Block:
    return Block(
        page=page,
        line=line,
        language=language,
        code="".join(f"{text}\n" for text in code),
        expects=tuple(text for kind, text in marks if kind == "expect"),
        serves=any(kind == "serves" for kind, _ in marks),
        not_run=next((text for kind, text in marks if kind == "not run"), None),
    )
