"""The SQL files: every query is text in `queries/*.sql`, named, with one line that says what it is for.

A file holds blocks of the form

    -- name: find_project
    -- One project of the tenant in scope.
    SELECT …

`load("projects")` gives a mapping from name to query. Queries are handed to psycopg as bytes, which it converts and
caches once. Guarantee: a name stands once in a file, and each block has its description; anything else raises
`ValueError` at import, not at the first call.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import NewType

Sql = NewType("Sql", bytes)

_BLOCK = re.compile(r"^-- name: (?P<name>\w+)\n-- (?P<says>.+)\n(?P<text>(?:(?!^-- name: ).*\n?)+)", re.MULTILINE)


def load(aggregate: str) -> dict[str, Sql]:
    """Read `queries/{aggregate}.sql`; raises `ValueError` for a file that breaks the form above."""
    text = resources.files(__name__.rpartition(".")[0]).joinpath("queries", f"{aggregate}.sql").read_text("utf-8")
    found: dict[str, Sql] = {}
    for block in _BLOCK.finditer(text):
        if block["name"] in found:
            msg = f"queries/{aggregate}.sql names {block['name']} twice"
            raise ValueError(msg)
        found[block["name"]] = Sql(block["text"].strip().rstrip(";").encode())
    if len(found) != text.count("-- name: "):
        msg = f"queries/{aggregate}.sql has a block without name, description or text"
        raise ValueError(msg)
    return found


def aggregates() -> list[str]:
    """The names of all query files, sorted."""
    folder = resources.files(__name__.rpartition(".")[0]).joinpath("queries")
    return sorted(entry.name.removesuffix(".sql") for entry in folder.iterdir() if entry.name.endswith(".sql"))
