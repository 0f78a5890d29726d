"""The compiled path: the strategy's scalar rules and the costs, compiled as they stand."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import numpy as np

from services.backtest import compiled_loop
from services.backtest.compiled_loop import (
    BASELINES,
    BEAR,
    BEAR_EXITS,
    COLUMNS,
    ENTRY_AT,
    ENTRY_USD,
    EXIT_AT,
    EXIT_USD,
    LEVERAGE,
    PROFIT_USD,
    REASON,
    SHARES,
    STOP_USD,
    Cell,
    Terms,
)
from services.backtest.history import History
from services.backtest.options import Options, margin_model
from services.backtest.result import EXIT_REASONS, Result, Trade, leverage_of
from services.backtest.sheet import Floats, Sheet, lay_out

VIX_TIERS = 8
NEVER = -1.0  # no VIX lies below it: fills the tiers not used


def run_compiled(history: History, options: Options) -> Result:
    """The backtest of `history`, its rules compiled. OptionsError for options it cannot serve."""
    return run_sheet(lay_out(history, options), options)


def run_sheet(sheet: Sheet, options: Options) -> Result:
    """The same on a sheet that is laid out already."""
    run = run_arrays(sheet, options)
    parts = options.parts_per_share
    days = sheet.days[sheet.begin :]
    return Result(
        options=options,
        days=days,
        equity_usd=run.equity_usd,
        leverage=leverage_of(_values(run.trades, sheet, options), run.equity_usd),
        trades=tuple(_trade(row, days, parts) for row in run.trades.tolist()),
        interest_usd=run.interest_usd,
        commission_usd=run.commission_usd,
        dividend_usd=run.dividend_usd,
        fine_days=sheet.fine,
    )


class Arrays(NamedTuple):
    """A backtest as the loop leaves it: equity by traded session, a row for each trade."""

    equity_usd: Floats
    trades: Floats
    interest_usd: float
    commission_usd: float
    dividend_usd: float


def run_arrays(sheet: Sheet, options: Options) -> Arrays:
    """The backtest of a sheet, before anything is made of it."""
    traded = sheet.sessions - sheet.begin
    equity, trades = np.empty(traded), np.empty((traded, COLUMNS))
    fast, slow = compiled_loop.emas(sheet.close_usd, (options.ema_fast, options.ema_slow))
    count, *paid = compiled_loop.loop(
        sheet, terms_of(options), fast, slow, cell_of(options), equity, trades
    )
    return Arrays(equity, trades[:count], *paid)


def cell_of(options: Options) -> Cell:
    """The options that may differ from cell to cell of a sweep."""
    return Cell(
        bars_needed=options.history_slow_multiple * options.ema_slow,
        loss_fraction=options.stop_loss_fraction,
        slippage_bp=options.slippage_bp,
    )


def terms_of(options: Options) -> Terms:
    """The options that the loop takes as they are; OptionsError where they cannot be."""
    settings = options.settings()
    unused = VIX_TIERS - len(options.vix_below)
    margin = margin_model(options.margin)
    return Terms(
        start_usd=options.start_equity_usd,
        leverage_base=settings.leverage.base,
        vix_below=settings.leverage.vix_below + (NEVER,) * unused,
        vix_leverage=settings.leverage.leverage + (settings.leverage.base,) * unused,
        flow_fraction_max=settings.stop.flow_fraction_max,
        baseline=BASELINES.index(options.baseline),
        reentry=options.reentry,
        bear_exit=BEAR_EXITS.index(options.bear_exit),
        at_close=options.decide_at == "close",
        gap_at_open=options.gap_fill == "open",
        commission_per_share=options.commission_per_share_usd / options.parts_per_share,
        margin_rate=margin.rate_fraction,
        regt=margin.kind == "regt",
        regt_leverage_max=settings.margin.regt_leverage_max,
        margin_buffer=settings.margin.buffer_fraction,
    )


def _values(trades: Floats, sheet: Sheet, options: Options) -> Floats:
    """Value held at each close. Decided at the close, an order leaves just after its mark."""
    after = 1 if options.decide_at == "close" else 0
    closes = sheet.close_usd[sheet.begin :]
    held = np.zeros(len(closes))
    for row in trades:
        until = int(row[EXIT_AT]) + after * int(row[REASON] == BEAR)
        held[int(row[ENTRY_AT]) + after : until if row[REASON] else len(closes)] = row[SHARES]
    return held * closes


def _trade(row: list[float], days: tuple[date, ...], parts: int) -> Trade:
    return Trade(
        entry_day=days[int(row[ENTRY_AT])],
        entry_usd=row[ENTRY_USD] * parts,
        shares=row[SHARES] / parts,
        leverage=row[LEVERAGE],
        exit_day=days[int(row[EXIT_AT])] if row[REASON] else None,
        exit_usd=row[EXIT_USD] * parts,
        reason=EXIT_REASONS[int(row[REASON])],
        stop_usd=row[STOP_USD] * parts,
        profit_usd=row[PROFIT_USD],
    )
