"""What the embedded server refuses to start on, and what it says."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bailiwick.storage.embedded import EngineError
from tests.storage.embedded.conftest import (
    NewEngine,
)


def test_a_folder_with_something_else_in_it_is_refused_and_kept(folder: Path, new_engine: NewEngine) -> None:
    note = folder / "data" / "thesis.txt"
    note.parent.mkdir()
    note.write_text("precious")

    with pytest.raises(EngineError, match="neither empty nor a PostgreSQL cluster"):
        new_engine(folder).start()

    assert note.read_text() == "precious"


def test_an_empty_data_folder_is_taken(folder: Path, new_engine: NewEngine) -> None:
    (folder / "data").mkdir()
    engine = new_engine(folder)

    engine.start()

    assert engine.is_alive()


def test_a_cluster_of_another_version_is_refused_with_both_versions(root: Path, new_engine: NewEngine) -> None:
    engine = new_engine(root)
    (root / "data" / "PG_VERSION").write_text("14\n")

    with pytest.raises(EngineError, match=rf"made by PostgreSQL 14.*{engine.version}"):
        engine.start()


def test_a_failed_start_tells_the_end_of_the_log_and_holds_nothing(root: Path, new_engine: NewEngine) -> None:
    broken = new_engine(root, settings={"shared_preload_libraries": "no_such_library"})

    with pytest.raises(EngineError, match=r"postgres\.log:\n.*no_such_library"):
        broken.start()

    assert not broken.is_alive()
    other = new_engine(root)
    other.start()
    assert other.is_alive()


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a disk of some MiB, which only root can."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        disk = folder / "disk"
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(disk)]
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            pytest.skip("mounting is not allowed here")
        mounted.append(disk)
        return disk

    yield mount
    for disk in mounted:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_too_small_to_make_a_cluster_is_named(small_disk: Callable[[int], Path], new_engine: NewEngine) -> None:
    disk = small_disk(8)

    with pytest.raises(EngineError, match="No space left on device"):
        new_engine(disk / "pg").start()

    assert list((disk / "pg").glob("data*")) == []


def fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(bytes(65536))


def test_a_disk_that_is_full_at_start_is_named_although_the_log_has_no_room(
    small_disk: Callable[[int], Path], root: Path, new_engine: NewEngine
) -> None:
    disk = small_disk(100)
    subprocess.run(["cp", "-a", str(root), str(disk / "pg")], check=True)
    fill(disk)

    with pytest.raises(EngineError, match="only 0 MiB are free"):
        new_engine(disk / "pg").start()
