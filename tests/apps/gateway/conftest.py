"""An installation of a module's own, with the environment and the settings that it names in `SETTINGS`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.installation import Installation
from tests.upstream import Upstream


@pytest.fixture(scope="module")
def provider() -> Iterator[Upstream]:
    """The provider that its environment names."""
    with Upstream() as made:
        yield made


@pytest.fixture(scope="module")
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, provider: Upstream
) -> Iterator[Installation]:
    environment = {"OPENAI_API_KEY": "sk-environment-canary", "OPENAI_BASE_URL": provider.base_url}
    folder = tmp_path_factory.mktemp("own") / "data"
    with Installation(folder, settings={**environment, **request.module.SETTINGS}) as made:
        yield made
