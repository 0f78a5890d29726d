"""A lock keeps a second copy out for as long as its file is the one that others find."""

from __future__ import annotations

import fcntl
import os
import select
from pathlib import Path

import pytest

from common.lock import AwaitedLock, hold_lock, holder, is_held, keep_from_cleaners

WAIT_MS = 30_000


def is_ours(awaited: AwaitedLock, wait_ms: int) -> bool:
    poller = select.poll()
    poller.register(awaited.descriptor, select.POLLIN)
    return bool(poller.poll(wait_ms))


def test_a_held_lock_keeps_others_out_and_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first = hold_lock(path)
    assert first is not None
    assert is_held(path, first)
    assert holder(path) == str(os.getpid())
    assert hold_lock(path) is None
    os.close(first)
    assert hold_lock(path) is not None


def test_a_lock_is_made_where_its_folder_is_not_there_yet(tmp_path: Path) -> None:
    assert hold_lock(tmp_path / "var" / "paper" / "lock") is not None


def test_a_folder_kept_from_cleaners_is_locked_for_them_and_for_no_other_system(
    tmp_path: Path,
) -> None:
    keep_from_cleaners(tmp_path)
    keep_from_cleaners(tmp_path)
    cleaner = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(cleaner)


def test_whoever_works_under_a_lock_whose_file_was_removed_can_tell(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first = hold_lock(path)
    assert first is not None
    path.unlink()
    assert not is_held(path, first)
    # and it stays so when a second copy has made the file anew
    second = hold_lock(path)
    assert second is not None
    assert is_held(path, second)
    assert not is_held(path, first)


def test_whoever_waited_for_a_lock_whose_file_was_removed_waits_for_the_new_one(
    tmp_path: Path,
) -> None:
    # given: one works, one waits, and the file is removed and taken anew by a third
    path = tmp_path / "a.lock"
    first = hold_lock(path)
    awaited = AwaitedLock(path)
    path.unlink()
    third = hold_lock(path)
    assert first is not None
    assert third is not None
    # when the first ends, the kernel gives its lock to the one that waits
    os.close(first)
    # then: that is worth nothing, and it waits for the third
    assert not is_ours(awaited, 300)
    os.close(third)
    assert is_ours(awaited, WAIT_MS)
    assert is_held(path, awaited.lock)
