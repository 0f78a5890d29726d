"""Bars from a seed, the same for us and for every yardstick: no data files."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from common.clock import MINUTE_NS, SECOND_NS
from services.backtest.sheet import Floats, Sheet

SEED = 20_250_102
FIRST_DAY = date(1990, 1, 1)
OPEN_S = 52_200  # 14:30 UTC
MINUTES = 390  # of a session
DAY_S = 86_400
EPOCH = date(1970, 1, 1)


def minute_sheet(sessions: int) -> Sheet:
    """Sessions of 390 one-minute bars: a walk that rises enough to be held most of the time."""
    draw = np.random.default_rng(SEED)
    walk = 50.0 * np.exp(np.cumsum(draw.normal(4e-6, 4e-4, sessions * MINUTES)))
    bars = walk.reshape(sessions, MINUTES)
    opens = np.concatenate((bars[:1, :1].ravel(), bars[:-1, -1]))
    ordinal, opens_ns = _calendar(sessions)
    first = np.arange(sessions + 1, dtype=np.int64) * MINUTES
    starts = np.concatenate((opens[:, None], bars[:, :-1]), axis=1)
    return _sheet(
        ordinal, opens_ns, opens, bars[:, -1].copy(), entries=bars[:, -6].copy(),
        first=first, entry=first[:-1] + MINUTES - 5,
        bar_ns=(opens_ns[:, None] + np.arange(MINUTES) * MINUTE_NS).ravel(),
        bar_opens=starts.ravel(), bar_lows=np.minimum(starts, bars).ravel() * 0.9999,
    )  # fmt: skip


def daily_sheet(sessions: int, volatility: float = 0.015, rise: float = 0.03) -> Sheet:
    """One bar a session, with gaps and lows in proportion; as a default SMH's. `rise`: the mean of
    a day's move, as a share of its volatility.

    A million days need little volatility and no rise, or a share costs more than any account holds
    and nothing can be bought. The instants are all 0: they would leave every range as well, and the
    compiled path reads none.
    """
    draw = np.random.default_rng(SEED)
    closes = 50.0 * np.exp(np.cumsum(draw.normal(rise * volatility, volatility, sessions)))
    nights = np.exp(draw.normal(0.0, 0.4 * volatility, sessions))
    opens = np.concatenate((closes[:1], closes[:-1])) * nights
    falls = np.exp(-np.abs(draw.normal(0.0, 0.4 * volatility, sessions)))
    lows = np.minimum(opens, closes) * falls
    first = np.arange(sessions + 1, dtype=np.int64)
    none = np.zeros(sessions, dtype=np.int64)
    return _sheet(
        FIRST_DAY.toordinal() + first[:-1], none, opens, closes, entries=closes, first=first,
        entry=first[1:], bar_ns=none, bar_opens=opens, bar_lows=lows,
    )  # fmt: skip


def save(sheet: Sheet, folder: Path, bars: int) -> Path:
    """The first bars for a yardstick: rows of start (UTC ns), open, high, low, close, USD.

    A daily sheet's are a minute apart: a yardstick wants instants, whatever they are.
    """
    opens, lows = sheet.bar_open_usd[:bars], sheet.bar_low_usd[:bars]
    if sheet.sessions == len(sheet.bar_open_usd):
        closes, starts_ns = sheet.close_usd[:bars], np.arange(bars) * MINUTE_NS
    else:
        closes = np.append(sheet.bar_open_usd[1:], sheet.close_usd[-1])[:bars]
        starts_ns = sheet.bar_ns[:bars]
    file = folder / f"bars-{bars}.npy"
    rows = (starts_ns, opens, np.maximum(opens, closes), np.minimum(lows, closes), closes)
    np.save(file, np.column_stack([np.asarray(row, dtype=np.float64) for row in rows]))
    return file


def _calendar(sessions: int) -> tuple[np.ndarray, np.ndarray]:
    """Day numbers and opening instants of consecutive days: no calendar is needed here."""
    ordinal = FIRST_DAY.toordinal() + np.arange(sessions, dtype=np.int64)
    return ordinal, ((ordinal - EPOCH.toordinal()) * DAY_S + OPEN_S) * SECOND_NS


def _sheet(
    ordinal: np.ndarray, opens_ns: np.ndarray, opens: Floats, closes: Floats, *, entries: Floats,
    first: np.ndarray, entry: np.ndarray, bar_ns: np.ndarray, bar_opens: Floats, bar_lows: Floats,
) -> Sheet:  # fmt: skip
    draw = np.random.default_rng(SEED + 1)
    sessions = len(closes)
    return Sheet(
        begin=0,
        ordinal=ordinal,
        opens_ns=opens_ns,
        closes_ns=opens_ns + MINUTES * MINUTE_NS,
        open_usd=opens,
        close_usd=closes,
        entry_usd=entries,
        vix=draw.uniform(10.0, 25.0, sessions),
        dividend_usd=np.zeros(sessions),
        night_factor=np.full(sessions, 0.06 / 360.0),
        bar_first=first,
        bar_entry=entry,
        bar_ns=bar_ns,
        bar_open_usd=bar_opens,
        bar_low_usd=bar_lows,
    )
