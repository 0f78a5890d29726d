"""The compiled path: the strategy's scalar rules and the costs, compiled as they stand.

Not one rule is written here a second time: numba compiles the very functions of
common/core/rules.py and costs.py. What stands here is their order within a session, which the live
deciders give themselves; a test holds the two paths to the same bits.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.extending import register_jitable

from common.core import rules
from common.core.entry import REGT_INITIAL_FRACTION
from common.core.stop import SPLIT_DAYS
from services.backtest import costs
from services.backtest.history import History
from services.backtest.options import Options, margin_model
from services.backtest.result import EXIT_REASONS, Result, Trade, leverage_of
from services.backtest.sheet import Floats, Ints, Sheet, lay_out

VIX_TIERS = 8
NEVER = -1.0  # no VIX lies below it: fills the tiers not used

BASELINES = ("open", "previous_close", "entry", "off")
PREVIOUS_CLOSE, ENTRY, OFF = 1, 2, 3
BEAR_EXITS = ("next_open", "close", "next_close")
NEXT_OPEN, CLOSE, NEXT_CLOSE = 0, 1, 2
STOPPED, BEAR, LIQUIDATED = 1, 2, 3
# Columns of a trade's row.
ENTRY_AT, ENTRY_USD, SHARES, LEVERAGE, EXIT_AT, EXIT_USD, REASON, STOP_USD, PROFIT_USD = range(9)
COLUMNS = 9
TRADES_AT_FIRST = 256  # rows; doubled when they are full
REGT_BUYING_POWER = 1.0 / REGT_INITIAL_FRACTION

Base = tuple[float, int, float, float, int]
"""A baseline: equity, shares, price, money from fills since, day number."""

COMPILED_RULES = (
    rules.ema_alpha, rules.ema_step, rules.side_of, rules.leverage_for_vix, rules.shares_for,
    rules.profit_since, rules.stop_level, rules.risk_base, rules.unexplained,
    rules.reference_price, rules.near_one_of, rules.is_split_of_price, rules.price_looks_split,
    rules.stop_price,
    rules.margin_shares_max, rules.liquidation_price,
    costs.bought_at, costs.sold_at, costs.commission_usd, costs.interest_usd, costs.stop_fill,
)  # fmt: skip
for _rule in COMPILED_RULES:
    register_jitable(error_model="numpy")(_rule)


def _kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` compiled, kept on disk for the next process.

    numba notices a change of the function's own file only, so the folder is named after all the
    sources that are compiled into it.
    """
    sources = {str(inspect.getsourcefile(rule)) for rule in (*COMPILED_RULES, function)}
    texts = b"".join(Path(source).read_bytes() for source in sorted(sources))
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "trader" / f"compiled-{hashlib.sha256(texts).hexdigest()[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        unkept: Callable[..., Any] = numba.njit(function, error_model="numpy")
        return unkept
    config: Any = numba.config
    usual, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        kept: Callable[..., Any] = numba.njit(function, cache=True, error_model="numpy")
    finally:
        config.CACHE_DIR = usual
    return kept


def run_compiled(history: History, options: Options) -> Result:
    """The backtest of `history`, its rules compiled. OptionsError for options it cannot serve."""
    return run_sheet(lay_out(history, options), options)


def run_sheet(sheet: Sheet, options: Options) -> Result:
    """The same on a sheet that is laid out already."""
    strategy = options.settings().strategy
    trades, equity, paid = _compiled_loop(
        sheet.begin, strategy.history_slow_multiple * strategy.ema_slow, sheet.ordinal,
        sheet.open_usd, sheet.close_usd, sheet.entry_usd, sheet.vix,
        sheet.dividend_usd, sheet.night_factor,
        sheet.bar_first, sheet.bar_entry, sheet.bar_open_usd, sheet.bar_low_usd,
        *scalars(options),
    )  # fmt: skip
    parts = options.parts_per_share
    return Result(
        options=options,
        days=sheet.days[sheet.begin :],
        equity_usd=equity[sheet.begin :],
        leverage=leverage_of(_values(trades, sheet, options), equity)[sheet.begin :],
        trades=tuple(_trade(row, sheet, parts) for row in trades),
        interest_usd=paid[0],
        commission_usd=paid[1],
        dividend_usd=paid[2],
        fine_days=sheet.fine,
    )


def scalars(options: Options) -> tuple[Any, ...]:
    """What the loop takes after the columns, in its order."""
    settings = options.settings()
    unused = VIX_TIERS - len(options.vix_below)
    margin = margin_model(options.margin)
    return (
        options.start_equity_usd, options.ema_fast, options.ema_slow,
        settings.leverage.base,
        settings.leverage.vix_below + (NEVER,) * unused,
        settings.leverage.leverage + (settings.leverage.base,) * unused,
        settings.stop.loss_fraction, settings.stop.flow_fraction_max,
        BASELINES.index(options.baseline), options.reentry,
        BEAR_EXITS.index(options.bear_exit), options.decide_at == "close",
        options.gap_fill == "open",
        options.commission_per_share_usd / options.parts_per_share, options.slippage_bp,
        margin.rate_fraction, margin.kind == "regt", settings.margin.regt_leverage_max,
        settings.margin.buffer_fraction,
    )  # fmt: skip


def _values(trades: Floats, sheet: Sheet, options: Options) -> Floats:
    """Value held at each close. Decided at the close, an order leaves just after its mark."""
    after = 1 if options.decide_at == "close" else 0
    held = np.zeros(sheet.sessions)
    for row in trades:
        until = int(row[EXIT_AT]) + after * int(row[REASON] == BEAR)
        held[int(row[ENTRY_AT]) + after : until if row[REASON] else sheet.sessions] = row[SHARES]
    return held * sheet.close_usd


def _trade(row: Floats, sheet: Sheet, parts: int) -> Trade:
    return Trade(
        entry_day=sheet.days[int(row[ENTRY_AT])],
        entry_usd=float(row[ENTRY_USD] * parts),
        shares=float(row[SHARES] / parts),
        leverage=float(row[LEVERAGE]),
        exit_day=sheet.days[int(row[EXIT_AT])] if row[REASON] else None,
        exit_usd=float(row[EXIT_USD] * parts),
        reason=EXIT_REASONS[int(row[REASON])],
        stop_usd=float(row[STOP_USD] * parts),
        profit_usd=float(row[PROFIT_USD]),
    )


def _touched(
    open_usd: float,
    low_usd: float,
    shares: int,
    cash: float,
    armed: bool,
    base: Base,
    stop_usd: float,
    gap_at_open: bool,
    margin_rate: float,
) -> tuple[int, float, float]:
    """Whether a bar ends the position: why (0: not), at what price, the stop's own price."""
    base_usd, base_shares, base_price, base_flow, _ = base
    touch = low_usd
    forced = False
    if margin_rate > 0.0:
        held = margin_rate * (shares * open_usd)
        liquidation = rules.liquidation_price(
            cash + shares * open_usd - held, held, shares, open_usd
        )
        forced = liquidation > 0.0 and low_usd <= liquidation
        if forced:
            touch = min(open_usd, liquidation)
    if armed:
        equity = base_usd + rules.profit_since(shares, touch, base_shares, base_price, base_flow)
        if equity <= stop_usd:
            reference = rules.reference_price(shares, base_price, base_flow)
            if not rules.price_looks_split(touch, reference):
                level = rules.stop_price(equity, stop_usd, shares, touch)
                return STOPPED, costs.stop_fill(open_usd, level, gap_at_open), level
    return (LIQUIDATED, touch, 0.0) if forced else (0, 0.0, 0.0)


def _affordable(
    cash: float,
    price_usd: float,
    leverage: float,
    margin_rate: float,
    margin_buffer: float,
    regt: bool,
    regt_leverage_max: float,
) -> int:
    """Whole shares for all the cash at this leverage, under the margin rule."""
    wanted = rules.shares_for(cash, leverage, price_usd)
    if margin_rate == 0.0 or wanted < 1:
        return wanted
    held = margin_rate * (wanted * price_usd)
    wanted = rules.margin_shares_max(wanted, 0.0, held, cash, margin_buffer * cash)
    if regt:
        wanted = min(wanted, rules.shares_for(cash, regt_leverage_max, price_usd))
        wanted = min(wanted, rules.shares_for(cash, REGT_BUYING_POWER, price_usd))
    return wanted


def _anchored(
    baseline: int,
    cash: float,
    shares: int,
    opening_usd: float,
    previous_usd: float,
    today: int,
    loss_fraction: float,
    flow_fraction_max: float,
    base: Base,
    anchor_usd: float,
    anchor_profit: float,
) -> tuple[Base, bool, float]:
    """A held position's baseline at the open: itself, whether armed, the stop's equity."""
    base_usd, base_shares, base_price, base_flow, base_ordinal = base
    if baseline == OFF:
        return base, False, 0.0
    flow = 0.0
    if baseline == ENTRY:
        profit = rules.profit_since(shares, previous_usd, base_shares, base_price, base_flow)
        flow = rules.unexplained(
            cash + shares * previous_usd, profit, anchor_usd, anchor_profit, flow_fraction_max
        )
    else:
        price = previous_usd if baseline == PREVIOUS_CLOSE else opening_usd
        reference = rules.reference_price(shares, base_price, base_flow)
        if today - base_ordinal <= SPLIT_DAYS and rules.price_looks_split(price, reference):
            return base, False, 0.0
        base_usd = cash + shares * price
        base = (base_usd, shares, price, 0.0, today)
    return base, True, rules.stop_level(base_usd, rules.risk_base(base_usd, flow), loss_fraction)


def _sold(
    trade: Floats,
    s: int,
    reason: int,
    at_usd: float,
    level_usd: float,
    cash: float,
    shares: int,
    slippage_bp: float,
    commission_per_share: float,
    paid_usd: float,
    got_usd: float,
) -> tuple[float, float]:
    """Sells everything and completes the trade's row: cash after it, the commission."""
    price = costs.sold_at(at_usd, slippage_bp)
    fee = costs.commission_usd(shares, commission_per_share)
    trade[EXIT_AT] = s
    trade[EXIT_USD] = price
    trade[REASON] = reason
    trade[STOP_USD] = level_usd
    trade[PROFIT_USD] = shares * price - fee - paid_usd + got_usd
    cash += shares * price
    cash -= fee
    return cash, fee


for _part in (_touched, _affordable, _anchored, _sold):
    register_jitable(error_model="numpy")(_part)


def _loop(  # noqa: C901, PLR0912, PLR0915  (one compiled loop: a call per rule, no objects)
    begin: int,
    bars_needed: int,
    ordinal: Ints,
    open_usd: Floats,
    close_usd: Floats,
    entry_usd: Floats,
    vix: Floats,
    dividend_usd: Floats,
    night_factor: Floats,
    bar_first: Ints,
    bar_entry: Ints,
    bar_open_usd: Floats,
    bar_low_usd: Floats,
    cash: float,
    fast_span: int,
    slow_span: int,
    leverage_base: float,
    vix_below: tuple[float, ...],
    vix_leverage: tuple[float, ...],
    loss_fraction: float,
    flow_fraction_max: float,
    baseline: int,
    reentry: bool,
    bear_exit: int,
    at_close: bool,
    gap_at_open: bool,
    commission_per_share: float,
    slippage_bp: float,
    margin_rate: float,
    regt: bool,
    regt_leverage_max: float,
    margin_buffer: float,
) -> tuple[Floats, Floats, tuple[float, float, float]]:
    """Trades (one row each), equity by session, (interest, commission, dividends).

    What no later decision can see is left out: a baseline matters only while shares are held.
    """
    sessions = len(close_usd)
    equity = np.empty(sessions)
    equity[:begin] = cash
    trades = np.empty((TRADES_AT_FIRST, COLUMNS))
    count = 0
    interest_paid = commission_paid = dividends_got = 0.0

    shares = 0
    paid_usd = got_usd = 0.0
    armed = False
    base = (0.0, 0, 0.0, 0.0, 0)
    stop_usd = anchor_usd = anchor_profit = 0.0

    fast = slow = close_usd[0]
    side = 0
    for s in range(begin):
        fast = rules.ema_step(fast, close_usd[s], fast_span)
        slow = rules.ema_step(slow, close_usd[s], slow_span)
        side = rules.side_of(fast, slow, side)

    for s in range(begin, sessions):
        barred = False  # no entry any more in this session
        if shares > 0 or cash < 0.0:
            charge = costs.interest_usd(cash, night_factor[s])
            credit = shares * dividend_usd[s]
            cash -= charge
            cash += credit
            interest_paid += charge
            dividends_got += credit
            got_usd += credit

        if shares > 0 and not at_close:
            base, armed, stop_usd = _anchored(
                baseline, cash, shares, open_usd[s], close_usd[s - 1], ordinal[s],
                loss_fraction, flow_fraction_max, base, anchor_usd, anchor_profit,
            )  # fmt: skip
            if bear_exit == NEXT_OPEN and side <= 0:
                cash, fee = _sold(
                    trades[count], s, BEAR, open_usd[s], 0.0, cash, shares,
                    slippage_bp, commission_per_share, paid_usd, got_usd,
                )  # fmt: skip
                commission_paid += fee
                count += 1
                shares = 0
        i = bar_first[s]
        while shares > 0 and i < bar_entry[s]:
            reached = armed and stop_usd >= base[0] + rules.profit_since(
                shares, bar_low_usd[i], base[1], base[2], base[3]
            )
            if reached or margin_rate > 0.0:
                reason, at_usd, level = _touched(
                    bar_open_usd[i], bar_low_usd[i], shares, cash,
                    armed, base, stop_usd, gap_at_open, margin_rate,
                )  # fmt: skip
            else:  # most bars: above the stop, and nobody liquidates
                reason, at_usd, level = 0, 0.0, 0.0
            i += 1
            if reason != 0:
                cash, fee = _sold(
                    trades[count], s, reason, at_usd, level, cash, shares,
                    slippage_bp, commission_per_share, paid_usd, got_usd,
                )  # fmt: skip
                commission_paid += fee
                count += 1
                shares = 0
                barred = not at_close and (reason == LIQUIDATED or not reentry)

        if at_close:  # the next session begins here, with everything it decides
            equity[s] = cash + shares * close_usd[s]
            if s + 1 == sessions:
                break
            fast = rules.ema_step(fast, close_usd[s], fast_span)
            slow = rules.ema_step(slow, close_usd[s], slow_span)
            side = rules.side_of(fast, slow, side)
            if shares > 0:
                base, armed, stop_usd = _anchored(
                    baseline, cash, shares, close_usd[s], close_usd[s], ordinal[s + 1],
                    loss_fraction, flow_fraction_max, base, anchor_usd, anchor_profit,
                )  # fmt: skip
        if shares > 0 and side <= 0 and (at_close or bear_exit == NEXT_CLOSE):
            cash, fee = _sold(
                trades[count], s, BEAR, entry_usd[s], 0.0, cash, shares,
                slippage_bp, commission_per_share, paid_usd, got_usd,
            )  # fmt: skip
            commission_paid += fee
            count += 1
            shares = 0
        closes = s + 1 if at_close else s
        if shares == 0 and side > 0 and not barred and closes >= bars_needed:
            leverage = rules.leverage_for_vix(vix[s], leverage_base, vix_below, vix_leverage)
            shares = _affordable(
                cash, entry_usd[s], leverage, margin_rate, margin_buffer, regt, regt_leverage_max
            )
            if shares > 0:
                price = costs.bought_at(entry_usd[s], slippage_bp)
                fee = costs.commission_usd(shares, commission_per_share)
                armed = baseline != OFF
                base_usd = cash - fee
                base = (base_usd, 0, 0.0, 0.0 - shares * price, ordinal[closes])
                stop_usd = rules.stop_level(base_usd, rules.risk_base(base_usd, 0.0), loss_fraction)
                if count == len(trades):
                    trades = np.concatenate((trades, np.empty_like(trades)))
                trades[count] = 0.0
                trades[count, ENTRY_AT] = s
                trades[count, ENTRY_USD] = price
                trades[count, SHARES] = shares
                trades[count, LEVERAGE] = shares * entry_usd[s] / cash
                cash -= shares * price
                cash -= fee
                commission_paid += fee
                paid_usd, got_usd = shares * price + fee, 0.0
                anchor_usd = cash + shares * entry_usd[s]
                anchor_profit = rules.profit_since(shares, entry_usd[s], 0, 0.0, base[3])
        if at_close:
            continue

        i = bar_entry[s]
        while shares > 0 and i < bar_first[s + 1]:
            reached = armed and stop_usd >= base[0] + rules.profit_since(
                shares, bar_low_usd[i], base[1], base[2], base[3]
            )
            if reached or margin_rate > 0.0:
                reason, at_usd, level = _touched(
                    bar_open_usd[i], bar_low_usd[i], shares, cash,
                    armed, base, stop_usd, gap_at_open, margin_rate,
                )  # fmt: skip
            else:  # most bars: above the stop, and nobody liquidates
                reason, at_usd, level = 0, 0.0, 0.0
            i += 1
            if reason != 0:
                cash, fee = _sold(
                    trades[count], s, reason, at_usd, level, cash, shares,
                    slippage_bp, commission_per_share, paid_usd, got_usd,
                )  # fmt: skip
                commission_paid += fee
                count += 1
                shares = 0
        fast = rules.ema_step(fast, close_usd[s], fast_span)
        slow = rules.ema_step(slow, close_usd[s], slow_span)
        side = rules.side_of(fast, slow, side)
        if shares > 0 and side <= 0 and bear_exit == CLOSE:
            cash, fee = _sold(
                trades[count], s, BEAR, close_usd[s], 0.0, cash, shares,
                slippage_bp, commission_per_share, paid_usd, got_usd,
            )  # fmt: skip
            commission_paid += fee
            count += 1
            shares = 0
        equity[s] = cash + shares * close_usd[s]
    if shares > 0:
        count += 1
    return trades[:count].copy(), equity, (interest_paid, commission_paid, dividends_got)


_compiled_loop = _kept(_loop)
