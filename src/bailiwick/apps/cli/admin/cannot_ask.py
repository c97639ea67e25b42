"""How a command says that it came to nothing."""

from __future__ import annotations

from typing import Final, final


@final
class CannotAsk(Exception):
    """A command that came to nothing: `lines` say why, `status` is the command's."""

    def __init__(self, status: int, *lines: str) -> None:
        super().__init__(lines[0])
        self.status = status
        self.lines = lines


# The exit statuses of the commands that administer.
REFUSED: Final = 1
MISUSED: Final = 2
TROUBLE: Final = 3
