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
from services.backtest.result import EXIT_REASONS, Result, Trade
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
# The steps of a session, and their order when everything is decided at the close before it.
NIGHT, OPENING, BEFORE_ENTRY, ENTERING, AFTER_ENTRY, CLOSING = range(6)
STEPS = (NIGHT, OPENING, BEFORE_ENTRY, ENTERING, AFTER_ENTRY, CLOSING)
AT_CLOSE_STEPS = (OPENING, ENTERING, NIGHT, BEFORE_ENTRY, AFTER_ENTRY, CLOSING)
REGT_BUYING_POWER = 1.0 / REGT_INITIAL_FRACTION

COMPILED_RULES = (
    rules.ema_alpha, rules.ema_step, rules.side_of, rules.leverage_for_vix, rules.shares_for,
    rules.profit_since, rules.stop_level, rules.risk_base, rules.unexplained,
    rules.reference_price, rules.near_one_of, rules.price_looks_split, rules.stop_price,
    rules.margin_shares_max, rules.liquidation_price,
    costs.bought_at, costs.sold_at, costs.commission_usd, costs.interest_usd, costs.stop_fill,
)  # fmt: skip
for _rule in COMPILED_RULES:
    register_jitable(_rule)


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
        unkept: Callable[..., Any] = numba.njit(function)
        return unkept
    config: Any = numba.config
    usual, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        kept: Callable[..., Any] = numba.njit(function, cache=True)
    finally:
        config.CACHE_DIR = usual
    return kept


def run_compiled(history: History, options: Options) -> Result:
    """The backtest of `history`, its rules compiled. OptionsError for options it cannot serve."""
    return run_sheet(lay_out(history, options), options)


def run_sheet(sheet: Sheet, options: Options) -> Result:
    """The same on a sheet that is laid out already."""
    strategy = options.settings().strategy
    trades, equity, leverage, paid = _compiled_loop(
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
        leverage=leverage[sheet.begin :],
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
) -> tuple[Floats, Floats, Floats, tuple[float, float, float]]:
    """Trades (one row each), equity and leverage by session, (interest, commission, dividends)."""
    sessions = len(close_usd)
    equity = np.full(sessions, cash)
    leverage = np.zeros(sessions)
    trades = np.zeros((sessions - begin + 1, COLUMNS))
    count = 0
    interest_paid = commission_paid = dividends_got = 0.0

    shares = 0
    paid_usd = got_usd = 0.0
    has_base = armed = False
    base_ordinal = 0
    base_usd = base_price = base_flow = anchor_usd = anchor_profit = flow = 0.0
    base_shares = 0

    fast = slow = close_usd[0]
    side = known = 0
    for s in range(begin + 1 if at_close else begin, sessions):
        while known < s:
            fast = rules.ema_step(fast, close_usd[known], fast_span)
            slow = rules.ema_step(slow, close_usd[known], slow_span)
            side = rules.side_of(fast, slow, side)
            known += 1
        enough = s >= bars_needed
        previous_usd = close_usd[s - 1] if s > 0 else close_usd[s]
        opening_usd = previous_usd if at_close else open_usd[s]
        stopped = liquidated = False

        for step in AT_CLOSE_STEPS if at_close else STEPS:
            reason = 0
            at = s
            level = selling_usd = 0.0
            if step == NIGHT:
                charge = costs.interest_usd(cash, night_factor[s])
                credit = shares * dividend_usd[s]
                cash -= charge
                cash += credit
                interest_paid += charge
                dividends_got += credit
                got_usd += credit
                continue
            if step == OPENING:
                net_usd = cash + shares * previous_usd
                profit = rules.profit_since(
                    shares, previous_usd, base_shares, base_price, base_flow
                )
                flow = 0.0
                if has_base:
                    flow = rules.unexplained(
                        net_usd, profit, anchor_usd, anchor_profit, flow_fraction_max
                    )
                armed = baseline == ENTRY
                price = 0.0
                recent = split = False
                if shares > 0:
                    price = previous_usd if baseline == PREVIOUS_CLOSE else opening_usd
                    recent = has_base and ordinal[s] - base_ordinal <= SPLIT_DAYS
                    reference = rules.reference_price(shares, base_price, base_flow)
                    split = recent and rules.price_looks_split(price, reference)
                if baseline != OFF and not (baseline == ENTRY and shares > 0) and not split:
                    has_base = armed = True
                    base_ordinal = ordinal[s]
                    base_shares = shares
                    base_price = price
                    base_usd = cash + shares * base_price
                    base_flow = flow = 0.0
                    anchor_usd = net_usd
                    anchor_profit = rules.profit_since(
                        shares, previous_usd, base_shares, base_price, base_flow
                    )
                if bear_exit == NEXT_OPEN and side <= 0 and enough:
                    reason, selling_usd = BEAR, opening_usd
                    at = s - 1 if at_close else s
            elif step in (BEFORE_ENTRY, AFTER_ENTRY):
                i = bar_first[s] if step == BEFORE_ENTRY else bar_entry[s]
                until = bar_entry[s] if step == BEFORE_ENTRY else bar_first[s + 1]
                while shares > 0 and reason == 0 and i < until:
                    touch = bar_low_usd[i]
                    if margin_rate > 0.0:
                        value = shares * bar_open_usd[i]
                        held = margin_rate * value
                        liquidation = rules.liquidation_price(
                            cash + value - held, held, shares, bar_open_usd[i]
                        )
                        if liquidation > 0.0 and touch <= liquidation:
                            reason = LIQUIDATED
                            touch = selling_usd = min(bar_open_usd[i], liquidation)
                    if armed:
                        value = base_usd + rules.profit_since(
                            shares, touch, base_shares, base_price, base_flow
                        )
                        stop = rules.stop_level(
                            base_usd, rules.risk_base(base_usd, flow), loss_fraction
                        )
                        if value <= stop and not rules.price_looks_split(
                            touch, rules.reference_price(shares, base_price, base_flow)
                        ):
                            reason = STOPPED
                            level = rules.stop_price(value, stop, shares, touch)
                            selling_usd = costs.stop_fill(bar_open_usd[i], level, gap_at_open)
                    i += 1
            elif step == ENTERING and bear_exit == NEXT_CLOSE and side <= 0 and enough:
                reason, selling_usd = BEAR, entry_usd[s]
            elif step == CLOSING and bear_exit == CLOSE and s + 1 >= bars_needed:
                fast = rules.ema_step(fast, close_usd[s], fast_span)
                slow = rules.ema_step(slow, close_usd[s], slow_span)
                side = rules.side_of(fast, slow, side)
                known += 1
                if side <= 0:
                    reason, selling_usd = BEAR, close_usd[s]

            if reason != 0 and shares > 0:
                price = costs.sold_at(selling_usd, slippage_bp)
                fee = costs.commission_usd(shares, commission_per_share)
                cash += shares * price
                cash -= fee
                commission_paid += fee
                base_flow -= -shares * price
                base_flow -= fee
                trades[count, EXIT_AT] = at
                trades[count, EXIT_USD] = price
                trades[count, REASON] = reason
                trades[count, STOP_USD] = level
                trades[count, PROFIT_USD] = shares * price - fee - paid_usd + got_usd
                count += 1
                shares = 0
                stopped = stopped or reason == STOPPED
                liquidated = liquidated or reason == LIQUIDATED

            if step != ENTERING or shares > 0 or side <= 0 or not enough:
                continue
            if liquidated or (stopped and not reentry):
                continue
            buying_usd = opening_usd if at_close else entry_usd[s]
            level_vix = vix[s - 1] if at_close else vix[s]
            times = rules.leverage_for_vix(level_vix, leverage_base, vix_below, vix_leverage)
            wanted = rules.shares_for(cash, times, buying_usd)
            if margin_rate > 0.0 and wanted > 0:
                held = margin_rate * (wanted * buying_usd)
                wanted = rules.margin_shares_max(wanted, 0.0, held, cash, margin_buffer * cash)
                if regt:
                    wanted = min(wanted, rules.shares_for(cash, regt_leverage_max, buying_usd))
                    wanted = min(wanted, rules.shares_for(cash, REGT_BUYING_POWER, buying_usd))
            if wanted < 1:
                continue
            shares = wanted
            price = costs.bought_at(buying_usd, slippage_bp)
            fee = costs.commission_usd(shares, commission_per_share)
            if baseline != OFF:
                has_base = armed = True
                base_ordinal = ordinal[s]
                base_usd, base_shares, base_price = cash, 0, 0.0
                base_flow = flow = 0.0
                base_flow -= shares * price
                base_usd -= fee
            trades[count, ENTRY_AT] = s - 1 if at_close else s
            trades[count, ENTRY_USD] = price
            trades[count, SHARES] = shares
            trades[count, LEVERAGE] = shares * buying_usd / cash
            cash -= shares * price
            cash -= fee
            commission_paid += fee
            paid_usd, got_usd = shares * price + fee, 0.0
            anchor_usd = cash + shares * buying_usd
            anchor_profit = rules.profit_since(
                shares, buying_usd, base_shares, base_price, base_flow
            )

        equity[s] = cash + shares * close_usd[s]
        if equity[s] > 0.0:
            leverage[s] = shares * close_usd[s] / equity[s]
    if shares > 0:
        count += 1
    return trades[:count], equity, leverage, (interest_paid, commission_paid, dividends_got)


_compiled_loop = _kept(_loop)
