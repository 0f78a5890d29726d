"""A run beside its backtest: the same decisions, or the reason why not.

The runs here are what the live deciders say over made-up days, with the prices that they judged
put in; a test then changes one thing that a person, a broker or bad luck might have changed.
Recorded days of real processes are compared in tests/whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from typer.testing import CliRunner

from common import messages as m
from common.clock import SECOND_NS
from common.messages import Message, Now
from common.settings import Exit
from services.backtest.compare import Comparison, NothingToCompareError, compare
from services.backtest.decisions import Said, by_day
from services.backtest.event_path import run_sheet
from services.backtest.history import History
from services.backtest.options import Options
from services.backtest.recorded import Recording
from services.backtest.sheet import lay_out
from services.run import comparison as at_the_end
from services.sim_tws.market.session_path import PriceBar
from services.trader.app import app
from services.trader.comparison import on_screen, sentence
from services.trader.output import show
from tests.backtest.market import SESSION_S, Prices, history_of, session_on, weekdays

RISING: list[Prices] = [(90.0 + at, 90.0 + at, 90.5 + at) for at in range(10)]
DAYS: list[Prices] = [
    (100.0, 99.6, 100.0),
    (100.0, 97.0, 100.5),
    (100.6, 100.4, 101.0),
    (101.0, 100.9, 95.0),
    (95.0, 94.8, 94.9),
    (95.0, 94.8, 94.9),
]
"""Held; stopped and entered again; held; stopped on the way into BEAR; out at the open; out."""
FIRST, HELD, STOPPED, QUIET, FALLEN, BEAR, OUT = weekdays(16)[9:]
SMALL: dict[str, Any] = {
    "ema_fast": 2, "ema_slow": 3, "history_slow_multiple": 1, "interest": False,
    "start_equity_usd": 100_000.0, "bars": "auto", "first": FIRST,
}  # fmt: skip
Change = Callable[[Said], Sequence[Said]]


def minutes(open_: float, low: float, close: float) -> tuple[PriceBar, ...]:
    """A session of minutes: down to the low by its middle, then on to the close until 15:55."""
    half = SESSION_S // 120
    marks = [open_ + (low - open_) * at / half for at in range(half)]
    marks += [low + (close - low) * min(1.0, at / (half - 10)) for at in range(half)]
    return tuple(
        PriceBar(60 * at, 60, mark, mark, mark, mark, 0.0) for at, mark in enumerate(marks)
    )


@cache
def made_history(vix: float = 15.0) -> History:
    prices = [*RISING, *DAYS]
    fine = {at: minutes(*prices[at]) for at in range(9, len(prices))}
    return history_of(prices, vix=[vix] * len(prices), intraday=fine)


def recorded(
    change: Change = lambda said: [said],
    vix: float = 15.0,
    live_vix: float | None = None,
    bear: Literal["next_open", "after_hours"] = "next_open",
) -> tuple[Recording, list[Said]]:
    """A run over the made days, `change`d message by message, and what its journals tell."""
    history = made_history(vix)
    options = Options(**SMALL, bear_exit="close" if bear == "after_hours" else "next_open")
    said: list[Said] = []
    lived = history if live_vix is None else made_history(live_vix)
    run_sheet(lay_out(lived, options), options, lambda now, message: said.append((now, message)))
    said += [
        (at(day, bar.start_s), _quote(bar)) for day in history.intraday for bar in bars_of(day)
    ]
    said += [(at(day, SESSION_S + 60), summary(day, said)) for day in weekdays(16)[9:]]
    said.sort(key=lambda item: item[0].market_ns)
    said = [(now, official(message, history)) for now, message in said]
    risk = [changed for item in said for changed in change(item)]
    recording = Recording(
        settings=msgspec.structs.replace(options.settings(), exit=Exit(bear=bear))
    )
    recording.take_signal(signal_stream(history, vix))
    recording.take_risk(risk)
    return recording, risk


def official(message: Message, history: History) -> Message:
    """The broker's daily bar where a backtest, which reads its close alone, has a stand-in."""
    if not isinstance(message, m.DailyBar):
        return message
    bar = next(bar for bar in history.smh if bar.date == message.day)
    return m.DailyBar(bar.date, bar.open, bar.high, bar.low, bar.close, final=True)


def bars_of(day: Any) -> tuple[PriceBar, ...]:
    return tuple(made_history().intraday[day])


def _quote(bar: PriceBar) -> m.Quote:
    return m.Quote(1, None, None, None, bar.open, True, "live", 1)  # noqa: FBT003  (a field)


def at(day: Any, second: int) -> Now:
    return Now(session_on(day).open_ns + second * SECOND_NS, 1)


def summary(day: Any, said: Sequence[Said]) -> m.DaySummary:
    return m.DaySummary(
        day=day, entries=0, stops=0, exits=0, shares=0, start_equity_usd=1.0, equity_usd=1.0,
        return_fraction=-0.01 if day == STOPPED and said else 0.0,
    )  # fmt: skip


def signal_stream(history: History, vix: float) -> list[Said]:
    """What signal_engine heard: the closes, and a VIX in each session."""
    known = history.until(weekdays(10)[8]).smh
    told: list[Said] = [
        (Now(1, 1), m.DailyHistory(tuple(r.date for r in known), tuple(r.close for r in known)))
    ]
    sessions = {session.date: session for session in history.sessions}
    for bar in history.smh[9:]:
        hours, now = sessions[bar.date], at(bar.date, 100)
        told += [
            (now, session_message(hours)),
            (now, m.VixLevel(tick_ns=now.market_ns, level=vix, kind="live")),
            (
                at(bar.date, SESSION_S + 60),
                m.DailyBar(bar.date, bar.open, bar.high, bar.low, bar.close, final=True),
            ),
        ]
    return told


def session_message(hours: Any) -> m.Session:
    return m.Session(
        previous_day=hours.date, day=hours.date, open_ns=hours.open_ns, close_ns=hours.close_ns,
        early=False, next_day=hours.date, next_open_ns=hours.close_ns, next_close_ns=hours.close_ns,
        broker_agrees=True,
    )  # fmt: skip


def drop(day: Any, *kinds: type[Message]) -> Change:
    return lambda said: [] if isinstance(said[1], kinds) and said[1].day == day else [said]  # type: ignore[attr-defined]  # these have one


def row(found: Comparison, day: Any) -> Any:
    return next(compared for compared in found.days if compared.day == day)


def test_an_undisturbed_run_decides_as_its_backtest_on_every_day() -> None:
    found = compare(*recorded())

    assert found.same
    assert [day.live for day in found.days] == [
        "BULL: enter 3x", "BULL: hold", "BULL: stop, enter 3x", "BULL: hold",
        "BULL: stop, enter 3x", "BEAR: bear exit", "BEAR: stay out",
    ]  # fmt: skip
    assert all(day.live == day.backtest for day in found.days)


def test_fed_the_same_price_equity_and_vix_it_buys_the_same_shares() -> None:
    found = compare(*recorded(vix=12.5))

    sizes = [size for day in found.days for size in day.sized]
    assert len(sizes) >= 2
    assert {size.leverage for size in sizes} == {3.5}
    assert all(size.live_shares == size.backtest_shares > 0 for size in sizes)


def test_an_exit_after_hours_is_compared_with_a_sale_at_that_close() -> None:
    found = compare(*recorded(bear="after_hours"))

    assert found.same
    assert row(found, FALLEN).live == "BULL: stop, enter 3x, bear exit"
    assert row(found, BEAR).live == row(found, BEAR).backtest == "BEAR: stay out"


def test_fills_at_other_prices_are_no_other_decision_and_are_shown() -> None:
    def worse(said: Said) -> list[Said]:
        now, message = said
        if isinstance(message, m.Exited) and message.reason == "stop":
            message = msgspec.structs.replace(message, price_usd=message.price_usd - 0.5)
        return [(now, message)]

    found = compare(*recorded(worse))

    stop = row(found, STOPPED).fills[0]
    assert found.same
    assert stop.kind == "stop"
    assert stop.live_usd - stop.backtest_usd == pytest.approx(-0.5)
    assert stop.worse_bp == pytest.approx(0.5 / stop.backtest_usd * 1e4)
    assert row(found, STOPPED).why.startswith("stop -$0.50 (")


def test_a_stop_that_rested_at_the_broker_is_a_stop() -> None:
    def at_the_broker(said: Said) -> list[Said]:
        now, message = said
        if isinstance(message, m.StopHit):
            return []
        if isinstance(message, m.Exited) and message.reason == "stop":
            message = msgspec.structs.replace(message, reason="resting_stop")
        return [(now, message)]

    assert compare(*recorded(at_the_broker)).same


def test_a_stop_on_one_side_only_is_told_with_level_and_lowest_price() -> None:
    found = compare(*recorded(drop(STOPPED, m.StopHit, m.Exited, m.Entered)))

    assert not row(found, STOPPED).same
    assert "only the backtest stopped: level $" in row(found, STOPPED).why
    assert "lowest price heard $97.00" in row(found, STOPPED).why


def test_what_follows_from_a_difference_names_its_day() -> None:
    found = compare(*recorded(drop(STOPPED, m.StopHit, m.Exited, m.Entered)))

    later = [day for day in found.days if day.day > STOPPED and not day.same]
    assert all(day.why == f"the positions differ since {STOPPED}" for day in later)


def test_a_refused_entry_is_explained_by_its_reason() -> None:
    def refused(said: Said) -> list[Said]:
        now, message = said
        if isinstance(message, m.Entered) and message.day == FIRST:
            return [(now, m.EntryRefused(day=FIRST, reason="no live price of SMH", final=True))]
        return [said]

    found = row(compare(*recorded(refused)), FIRST)

    assert (found.live, found.backtest) == ("BULL: stay out", "BULL: enter 3x")
    assert found.why == "no live price of SMH"


def test_a_person_who_sells_is_named() -> None:
    def flattened(said: Said) -> list[Said]:
        now, message = said
        if isinstance(message, m.DailyBar) and message.day == HELD:
            sold = m.Exited(HELD, 3000, 99.8, "flatten", 0.0, 100_000.0)
            return [(now, sold), said]
        return [said]

    found = row(compare(*recorded(flattened)), HELD)

    assert (found.live, found.why) == ("BULL: flatten", "a person sold")


def test_an_entry_made_smaller_by_margin_is_the_same_decision_and_says_so() -> None:
    def clamped(said: Said) -> list[Said]:
        now, message = said
        if isinstance(message, m.Entered) and message.day == FIRST:
            why = "the account is not proven portfolio margin"
            smaller = msgspec.structs.replace(message, shares=message.shares * 2 // 3)
            return [(now, m.EntryClamped(FIRST, 3.0, 2.0, why)), (now, smaller)]
        return [said]

    found = compare(*recorded(clamped))

    first = row(found, FIRST)
    assert first.same
    assert (first.sized, first.clamped) == ((), 1)
    assert "margin: the account is not proven portfolio margin" in first.why
    assert row(found, STOPPED).clamped == 0
    assert found.sizes_agree
    assert "(1 more made smaller by margin)" in sentence(found)


def test_another_tier_of_the_vix_is_told_with_both_levels() -> None:
    found = row(compare(*recorded(vix=13.5, live_vix=14.5)), FIRST)

    assert (found.live, found.backtest) == ("BULL: enter 3x", "BULL: enter 3.25x")
    assert found.why == "live VIX 14.50, backtest VIX 13.50"


def test_a_run_that_began_with_a_position_is_compared_from_its_first_flat_day() -> None:
    def held(said: Said) -> list[Said]:
        now, message = said
        if isinstance(message, m.BaselineSet) and message.day in (FIRST, HELD, STOPPED, QUIET):
            message = msgspec.structs.replace(message, shares=10, price_usd=100.0)
        return [(now, message)]

    found = compare(*recorded(held))

    assert found.days[0].day > QUIET
    assert found.left_out[0] == f"{FIRST}: began with a position from before the recording"


def test_a_day_that_was_not_followed_to_its_end_is_left_out() -> None:
    found = compare(*recorded(drop(OUT, m.DaySummary)))

    assert OUT not in [day.day for day in found.days]
    assert found.left_out == (f"{OUT}: not followed to its end",)


def test_without_a_whole_day_there_is_nothing_to_compare() -> None:
    recording = Recording(settings=Options(**SMALL).settings())

    with pytest.raises(NothingToCompareError, match="no session was followed to its end"):
        compare(recording, [])


def test_by_daily_bars_alone_the_same_days_are_decided_by_their_low() -> None:
    found = compare(*recorded(), fine=False)

    assert found.bars == "daily"
    assert row(found, STOPPED).backtest == "BULL: stop, enter 3x"


def test_the_same_reader_reads_both_sides() -> None:
    _, risk = recorded()

    decided = by_day(risk)[STOPPED]
    assert [step.cause for step in decided.steps] == ["stop", ""]
    assert decided.steps[0].level_usd == pytest.approx(decided.steps[0].price_usd, rel=1e-3)
    assert decided.signal_day == HELD


def test_the_table_has_a_row_a_day_and_the_sentence_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = compare(*recorded(drop(STOPPED, m.StopHit, m.Exited, m.Entered)))

    show(on_screen(found))

    shown = capsys.readouterr().out
    assert all(str(day.day) in shown for day in found.days)
    alike = sum(day.same for day in found.days)
    assert sentence(found).startswith(f"{alike} of {len(found.days)} days decided alike; ")


def test_a_run_without_journals_is_told_and_takes_nothing_with_it(tmp_path: Path) -> None:
    asked = CliRunner().invoke(app, ["compare", "--run", str(tmp_path), "--json"])

    assert asked.exit_code == 1
    assert "no journal of risk_monitor" in json.loads(asked.output)["error"]
    assert "no journal of risk_monitor" in at_the_end.show(tmp_path)
