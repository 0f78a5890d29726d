"""A recorded day is judged again identically, and a changed rule is found at its first effect."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from common import journal, rejudge, wire
from common import messages as m
from common.core import strategy
from services.trader import past
from services.trader.exit_codes import CommandError, ExitCode
from tests.trader.recorded import record_bear_day, record_day


def falsify(path: Path) -> int:
    """Changes one recorded decision as a rule of yesterday would have; the record's offset."""
    payloads = list(journal.read(path))
    decode = wire.record_decoder().decode
    for number, (offset, payload) in enumerate(payloads[1:], start=1):
        record = decode(payload)
        outputs = tuple(
            (seq, msgspec.structs.replace(output, slow_usd=1.0))
            if isinstance(output, m.Signal)
            else (seq, output)
            for seq, output in record.outputs
        )
        if outputs != record.outputs:
            changed = wire.encode_any(msgspec.structs.replace(record, outputs=outputs))
            frames = [journal.frame(p) for _, p in payloads]
            frames[number] = journal.frame(changed)
            path.write_bytes(b"".join(frames))
            return offset
    raise AssertionError("no Signal was recorded")


def test_a_recorded_day_is_judged_again_identically(tmp_path: Path) -> None:
    record_day(tmp_path)
    (verdict,) = past.rejudge_day(tmp_path, "2025-06-02")
    assert verdict.identical, past.verdict_as_json(verdict)
    assert verdict.judged is not None
    assert verdict.judged.decisions >= 2, "a Signal and a TargetPosition"


def test_the_first_difference_is_shown_with_service_offset_and_both_decisions(
    tmp_path: Path,
) -> None:
    offset = falsify(record_day(tmp_path))
    (verdict,) = past.rejudge_day(tmp_path, "2025-06-02")
    found = past.verdict_as_json(verdict)
    assert (found["service"], found["identical"]) == ("signal_engine", False)
    assert found["difference"]["offset"] == offset
    assert found["difference"]["recorded"][0]["Signal"]["slow_usd"] == 1.0
    assert found["difference"]["today"][0]["Signal"]["slow_usd"] > 200.0
    assert "DailyHistory" in found["difference"]["event"]


def test_a_decider_that_fails_today_is_a_difference(tmp_path: Path) -> None:
    class Failing:
        @staticmethod
        def evolve(*_inputs: object) -> None:
            raise ZeroDivisionError("today")

    path = record_day(tmp_path)
    records = [
        (offset, wire.record_decoder().decode(payload))
        for offset, payload in list(journal.read(path))[1:]
    ]
    judged = rejudge.rejudge(Failing, None, records)
    assert judged.difference is not None
    assert judged.difference.error == "ZeroDivisionError: today"


def test_a_state_of_another_version_is_said_to_be(tmp_path: Path) -> None:
    path = record_day(tmp_path)
    payloads = [payload for _, payload in journal.read(path)]
    header = wire.header_decoder.decode(payloads[0])
    old = msgspec.structs.replace(header, state=msgspec.Raw(wire.encode_any(["other"])))
    path.write_bytes(b"".join(map(journal.frame, (wire.encode_any(old), *payloads[1:]))))
    (verdict,) = past.rejudge_day(tmp_path, "2025-06-02")
    assert not verdict.identical
    assert "of another version" in verdict.problem


def test_damage_in_the_middle_names_the_offset(tmp_path: Path) -> None:
    path = record_day(tmp_path)
    offset = list(journal.read(path))[1][0]
    data = bytearray(path.read_bytes())
    data[offset + 20] ^= 0xFF
    path.write_bytes(data)
    (verdict,) = past.rejudge_day(tmp_path, "2025-06-02")
    assert not verdict.identical
    assert f"damaged at byte {offset}" in verdict.problem


def test_what_was_set_aside_as_damaged_is_judged_as_well(tmp_path: Path) -> None:
    path = record_day(tmp_path)
    aside = path.with_suffix(".damaged-1")
    aside.write_bytes(path.read_bytes()[:40])
    verdicts = past.rejudge_day(tmp_path, "2025-06-02")
    assert [(Path(v.path).name, v.identical) for v in verdicts] == [
        (aside.name, False),
        (path.name, True),
    ]
    assert "no whole record" in verdicts[0].problem


def test_a_day_without_a_journal_names_the_days_that_have_one(tmp_path: Path) -> None:
    record_day(tmp_path)
    with pytest.raises(CommandError, match=r"there are: .*2025-06-02") as refused:
        past.rejudge_day(tmp_path, "2025-06-04")
    assert refused.value.code is ExitCode.NO


def test_a_date_that_is_none_is_bad_usage(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no date") as refused:
        past.rejudge_day(tmp_path, "yesterday")
    assert refused.value.code is ExitCode.USAGE


def test_every_decider_is_judged_by_the_module_that_its_service_runs() -> None:
    root = Path(past.__file__).parent.parent
    for service, module in rejudge.DECIDERS.items():
        main = (root / f"{service}.py").read_text()
        assert f'service.main("{service}", {module.rpartition(".")[2]}' in main
    assert rejudge.decider_of("signal_engine") is strategy


def test_why_of_an_entry_that_never_was_says_why_there_was_none(tmp_path: Path) -> None:
    record_bear_day(tmp_path)
    with pytest.raises(CommandError, match="no entry today: BEAR since the close of 2025-05-30"):
        past.why(tmp_path, "20250602-ENTRY-1")


def test_why_of_an_exit_that_never_was_speaks_of_no_entry(tmp_path: Path) -> None:
    record_bear_day(tmp_path)
    with pytest.raises(CommandError, match=r"knows the order 20250602-EXIT-1$"):
        past.why(tmp_path, "20250602-EXIT-1")
