"""Sign-ins that failed, in the audit log: at most so many a minute, and how many were left out.

So nobody writes the log full, and a flood is told all the same.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, final

from bailiwick.domain import ids
from bailiwick.domain.audit import INSTALLATION
from bailiwick.domain.fields import Invalid
from bailiwick.domain.operators import Person, read_email
from bailiwick.domain.sign_in import Browser
from bailiwick.services.acts import Acts
from bailiwick.storage.scope import Scope

_MINUTE: Final = timedelta(minutes=1)
_A_MINUTE: Final = 60


@final
class Failures:
    """Tells of failures."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts
        self._minute = acts.now()
        self._told = 0
        self._untold = 0

    async def record(self, scope: Scope, browser: Browser, person: Person | None, account: str, wrong: str) -> None:
        """Tell that `wrong` (`password`, `code`, …) was, of a person or of an address that is nobody's."""
        now = self._acts.now()
        if now - self._minute >= _MINUTE:
            self._minute, self._told = now, 0
        if self._told >= _A_MINUTE:
            self._untold += 1
            return
        self._told += 1
        detail: dict[str, object] = {"wrong": wrong, "email": _address(account)}
        if self._untold:
            detail["untold"], self._untold = self._untold, 0
        target = INSTALLATION if person is None else ids.shown(ids.OPERATOR, person.id)
        tenant_id = None if person is None else person.tenant_id
        await self._acts.record(scope, browser.actor(None), "sign_in.fail", target, tenant_id=tenant_id, detail=detail)


def _address(text: str) -> str | None:
    """What was given as an address, if it is one: it may be a password, in the wrong field."""
    try:
        return read_email("email", text)
    except Invalid:
        return None
