"""What a command writes: tables for people at a terminal, aligned text for everything else.

What others chose (names, ids of end users, models) is shown, never obeyed: characters that would move a cursor, hide a
text or turn it around are written as their codes, and nothing is read as markup.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TextIO, final

import msgspec

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_BAR: Final = 24
# Control characters, those that set the direction of writing or are invisible, halves of surrogate pairs, and breaks.
_NOT_SHOWN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its title, and the field that it shows, or how it is made from the item."""

    title: str
    value: Callable[[dict[str, Any]], object]
    right: bool = False


def column(field: str, title: str | None = None, *, right: bool = False) -> Column:
    """A column that shows a field; its title is the field's name unless it is stated."""
    return Column(title=title or field.replace("_", " "), value=lambda item: item[field], right=right)


def columns(*fields: str) -> tuple[Column, ...]:
    """Columns that show these fields."""
    return tuple(column(field) for field in fields)


def plain(value: object) -> str:
    """A value as one line of harmless text."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = ", ".join(value)
    else:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return "".join(map(_shown, text))


def write_table(out: TextIO, shown: Sequence[Column], items: Sequence[dict[str, Any]]) -> None:
    """Write a line for each item under the columns' titles."""
    rows = [[plain(one.value(item)) for one in shown] for item in items]
    if not out.isatty():
        _aligned(out, [[one.title.upper() for one in shown], *rows], [one.right for one in shown])
        return
    _draw_table(out, shown, rows)


def write_item(out: TextIO, item: dict[str, Any]) -> None:
    """Write a line for each field."""
    rows = [[name, plain(value)] for name, value in item.items()]
    if not out.isatty():
        _aligned(out, rows, [False, False])
        return
    _draw_item(out, rows)


def bar(value: float, largest: float) -> str:
    """A bar of `value`, to the eighth of a character; the largest is full, and what is not nothing is visible."""
    if not value or not largest:
        return ""
    eighths = max(1, round(8 * _BAR * value / largest))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _draw_table(out: TextIO, shown: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - slow to read, and only for people at a terminal, as below
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for one in shown:
        table.add_column(one.title, justify="right" if one.right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(file=out).print(table)


def _draw_item(out: TextIO, rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    Console(file=out).print(table)


def _aligned(out: TextIO, rows: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        out.write("  ".join(cells).rstrip() + "\n")


def _shown(character: str) -> str:
    return f"\\u{ord(character):04x}" if unicodedata.category(character) in _NOT_SHOWN else character
