"""`bailiwick audit verify`: whether the audit log is, entry for entry, what was written.

It looks at the database that `serve` with the same settings uses, whether that runs or not, and at the ends of chains
that `serve` has kept outside the database. It changes nothing. Exit status 1 if anything is wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

from bailiwick.apps import audit_witness
from bailiwick.apps.cli.database import owner_login
from bailiwick.bootstrap.installation import verify_audit
from bailiwick.config import Config
from bailiwick.domain import ids
from bailiwick.domain.audit_chain import Chain
from bailiwick.services.audit_trail import Verified

_SHOWN: Final = 20


def verify(settings: Config, witnesses: Sequence[Path], out: TextIO) -> bool:
    """Write what is found; returns whether the log is intact. `witnesses` are copies of the file in the data folder.

    Raises `NothingToExamine`, `NoWitness`, `Unavailable`.
    """
    seen: dict[Chain, dict[int, bytes]] = {}
    files = witnesses or [settings.data_dir / audit_witness.FILE]
    for path in files:
        for chain, ends in audit_witness.read(path).items():
            seen.setdefault(chain, {}).update(ends)
    with owner_login(settings) as login:
        found = asyncio.run(verify_audit(control_url=login.control_url(), key=login.key().audit(), witnessed=seen))
    out.write(f"audit log of the database {login.where}\n")
    for walked in found:
        out.writelines(_told(walked))
    if not seen:
        out.write("no end of a chain was kept outside the database: a log that was put back whole would not be seen\n")
    intact = not any(walked.findings for walked in found)
    entries = sum(walked.entries for walked in found)
    verdict = "is what was written" if intact else "is NOT what was written"
    out.write(f"the audit log, {entries} entries in {len(found)} chains, {verdict}\n")
    return intact


def _told(walked: Verified) -> list[str]:
    name = "installation" if walked.chain is None else ids.shown(ids.TENANT, walked.chain)
    lines = [f"  {name}: {walked.entries} entries, {'not intact' if walked.findings else 'intact'}\n"]
    lines += [f"    {finding}\n" for finding in walked.findings[:_SHOWN]]
    if len(walked.findings) > _SHOWN:
        lines.append("    and more\n")
    return lines
