"""The strategy's arithmetic: plain functions of numbers.

The live deciders call them, and research compiles the very same source. Nothing here knows a
clock, a message or a broker. Source of every rule: the owner's document as fixed in docs/spec.md.
"""

from __future__ import annotations

import math

SECOND_NS = 1_000_000_000


def ema_alpha(span: int) -> float:
    """Weight of the newest close in an EMA of `span` bars: 2 / (span + 1)."""
    return 2.0 / (span + 1.0)


def ema_step(previous: float, close: float, span: int) -> float:
    """The EMA after one more close; seeded with the first close of the history."""
    return previous + ema_alpha(span) * (close - previous)


def side_of(fast: float, slow: float, before: int) -> int:
    """+1 BULL when fast > slow, -1 BEAR when fast < slow, else as before."""
    if fast > slow:
        return 1
    if fast < slow:
        return -1
    return before


def flip_close(fast: float, slow: float, fast_span: int, slow_span: int) -> float:
    """The next close at which fast and slow would meet; at or below 0: no price could.

    Solves fast + a(c - fast) = slow + b(c - slow) for c, with a, b the two alphas.
    """
    a = ema_alpha(fast_span)
    b = ema_alpha(slow_span)
    return ((1.0 - b) * slow - (1.0 - a) * fast) / (a - b)


def is_split(ratio: float) -> bool:
    """Whether new prices / old prices is a split's ratio: a : b with b at most 4, a at most 50.

    Within 0.1 %. A dividend's adjustment or a revised price is none; nor is 1 : 1.
    """
    if not (math.isfinite(ratio) and ratio > 0.0):
        return False
    larger = max(ratio, 1.0 / ratio)
    if larger > 51.0:  # and the inverse of the smallest ratios is infinite
        return False
    for few in range(1, 5):
        many = round(larger * few)
        if few < many <= 50 and abs(larger * few / many - 1.0) <= 0.001:
            return True
    return False


def narrow_mid(bid: float | None, ask: float | None, spread_fraction_max: float) -> float | None:
    """Mid of an uncrossed quote whose spread is at most that fraction of it, else None."""
    if bid is None or ask is None or bid > ask:
        return None
    mid = (bid + ask) / 2.0
    return mid if ask - bid <= spread_fraction_max * mid else None


def leverage_for_vix(
    vix: float, base: float, below: tuple[float, ...], leverages: tuple[float, ...]
) -> float:
    """Leverage for a VIX level: the first tier with vix < below[i], else base.

    `below` rises. A VIX that is not a number, or not above 0, is no VIX: base.
    """
    if not vix > 0.0:
        return base
    for i in range(len(below)):
        if vix < below[i]:
            return leverages[i]
    return base


def shares_for(equity_usd: float, leverage: float, price_usd: float) -> int:
    """Whole shares: floor(equity x leverage / price); 0 where any of them is not above 0."""
    if not (equity_usd > 0.0 and leverage > 0.0 and price_usd > 0.0):
        return 0
    return math.floor(equity_usd * leverage / price_usd)


def profit_since(
    shares: float, mark_usd: float, base_shares: float, base_price_usd: float, cash_flow_usd: float
) -> float:
    """Profit of the SMH position since a baseline.

    `cash_flow_usd`: money from fills since then (sales +, purchases -) less commissions.
    """
    return shares * mark_usd - base_shares * base_price_usd + cash_flow_usd


def stop_level(baseline_usd: float, risk_base_usd: float, loss_fraction: float) -> float:
    """Equity at which the stop fires: baseline less the loss allowed on `risk_base_usd`.

    The two are one amount, unless money was withdrawn since: then the smaller base is stricter.
    """
    return baseline_usd - loss_fraction * risk_base_usd


def risk_base(baseline_usd: float, flow_usd: float) -> float:
    """What the loss allowed is measured on: the baseline, less money that was withdrawn since."""
    base_usd = baseline_usd + flow_usd if flow_usd < 0.0 else baseline_usd
    return base_usd if base_usd > 0.0 else 0.0


def unexplained(
    net_liquidation_usd: float,
    profit_usd: float,
    anchor_usd: float,
    anchor_profit_usd: float,
    fraction_max: float,
) -> float:
    """Money that net liquidation gained since its anchor and the profit since does not explain.

    0 within `fraction_max` of net liquidation: commissions, a day's interest and rounding stay
    below it.
    """
    explained_usd = anchor_usd + profit_usd - anchor_profit_usd
    difference_usd = net_liquidation_usd - explained_usd
    if abs(difference_usd) > fraction_max * abs(net_liquidation_usd):
        return difference_usd
    return 0.0


def flow(settled_usd: float, unexplained_usd: float, tolerance_usd: float) -> float:
    """Money moved since a baseline: what was settled before, and what nothing explains since then.

    0 within the tolerance: a withdrawal of what was deposited leaves no flow.
    """
    moved_usd = settled_usd + unexplained_usd
    return moved_usd if abs(moved_usd) > tolerance_usd else 0.0


def newly_accrued(before_usd: float, now_usd: float) -> float:
    """Dividends that accrued between two looks at what is accrued: the move away from 0.

    They are in net liquidation from then on. A move towards 0 is a payment, in cash by then, so
    net liquidation stays. Below 0 is what short holdings owe.
    """
    gained = max(0.0, max(0.0, now_usd) - max(0.0, before_usd))
    owed = min(0.0, min(0.0, now_usd) - min(0.0, before_usd))
    return gained + owed


CENT_USD = 0.01
DISTRIBUTION_FRACTION_MIN, DISTRIBUTION_FRACTION_MAX = 0.0005, 0.05
"""Of the close: below, two sources of one close may differ; above, it is a split or a mistake."""


def distribution(close_usd: float, adjusted_usd: float) -> float:
    """What a share is paid on an ex-date, by the close before it and the same close as the broker
    adjusts it for that; 0 where the two tell of no distribution."""
    paid_usd = close_usd - adjusted_usd
    least_usd = DISTRIBUTION_FRACTION_MIN * close_usd
    return paid_usd if least_usd < paid_usd <= DISTRIBUTION_FRACTION_MAX * close_usd else 0.0


def distribution_counted(distribution_usd: float, shares: float, accrued_usd: float) -> float:
    """What of a distribution the account has as well, by what accrued to it since the evening; 0
    below a cent."""
    counted_usd = min(distribution_usd * shares, accrued_usd)
    return counted_usd if counted_usd >= CENT_USD else 0.0


def reference_price(shares: float, base_price_usd: float, cash_flow_usd: float) -> float:
    """The price a position's stop is measured from: the baseline's, or what an entry paid.

    0 when flat.
    """
    if shares == 0:
        return 0.0
    if base_price_usd != 0.0:
        return base_price_usd
    return max(0.0, -cash_flow_usd / shares)


SHARE_RATIOS = (
    2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 50.0, 1.5, 4 / 3, 1.25, 2.5,
)  # fmt: skip
"""The ratios that share counts are split in."""
PRICE_RATIOS = (2.0, 3.0, 4.0, 5.0, 10.0, 1.5)
"""Those of them that a price can be told by, moving as it does."""


def one_near(ratio: float, known: tuple[float, ...], fraction_max: float) -> float:
    """Which of the `known` ratios, or of their inverses, `ratio` is within `fraction_max` of; 0.0
    where it is none. The known ones lie further apart than that."""
    if not ratio > 0.0:
        return 0.0
    for one in known:
        if abs(ratio / one - 1.0) < fraction_max:
            return one
        if abs(1.0 / ratio / one - 1.0) < fraction_max:
            return 1.0 / one
    return 0.0


def share_split_ratio(before: float, after: float) -> float:
    """The ratio of the split that explains `after` shares where there were `before`, forward or
    reverse; 0.0 where none does within 1 %. What is left over was traded by somebody."""
    if before <= 0.0 or after <= 0.0:
        return 0.0
    return one_near(after / before, SHARE_RATIOS, 0.01)


def price_looks_split(price_usd: float, reference_usd: float) -> bool:
    """A price more than 25 % off its reference, by a ratio that splits come in.

    Within 7 % of the common ratios: prices move on the way, share counts do not.
    """
    if reference_usd <= 0.0 or abs(price_usd - reference_usd) <= 0.25 * reference_usd:
        return False
    return is_split_of_price(price_usd / reference_usd)


def is_split_of_price(ratio: float) -> bool:
    """Whether a price stands to its reference in a ratio that splits come in, nearly."""
    by_count = one_near(ratio, SHARE_RATIOS, 0.01)
    return by_count > 0.0 or one_near(ratio, PRICE_RATIOS, 0.07) > 0.0


def stop_price(equity_usd: float, stop_usd: float, shares: float, mark_usd: float) -> float:
    """Price at which equity reaches the stop, from equity now at `mark_usd`; 0 when flat."""
    if shares <= 0.0:
        return 0.0
    return mark_usd - (equity_usd - stop_usd) / shares


def margin_shares_max(
    shares: int,
    init_before_usd: float,
    init_after_usd: float,
    equity_with_loan_usd: float,
    buffer_usd: float,
) -> int:
    """Most shares whose initial margin leaves `buffer_usd` of equity with loan value free.

    From one what-if of `shares`, taking margin as proportional to shares; never above `shares`.
    """
    per_share = (init_after_usd - init_before_usd) / shares
    if per_share <= 0.0:
        return shares
    room_usd = equity_with_loan_usd - buffer_usd - init_before_usd
    if room_usd <= 0.0:
        return 0
    return min(shares, math.floor(room_usd / per_share))


def liquidation_price(
    excess_liquidity_usd: float, maint_margin_usd: float, shares: float, mark_usd: float
) -> float:
    """SMH price at which excess liquidity reaches 0, margin taken as a fixed share of value.

    A fall of d per share costs shares x d of equity and frees rate x shares x d of margin.
    0 when flat, or when no price above 0 would.
    """
    if shares <= 0.0 or mark_usd <= 0.0:
        return 0.0
    rate = min(maint_margin_usd / (shares * mark_usd), 0.99)
    return max(0.0, mark_usd - excess_liquidity_usd / (shares * (1.0 - rate)))
