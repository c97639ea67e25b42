"""What no file of the repository may hold, and what the lock file must."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from tests.architecture.markdown import ROOT

_MADE: Final = frozenset({"__pycache__", "dist"})
_SELF: Final = Path(__file__)

# The machine on which somebody worked is nobody else's.
_MACHINE: Final = re.compile(r"(?<![\w.:/-])/(?:work|root|home|Users|mnt|workspace)/[\w.]+")
# Where packages came from is whoever installs them's choice.
_REGISTRY: Final = re.compile(
    r"\b(?:pypi\.org|pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg\.com|crates\.io|proxy\.golang\.org"
    r"|anaconda\.org|conda\.io|artifactory|--index-url|--extra-index-url)\b",
    re.IGNORECASE,
)
# How the text came to be written is no part of it. Names of providers and models, and the agents, sessions and prompts
# that the product speaks of, are not meant and must not match.
_MAKING: Final = re.compile(
    r"\b(?:(?:ai|llm|gpt|claude|chatgpt|copilot)[- ](?:generated|written|authored|assisted|made)"
    r"|(?:generated|written|authored) (?:by|with) (?:an? )?"
    r"(?:ai|llm|language model|assistant|agent|claude|chatgpt|copilot)"
    r"|co-authored-by|claude code|github copilot|codex cli|as an ai\b|language model wrote"
    r"|(?:coding|helper|sub)[- ]?agents?|agent sessions?|prompt plan|system prompt of|working plan"
    r"|(?:this|previous|next|later|earlier) (?:coding )?session of (?:work|the project)|context window of)\b",
    re.IGNORECASE,
)
_UNFINISHED: Final = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
_HOLDS_A_REQUIREMENT: Final = re.compile(r"^[A-Za-z0-9][\w.-]*(?:\[[\w,-]+\])?==")


@cache
def _files() -> dict[str, str]:
    """Every text file of the repository, but for this one, which has to name what it refuses."""
    found: dict[str, str] = {}
    for path in _walk(ROOT):
        if path != _SELF:
            try:
                found[str(path.relative_to(ROOT))] = path.read_text("utf-8")
            except UnicodeDecodeError:
                continue
    return found


def _walk(folder: Path) -> Iterator[Path]:
    """What is not made here; of the folders that begin with a dot, only CI's."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            hidden = path.name.startswith(".") and path.name != ".ci"
            if not hidden and path.name not in _MADE and not path.name.endswith(".egg-info"):
                yield from _walk(path)
        elif path.name != ".git":  # a file in a linked work tree
            yield path


def _holding(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for name, text in _files().items()
        for match in pattern.finditer(text)
    ]


def test_the_walk_sees_the_repository() -> None:
    assert {"README.md", "pyproject.toml", ".ci/run", "src/bailiwick/config.py", "docs/README.md"} <= set(_files())


def test_no_file_names_a_folder_of_a_machine() -> None:
    assert not _holding(_MACHINE)


def test_no_file_names_a_package_registry() -> None:
    assert not _holding(_REGISTRY)


def test_no_file_speaks_of_how_it_was_written() -> None:
    assert not _holding(_MAKING)


def test_nothing_is_left_to_do() -> None:
    assert not _holding(_UNFINISHED)


def test_the_lock_file_has_a_hash_for_every_package_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    assert "://" not in lock
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock.strip())
    assert entries
    assert not [entry.splitlines()[0] for entry in entries if not _HOLDS_A_REQUIREMENT.match(entry)]
    assert not [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry]


def test_the_words_that_are_refused_would_be_found() -> None:
    for sentence in ("This was AI-generated.", "Co-Authored-By: somebody", "written by an LLM", "the helper agent"):
        assert _MAKING.search(sentence), sentence
    for sentence in ("an agent's session", "claude-sonnet", "chatgpt-4o-latest", "the prompt's tokens", "agents: []"):
        assert not _MAKING.search(sentence), sentence
    for path in ("/home/somebody/x", " /root/.cache"):
        assert _MACHINE.search(path), path
    for path in ("https://example.com/work/x", "docs/work/x", "src/root/x"):
        assert not _MACHINE.search(path), path
