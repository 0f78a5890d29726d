"""One backtest as a compiled loop: the order in which the deciders call the rules in a session.

Not one rule is written here a second time: numba compiles the very functions of
common/core/rules.py and costs.py. What stands here is their order, which the live deciders give
themselves; a test holds the two paths to the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from common.core import rules
from common.core.monitor import margin, state
from services.backtest import compiling, costs, result
from services.backtest.sheet import Floats, Ints, Sheet

BASELINES = ("open", "previous_close", "entry", "off")
OPEN, PREVIOUS_CLOSE, ENTRY, OFF = 0, 1, 2, 3
BEAR_EXITS = ("next_open", "close", "next_close")
NEXT_OPEN, CLOSE, NEXT_CLOSE = 0, 1, 2
STOPPED, BEAR, LIQUIDATED = (
    result.EXIT_REASONS.index(why) for why in ("stop", "bear", "liquidation")
)
# Columns of a trade's row.
ENTRY_AT, ENTRY_USD, SHARES, LEVERAGE, EXIT_AT, EXIT_USD, REASON, STOP_USD, PROFIT_USD = range(9)
COLUMNS = 9
GROUP = 16  # sessions looked at together
REGT_BUYING_POWER = margin.REGT_BUYING_POWER
SPLIT_DAYS = state.SPLIT_DAYS

Base = tuple[float, int, float, float, int]
"""A baseline: equity, shares, price, money from fills since, day number."""
Watch = tuple[float, float, float]
"""What net liquidation is compared with: itself, the profit then, the flow settled until then."""


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
    rules.flow, rules.distribution, rules.distribution_counted,
    rules.reference_price, rules.one_near, rules.is_split_of_price, rules.price_looks_split,
    rules.stop_price,
    rules.margin_shares_max, rules.liquidation_price,
    costs.bought_at, costs.sold_at, costs.commission_usd, costs.interest_usd, costs.stop_fill,
)  # fmt: skip
SOURCES = (rules, costs, margin, state, result)
"""The modules whose functions and constants are compiled in."""
for _rule in COMPILED_RULES:
    compiling.part(_rule)


def _fill_emas(closes_usd: Floats, spans: Ints, emas: Floats) -> None:
    """The EMA of each span at each close: (spans, closes).

    Four at a time: each step of one waits for its last, so others fit between.
    """
    last = len(spans) - 1
    for i in range(0, len(spans), 4):
        j, k, m = min(i + 1, last), min(i + 2, last), min(i + 3, last)
        span_i, span_j, span_k, span_m = spans[i], spans[j], spans[k], spans[m]
        a = b = c = d = closes_usd[0]
        for s in range(len(closes_usd)):
            usd = closes_usd[s]
            a = emas[i, s] = rules.ema_step(a, usd, span_i)
            b = emas[j, s] = rules.ema_step(b, usd, span_j)
            c = emas[k, s] = rules.ema_step(c, usd, span_k)
            d = emas[m, s] = rules.ema_step(d, usd, span_m)


@compiling.part
def _touched(
    open_usd: float,
    low_usd: float,
    shares: int,
    cash: float,
    armed: bool,
    base: Base,
    stop_usd: float,
    split_usd: float,
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
        if equity <= stop_usd and not rules.price_looks_split(touch, split_usd):
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
    accrued_usd: float,
    dividend_usd: float,
    today: int,
    loss_fraction: float,
    base: Base,
    watch: Watch,
) -> tuple[Base, Watch, bool, float, float]:
    """A held position's baseline at the open: itself, what is compared with, whether armed, the
    stop's equity, and the price that a split's is told by.

    `accrued_usd`: of all shares, over the night; `dividend_usd`: of one, where the feed tells it.
    """
    base_usd, base_shares, base_price, base_flow, base_ordinal = base
    if terms.baseline == OFF:
        return base, watch, False, 0.0, 0.0
    counted = 0.0
    if dividend_usd > 0.0 and terms.baseline != OPEN:
        paid = rules.distribution(previous_usd, previous_usd - dividend_usd)
        counted = rules.distribution_counted(paid, shares, accrued_usd)
    flow = 0.0
    recent = today - base_ordinal <= SPLIT_DAYS
    if terms.baseline == ENTRY:
        net = cash + shares * previous_usd
        profit = rules.profit_since(shares, previous_usd, base_shares, base_price, base_flow)
        anchor, anchor_profit, settled = watch
        moved = rules.unexplained(
            net, profit, anchor + accrued_usd, anchor_profit, terms.flow_fraction_max
        )
        flow = rules.flow(settled, moved, terms.flow_fraction_max * abs(net))
        watch = (net, profit + counted, settled + moved)
        base_flow += counted
        base = (base_usd, base_shares, base_price, base_flow, base_ordinal)
    split_usd = rules.reference_price(shares, base_price, base_flow) if recent else previous_usd
    if terms.baseline != ENTRY:
        price = opening_usd
        if terms.baseline == PREVIOUS_CLOSE:
            price = previous_usd - counted / shares
        if recent and rules.price_looks_split(price, split_usd):
            return base, watch, False, 0.0, 0.0
        base_usd = cash + shares * price
        base = (base_usd, shares, price, 0.0, today)
        split_usd = price
    level_usd = rules.stop_level(base_usd, rules.risk_base(base_usd, flow), loss_fraction)
    return base, watch, True, level_usd, split_usd


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


@compiling.part
def _walked(
    bar_open_usd: Floats,
    bar_low_usd: Floats,
    first: int,
    until: int,
    shares: int,
    cash: float,
    armed: bool,
    base: Base,
    stop_usd: float,
    split_usd: float,
    gap_at_open: bool,
    margin_rate: float,
) -> tuple[int, float, float]:
    """Bars until one ends the position: why (0: none does), at what price, the stop's own price."""
    reason, at_usd, level = 0, 0.0, 0.0
    i = first
    while reason == 0 and i < until:
        if margin_rate > 0.0 or (armed and _below(bar_low_usd[i], shares, base, stop_usd)):
            reason, at_usd, level = _touched(
                bar_open_usd[i], bar_low_usd[i], shares, cash, armed, base, stop_usd, split_usd,
                gap_at_open, margin_rate,
            )  # fmt: skip
        i += 1
    return reason, at_usd, level


@compiling.part
def _turns(fast: Floats, slow: Floats, side: int, held: bool) -> bool:
    """Whether the side turns anywhere within a whole group of closes. Each is asked by itself, so
    the processor may ask several at once."""
    turns = 0
    for k in range(GROUP):
        turns |= int((rules.side_of(fast[k], slow[k], side) > 0) != held)
    return turns != 0


@compiling.part
def _pays(dividend_usd: Floats) -> bool:
    """Whether a dividend is paid anywhere within a whole group of sessions."""
    paid = 0
    for k in range(GROUP):
        paid |= int(dividend_usd[k] != 0.0)
    return paid != 0


@compiling.part
def _quiet(
    fast: Floats, slow: Floats, dividend_usd: Floats, side: int, shares: int, at_once: bool
) -> int:
    """How many of these sessions decide nothing and pay no dividend to a holder. The one at whose
    close the side turns is among them, unless the turn is acted upon `at_once`."""
    held = shares > 0
    if (side > 0) != held:
        return 0
    k = 0
    while k + GROUP <= len(fast):
        until = k + GROUP
        if _turns(fast[k:until], slow[k:until], side, held):
            break
        if held and _pays(dividend_usd[k:until]):
            break
        k = until
    while k < len(fast):
        if held and dividend_usd[k] != 0.0:
            return k
        side = rules.side_of(fast[k], slow[k], side)
        if (side > 0) != held:
            return k if at_once else k + 1
        k += 1
    return len(fast)


@compiling.part
def _mark(equity: Floats, close_usd: Floats, cash: float, shares: int) -> None:
    """Equity at each of these closes, with nothing traded between them."""
    for k in range(len(equity)):
        equity[k] = cash + shares * close_usd[k]


def _loop(  # noqa: C901, PLR0912, PLR0915  (one compiled loop: a call per rule, no objects)
    sheet: Sheet,
    terms: Terms,
    fast: Floats,
    slow: Floats,
    cell: Cell,
    equity: Floats,
    trades: Floats,
) -> tuple[int, float, float, float]:
    """Fills `equity` by traded session and `trades`, one row each: (trades, interest, commission,
    dividends).

    `fast`, `slow`: the two EMAs at each close. `trades` has a row for each traded session: one
    entry a session. What no later decision can see is left out: a baseline matters only while
    shares are held.
    """
    (
        begin, ordinal, _, _, open_usd, close_usd, entry_usd, vix, dividend_usd, night_factor,
        bar_first, bar_entry, _, bar_open_usd, bar_low_usd,
    ) = sheet  # fmt: skip
    sessions = len(close_usd)
    at_close = terms.at_close
    at_once = at_close or terms.bear_exit == CLOSE
    unjudged = terms.baseline == OFF and terms.margin_rate == 0.0
    cash = terms.start_usd
    count = 0
    interest_paid = commission_paid = dividends_got = 0.0

    shares = 0
    paid_usd = got_usd = 0.0
    armed = False
    base = (0.0, 0, 0.0, 0.0, 0)
    watch = (0.0, 0.0, 0.0)
    stop_usd = split_usd = 0.0

    # Nothing is bought before enough closes are known; an entry at the close knows its own.
    s = min(sessions, max(begin, cell.bars_needed - 1 if at_close else cell.bars_needed))
    equity[: s - begin] = cash
    side = 0
    for k in range(s):
        side = rules.side_of(fast[k], slow[k], side)

    while s < sessions:
        if cash >= 0.0 and (shares == 0 or unjudged):
            passed = _quiet(fast[s:], slow[s:], dividend_usd[s:], side, shares, at_once)
            _mark(equity[s - begin : s - begin + passed], close_usd[s:], cash, shares)
            s += passed
            if s == sessions:
                break
            if passed:
                side = rules.side_of(fast[s - 1], slow[s - 1], side)
        reason, at_usd, level = 0, 0.0, 0.0  # why the position ends, where, the stop's price
        credit = 0.0
        if shares > 0 or cash < 0.0:
            charge = costs.interest_usd(cash, night_factor[s])
            credit = shares * dividend_usd[s]
            cash -= charge
            cash += credit
            interest_paid += charge
            dividends_got += credit
            got_usd += credit

        if shares > 0 and not at_close:
            base, watch, armed, stop_usd, split_usd = _anchored(
                terms, cash, shares, open_usd[s], close_usd[max(0, s - 1)], credit,
                dividend_usd[s], ordinal[s], cell.loss_fraction, base, watch,
            )  # fmt: skip
            if terms.bear_exit == NEXT_OPEN and side <= 0:
                reason, at_usd = BEAR, open_usd[s]
        if shares > 0 and reason == 0:
            reason, at_usd, level = _walked(
                bar_open_usd, bar_low_usd, bar_first[s], bar_entry[s], shares, cash, armed, base,
                stop_usd, split_usd, terms.gap_at_open, terms.margin_rate,
            )  # fmt: skip
        barred = not at_close and (
            reason == LIQUIDATED or (reason == STOPPED and not terms.reentry)
        )
        if reason != 0:
            cash, fee = _sold(
                trades, count, s - begin, reason, at_usd, level, cash, shares,
                cell.slippage_bp, terms.commission_per_share, paid_usd, got_usd,
            )  # fmt: skip
            commission_paid += fee
            count += 1
            shares = reason = 0

        if at_close:  # the next session begins here, with everything it decides
            equity[s - begin] = cash + shares * close_usd[s]
            if s + 1 == sessions:
                break
            side = rules.side_of(fast[s], slow[s], side)
            if shares > 0:
                base, watch, armed, stop_usd, split_usd = _anchored(
                    terms, cash, shares, close_usd[s], close_usd[s], credit, 0.0, ordinal[s + 1],
                    cell.loss_fraction, base, watch,
                )  # fmt: skip
        if shares > 0:
            if side <= 0 and (at_close or terms.bear_exit == NEXT_CLOSE):
                reason, at_usd, level = BEAR, entry_usd[s], 0.0
        elif side > 0 and not barred:
            price_usd = entry_usd[s]
            shares = _affordable(terms, cash, price_usd, vix[s])
            if shares > 0:
                price = costs.bought_at(price_usd, cell.slippage_bp)
                fee = costs.commission_usd(shares, terms.commission_per_share)
                armed = terms.baseline != OFF
                base_usd = cash - fee
                today = ordinal[s + 1 if at_close else s]
                base = (base_usd, 0, 0.0, 0.0 - shares * price, today)
                watch = (base_usd, 0.0, 0.0)
                split_usd = rules.reference_price(shares, 0.0, base[3])
                stop_usd = rules.stop_level(
                    base_usd, rules.risk_base(base_usd, 0.0), cell.loss_fraction
                )
                trades[count, ENTRY_AT] = s - begin
                trades[count, ENTRY_USD] = price
                trades[count, SHARES] = shares
                trades[count, LEVERAGE] = shares * price_usd / cash
                cash -= shares * price
                cash -= fee
                commission_paid += fee
                paid_usd, got_usd = shares * price + fee, 0.0

        if not at_close:
            if shares > 0 and reason == 0:
                reason, at_usd, level = _walked(
                    bar_open_usd, bar_low_usd, bar_entry[s], bar_first[s + 1], shares, cash, armed,
                    base, stop_usd, split_usd, terms.gap_at_open, terms.margin_rate,
                )  # fmt: skip
            side = rules.side_of(fast[s], slow[s], side)
            if shares > 0 and reason == 0 and side <= 0 and terms.bear_exit == CLOSE:
                reason, at_usd, level = BEAR, close_usd[s], 0.0
        if reason != 0:
            cash, fee = _sold(
                trades, count, s - begin, reason, at_usd, level, cash, shares,
                cell.slippage_bp, terms.commission_per_share, paid_usd, got_usd,
            )  # fmt: skip
            commission_paid += fee
            count += 1
            shares = 0
        if not at_close:
            equity[s - begin] = cash + shares * close_usd[s]
        s += 1
    if shares > 0:
        trades[count, EXIT_AT:] = 0.0
        count += 1
    return count, interest_paid, commission_paid, dividends_got


fill_emas = compiling.kept(_fill_emas, SOURCES)
loop = compiling.kept(_loop, SOURCES)


def emas(closes_usd: Floats, spans: Sequence[int]) -> Floats:
    """The EMA of each span at each close: (spans, closes)."""
    found = np.empty((len(spans), len(closes_usd)))
    fill_emas(closes_usd, np.array(spans), found)
    return found
