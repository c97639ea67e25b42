"""`bailiwick operators link`: a way in for whoever has the machine, where nobody can sign in.

It works on the database that `serve` with the same settings uses, whether that runs or not. Who can read the master key
and reach the database could do anything anyway; this way it is in the audit log.
"""

from __future__ import annotations

import asyncio

from psycopg.conninfo import make_conninfo

from bailiwick import config
from bailiwick.apps.cli.database import owner_login
from bailiwick.bootstrap.control import sign_in_link
from bailiwick.config import Config
from bailiwick.storage import roles


def make_link(settings: Config, email: str | None, *, resets_codes: bool) -> str:
    """Make a link for this address, or one that makes an owner; returns where it leads.

    Raises `NothingToExamine`, `Refused`, `Unavailable`.
    """
    with owner_login(settings) as (_, owner_url):
        key = config.master_key(settings)
        url = settings.control_url or make_conninfo(
            owner_url, user=roles.CONTROL, password=key.role_password(roles.CONTROL)
        )
        return asyncio.run(
            sign_in_link(control_url=url, keys=key.control_keys(), email=email, resets_codes=resets_codes)
        )
