"""What it costs to import the package."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Final

import pytest

import bailiwick
import bailiwick.client

_PROGRAM: Final = """
import json, sys, time
before, began = set(sys.modules), time.process_time()
import bailiwick
print(json.dumps({"seconds": time.process_time() - began, "loaded": sorted(set(sys.modules) - before)}))
"""


def imported() -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_package_is_imported_within_150_ms_and_loads_nothing_of_itself() -> None:
    runs = [imported() for _ in range(3)]
    assert min(run["seconds"] for run in runs) < 0.150
    assert [name for name in runs[0]["loaded"] if name.startswith(("bailiwick.", "httpx2"))] == []


def test_the_clients_are_there_by_name() -> None:
    assert bailiwick.Client is bailiwick.client.Client
    assert bailiwick.AsyncClient is bailiwick.client.AsyncClient
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        bailiwick.Nothing  # noqa: B018
