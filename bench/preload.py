"""Fills a running server's ledger with settled calls, straight through its database.

The rows are copies of one that the server itself wrote, with their own id, time and end user: so
they fit whatever columns the ledger has, and belong to the project that is then loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg
from psycopg.conninfo import make_conninfo

from bailiwick.identity.keyring import MasterKey
from bench.calls import USERS
from bench.errors import BenchError

if TYPE_CHECKING:
    from pathlib import Path

_COPY: Final = """
INSERT INTO bailiwick.ledger
SELECT made.*
FROM (SELECT l FROM bailiwick.ledger l LIMIT 1) AS pattern,
     generate_series(1, %(rows)s) AS number,
     LATERAL jsonb_populate_record(pattern.l, jsonb_build_object(
         'id', gen_random_uuid(),
         'opened_at', now() - number * interval '10 milliseconds',
         'uid', 'user-' || lpad((number %% %(users)s)::text, 4, '0'))) AS made
"""


def preload(data: Path, rows: int) -> None:
    """Write `rows` rows into the ledger of the server on the data directory `data`.

    Logs in as the embedded database's superuser, by the master key of the data directory.
    """
    key = MasterKey.parse((data / "master.key").read_text())
    conninfo = make_conninfo(
        host=str((data / "postgres" / "run").resolve()),
        dbname="bailiwick",
        user="postgres",
        password=key.role_password("postgres"),
    )
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            written = connection.execute(_COPY, {"rows": rows, "users": USERS}).rowcount
            # What a ledger that grew over months has behind it, and what would disturb afterwards.
            connection.execute("VACUUM (ANALYZE) bailiwick.ledger")
            connection.execute("CHECKPOINT")
    except psycopg.Error as error:
        message = f"the ledger could not be filled: {str(error).splitlines()[0]}"
        raise BenchError(message) from error
    if written != rows:
        message = f"{written:,} of {rows:,} rows were written"
        raise BenchError(message)
