"""A project of its own for each test of a fault."""

from __future__ import annotations

import pytest

from tests.serving import Caller, Site


@pytest.fixture
def caller(site: Site) -> Caller:
    """Whoever asks the provider that does wrong."""
    return site.project()
