"""What a running gateway takes of its machine, and how quickly it says that it lives."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from tests.faults.site import Site


def resident(pid: int) -> int:
    """The process's resident memory, in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors(site: Site, pid: int) -> int:
    """How many descriptors the gateway has open, beside those of clients and of the provider."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir())) - site.clients() - site.upstream.open_connections()


def health(site: Site) -> float:
    """How long `/healthz` takes, its connection included."""
    began = time.monotonic()
    connection = HTTPConnection("127.0.0.1", site.installation.port, timeout=10)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    took = time.monotonic() - began
    connection.close()
    return took


@contextmanager
def soft_limit(files: int) -> Iterator[None]:
    """So many open files for what is started here; the hard limit stays."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, before[1]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
