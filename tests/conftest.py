"""Fixtures that every test may ask for."""

from tests.control import audit, control
from tests.database import database, scratch, server
from tests.serving import running_site, site, upstream

__all__ = ["audit", "control", "database", "running_site", "scratch", "server", "site", "upstream"]
