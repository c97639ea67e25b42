"""A running installation with a scripted provider behind it, and the books of both to compare."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final, Self, final

from bailiwick.domain.usage import Outcome, UsageSource
from bailiwick.storage.ledger import LEASE_SECONDS
from tests.faults.http import Answer, Client
from tests.faults.trial import eventually
from tests.installation import Installation
from tests.upstream import Behaviour, Upstream

_OPEN: Final = """
    SELECT o.sid, o.process_id, now() - o.opened_at AS age, now() - p.beat_at AS beat
    FROM bailiwick.open_calls o LEFT JOIN bailiwick.processes p ON p.id = o.process_id
"""
# Calls of a dead process are settled within its lease, and a beat or two.
SETTLED_WITHIN: Final = LEASE_SECONDS + 5.0
ANSWER: Final = "up/answer"
STREAM: Final = "up/stream"
_SURPRISES: Final = (
    "Traceback", "unexpected error", "a library reports trouble", "never retrieved", "never awaited", "ASGI",
    "Exception ignored",
)  # fmt: skip
_LISTENING: Final = "0A"
_MARK: Final = "FAULTS_SITE"
# A row for a call that no provider saw: it was open, and then its client or its process was gone. (Or the provider
# closed the connection in the moment of the sending: such a row says that nothing was used.)
_MAY_BE_UNSEEN: Final = {Outcome.LOST, Outcome.CLIENT_GONE, Outcome.OUR_FAILURE}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A ledger row, as far as these tests look."""

    number: int
    outcome: Outcome
    source: UsageSource
    input_tokens: int
    output_tokens: int


@final
class Site:
    """An installation, a provider `up`, and a folder for both that goes with them."""

    def __init__(self, *, folder: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        """`folder` replaces a temporary one; it is not removed."""
        self._temporary = folder is None
        self._root = Path(tempfile.mkdtemp(prefix="bailiwick-faults-")) if folder is None else folder
        self.mark: Final = (_MARK, str(self._root))
        """An environment variable by which this installation's processes are known, and what it says."""
        self.numbers: Final = count(1)
        self.upstream: Final = Upstream()
        self.installation: Final = Installation(
            self._root / "data", settings=dict([self.mark], **(settings or {})), own_group=True
        )

    def __enter__(self) -> Self:
        try:
            self.installation.start()
            self.installation.admin.provider(self.installation.keys["project_id"], self.upstream.base_url)
        except BaseException:
            self.__exit__()
            raise
        self.upstream.on("answer", Behaviour(delay=0.1))
        self.upstream.on("stream", Behaviour(chunks=8, gap=0.04))
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.installation.stop()
        finally:
            self.upstream.stop()
            for pid in self.processes():  # a test failed that would have found nothing here
                os.kill(pid, signal.SIGKILL)
            if self._temporary:
                shutil.rmtree(self._root, ignore_errors=True)

    def client(self, key: str | None = None) -> Client:
        """A caller with the first project's key, or another."""
        return Client(self.installation.port, self.installation.keys["api_key"] if key is None else key)

    async def call(self, model: str = ANSWER, *, stream: bool = False, number: int | None = None) -> Answer:
        """One call over a connection of its own."""
        client = self.client()
        try:
            return await client.call(next(self.numbers) if number is None else number, model, stream=stream)
        finally:
            client.close()

    def heal(self) -> None:
        """Start again whatever a test left stopped, if it did."""
        if self.installation.process is None or self.installation.process.poll() is not None:
            self.installation.stop()
            self.installation.start()

    def processes(self) -> list[int]:
        """Every living process of this installation, also those that nobody watches any more."""
        found: list[int] = []
        data = str(self.installation.folder.resolve())
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                    continue
                marked = "=".join(self.mark).encode() in (entry / "environ").read_bytes().split(b"\0")
                if marked or str((entry / "cwd").readlink()).startswith(data):
                    found.append(int(entry.name))
            except OSError:
                continue  # it has just ended, or is nobody's that we may look at
        return found

    def database_processes(self) -> list[int]:
        """The postmaster and its backends."""
        return [pid for pid in self.processes() if Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"]

    def surprises(self) -> list[str]:
        """What the log holds that nobody should ever find there: an error that was not foreseen."""
        return [line for line in self.installation.log.splitlines() if any(sign in line for sign in _SURPRISES)]

    def clients(self) -> int:
        """How many connections of clients the gateway holds."""
        held = 0
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            port, state, inode = int(fields[1].rpartition(":")[2], 16), fields[3], fields[9]
            held += port == self.installation.port and state != _LISTENING and inode != "0"
        return held

    def database_connections(self) -> int:
        """How many connections to the database the gateway has."""
        return len(self._sql("SELECT pid FROM pg_stat_activity WHERE usename IN ('bailiwick_app', 'bailiwick_ledger')"))

    def open_rows(self) -> int:
        """How many calls are open in the ledger."""
        return int(self._sql("SELECT count(*) FROM bailiwick.open_calls")[0][0])

    def rows(self) -> list[Row]:
        """The ledger."""
        return [
            Row(
                number=int(str(sid).removeprefix("call-")), outcome=Outcome(outcome), source=UsageSource(source),
                input_tokens=read, output_tokens=wrote,
            )
            for sid, outcome, source, read, wrote in self._sql(
                "SELECT sid, outcome, usage_source, input_tokens, output_tokens FROM bailiwick.ledger"
            )
        ]  # fmt: skip

    def seen(self) -> Counter[int]:
        """The numbers of the calls that the provider saw."""
        return Counter(number_of(request.body) for request in self.upstream.requests)

    async def settled(self, within: float = SETTLED_WITHIN) -> float:
        """Wait until no call is open any more; returns how long that took."""
        try:
            return await eventually(lambda: self.open_rows() == 0, within, "no call is open")
        except AssertionError as problem:
            problem.add_note(f"open: {self._sql(_OPEN)}\nits provider saw: {sorted(self.seen())[-5:]}")
            problem.add_note("\n".join(self.installation.log.splitlines()[-40:]))
            raise

    def compare_books(self, answers: Iterable[Answer] = ()) -> dict[int, Row]:
        """Hold the ledger against what the provider saw and what callers got; returns the rows by number."""
        rows = self.rows()
        counts = Counter(row.number for row in rows)
        seen = self.seen()
        assert [number for number, times in counts.items() if times > 1] == [], "calls with two rows"
        assert [number for number, times in seen.items() if times > 1] == [], "calls that the provider got twice"
        assert sorted(seen.keys() - counts.keys()) == [], "calls that the provider saw and the ledger did not"
        unseen = [row for row in rows if row.number not in seen]
        wrong = [row for row in unseen if row.outcome not in _MAY_BE_UNSEEN and row.source is not UsageSource.NOTHING]
        assert wrong == [], f"rows of calls nobody saw: {wrong}"
        without = [answer.number for answer in answers if answer.status == 200 and answer.number not in counts]
        assert without == [], "answers without a row"
        return {row.number: row for row in rows}

    def _sql(self, query: str) -> list[tuple[object, ...]]:
        with self.installation.sql() as connection:
            return connection.execute(query.encode()).fetchall()


def number_of(body: bytes) -> int:
    """The number of the call with this body."""
    return int(body.rpartition(b'"call-')[2].partition(b'"')[0])


def acceptable(answers: Collection[Answer]) -> None:
    """Hold answers in times of trouble against the contract.

    They are good, or 503 with Retry-After, or a stream that ends in an error event, or a broken connection.
    """
    for answer in answers:
        if answer.good or answer.cut or answer.broken_off == "unavailable":
            assert answer.trouble != "it hung", answer.told()
            continue
        assert answer.status == 503, answer.told()
        assert answer.code == "unavailable", answer.told()
        assert answer.headers.get("retry-after", "").isdigit(), answer.told()
