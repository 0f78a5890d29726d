"""A replay trades what the files say, in the prices of the day."""

from __future__ import annotations

import csv
import os
from datetime import date, datetime
from pathlib import Path

import pytest

from common.clock import MINUTE_NS, SECOND_NS
from services.sim_tws.market import SMH, VIX, Action, Market, SessionTimes, replay
from tests.sim_tws.market.data_folder import daily_lines, intraday_lines, sessions, write_folder

SPLIT_DAY = date(2023, 5, 5)
REPOSITORY = Path(__file__).parents[3]
RECORDED = Path(os.environ.get("TRADER_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="module")
def recorded() -> Market:
    if not (RECORDED / "SMH_daily.csv").exists():
        pytest.skip(f"no recorded market data in {RECORDED} (set TRADER_DATA)")
    return replay(RECORDED, seed=1)


def test_market_begins_and_ends_with_the_smh_file(tmp_path: Path) -> None:
    market = replay(write_folder(tmp_path), 1)

    assert (market.first_day, market.last_day) == (sessions()[0].date, sessions()[-1].date)
    assert market.session_on(sessions()[0].date) == sessions()[0]
    with pytest.raises(LookupError, match="last session"):
        market.session_at_or_after(sessions()[-1].close_ns)


def test_day_without_intraday_bars_goes_to_the_nearer_extreme_first(tmp_path: Path) -> None:
    market = replay(write_folder(tmp_path), 1)
    session = sessions()[3]

    path = market.path(SMH, session.open_ns - 1, session.close_ns)

    lasts = [tick.last for tick in path]
    assert market_open(market, session) == 103.0
    assert lasts[-1] == 104.0
    assert (min(lasts), max(lasts)) == (101.0, 106.0)
    assert lasts.index(101.0) < lasts.index(106.0)


def test_another_seed_replays_the_same_prints_on_another_path(tmp_path: Path) -> None:
    one, other = replay(write_folder(tmp_path), 1), replay(tmp_path, 2)
    session = sessions()[3]
    hours = (session.open_ns - 1, session.close_ns)

    assert one.daily_bars(SMH, session.date, 4) == other.daily_bars(SMH, session.date, 4)
    assert one.path(SMH, *hours) != other.path(SMH, *hours)


@pytest.mark.parametrize("day", [2, 8], ids=["full day", "early close"])
@pytest.mark.parametrize(("name", "bar_s"), [("SMH_1min", 60), ("SMH_5min", 300)])
def test_intraday_bars_come_back_as_they_were(
    tmp_path: Path, day: int, name: str, bar_s: int
) -> None:
    session = sessions()[day]
    lines = intraday_lines(session, bar_s, 100.0 + day - 1)
    opened = lines[1].split(",")[1]
    daily = daily_lines()
    daily[day + 1] = f"{session.date},{opened},{105 + day},{98 + day},{101 + day},9000000"

    market = replay(write_folder(tmp_path, SMH_daily=daily, **{name: lines}), 1)

    bars = market.bars(SMH, session.open_ns, session.close_ns, bar_s)
    assert [(bar.open, bar.high, bar.low, bar.close) for bar in bars] == [
        tuple(float(price) for price in line.split(",")[1:5]) for line in lines[1:]
    ]
    assert market.closing_print(SMH, session.date) == 101 + day
    assert market.tick(SMH, session.close_ns).last == 101 + day


def test_finer_bars_go_first_unless_they_miss_too_much(tmp_path: Path) -> None:
    whole, torn = sessions()[2], sessions()[3]
    minutes = intraday_lines(whole, 60, 101.0) + intraday_lines(torn, 60, 102.0)[1:200]
    fives = intraday_lines(whole, 300, 102.0) + intraday_lines(torn, 300, 103.0)[1:]

    market = replay(write_folder(tmp_path, SMH_1min=minutes, SMH_5min=fives), 1)

    def second_bar_open(open_ns: int, bar_s: int) -> float:
        return market.bars(SMH, open_ns, open_ns + 2 * bar_s * SECOND_NS, bar_s)[1].open

    assert second_bar_open(whole.open_ns, 60) == 101.01
    assert second_bar_open(torn.open_ns, 300) == 103.01


def test_missing_minute_leaves_the_price_where_it_was(tmp_path: Path) -> None:
    session = sessions()[2]
    lines = intraday_lines(session, 60, 101.0)
    del lines[11]

    market = replay(write_folder(tmp_path, SMH_1min=lines), 1)

    before, missing = market.bars(SMH, session.open_ns, session.close_ns, 60)[9:11]
    assert (missing.count, missing.volume) == (0, 0)
    assert missing.open == missing.close == before.close
    ten_ns = session.open_ns + 10 * MINUTE_NS
    assert market.path(SMH, ten_ns - 1, ten_ns + MINUTE_NS - 1) == []


def test_day_without_a_vix_row_leaves_the_vix_where_it_was(tmp_path: Path) -> None:
    lines = daily_lines(15.0)
    del lines[3]
    market = replay(write_folder(tmp_path, VIX_daily=lines), 1)
    before, missing = sessions()[1], sessions()[2]

    noon_ns = missing.open_ns + 150 * MINUTE_NS
    assert market.tick(VIX, noon_ns).last == market.closing_print(VIX, before.date) == 17.0
    assert market.tick(VIX, noon_ns).ts_ns < missing.open_ns
    assert market.path(VIX, missing.open_ns, missing.close_ns) == []
    assert [day for day, _ in market.daily_bars(VIX, missing.date, 1)] == [before.date]
    with pytest.raises(LookupError):
        market.opening_print(VIX, missing.date)


def test_before_a_split_the_undivided_price_trades(tmp_path: Path) -> None:
    actions = ["date,kind,value", "2025-11-18,dividend,0.5", "2025-11-20,split,2.0"]
    market = replay(write_folder(tmp_path, SMH_actions=actions), 1)
    before, after = sessions()[2], sessions()[3]

    assert market.opening_print(SMH, before.date) == 204.0
    assert market.tick(SMH, before.close_ns).last == 206.0
    assert market.opening_print(SMH, after.date) == 103.0
    assert market.actions_on(after.date) == [Action("split", 2.0)]
    assert market.actions_on(date(2025, 11, 18)) == [Action("dividend", 1.0)]
    assert market.actions_on(before.date) == []


def test_bars_are_adjusted_for_splits_up_to_the_day_they_are_asked_on(tmp_path: Path) -> None:
    actions = ["date,kind,value", "2025-11-20,split,2.0"]
    market = replay(write_folder(tmp_path, SMH_actions=actions), 1)
    before, after = sessions()[2], sessions()[3]

    ((_, old),) = market.daily_bars(SMH, before.date, 1)
    ((_, new),) = market.daily_bars(SMH, before.date, 1, as_of=after.date)
    ((_, beside), _) = market.daily_bars(SMH, after.date, 2)
    hour = market.bars(SMH, before.open_ns, before.close_ns, 3600)[0]
    later = market.bars(SMH, before.open_ns, before.close_ns, 3600, as_of=after.date)[0]

    assert (old.open, old.close, old.volume) == (204.0, 206.0, 500_000)
    assert (new.open, new.close, new.volume) == (102.0, 103.0, 1_000_000)
    assert beside == new
    assert (hour.open, later.open) == (204.0, 102.0)
    assert later.volume == 2 * hour.volume


def market_open(market: Market, session: SessionTimes) -> float:
    return market.tick(SMH, session.open_ns).last


def rows_of(name: str) -> list[dict[str, str]]:
    with (RECORDED / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_recorded_prints_equal_the_daily_file(recorded: Market) -> None:
    for symbol, factor in ((SMH, 2.0), (VIX, 1.0)):
        for row in rows_of(f"{symbol}_daily.csv"):
            day = date.fromisoformat(row["date"])
            if recorded.session_on(day):
                shares = factor if day < SPLIT_DAY else 1.0
                opened, closed = float(row["open"]) * shares, float(row["close"]) * shares
                assert recorded.opening_print(symbol, day) == pytest.approx(opened, abs=1e-4)
                assert recorded.closing_print(symbol, day) == pytest.approx(closed, abs=1e-4)


def test_recorded_five_minute_bars_replay_to_the_cent(recorded: Market) -> None:
    day = date(2025, 5, 23)
    session = recorded.session_on(day)
    assert session is not None

    bars = recorded.bars(SMH, session.open_ns, session.close_ns, 300)

    rows = [row for row in rows_of("SMH_5min.csv") if row["timestamp"].startswith(str(day))]
    assert len(bars) == len(rows) == 78
    for bar, row in zip(bars, rows, strict=True):
        start_ns = int(datetime.fromisoformat(row["timestamp"]).timestamp()) * SECOND_NS
        assert bar.start_ns == start_ns
        for name in ("open", "high", "low", "close"):
            assert getattr(bar, name) == pytest.approx(float(row[name]), abs=1e-4)


def test_recorded_split_halves_the_price_and_not_the_history(recorded: Market) -> None:
    eve = date(2023, 5, 4)
    assert recorded.actions_on(SPLIT_DAY) == [Action("split", 2.0)]

    raw = recorded.closing_print(SMH, eve)
    opened = recorded.opening_print(SMH, SPLIT_DAY)
    ((_, adjusted), _) = recorded.daily_bars(SMH, SPLIT_DAY, 2)

    assert 240 < raw < 250
    assert 120 < opened < 125
    assert adjusted.close == raw / 2


def test_recorded_paths_stay_near_their_daily_bars(recorded: Market) -> None:
    sample = recorded.sessions_before(recorded.last_day, 10_000)[-400::40]
    for session in sample:
        ((_, bar),) = recorded.daily_bars(SMH, session.date, 1)

        lasts = [t.last for t in recorded.path(SMH, session.open_ns - 1, session.close_ns)]

        assert max(lasts) == pytest.approx(bar.high, rel=0.003)
        assert min(lasts) == pytest.approx(bar.low, rel=0.003)
        assert market_open(recorded, session) == bar.open
        assert lasts[-1] == bar.close
