"""Historical bars, ticks and schedules, as a client may ask for them. Pure functions of the tape.

Daily bars are the official ones once their session has closed; before that the running bar.
Prices are adjusted for splits up to now; ADJUSTED_LAST for dividends too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

from common.clock import SECOND_NS
from services.sim_tws.contracts import VIX, Instrument
from services.sim_tws.market import Bar
from services.sim_tws.market_time import (
    instant_ns,
    new_york,
    new_york_date,
    new_york_text,
    read_instant_ns,
)
from services.sim_tws.requests import Historical
from services.sim_tws.tape import Tape
from services.sim_tws.wire import FieldError

BAR_SECONDS = {
    "1 secs": 1, "1 sec": 1, "5 secs": 5, "10 secs": 10, "15 secs": 15, "30 secs": 30,
    "1 min": 60, "2 mins": 120, "3 mins": 180, "5 mins": 300, "10 mins": 600, "15 mins": 900,
    "20 mins": 1200, "30 mins": 1800, "1 hour": 3600,
}  # fmt: skip
LONG_BARS = frozenset({"1 day", "1 week", "1 month", "1D", "1W", "1M"})
DURATION_DAYS = {"D": 1, "W": 7, "M": 30, "Y": 365}
SHOWS = frozenset({"TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK", "ADJUSTED_LAST", "SCHEDULE"})
BARS_MAX = 50_000
HALF_SPREAD_USD = 0.01


class NoDataError(Exception):
    """Nothing answers the request; the text follows `query returned` in the error."""


@dataclass(frozen=True, slots=True)
class Window:
    """What a request means: which bars, from when to when (UTC ns)."""

    start_ns: int
    end_ns: int
    bar_s: int  # 0 for daily and longer
    days: int  # sessions asked for, when the duration was in days


def window(request: Historical, tape: Tape, now_ns: int) -> Window:
    """FieldError for a bar size, duration or show this server does not know."""
    if request.show.upper() not in SHOWS:
        raise FieldError(f"Invalid historical data type '{request.show[:20]}'")
    if request.bar_size not in BAR_SECONDS and request.bar_size not in LONG_BARS:
        raise FieldError(f"Historical data bar size setting is invalid: '{request.bar_size[:20]}'")
    if request.end and request.keep_up_to_date:
        raise FieldError("End date not supported with keepUpToDate")
    if request.end and request.show.upper() == "ADJUSTED_LAST":
        raise FieldError("End Date/Time: The date, time, or time-zone entered is invalid.")
    number, _, unit = request.duration.strip().upper().partition(" ")
    if not number.isdecimal() or len(number) > 6 or int(number) < 1:
        raise FieldError(f"Invalid duration '{request.duration[:20]}'")
    end_ns = min(read_instant_ns(request.end) if request.end else now_ns, now_ns)
    bar_s = BAR_SECONDS.get(request.bar_size, 0)
    if unit in {"S", ""}:
        return Window(end_ns - int(number) * SECOND_NS, end_ns, bar_s, 0)
    if unit not in DURATION_DAYS:
        raise FieldError(f"Invalid duration unit '{unit[:5]}'")
    days = int(number) if unit == "D" else 0
    start = new_york_date(end_ns) - timedelta(days=min(36_500, int(number) * DURATION_DAYS[unit]))
    if days:
        start = _sessions_back(tape, end_ns, days) or start
    return Window(instant_ns(start, 0), end_ns, bar_s, days)


def bars(request: Historical, instrument: Instrument, tape: Tape, now_ns: int) -> list[Bar]:
    """Oldest first; NoDataError when there are none, FieldError for a malformed request."""
    asked = window(request, tape, now_ns)
    if asked.bar_s:
        found = _intraday(asked, instrument, tape, now_ns)
    else:
        found = [bar for _, bar in daily(asked, instrument, tape, now_ns)]
        if request.show.upper() == "ADJUSTED_LAST":
            found = _less_dividends(found, tape, now_ns)
        found = _grouped(found, request.bar_size)
    if not found:
        raise NoDataError(
            f"no data: {instrument.symbol}@{instrument.primary_exchange} {request.show}"
        )
    return [_shown(bar, request.show.upper(), instrument) for bar in found[-BARS_MAX:]]


def daily(asked: Window, instrument: Instrument, tape: Tape, now_ns: int) -> list[tuple[date, Bar]]:
    """Whole sessions' official bars, then the running one."""
    market = tape.market
    last = market.session_on(new_york_date(asked.end_ns))
    running = last is not None and last.open_ns < asked.end_ns < last.close_ns
    whole_by = new_york_date(asked.end_ns)
    if last is not None and asked.end_ns < last.close_ns:
        whole_by -= timedelta(days=1)
    count = asked.days or (new_york_date(asked.end_ns) - new_york_date(asked.start_ns)).days + 1
    rows = [
        (day, bar)
        for day, bar in market.daily_bars(instrument.symbol, whole_by, count - running)
        if asked.days or day >= new_york_date(asked.start_ns)
    ]
    rows = _in_shares_of(new_york_date(now_ns), whole_by, rows, instrument, tape)
    if running and last is not None:
        parts = market.bars(instrument.symbol, last.open_ns, asked.end_ns, 3600)
        made = [(last.date, _joined(parts))] if parts else []
        rows += _in_shares_of(new_york_date(now_ns), last.date, made, instrument, tape)
    return rows


def _in_shares_of(
    today: date, day: date, rows: list[tuple[date, Bar]], instrument: Instrument, tape: Tape
) -> list[tuple[date, Bar]]:
    """Bars in shares of `day`, told in shares of `today`."""
    ratio = 1.0 if instrument == VIX else tape.split_ratio(day, today)
    return rows if ratio == 1.0 else [(on, _divided(bar, ratio)) for on, bar in rows]


def date_text(bar: Bar, request: Historical, version: int) -> str:
    """Daily bars carry the date; shorter ones local time, or epoch seconds on request."""
    if request.bar_size in LONG_BARS:
        return f"{new_york(bar.start_ns):%Y%m%d}"
    if request.date_format == 2:
        return str(bar.start_ns // SECOND_NS)
    return new_york_text(bar.start_ns, version)


def _intraday(asked: Window, instrument: Instrument, tape: Tape, now_ns: int) -> list[Bar]:
    try:
        found = tape.market.bars(instrument.symbol, asked.start_ns, asked.end_ns, asked.bar_s)
    except LookupError:
        return []
    ratio = tape.split_ratio(new_york_date(asked.end_ns), new_york_date(now_ns))
    return found if ratio == 1.0 or instrument == VIX else [_divided(bar, ratio) for bar in found]


def _sessions_back(tape: Tape, end_ns: int, count: int) -> date | None:
    """The first of the last `count` sessions that had opened by `end_ns`."""
    today = tape.session(end_ns)
    opened = today is not None and end_ns > today.open_ns
    if today is not None and opened and count == 1:
        return today.date
    before = tape.market.sessions_before(new_york_date(end_ns), count - opened)
    return before[0].date if before else None


def _less_dividends(found: list[Bar], tape: Tape, now_ns: int) -> list[Bar]:
    """Each bar before an ex-date is scaled down by the dividend's share of the close before it."""
    adjusted: list[Bar] = []
    factor = 1.0
    today = new_york_date(now_ns)
    for index in range(len(found) - 1, -1, -1):
        adjusted.append(replace(_divided(found[index], 1 / factor), volume=found[index].volume))
        for action in tape.actions_on(new_york_date(found[index].start_ns)):
            if action.kind == "dividend" and index:
                ratio = tape.split_ratio(new_york_date(found[index].start_ns), today)
                factor *= 1 - action.value / ratio / found[index - 1].close
    return adjusted[::-1]


def _grouped(found: list[Bar], bar_size: str) -> list[Bar]:
    """Daily bars joined to weeks or months."""
    if bar_size in {"1 day", "1D"}:
        return found
    groups: dict[tuple[int, int], list[Bar]] = {}
    for bar in found:
        local = new_york(bar.start_ns)
        week = local.isocalendar()
        by_week = bar_size in {"1 week", "1W"}
        key = (week.year, week.week) if by_week else (local.year, local.month)
        groups.setdefault(key, []).append(bar)
    return [_joined(group) for group in groups.values()]


def _joined(parts: list[Bar]) -> Bar:
    volume = sum(bar.volume for bar in parts)
    turnover = sum(bar.wap * bar.volume for bar in parts)
    return Bar(
        parts[0].start_ns,
        parts[0].open,
        max(bar.high for bar in parts),
        min(bar.low for bar in parts),
        parts[-1].close,
        volume,
        sum(bar.count for bar in parts),
        round(turnover / volume, 4) if volume else parts[-1].close,
    )


def _divided(bar: Bar, ratio: float) -> Bar:
    prices = (round(p / ratio, 6) for p in (bar.open, bar.high, bar.low, bar.close))
    opened, high, low, close = prices
    return Bar(
        bar.start_ns, opened, high, low, close, bar.volume * ratio, bar.count, bar.wap / ratio
    )


def _shown(bar: Bar, show: str, instrument: Instrument) -> Bar:
    """Quotes have no volume (-1); an index has none either."""
    volume = float(int(bar.volume))
    if instrument == VIX:
        return replace(bar, volume=0.0, wap=0.0)
    if show in {"TRADES", "ADJUSTED_LAST"}:
        return replace(bar, volume=volume, wap=round(bar.wap, 4))
    shift = {"BID": -HALF_SPREAD_USD, "ASK": HALF_SPREAD_USD}.get(show, 0.0)
    opened, high, low, close = (
        round(p + shift, 4) for p in (bar.open, bar.high, bar.low, bar.close)
    )
    return Bar(bar.start_ns, opened, high, low, close, -1.0, -1, -1.0)
