"""One backtest as a compiled loop: the order in which the deciders call the rules in a session.

Not one rule is written here a second time: numba compiles the very functions of
common/core/rules.py and costs.py. What stands here is their order, which the live deciders give
themselves; a test holds the two paths to the same bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from common.core import rules
from common.core.monitor import margin, stop
from services.backtest import compiling, costs, result
from services.backtest.sheet import Floats, Ints

BASELINES = ("open", "previous_close", "entry", "off")
PREVIOUS_CLOSE, ENTRY, OFF = 1, 2, 3
BEAR_EXITS = ("next_open", "close", "next_close")
NEXT_OPEN, CLOSE, NEXT_CLOSE = 0, 1, 2
STOPPED, BEAR, LIQUIDATED = (
    result.EXIT_REASONS.index(why) for why in ("stop", "bear", "liquidation")
)
# Columns of a trade's row.
ENTRY_AT, ENTRY_USD, SHARES, LEVERAGE, EXIT_AT, EXIT_USD, REASON, STOP_USD, PROFIT_USD = range(9)
COLUMNS = 9
REGT_BUYING_POWER = margin.REGT_BUYING_POWER
SPLIT_DAYS = stop.SPLIT_DAYS

Base = tuple[float, int, float, float, int]
"""A baseline: equity, shares, price, money from fills since, day number."""


class Market(NamedTuple):
    """A sheet's columns from session `begin` on, and its bars; USD per part of a share.

    `before_usd`: the close before the first of them.
    """

    begin: int
    before_usd: float
    ordinal: Ints
    open_usd: Floats
    close_usd: Floats
    entry_usd: Floats
    vix: Floats
    dividend_usd: Floats
    night_factor: Floats
    bar_first: Ints
    bar_entry: Ints
    bar_open_usd: Floats
    bar_low_usd: Floats


class Terms(NamedTuple):
    """Rules and costs that all cells of a sweep share; `baseline` and `bear_exit` by index."""

    start_usd: float
    leverage_base: float
    vix_below: tuple[float, ...]
    vix_leverage: tuple[float, ...]
    flow_fraction_max: float
    baseline: int
    reentry: bool
    bear_exit: int
    at_close: bool
    gap_at_open: bool
    commission_per_share: float
    margin_rate: float
    regt: bool
    regt_leverage_max: float
    margin_buffer: float


class Cell(NamedTuple):
    """What may differ from cell to cell, beside the two EMAs."""

    bars_needed: int
    loss_fraction: float
    slippage_bp: float


COMPILED_RULES = (
    rules.ema_alpha, rules.ema_step, rules.side_of, rules.leverage_for_vix, rules.shares_for,
    rules.profit_since, rules.stop_level, rules.risk_base, rules.unexplained,
    rules.reference_price, rules.near_one_of, rules.is_split_of_price, rules.price_looks_split,
    rules.stop_price,
    rules.margin_shares_max, rules.liquidation_price,
    costs.bought_at, costs.sold_at, costs.commission_usd, costs.interest_usd, costs.stop_fill,
)  # fmt: skip
SOURCES = (rules, costs, margin, stop, result)
"""The modules whose functions and constants are compiled in."""
for _rule in COMPILED_RULES:
    compiling.part(_rule)


def _emas(closes_usd: Floats, spans: Ints) -> Floats:
    """The EMA of each span at each close: (spans, closes).

    Two at a time: each step of one waits for its last, so another fits between.
    """
    emas = np.empty((len(spans), len(closes_usd)))
    for k in range(0, len(spans), 2):
        other = min(k + 1, len(spans) - 1)
        one_ema = other_ema = closes_usd[0]
        for s in range(len(closes_usd)):
            one_ema = rules.ema_step(one_ema, closes_usd[s], spans[k])
            other_ema = rules.ema_step(other_ema, closes_usd[s], spans[other])
            emas[k, s] = one_ema
            emas[other, s] = other_ema
    return emas


@compiling.part
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


@compiling.part
def _below(price_usd: float, shares: int, base: Base, stop_usd: float) -> bool:
    """Whether a price reaches the stop: of most bars nothing else need be known."""
    base_usd, base_shares, base_price, base_flow, _ = base
    return stop_usd >= base_usd + rules.profit_since(
        shares, price_usd, base_shares, base_price, base_flow
    )


@compiling.part
def _affordable(terms: Terms, cash: float, price_usd: float, vix: float) -> int:
    """Whole shares for all the cash at the VIX's leverage, under the margin rule."""
    leverage = rules.leverage_for_vix(vix, terms.leverage_base, terms.vix_below, terms.vix_leverage)
    wanted = rules.shares_for(cash, leverage, price_usd)
    if terms.margin_rate == 0.0 or wanted < 1:
        return wanted
    held = terms.margin_rate * (wanted * price_usd)
    wanted = rules.margin_shares_max(wanted, 0.0, held, cash, terms.margin_buffer * cash)
    if terms.regt:
        wanted = min(wanted, rules.shares_for(cash, terms.regt_leverage_max, price_usd))
        wanted = min(wanted, rules.shares_for(cash, REGT_BUYING_POWER, price_usd))
    return wanted


@compiling.part
def _anchored(
    terms: Terms,
    cash: float,
    shares: int,
    opening_usd: float,
    previous_usd: float,
    today: int,
    loss_fraction: float,
    base: Base,
    anchor_usd: float,
    anchor_profit: float,
) -> tuple[Base, bool, float]:
    """A held position's baseline at the open: itself, whether armed, the stop's equity."""
    base_usd, base_shares, base_price, base_flow, base_ordinal = base
    if terms.baseline == OFF:
        return base, False, 0.0
    flow = 0.0
    if terms.baseline == ENTRY:
        profit = rules.profit_since(shares, previous_usd, base_shares, base_price, base_flow)
        flow = rules.unexplained(
            cash + shares * previous_usd, profit, anchor_usd, anchor_profit,
            terms.flow_fraction_max,
        )  # fmt: skip
    else:
        price = previous_usd if terms.baseline == PREVIOUS_CLOSE else opening_usd
        reference = rules.reference_price(shares, base_price, base_flow)
        if today - base_ordinal <= SPLIT_DAYS and rules.price_looks_split(price, reference):
            return base, False, 0.0
        base_usd = cash + shares * price
        base = (base_usd, shares, price, 0.0, today)
    return base, True, rules.stop_level(base_usd, rules.risk_base(base_usd, flow), loss_fraction)


@compiling.part
def _sold(
    trades: Floats,
    count: int,
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
    trades[count, EXIT_AT] = s
    trades[count, EXIT_USD] = price
    trades[count, REASON] = reason
    trades[count, STOP_USD] = level_usd
    trades[count, PROFIT_USD] = shares * price - fee - paid_usd + got_usd
    cash += shares * price
    cash -= fee
    return cash, fee


def _loop(  # noqa: C901, PLR0912, PLR0915  (one compiled loop: a call per rule, no objects)
    market: Market,
    terms: Terms,
    fast: Floats,
    slow: Floats,
    cell: Cell,
    equity: Floats,
    trades: Floats,
) -> tuple[int, float, float, float]:
    """Fills `equity` by session and `trades`, one row each: (trades, interest, commission,
    dividends).

    `fast`, `slow`: the two EMAs at each close. `trades` has a row for each session: one entry a
    session. What no later decision can see is left out: a baseline matters only while shares are
    held.
    """
    (
        begin, previous_usd, ordinal, open_usd, close_usd, entry_usd, vix, dividend_usd,
        night_factor, bar_first, bar_entry, bar_open_usd, bar_low_usd,
    ) = market  # fmt: skip
    bars_needed, loss_fraction, slippage_bp = cell
    at_close, margin_rate = terms.at_close, terms.margin_rate
    sessions = len(close_usd)
    cash = terms.start_usd
    count = 0
    interest_paid = commission_paid = dividends_got = 0.0

    shares = 0
    paid_usd = got_usd = 0.0
    armed = False
    base = (0.0, 0, 0.0, 0.0, 0)
    stop_usd = anchor_usd = anchor_profit = 0.0
    side = 0
    for s in range(begin):
        side = rules.side_of(fast[s], slow[s], side)
    fast, slow = fast[begin:], slow[begin:]

    for s in range(sessions):
        reason, at_usd, level = 0, 0.0, 0.0  # why the position ends, where, the stop's price
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
                terms, cash, shares, open_usd[s], previous_usd, ordinal[s],
                loss_fraction, base, anchor_usd, anchor_profit,
            )  # fmt: skip
            if terms.bear_exit == NEXT_OPEN and side <= 0:
                reason, at_usd = BEAR, open_usd[s]
        i = bar_first[s]
        while shares > 0 and reason == 0 and i < bar_entry[s]:
            if margin_rate > 0.0 or (armed and _below(bar_low_usd[i], shares, base, stop_usd)):
                reason, at_usd, level = _touched(
                    bar_open_usd[i], bar_low_usd[i], shares, cash,
                    armed, base, stop_usd, terms.gap_at_open, margin_rate,
                )  # fmt: skip
            i += 1
        barred = not at_close and (
            reason == LIQUIDATED or (reason == STOPPED and not terms.reentry)
        )

        if at_close:  # the next session begins here, with everything it decides
            if reason != 0:
                cash, fee = _sold(
                    trades, count, s, reason, at_usd, level, cash, shares,
                    slippage_bp, terms.commission_per_share, paid_usd, got_usd,
                )  # fmt: skip
                commission_paid += fee
                count += 1
                shares = reason = 0
            equity[s] = cash + shares * close_usd[s]
            if s + 1 == sessions:
                break
            side = rules.side_of(fast[s], slow[s], side)
            if shares > 0:
                base, armed, stop_usd = _anchored(
                    terms, cash, shares, close_usd[s], close_usd[s],
                    ordinal[s + 1], loss_fraction, base, anchor_usd, anchor_profit,
                )  # fmt: skip
        late = at_close or terms.bear_exit == NEXT_CLOSE
        if shares > 0 and reason == 0 and side <= 0 and late:
            reason, at_usd, level = BEAR, entry_usd[s], 0.0
        if reason != 0:
            cash, fee = _sold(
                trades, count, s, reason, at_usd, level, cash, shares,
                slippage_bp, terms.commission_per_share, paid_usd, got_usd,
            )  # fmt: skip
            commission_paid += fee
            count += 1
            shares = reason = 0
        closes = s + 1 if at_close else s
        if shares == 0 and side > 0 and not barred and begin + closes >= bars_needed:
            price_usd = entry_usd[s]
            shares = _affordable(terms, cash, price_usd, vix[s])
            if shares > 0:
                price = costs.bought_at(price_usd, slippage_bp)
                fee = costs.commission_usd(shares, terms.commission_per_share)
                armed = terms.baseline != OFF
                base_usd = cash - fee
                base = (base_usd, 0, 0.0, 0.0 - shares * price, ordinal[closes])
                stop_usd = rules.stop_level(base_usd, rules.risk_base(base_usd, 0.0), loss_fraction)
                trades[count, ENTRY_AT] = s
                trades[count, ENTRY_USD] = price
                trades[count, SHARES] = shares
                trades[count, LEVERAGE] = shares * price_usd / cash
                cash -= shares * price
                cash -= fee
                commission_paid += fee
                paid_usd, got_usd = shares * price + fee, 0.0
                anchor_usd = cash + shares * price_usd
                anchor_profit = rules.profit_since(shares, price_usd, 0, 0.0, base[3])
        if at_close:
            continue

        i = bar_entry[s]
        while shares > 0 and reason == 0 and i < bar_first[s + 1]:
            if margin_rate > 0.0 or (armed and _below(bar_low_usd[i], shares, base, stop_usd)):
                reason, at_usd, level = _touched(
                    bar_open_usd[i], bar_low_usd[i], shares, cash,
                    armed, base, stop_usd, terms.gap_at_open, margin_rate,
                )  # fmt: skip
            i += 1
        side = rules.side_of(fast[s], slow[s], side)
        if shares > 0 and reason == 0 and side <= 0 and terms.bear_exit == CLOSE:
            reason, at_usd, level = BEAR, close_usd[s], 0.0
        if reason != 0:
            cash, fee = _sold(
                trades, count, s, reason, at_usd, level, cash, shares,
                slippage_bp, terms.commission_per_share, paid_usd, got_usd,
            )  # fmt: skip
            commission_paid += fee
            count += 1
            shares = 0
        equity[s] = cash + shares * close_usd[s]
        previous_usd = close_usd[s]
    if shares > 0:
        trades[count, EXIT_AT:] = 0.0
        count += 1
    return count, interest_paid, commission_paid, dividends_got


emas = compiling.kept(_emas, SOURCES)
loop = compiling.kept(_loop, SOURCES)
