"""Market time in a simulated run: one writer, many readers, never backwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common.clock import SECOND_NS, ClockWriter, ReplayClock, Segment, WallClock, from_environment

START_NS = 1_748_871_000 * SECOND_NS


def test_a_segment_runs_at_its_speed_and_never_past_its_limit() -> None:
    segment = Segment(host_ns=100, market_ns=1_000, speed=10.0, limit_ns=1_500)
    assert segment.at(100) == 1_000
    assert segment.at(110) == 1_100
    assert segment.at(10_000) == 1_500


def test_a_host_instant_before_the_segment_reads_its_beginning() -> None:
    segment = Segment(host_ns=100, market_ns=1_000, speed=10.0, limit_ns=1_500)
    assert segment.at(50) == 1_000


def test_a_fresh_clock_stands_still_at_its_start(tmp_path: Path) -> None:
    writer = ClockWriter(tmp_path / "clock", START_NS)
    assert writer.reader.now_ns() == START_NS
    assert ReplayClock(tmp_path / "clock").now_ns() == START_NS


def test_a_writer_that_comes_back_goes_on_from_the_file(tmp_path: Path) -> None:
    first = ClockWriter(tmp_path / "clock", START_NS)
    first.run(START_NS + SECOND_NS, speed=0.0, limit_ns=START_NS + SECOND_NS)
    first.close()

    second = ClockWriter(tmp_path / "clock", START_NS)

    assert second.reader.now_ns() == START_NS + SECOND_NS


def test_market_time_is_never_moved_backwards(tmp_path: Path) -> None:
    writer = ClockWriter(tmp_path / "clock", START_NS)
    with pytest.raises(ValueError, match="may not go back"):
        writer.run(START_NS - 1, speed=1.0, limit_ns=START_NS)


def test_going_on_at_any_speed_never_shows_a_reader_an_earlier_time(tmp_path: Path) -> None:
    writer = ClockWriter(tmp_path / "clock", START_NS)
    reader = ReplayClock(tmp_path / "clock")
    seen = START_NS
    for turn in range(3_000):
        speed = (5_000.0, 0.0, 20.0)[turn % 3]
        writer.go_on(speed, reader.now_ns() + int(speed * SECOND_NS))
        now = reader.now_ns()
        assert now >= seen
        seen = now


def test_a_limit_already_behind_holds_market_time(tmp_path: Path) -> None:
    writer = ClockWriter(tmp_path / "clock", START_NS)
    writer.run(START_NS + SECOND_NS, speed=0.0, limit_ns=START_NS + SECOND_NS)
    writer.go_on(100.0, limit_ns=START_NS)
    held = writer.reader.now_ns()
    assert held == START_NS + SECOND_NS
    assert writer.reader.segment().at(1 << 62) == held


def test_a_writer_killed_at_any_moment_leaves_a_readable_clock(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    ClockWriter(path, START_NS).close()
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from common.clock import ClockWriter\n"
        f"writer = ClockWriter(Path(sys.argv[1]), {START_NS})\n"
        "print('writing', flush=True)\n"
        "while True:\n"
        "    writer.go_on(1000.0, writer.reader.now_ns() + 10**12)\n"
    )
    reader = ReplayClock(path)
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        before = reader.now_ns()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        segment = reader.segment()
        assert segment.market_ns >= before - 1000 * SECOND_NS
        assert segment.market_ns <= segment.limit_ns


def test_the_environment_chooses_between_replay_and_wall_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ClockWriter(tmp_path / "clock", START_NS).close()
    monkeypatch.setenv("TRADER_CLOCK", str(tmp_path / "clock"))
    assert from_environment().now_ns() == START_NS
    monkeypatch.setenv("TRADER_CLOCK", "")
    assert isinstance(from_environment(), WallClock)
