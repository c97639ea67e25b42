"""The database of an installation, for the commands that look at it beside `serve`, or while nothing runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bailiwick.apps.cli import master_keys
from bailiwick.apps.cli.cannot_start import CannotStart
from bailiwick.apps.cli.store import DATABASE
from bailiwick.config import Config
from bailiwick.identity.keyring import ControlKeys, MasterKey
from bailiwick.storage import roles
from bailiwick.storage.embedded import EmbeddedPostgres
from bailiwick.storage.rotation import kept_check, kept_lasting_secret, no_rotation


class NothingToExamine(Exception):
    """There is no installation yet, or none that this login may look at."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Login:
    """`where` the database is, and the owner's login to it."""

    where: str
    url: str
    settings: Config

    def key(self) -> MasterKey:
        """The master key that the database is kept with; raises `CannotStart` where it is not ours."""
        key = master_keys.find(self.settings).with_check(kept_check(self.url))
        if key is None:
            raise CannotStart(master_keys.WRONG)
        return key

    def control_url(self) -> str:
        """The login of the control process's role."""
        return self.settings.control_url or make_conninfo(
            self.url, user=roles.CONTROL, password=self.key().role_password(roles.CONTROL)
        )

    def control_keys(self) -> ControlKeys:
        """The keys of the control process."""
        key = self.key()
        sealed = kept_lasting_secret(self.url)
        if sealed is None:
            message = "there is no installation in this database yet; `bailiwick serve` makes one"
            raise NothingToExamine(message)
        return key.control_keys(key.open_lasting(sealed))


@contextmanager
def owner_login(settings: Config) -> Iterator[Login]:
    """Log in to the database as its owner; its key stays what it is meanwhile. Raises `NothingToExamine`."""
    while True:
        with _login(settings) as login, no_rotation(login.url):
            # A rotation that was under way has been waited for, and the password may be another.
            if _first_that_works([login.url]) is not None:
                yield login
                return


@contextmanager
def _login(settings: Config) -> Iterator[Login]:
    if settings.database_url is not None:
        host = conninfo_to_dict(settings.database_url).get("host")
        yield Login(where=f"yours, at {host or 'a local socket'}", url=settings.database_url, settings=settings)
        return
    root = settings.data_dir.resolve() / "postgres"
    if not (root / "data" / "PG_VERSION").exists():
        message = f"there is no installation in {settings.data_dir} yet; `bailiwick serve` makes one"
        raise NothingToExamine(message)
    passwords = [key.role_password("postgres") for key in master_keys.find(settings).every()]
    urls = [
        make_conninfo(host=str((root / "run").resolve()), user="postgres", password=password, dbname=DATABASE)
        for password in passwords
    ]
    if (url := _first_that_works(urls)) is not None:
        yield Login(where="embedded, running", url=url, settings=settings)
        return
    postgres = EmbeddedPostgres(root=root, superuser_password=passwords[0], binaries=settings.pg_bin)
    postgres.start()
    try:
        urls = [postgres.conninfo(user="postgres", password=password, database=DATABASE) for password in passwords]
        url = _first_that_works(urls)
        if url is None:
            raise CannotStart(master_keys.WRONG)
        yield Login(where="embedded, started for the moment", url=url, settings=settings)
    finally:
        postgres.stop()


def _first_that_works(urls: list[str]) -> str | None:
    for url in urls:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            continue
        return url
    return None
