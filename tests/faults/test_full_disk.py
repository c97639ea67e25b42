"""The disk full, under PostgreSQL and under everything else: calls are refused, and it recovers when there is room."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from tests.faults.load import Load
from tests.faults.report import Findings
from tests.faults.site import Site, acceptable
from tests.faults.test_database_trouble import ready
from tests.faults.trial import eventually, seconds

pytestmark = pytest.mark.proof

DISK_BYTES = 160 << 20
LONGEST_CALL = 10.0
FULL_WITHIN = 60.0
# PostgreSQL, when it could not even start, is tried again every two seconds.
RECOVERED_WITHIN = 10.0
_TITLE = "The disk full under load"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0755", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"only root can mount a small file system: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Leave no byte of room."""
    with (disk / "ballast").open("ab", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(65536))


def break_down(site: Site) -> None:
    """Let the server write its log where there is no room: it gives up then, and cannot start again."""
    postmaster = site.installation.children()["postgres"]
    for _ in range(100):
        try:
            with site.installation.sql() as connection:
                connection.execute("SELECT pg_logical_emit_message(false, '', repeat('x', 20000000))")
        except psycopg.Error:
            pass
        if site.installation.children().get("postgres") != postmaster:
            return
        time.sleep(0.05)
    raise AssertionError("the server finds room")


@pytest.mark.parametrize("severity", ["no row can be added", "the server cannot even start"])
async def test_a_full_disk_refuses_calls_and_room_heals_it(small_disk: Path, findings: Findings, severity: str) -> None:
    full_seconds = seconds(30.0, 8.0)
    with Site(folder=small_disk) as site:
        async with Load(site, 20, pause=0.01) as load:
            await asyncio.sleep(1.0)
            await asyncio.to_thread(fill, small_disk)
            if severity == "the server cannot even start":
                await asyncio.to_thread(break_down, site)
            full_at = time.monotonic()
            # A slow machine takes longer until there is no room left for one more row.
            while time.monotonic() - full_at < full_seconds or not any(answer.status == 503 for answer in load.answers):
                assert time.monotonic() - full_at < FULL_WITHIN, "every row finds room"
                await asyncio.to_thread(fill, small_disk)
                await asyncio.sleep(0.2)
            freed_at = time.monotonic()
            (small_disk / "ballast").unlink()
            healed = await load.good_since(freed_at, RECOVERED_WITHIN)
            await eventually(lambda: ready(site), RECOVERED_WITHIN, "it is ready")
            await asyncio.sleep(1.0)
        await site.settled()
        site.compare_books(load.answers)
        acceptable(load.answers)
    slowest = max(answer.seconds for answer in load.answers)
    assert slowest < LONGEST_CALL
    findings.add(
        _TITLE, full_until=severity, full_for=full_seconds, calls=len(load.answers),
        answers_503=sum(answer.status == 503 for answer in load.answers), good_again_after=healed, slowest_call=slowest,
    )  # fmt: skip
