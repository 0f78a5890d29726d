"""A journal loses nothing that was written, invents nothing, and never hides damage."""

from __future__ import annotations

import resource
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as drawn
from hypothesis import strategies as st

from common import journal
from common.journal import DiskFullError, Journal, JournalDamagedError

PAYLOADS = [b"header", b"first", b"", b"x" * 300, b"last"]
DATA = b"".join(journal.frame(payload) for payload in PAYLOADS)
NAME = Path("20260303.journal")


def ends() -> list[int]:
    """Where each record of DATA ends."""
    found, at = [], 0
    for payload in PAYLOADS:
        at += len(journal.frame(payload))
        found.append(at)
    return found


def written(folder: Path, payloads: list[bytes] = PAYLOADS) -> Journal:
    book = Journal(folder)
    book.begin("20260303", payloads[0])
    for payload in payloads[1:]:
        book.append(payload)
    return book


def read_all(path: Path) -> list[bytes]:
    return [payload for _, payload in journal.read(path)]


# --- what is written is read -------------------------------------------------------------------


def reopened(book: Journal, path: Path) -> int:
    """Opens `path` for writing as a restart does; the bytes of torn tail that were cut."""
    return book.open(path, journal.newest(path).sound_bytes)


def test_what_is_appended_is_read_back_in_order_with_its_offset(tmp_path: Path) -> None:
    book = written(tmp_path)
    book.sync()
    path = book.files()[0]
    assert read_all(path) == PAYLOADS
    assert [offset for offset, _ in journal.read(path)] == [0, *ends()[:-1]]
    assert path.read_bytes() == DATA
    assert journal.newest(path).sound_bytes == len(DATA)


def test_a_reopened_journal_goes_on_where_it_ended(tmp_path: Path) -> None:
    written(tmp_path).close()
    book = Journal(tmp_path)
    assert reopened(book, book.files()[0]) == 0
    book.append(b"more")
    assert read_all(book.files()[0]) == [*PAYLOADS, b"more"]


def test_files_are_private_and_sorted_by_session(tmp_path: Path) -> None:
    book = Journal(tmp_path / "j")
    for name in ("20260304", "00000000", "20260303"):
        book.begin(name, b"h")
    assert [path.stem for path in book.files()] == ["00000000", "20260303", "20260304"]
    assert book.folder.stat().st_mode & 0o777 == 0o700
    assert book.files()[0].stat().st_mode & 0o777 == 0o600


def test_a_new_file_is_written_to_from_then_on(tmp_path: Path) -> None:
    book = written(tmp_path)
    book.begin("20260304", b"header 2")
    book.append(b"second day")
    assert read_all(tmp_path / "20260303.journal") == PAYLOADS
    assert read_all(tmp_path / "20260304.journal") == [b"header 2", b"second day"]


def test_retention_deletes_older_sessions_only(tmp_path: Path) -> None:
    book = Journal(tmp_path)
    for name in ("20260302", "20260303", "20260304"):
        book.begin(name, b"h")
    book.delete_before("20260303")
    assert [path.stem for path in book.files()] == ["20260303", "20260304"]


# --- torn, damaged -----------------------------------------------------------------------------


def test_a_restart_begins_at_the_newest_checkpoint_and_a_reader_sees_every_record(
    tmp_path: Path,
) -> None:
    book = Journal(tmp_path)
    book.begin("20260303", b"header")
    for number in range(3):
        book.append(b"early %d" % number)
    book.checkpoint(b"all of it so far")
    book.append(b"late")

    path = book.files()[0]
    found = journal.newest(path)
    assert (found.header, found.records) == (b"all of it so far", [b"late"])
    assert found.sound_bytes == path.stat().st_size
    assert read_all(path) == [b"header", b"early 0", b"early 1", b"early 2", b"late"]


def test_a_torn_checkpoint_is_cut_and_the_fold_begins_before_it(tmp_path: Path) -> None:
    book = Journal(tmp_path)
    book.begin("20260303", b"header")
    book.append(b"a record")
    book.checkpoint(b"a state")
    path = book.files()[0]
    path.write_bytes(path.read_bytes()[:-2])

    found = journal.newest(path)
    assert (found.header, found.records) == (b"header", [b"a record"])
    assert reopened(Journal(tmp_path), path) > 0


def test_damage_before_a_checkpoint_is_not_skipped_silently(tmp_path: Path) -> None:
    book = Journal(tmp_path)
    book.begin("20260303", b"header")
    book.append(b"a record")
    book.checkpoint(b"a state")
    path = book.files()[0]
    data = bytearray(path.read_bytes())
    data[len(journal.frame(b"header")) + 13] ^= 1
    path.write_bytes(data)

    found = journal.newest(path)
    assert found.damage is not None
    assert found.damage.offset == len(journal.frame(b"header"))


@pytest.mark.parametrize("cut", range(len(DATA) + 1))
def test_cut_at_any_byte_the_whole_records_before_it_remain(cut: int, tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(DATA[:cut])
    whole = sum(end <= cut for end in ends())
    assert read_all(path) == PAYLOADS[:whole]
    book = Journal(tmp_path)
    sound = ([0, *ends()])[whole]
    assert reopened(book, path) == cut - sound
    assert path.stat().st_size == sound
    book.append(b"after the crash")
    assert read_all(path) == [*PAYLOADS[:whole], b"after the crash"]


@drawn(max_examples=400, deadline=None)
@given(at=st.integers(0, ends()[-2] - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_with_sound_records_behind_it_is_damage_at_that_records_offset(
    at: int, bit: int
) -> None:
    data = bytearray(DATA)
    data[at] ^= 1 << bit
    with pytest.raises(JournalDamagedError) as caught:
        list(journal.read_bytes(bytes(data), NAME))
    starts = [0, *ends()[:-1]]
    assert caught.value.offset == max(start for start in starts if start <= at)
    assert str(caught.value.offset) in str(caught.value)


def test_what_stands_before_the_damage_is_still_read() -> None:
    data = bytearray(DATA)
    data[ends()[1] + 2] ^= 1
    records = journal.read_bytes(bytes(data), NAME)
    assert [next(records)[1], next(records)[1]] == PAYLOADS[:2]
    with pytest.raises(JournalDamagedError):
        next(records)


def test_damage_is_told_with_all_that_stands_before_it(tmp_path: Path) -> None:
    path = tmp_path / NAME
    data = bytearray(DATA)
    data[ends()[0] + 13] ^= 1
    path.write_bytes(data)
    found = journal.newest(path)
    assert found.damage is not None
    assert (found.damage.offset, found.sound_bytes) == (ends()[0], ends()[0])
    assert found.header == PAYLOADS[0]
    assert found.records == []


def test_a_page_of_zeros_at_the_end_is_a_torn_tail(tmp_path: Path) -> None:
    """What a power cut leaves where the length was on disk before the bytes."""
    path = tmp_path / NAME
    path.write_bytes(DATA + b"\0" * 4096)
    assert read_all(path) == PAYLOADS
    assert reopened(Journal(tmp_path), path) == 4096


def test_an_absurd_length_is_not_believed() -> None:
    head = journal.MAGIC + (1 << 31).to_bytes(4, "little") + zlib.crc32(b"").to_bytes(4, "little")
    assert list(journal.read_bytes(DATA + head, NAME)) == list(journal.read_bytes(DATA, NAME))


@drawn(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_named_damaged_and_never_crash(data: bytes) -> None:
    try:
        records = list(journal.read_bytes(data, NAME))
    except JournalDamagedError:
        return
    assert b"".join(journal.frame(payload) for _, payload in records) == data[: _length(records)]


def _length(records: list[tuple[int, bytes]]) -> int:
    return sum(len(journal.frame(payload)) for _, payload in records)


# --- begin is whole or not at all --------------------------------------------------------------


def test_a_half_written_beginning_leaves_the_old_file_in_force(tmp_path: Path) -> None:
    """The process died between the draft and its name."""
    written(tmp_path).close()
    (tmp_path / "20260304.draft").write_bytes(journal.frame(b"half a header")[:-3])
    book = Journal(tmp_path)
    assert [path.stem for path in book.files()] == ["20260303"]
    reopened(book, book.files()[-1])
    book.begin("20260304", b"header")
    assert read_all(tmp_path / "20260304.journal") == [b"header"]
    assert not list(tmp_path.glob("*.draft"))


# --- a full disk -------------------------------------------------------------------------------


@pytest.fixture
def file_size_limit() -> Iterator[None]:
    """No file of this process may grow beyond 4 kB: the kernel itself says no."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("file_size_limit")
def test_a_record_that_does_not_fit_is_not_there_at_all_and_the_rest_stands(
    tmp_path: Path,
) -> None:
    book = Journal(tmp_path)
    book.begin("20260303", b"header")
    book.append(b"x" * 3000)
    with pytest.raises(DiskFullError):
        book.append(b"y" * 3000)
    assert read_all(book.files()[0]) == [b"header", b"x" * 3000]
    book.append(b"small")
    assert read_all(book.files()[0]) == [b"header", b"x" * 3000, b"small"]


@pytest.mark.usefixtures("file_size_limit")
def test_a_header_that_does_not_fit_leaves_the_old_file_in_force(tmp_path: Path) -> None:
    book = written(tmp_path)
    with pytest.raises(DiskFullError):
        book.begin("20260304", b"x" * 5000)
    book.append(b"goes on")
    assert [path.stem for path in book.files()] == ["20260303"]
    assert read_all(book.files()[0])[-1] == b"goes on"


ON_A_FULL_DISK = """
    import os
    from pathlib import Path
    from common.journal import DiskFullError, Journal, read

    book = Journal(Path("{disk}/j"), reserve_bytes=64 * 1024)
    book.begin("20260303", b"header")
    with open("{disk}/filler", "wb", buffering=0) as filler:
        try:
            while filler.write(b"x" * 4096):
                pass
        except OSError:
            pass
    kept = 0
    assert not book.reserve_spent
    try:
        while True:
            book.append(b"exit" * 500)
            book.sync()
            kept += 1
    except DiskFullError:
        pass
    records = [payload for _, payload in read(book.files()[0])]
    assert records == [b"header"] + [b"exit" * 500] * kept, "no half record"
    assert book.reserve_spent
    book.make_reserve()
    assert book.reserve_spent, "no room for one yet"
    os.unlink("{disk}/filler")
    book.make_reserve()
    assert not book.reserve_spent
    assert (book.folder / "reserve").stat().st_size == 64 * 1024
    print(kept)
"""


def test_on_a_full_disk_the_reserve_records_the_exits_and_comes_back_with_room(
    tmp_path: Path,
) -> None:
    """A real file system of 1 MB, filled to the last byte."""
    script = textwrap.dedent(ON_A_FULL_DISK).format(disk=tmp_path)
    mount = f"mount -t tmpfs -o size=1m tmpfs '{tmp_path}' && exec '{sys.executable}' -c \"$1\""
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh", script],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode and ("unshare" in done.stderr or "mount" in done.stderr):
        pytest.skip(f"no private file system may be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 20, "64 kB of reserve hold at least 20 records of 2 kB"
