"""The reader at the terminal notices what goes wrong; otherwise the pages' tests would prove nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import pages
from tests.docs.pages import Block, blocks
from tests.docs.terminal import Terminal
from tests.installation import clean_environment


def _block(language: str, code: str, *expects: str) -> Block:
    return Block(
        page="page.md", line=1, language=language, code=f"{code}\n", expects=expects, serves=False, not_run=None
    )


def test_what_a_block_sets_is_there_in_the_next_ones(tmp_path: Path) -> None:
    with Terminal(tmp_path, clean_environment()) as terminal:
        terminal.run(_block("sh", "NAME='two words'\nsay() { echo \"$NAME\"; }"))
        terminal.run(_block("sh", "say", "two words"))
        terminal.run(_block("python", "import os\nname = os.environ['NAME']"))
        terminal.run(_block("python", "print(name.upper())", "TWO WORDS"))


@pytest.mark.parametrize(
    "block",
    [
        _block("sh", "echo one", "two"),
        _block("sh", "false\necho one"),
        _block("sh", "false | cat"),
        _block("sh", "echo $NOBODY_SET_THIS"),
        _block("python", "print('one')", "two"),
        _block("python", "raise ValueError"),
    ],
    ids=["silent", "failing", "failing in a pipe", "unset variable", "silent python", "raising"],
)
def test_a_block_that_does_not_do_what_it_says_fails(tmp_path: Path, block: Block) -> None:
    with Terminal(tmp_path, clean_environment()) as terminal, pytest.raises(AssertionError, match=r"page\.md:1"):
        terminal.run(block)


@pytest.mark.parametrize(
    "text", ["<!-- expect: x -->\nprose\n", "```sh\necho\n", "<!-- expect: x -->\n"], ids=["apart", "endless", "alone"]
)
def test_a_mark_or_a_block_that_stands_alone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    (tmp_path / "page.md").write_text(text)
    with pytest.raises(ValueError, match=r"page\.md"):
        blocks("page.md")


def test_a_block_within_a_list_is_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    (tmp_path / "page.md").write_text("- first:\n\n  ```sh\n  echo one\n    indented\n  ```\n")
    (block,) = blocks("page.md")
    assert block.code == "echo one\n  indented\n"
