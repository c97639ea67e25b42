"""Where the master key is kept: a file for its owner alone, a setting, or a command."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bailiwick.apps.cli import master_keys
from bailiwick.apps.cli.cannot_start import CannotStart
from bailiwick.config import Config, load
from bailiwick.identity.keyring import MasterKey

KEY = MasterKey(secret=bytes(range(32)))
OTHER = MasterKey(secret=bytes(32))


def settings(folder: Path, **flags: str) -> Config:
    return load({"data_dir": str(folder), **flags}, {})


def refused(folder: Path, **flags: str) -> str:
    with pytest.raises(CannotStart) as caught:
        master_keys.find(settings(folder, **flags))
    return str(caught.value)


def test_a_master_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    made = master_keys.find(settings(tmp_path)).configured
    assert stat.S_IMODE((tmp_path / "master.key").stat().st_mode) == 0o600
    assert master_keys.find(settings(tmp_path)).configured == made
    assert [path.name for path in tmp_path.iterdir()] == ["master.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_master_key_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    master_keys.find(settings(tmp_path))
    (tmp_path / "master.key").chmod(mode)
    assert f"chmod 600 {tmp_path / 'master.key'}" in refused(tmp_path)


def test_a_configured_master_key_is_not_written_down(tmp_path: Path) -> None:
    assert master_keys.find(settings(tmp_path, master_key=KEY.written())).configured == KEY
    assert list(tmp_path.iterdir()) == []


def test_what_a_crash_left_of_a_master_key_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "master.key.new").write_text("half")
    made = master_keys.find(settings(tmp_path)).configured
    assert MasterKey.parse((tmp_path / "master.key").read_text()) == made


def test_a_file_that_holds_no_master_key_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "master.key").write_text("canary")
    (tmp_path / "master.key").chmod(0o600)
    told = refused(tmp_path)
    assert "master.key" in told
    assert "canary" not in told
    assert (tmp_path / "master.key").read_text() == "canary"


def test_a_command_prints_the_master_key_and_nothing_is_written_down(tmp_path: Path) -> None:
    command = f"printf %s {KEY.written()}"
    assert master_keys.find(settings(tmp_path, master_key_command=command)).configured == KEY
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("false", "false ended with status 1"),
        ("printf canary", "printf printed something else"),
        ("/nowhere/at/all", "/nowhere/at/all No such file or directory"),
    ],
)
def test_a_command_that_prints_no_master_key_is_told_without_what_it_printed(
    tmp_path: Path, command: str, told: str
) -> None:
    said = refused(tmp_path, master_key_command=command)
    assert told in said
    assert command == "printf canary" or "canary" not in said


def test_of_two_keys_the_one_is_taken_that_the_database_is_kept_with(tmp_path: Path) -> None:
    master_keys.propose(settings(tmp_path), OTHER)
    keys = master_keys.find(settings(tmp_path, master_key=KEY.written()))
    assert keys.with_check(KEY.check_value()) == KEY
    assert keys.with_check(OTHER.check_value()) == OTHER
    assert keys.with_check(MasterKey(secret=bytes(31) + b"x").check_value()) is None
    assert keys.with_check(None) == KEY


def test_a_key_that_has_followed_stays_noted_until_it_is_configured(tmp_path: Path) -> None:
    before, after = (settings(tmp_path, master_key=key.written()) for key in (KEY, OTHER))
    master_keys.propose(before, OTHER)
    master_keys.settle(before, OTHER)
    assert master_keys.following(before) == OTHER
    master_keys.settle(after, OTHER)
    assert master_keys.following(after) is None
