"""Money: integer nano-dollars inside, decimal strings outside; never a float."""

from __future__ import annotations

import re
from typing import Final

NANO: Final = 1_000_000_000
_DECIMALS: Final = 9
# Twelve digits of dollars are beyond any use; the bound keeps a hostile text from becoming a huge number.
_FORM: Final = re.compile(r"(0|[1-9][0-9]{0,11})(?:\.([0-9]{1,9}))?")


def usd(nano: int) -> str:
    """Write nano-dollars as dollars, with at least two and at most nine decimals: `12.50`, `0.000123456`."""
    sign = "-" if nano < 0 else ""
    dollars, rest = divmod(abs(nano), NANO)
    decimals = f"{rest:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}{dollars}.{decimals}"


def parse_usd(text: str) -> int:
    """Read dollars such as "25.00" as nano-dollars; ValueError, fit to be shown, for anything else."""
    match = _FORM.fullmatch(text)
    if match is None:
        message = 'must be dollars as a decimal text such as "25.00", with at most nine decimals'
        raise ValueError(message)
    return int(match[1]) * NANO + int((match[2] or "").ljust(_DECIMALS, "0"))
