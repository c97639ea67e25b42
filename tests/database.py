"""A real PostgreSQL for tests: one server a session, and databases copied from a migrated one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final, final

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bailiwick.identity.keyring import MasterKey, gateway_keys
from bailiwick.storage import migrate, roles
from bailiwick.storage.embedded import EmbeddedPostgres

# Always the same, so that the roles' passwords are: they belong to the server, not to a database.
MASTER_KEY: Final = MasterKey(secret=bytes(range(32)))
# As for the master key: what tests digest themselves, and what they are served with, must fit.
LASTING_SECRET: Final = bytes(range(32, 64))
CONTROL_KEYS: Final = MASTER_KEY.control_keys(LASTING_SECRET)
GATEWAY_KEYS: Final = gateway_keys(LASTING_SECRET)
PASSWORDS: Final = {role: MASTER_KEY.role_password(role) for role in roles.LOGINS}
_SUPERUSER_PASSWORD: Final = "superuser of the tests"
_TEMPLATE: Final = "bailiwick_template"
# What a test loses in a crash, nobody misses; and a hundred small databases need no looking after.
_FAST: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "max_connections": "200",
}

Connection = psycopg.Connection[tuple[Any, ...]]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TestDatabase:
    """One database: its name, and logins to it."""

    __test__ = False

    name: str
    superuser_url: str

    def url(self, role: str) -> str:
        """The login of one of our roles."""
        return make_conninfo(self.superuser_url, user=role, password=PASSWORDS[role])

    def connect(self, role: str | None = None) -> Connection:
        """A connection in autocommit, as the superuser or as one of our roles."""
        return psycopg.connect(self.superuser_url if role is None else self.url(role), autocommit=True)

    def rows(self, query: str, *params: object) -> list[tuple[Any, ...]]:
        """What the superuser sees."""
        with self.connect() as connection:
            return connection.execute(query.encode(), params).fetchall()

    def run(self, statement: str, *params: object) -> None:
        """Do something as the superuser."""
        with self.connect() as connection:
            connection.execute(statement.encode(), params)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TestServer:
    """The session's server."""

    __test__ = False

    engine: EmbeddedPostgres
    numbers: Iterator[int] = field(default_factory=count)

    def url(self, database: str) -> str:
        """The superuser's login to a database."""
        return self.engine.conninfo(user="postgres", password=_SUPERUSER_PASSWORD, database=database)

    def create(self, template: str = _TEMPLATE) -> TestDatabase:
        """A new database, migrated unless made from another template."""
        name = f"test_{next(self.numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
            )
        return TestDatabase(name=name, superuser_url=self.url(name))


@pytest.fixture(scope="session")
def server() -> Iterator[TestServer]:
    """The session's server, with a migrated template."""
    folder = Path(tempfile.mkdtemp(prefix="bailiwick-tests-"))
    engine = EmbeddedPostgres(root=folder / "pg", superuser_password=_SUPERUSER_PASSWORD, settings=_FAST)
    try:
        engine.start()
        started = TestServer(engine=engine)
        with psycopg.connect(started.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
        migrate.migrate(started.url(_TEMPLATE), PASSWORDS, datetime.now(UTC).date())
        yield started
    finally:
        engine.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def database(server: TestServer) -> TestDatabase:
    """A database of the module's own."""
    return server.create()


@pytest.fixture
def scratch(server: TestServer) -> TestDatabase:
    """A database of the test's own, to break something in."""
    return server.create()
