"""The database of an installation, for the commands that look at it beside `serve`, or while nothing runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bailiwick import config
from bailiwick.config import Config
from bailiwick.storage.embedded import EmbeddedPostgres

_DATABASE: Final = "bailiwick"


class NothingToExamine(Exception):
    """There is no installation yet, or none that this login may look at."""


@contextmanager
def owner_login(settings: Config) -> Iterator[tuple[str, str]]:
    """Where the database is, and the owner's login to it; raises `NothingToExamine`."""
    if settings.database_url is not None:
        parts = conninfo_to_dict(settings.database_url)
        yield f"yours, at {parts.get('host') or 'a local socket'}", settings.database_url
        return
    root = settings.data_dir.resolve() / "postgres"
    if not (root / "data" / "PG_VERSION").exists():
        message = f"there is no installation in {settings.data_dir} yet; `bailiwick serve` makes one"
        raise NothingToExamine(message)
    password = config.master_key(settings).role_password("postgres")
    running = make_conninfo(host=str((root / "run").resolve()), user="postgres", password=password, dbname=_DATABASE)
    try:
        psycopg.connect(running, connect_timeout=2).close()
    except psycopg.OperationalError:
        postgres = EmbeddedPostgres(root=root, superuser_password=password, binaries=settings.pg_bin)
        postgres.start()
        try:
            yield (
                "embedded, started for the moment",
                postgres.conninfo(user="postgres", password=password, database=_DATABASE),
            )
        finally:
            postgres.stop()
    else:
        yield "embedded, running", running
