"""Asked to end, in the middle of everything: calls finish or are settled, and nothing is left running."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bailiwick.domain.usage import Outcome, UsageSource
from tests.faults.http import Answer
from tests.faults.load import Load
from tests.faults.report import Findings
from tests.faults.site import Site, acceptable
from tests.faults.trial import eventually, times
from tests.installation import clean_environment
from tests.patience import loop_lag
from tests.upstream import Behaviour

pytestmark = pytest.mark.proof

DRAIN_SECONDS = 2.0
SETTINGS = {"BAILIWICK_DRAIN_SECONDS": str(DRAIN_SECONDS)}
_TITLE = "Asked to end under load"


async def ended(site: Site) -> tuple[int, float]:
    """The exit status of `serve`, which is asked to end, and how long it took."""
    process = site.installation.process
    assert process is not None
    began = time.monotonic()
    status = await asyncio.to_thread(process.wait, 60)
    took = time.monotonic() - began
    site.installation.stop()
    return status, took


async def restarted(site: Site, answers: list[Answer]) -> None:
    """Start again: what was left open would be settled as lost, but there must be nothing."""
    await asyncio.to_thread(site.installation.start)
    assert site.open_rows() == 0
    rows = site.compare_books(answers)
    assert [row for row in rows.values() if row.outcome is Outcome.LOST] == []


def port_is_free(site: Site) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", site.installation.port))
        except OSError:
            return False
    return True


@pytest.mark.parametrize("way", ["SIGTERM", "Ctrl-C", "SIGHUP"])
async def test_calls_in_flight_are_finished_and_settled(site: Site, findings: Findings, way: str) -> None:
    took: list[float] = []
    calls = 0
    for _ in range(times(10)):
        async with Load(site, 20) as load:
            await asyncio.sleep(random.uniform(0.8, 1.2))
            process = site.installation.process
            assert process is not None
            if way == "Ctrl-C":
                os.killpg(process.pid, signal.SIGINT)
            else:
                process.send_signal(signal.Signals[way])
            status, seconds = await ended(site)
        assert status == 0
        assert site.processes() == []
        assert port_is_free(site)
        acceptable(load.answers)
        seen = site.seen()
        assert [answer.told() for answer in load.answers if answer.number in seen and not answer.good] == []
        await restarted(site, load.answers)
        took.append(seconds)
        calls += len(load.answers)
    findings.add(_TITLE, asked_by=way, times=len(took), calls=calls, ended_after=took)


async def _waiting(site: Site, streams: int, whole: int) -> list[asyncio.Task[Answer]]:
    """Calls that would take half a minute, in the middle of their way."""
    site.upstream.on("long-stream", Behaviour(chunks=300, gap=0.1))
    site.upstream.on("long-answer", Behaviour(delay=30.0))
    numbers = [next(site.numbers) for _ in range(streams + whole)]
    calls = [
        asyncio.create_task(site.call("up/long-stream" if stream else "up/long-answer", stream=stream, number=number))
        for number, stream in zip(numbers, [True] * streams + [False] * whole, strict=True)
    ]
    await eventually(lambda: set(numbers) <= site.seen().keys(), 5.0, "the provider saw every call")
    await asyncio.sleep(0.3)
    return calls


def _all_cut_short(site: Site, answers: list[Answer]) -> None:
    """Streams broke off, whoever waited was told to try again, and every row says that it was our doing."""
    acceptable(answers)
    assert {answer.status for answer in answers} == {200, 503}
    assert not any(answer.good for answer in answers)
    rows = site.compare_books(answers)
    assert {rows[answer.number].outcome for answer in answers} == {Outcome.OUR_FAILURE}


async def test_what_does_not_finish_in_time_is_cut_short_and_settled(site: Site, findings: Findings) -> None:
    calls = await _waiting(site, 10, 5)
    assert site.installation.process is not None
    site.installation.process.send_signal(signal.SIGTERM)
    status, took = await ended(site)
    answers = await asyncio.gather(*calls)

    assert status == 0
    assert site.processes() == []
    await restarted(site, answers)
    _all_cut_short(site, answers)
    assert DRAIN_SECONDS - 0.5 < took < DRAIN_SECONDS + 3.0
    findings.add(
        _TITLE,
        asked_by=f"SIGTERM, calls of 30 s, {DRAIN_SECONDS:.0f} s to drain",
        times=1,
        calls=len(calls),
        ended_after=[took],
    )


async def test_providers_are_heard_out_for_clients_that_have_left_but_no_longer_than_for_others(site: Site) -> None:
    admin, first = site.installation.admin, site.installation.keys["project_id"]
    admin.change(f"/projects/{first}", {"on_disconnect": "drain"})
    await asyncio.sleep(1.1)
    site.upstream.on("short-stream", Behaviour(chunks=8, gap=0.15))
    site.upstream.on("long-stream", Behaviour(chunks=300, gap=0.1))
    short, long = next(site.numbers), next(site.numbers)
    for number, model in ((short, "short-stream"), (long, "long-stream")):
        client = site.client()
        await client.send(number, f"up/{model}", stream=True)
        await client.head(Answer(number=number, began=time.monotonic()))
        client.close()
    await asyncio.sleep(0.3)
    assert site.open_rows() == 2
    assert site.installation.process is not None
    site.installation.process.send_signal(signal.SIGTERM)
    status, took = await ended(site)

    assert status == 0
    assert DRAIN_SECONDS - 0.5 < took < DRAIN_SECONDS + 3.0
    await restarted(site, [])
    admin.change(f"/projects/{first}", {"on_disconnect": "abort"})
    rows = site.compare_books()
    assert (rows[short].outcome, rows[short].source) == (Outcome.COMPLETED, UsageSource.REPORTED)
    assert (rows[long].outcome, rows[long].source) == (Outcome.CLIENT_GONE, UsageSource.ESTIMATED)


async def test_a_second_signal_hurries(findings: Findings) -> None:
    with Site(settings={"BAILIWICK_DRAIN_SECONDS": "30"}) as site:
        calls = await _waiting(site, 10, 5)
        assert site.installation.process is not None
        site.installation.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.4)
        assert site.installation.process.poll() is None
        site.installation.process.send_signal(signal.SIGTERM)
        status, took = await ended(site)
        answers = await asyncio.gather(*calls)

        assert status == 0
        assert site.processes() == []
        await restarted(site, answers)
        _all_cut_short(site, answers)
    assert took < 10.0  # of the thirty seconds that the calls would have had
    findings.add(_TITLE, asked_by="SIGTERM twice", times=1, calls=len(calls), ended_after=[took])


async def test_while_it_drains_nobody_new_is_let_in(site: Site) -> None:
    calls = await _waiting(site, 2, 0)
    assert site.installation.process is not None
    site.installation.process.send_signal(signal.SIGTERM)
    await eventually(lambda: port_is_free(site), 1.0, "the port is free")
    assert site.installation.process.poll() is None
    late = await site.call()
    assert late.trouble == "ConnectionRefusedError"
    site.installation.process.send_signal(signal.SIGTERM)
    status, _ = await ended(site)
    assert status == 0
    await restarted(site, await asyncio.gather(*calls))


async def test_a_database_that_dies_while_calls_end_is_started_again_and_they_are_settled(site: Site) -> None:
    calls = await _waiting(site, 10, 5)
    assert site.installation.process is not None
    site.installation.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.3)
    os.kill(site.installation.children()["postgres"], signal.SIGKILL)
    status, _ = await ended(site)
    answers = await asyncio.gather(*calls)

    assert status == 0
    assert site.processes() == []
    await restarted(site, answers)
    _all_cut_short(site, answers)


async def test_the_end_is_not_waited_for_when_the_database_is_gone(site: Site, findings: Findings) -> None:
    calls = await _waiting(site, 10, 5)
    needed = site.installation.folder / "postgres" / "data" / "global" / "pg_control"
    needed.rename(needed.with_suffix(".away"))
    os.kill(site.installation.children()["postgres"], signal.SIGKILL)
    assert site.installation.process is not None
    async with loop_lag() as lag:
        site.installation.process.send_signal(signal.SIGTERM)
        status, took = await ended(site)
        answers = await asyncio.gather(*calls)

    needed.with_suffix(".away").rename(needed)
    assert status == 0
    assert site.processes() == []
    assert took < DRAIN_SECONDS + 10.0 + lag.seconds
    await asyncio.to_thread(site.installation.start)
    await site.settled()
    rows = site.compare_books(answers)
    assert {rows[answer.number].outcome for answer in answers} == {Outcome.LOST}
    findings.add(_TITLE, asked_by="SIGTERM, the database is gone", times=1, calls=len(calls), ended_after=[took])


async def test_a_start_can_be_broken_off_at_any_moment(site: Site, tmp_path: Path) -> None:
    site.installation.stop()
    for turn in range(times(40, 3)):
        folder = site.installation.folder if turn % 2 else tmp_path / f"first-start-{turn}"
        process = await asyncio.create_subprocess_exec(
            *_command("--port", str(site.installation.port), "--data-dir", str(folder)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_environment(site),
        )
        await asyncio.sleep(random.uniform(0, 2.5))
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            _, said = await process.communicate()
        # Before it can be asked, while Python still starts, a signal simply ends it.
        assert process.returncode in {0, -signal.SIGTERM}, said
        assert b"Traceback" not in said
        assert site.processes() == []
    await asyncio.to_thread(site.installation.start)
    assert (await site.call()).good


def test_a_second_serve_on_the_same_folder_is_refused_saying_why(site: Site) -> None:
    refused = _serve(site, "--port", "0", "--data-dir", str(site.installation.folder))
    assert refused.returncode == 1
    assert refused.stderr == (
        f"bailiwick: another `bailiwick serve` is using the data folder {site.installation.folder}\n"
    )


def test_a_port_that_is_taken_is_named(site: Site, tmp_path: Path) -> None:
    refused = _serve(site, "--port", str(site.installation.port), "--data-dir", str(tmp_path / "other"))
    assert refused.returncode == 1
    assert refused.stderr == (
        f"bailiwick: cannot listen on 127.0.0.1 port {site.installation.port}: Address already in use\n"
    )


def _serve(site: Site, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(*flags), capture_output=True, text=True, timeout=30, check=False, env=_environment(site)
    )


def _command(*flags: str) -> list[str]:
    return [sys.executable, "-m", "bailiwick.apps.cli.main", "serve", *flags]


def _environment(site: Site) -> dict[str, str]:
    name, value = site.mark
    return {**clean_environment(), name: value}
