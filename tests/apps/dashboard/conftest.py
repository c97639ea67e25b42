"""Fixtures for tests of pages."""

from tests.dashboard import browser

__all__ = ["browser"]
