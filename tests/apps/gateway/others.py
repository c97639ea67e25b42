"""How others fare while something costly is done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

import httpx2

from tests.serving import Site

# In seconds; with a second processor idle it is a tenth of a second, and what this is about was nine and more.
LONGEST_WAIT: Final = 2.5


def longest_wait(site: Site, work: Callable[[], None]) -> float:
    """The longest that somebody else waits while this is done."""
    working = threading.Thread(target=work)
    working.start()
    longest = 0.0
    with httpx2.Client(base_url=site.installation.url) as other:
        while working.is_alive():
            began = time.monotonic()
            assert other.get("/healthz").status_code == 200
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.005)
    working.join()
    return longest
