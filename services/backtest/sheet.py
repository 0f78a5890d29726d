"""A history laid out session by session, as both paths read it: numpy columns, no rules.

A session is what the deciders are told is one. With `decide_at = "close"` it begins at the close
before it, so that signal, exit and entry all come at that close: nobody can trade that, but the
published figures did.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.clock import MINUTE_NS, SECOND_NS
from services.backtest import costs
from services.backtest.history import History, Quotation
from services.backtest.options import Options, OptionsError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Sheet(NamedTuple):
    """Columns by session (n) and by bar (m), nothing but numbers: the compiled path takes it as it
    is. Prices in USD per part of a share.

    `begin`: index of the first session traded, those before it only feed the EMAs. `ordinal`: the
    date as a day number. Session s has the bars `bar_first[s]` to `bar_first[s + 1]`; those from
    `bar_entry[s]` on come after the entry. `night_factor[s]`: interest per USD owed over the night
    before s. `vix` is 0 where nothing was known. `opens_ns`, `closes_ns`, `bar_ns`: UTC ns of
    market time.
    """

    begin: int
    ordinal: Ints
    opens_ns: Ints
    closes_ns: Ints
    open_usd: Floats
    close_usd: Floats
    entry_usd: Floats
    vix: Floats
    dividend_usd: Floats
    night_factor: Floats
    bar_first: Ints
    bar_entry: Ints
    bar_ns: Ints
    bar_open_usd: Floats
    bar_low_usd: Floats

    @property
    def sessions(self) -> int:
        return len(self.ordinal)

    def day(self, session: int) -> date:
        """The date of one session."""
        return date.fromordinal(int(self.ordinal[session]))

    @property
    def days(self) -> tuple[date, ...]:
        """The date of each session, made anew each time."""
        return tuple(map(date.fromordinal, self.ordinal.tolist()))

    @property
    def fine(self) -> tuple[date, ...]:
        """The traded days that had intraday bars."""
        several = np.flatnonzero(np.diff(self.bar_first)[self.begin :] > 1)
        return tuple(map(date.fromordinal, self.ordinal[self.begin + several].tolist()))


def lay_out(history: History, options: Options) -> Sheet:
    """The sheet of a history under the options; OptionsError where it cannot serve them."""
    history = _chosen(history, options)
    days = history.days
    begin = bisect_left(days, options.first) if options.first else 0
    if begin >= len(days):
        raise OptionsError(f"no session from {options.first} on: the data end on {days[-1]}")
    ordinal = _ordinals(days)
    part = 1.0 / options.parts_per_share
    scale = _adjustment(history, options) * part
    smh = history.smh
    opens = np.array([row.open for row in smh]) * scale
    closes = np.array([row.close for row in smh]) * scale
    bars = _bars(history, options, scale, closes)
    dividends = np.array([history.dividends.get(day, 0.0) for day in days]) * part
    if options.prices == "dividend_adjusted":
        dividends = np.zeros(len(days))
    return Sheet(
        begin=begin,
        ordinal=ordinal,
        opens_ns=np.array([session.open_ns for session in history.sessions], dtype=np.int64),
        closes_ns=np.array([session.close_ns for session in history.sessions], dtype=np.int64),
        open_usd=opens,
        close_usd=closes,
        entry_usd=bars.entry_usd,
        vix=_vix(history, ordinal, options),
        dividend_usd=dividends,
        night_factor=_night_factors(history.rates, ordinal, begin, options),
        bar_first=bars.first,
        bar_entry=bars.entry,
        bar_ns=bars.ns,
        bar_open_usd=bars.open_usd,
        bar_low_usd=bars.low_usd,
    )


def _chosen(history: History, options: Options) -> History:
    """Rows up to `last`, and from `ema_from` on where that is set; no finer bars than wanted."""
    if options.last:
        history = history.until(options.last)
    begin = bisect_left(history.days, options.ema_from) if options.ema_from else 0
    if not history.smh[begin:]:
        raise OptionsError("no session between the dates asked for")
    return History(
        history.sessions[begin:], history.smh[begin:], history.vix, history.dividends,
        history.adjusted, history.rates,
        *(({}, {}) if options.bars == "daily" else (history.intraday, history.vix_intraday)),
    )  # fmt: skip


def _adjustment(history: History, options: Options) -> Floats:
    """Factor by day that makes prices dividend-adjusted; ones for prices as traded."""
    if options.prices == "traded":
        return np.ones(len(history.smh))
    adjusted = dict(zip(history.adjusted.days, history.adjusted.values, strict=True))
    missing = [row.date for row in history.smh if row.date not in adjusted]
    if missing:
        raise OptionsError(
            f"SMH_adjclose.csv has no row for {missing[0]}: the rules behind the published figures "
            "need the dividend-adjusted close (date,adjclose) of each session"
        )
    return np.array([adjusted[row.date] / row.close for row in history.smh])


def _ordinals(days: Sequence[date]) -> Ints:
    return np.array([day.toordinal() for day in days], dtype=np.int64)


def _known(series: Quotation, ordinal: Ints, unknown: float) -> Floats:
    """By day its own value, else the last known before it."""
    if not series.days:
        return np.full(len(ordinal), unknown)
    index = np.searchsorted(_ordinals(series.days), ordinal, side="right") - 1
    return np.where(index >= 0, np.array(series.values)[np.maximum(index, 0)], unknown)


def _vix(history: History, ordinal: Ints, options: Options) -> Floats:
    """The level that an entry reads: the last bar's before it, else the day's close or the last
    known one; 0 where nothing was known."""
    levels = _known(history.vix, ordinal, 0.0)
    if not history.vix_intraday:
        return levels
    settings = options.settings()
    before_close_ns = int(settings.entry.minutes_before_close * MINUTE_NS)
    for index, session in enumerate(history.sessions):
        entry_s = (session.close_ns - before_close_ns - session.open_ns) / SECOND_NS
        known = [
            bar.close
            for bar in history.vix_intraday.get(session.date, ())
            if 0.0 <= entry_s - bar.start_s - bar.length_s <= settings.leverage.vix_age_s_max
        ]
        if known:
            levels[index] = known[-1]
    return levels


def _night_factors(rates: Quotation, ordinal: Ints, begin: int, options: Options) -> Floats:
    """Interest for the night before each session, at the rate of the evening; OptionsError where a
    traded night has none."""
    factors = np.zeros(len(ordinal))
    if not options.interest:
        return factors
    if not rates.days:
        raise OptionsError("no FEDFUNDS_monthly.csv among the data: add it, or --no-interest")
    if begin < len(ordinal) - 1 and ordinal[begin] < rates.days[0].toordinal():
        raise OptionsError(
            f"FEDFUNDS_monthly.csv begins on {rates.days[0]}, the trading on "
            f"{date.fromordinal(int(ordinal[begin]))}: add the older rates, begin later with "
            "--from, or leave interest out (--no-interest, --gross)"
        )
    evening = _known(rates, ordinal[:-1], rates.values[0]).tolist()
    nights = np.diff(ordinal).tolist()
    spread = options.interest_spread_pct
    factors[1:] = [
        costs.night_factor(rate, spread, days) for rate, days in zip(evening, nights, strict=True)
    ]
    return factors


@dataclass(frozen=True)
class _Bars:
    first: Ints
    entry: Ints
    ns: Ints
    open_usd: Floats
    low_usd: Floats
    entry_usd: Floats


def _bars(history: History, options: Options, scale: Floats, closes: Floats) -> _Bars:
    """Bars of all sessions in one row; a day without intraday bars is one bar before the entry.

    With intraday bars the entry's price is the opening price of the bar that begins then, else the
    close of the last one before.
    """
    if not history.intraday:
        count = len(closes)
        return _Bars(
            first=np.arange(count + 1, dtype=np.int64),
            entry=np.arange(1, count + 1, dtype=np.int64),
            ns=np.array(
                [_middle_ns(session.open_ns, session.close_ns) for session in history.sessions],
                dtype=np.int64,
            ),
            open_usd=np.array([row.open for row in history.smh]) * scale,
            low_usd=np.array([row.low for row in history.smh]) * scale,
            entry_usd=closes,
        )
    entry_before_ns = int(options.settings().entry.minutes_before_close * MINUTE_NS)
    first, entry = [0], []
    ns: list[int] = []
    opens: list[float] = []
    lows: list[float] = []
    prices = closes.copy()
    for index, (row, session) in enumerate(zip(history.smh, history.sessions, strict=True)):
        fine = history.intraday.get(row.date, ())
        if not fine:
            ns.append(_middle_ns(session.open_ns, session.close_ns))
            opens.append(row.open * scale[index])
            lows.append(row.low * scale[index])
            entry.append(len(ns))
            first.append(len(ns))
            continue
        entry_s = (session.close_ns - entry_before_ns - session.open_ns) // SECOND_NS
        before = sum(1 for bar in fine if bar.start_s < entry_s)
        entry.append(len(ns) + before)
        after = fine[before] if before < len(fine) else None
        at_once = after is not None and after.start_s == entry_s
        prices[index] = (after.open if after and at_once else fine[before - 1].close) * scale[index]
        for bar in fine:
            ns.append(session.open_ns + bar.start_s * SECOND_NS)
            opens.append(bar.open * scale[index])
            lows.append(bar.low * scale[index])
        first.append(len(ns))
    return _Bars(
        np.array(first, dtype=np.int64), np.array(entry, dtype=np.int64),
        np.array(ns, dtype=np.int64), np.array(opens), np.array(lows), prices,
    )  # fmt: skip


def _middle_ns(open_ns: int, close_ns: int) -> int:
    """The instant a daily bar is judged at: after the open, before the entry."""
    return (open_ns + close_ns) // 2
