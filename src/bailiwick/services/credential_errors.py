"""How credentials are refused."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import final

from bailiwick.domain.access_tokens import RefusedToken
from bailiwick.domain.crossings import Crosser
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.policy import NOT_A_MEMBER
from bailiwick.domain.principal import Grant


@final
class EndedCredential(Refused):
    """Refused to whoever has a credential that has ended; `grant` is what it stood for."""

    def __init__(self, code: Code, message: str, grant: Grant) -> None:
        super().__init__(code, message)
        self.grant = grant


@final
class Outsider(Refused):
    """Refused to somebody whom we know, where they are no member; `crosser` is who."""

    def __init__(self, crosser: Crosser) -> None:
        super().__init__(Code.NOT_A_MEMBER, NOT_A_MEMBER)
        self.crosser = crosser


def refused_credentials() -> Refused:
    """The one answer to unknown, wrong and malformed credentials."""
    return Refused(Code.INVALID_CREDENTIALS, "The API key or token is not valid.")


def expired_token() -> Refused:
    """The answer to a token that was good until lately."""
    return Refused(Code.EXPIRED_CREDENTIALS, "The token has expired.")


@contextmanager
def told_alike() -> Generator[None]:
    """Tell the caller of a token nothing of what is wrong with it, unless it has expired."""
    try:
        yield
    except RefusedToken as refused:
        raise expired_token() if refused.code is Code.EXPIRED_CREDENTIALS else refused_credentials() from refused
