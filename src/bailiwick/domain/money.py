"""Money: integer nano-dollars inside, decimal strings outside; never a float."""

from __future__ import annotations

from typing import Final

NANO: Final = 1_000_000_000


def usd(nano: int) -> str:
    """Write nano-dollars as dollars, with at least two and at most nine decimals: `12.50`, `0.000123456`."""
    sign = "-" if nano < 0 else ""
    dollars, rest = divmod(abs(nano), NANO)
    decimals = f"{rest:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}{dollars}.{decimals}"
