"""`bailiwick operators link`: a way in for whoever has the machine, where nobody can sign in.

It works on the database that `serve` with the same settings uses, whether that runs or not. Who can read the master key
and reach the database could do anything anyway; this way it is in the audit log.
"""

from __future__ import annotations

import asyncio

from bailiwick.apps.cli.database import owner_login
from bailiwick.bootstrap.installation import sign_in_link
from bailiwick.config import Config


def make_link(settings: Config, email: str | None, *, resets_codes: bool) -> str:
    """Make a link for this address, or one that makes an owner; returns where it leads.

    Raises `NothingToExamine`, `Refused`, `Unavailable`.
    """
    with owner_login(settings) as login:
        return asyncio.run(
            sign_in_link(
                control_url=login.control_url(), keys=login.control_keys(), email=email, resets_codes=resets_codes
            )
        )
