"""What the market and the broker take: plain functions of numbers, compiled like the rules.

They are no rules of the strategy: the live system meets the real ones.
"""

from __future__ import annotations

DAYS_OF_A_RATE_YEAR = 360.0  # actual/360, as IB charges margin loans


def bought_at(price_usd: float, slippage_bp: float) -> float:
    """What a market buy pays per share."""
    return price_usd * (1.0 + slippage_bp / 10_000.0)


def sold_at(price_usd: float, slippage_bp: float) -> float:
    """What a market sale brings per share."""
    return price_usd * (1.0 - slippage_bp / 10_000.0)


def commission_usd(shares: int, per_share_usd: float) -> float:
    return shares * per_share_usd


def night_factor(rate_pct: float, spread_pct: float, days: int) -> float:
    """Interest per USD owed over `days` calendar days at a yearly rate in percent."""
    return (rate_pct + spread_pct) / 100.0 * days / DAYS_OF_A_RATE_YEAR


def interest_usd(cash_usd: float, factor: float) -> float:
    """Interest on what is owed; idle cash earns nothing here."""
    if cash_usd >= 0.0:
        return 0.0
    return -cash_usd * factor


def stop_fill(open_usd: float, level_usd: float, gap_at_open: bool) -> float:
    """Where a touched stop fills: at its level, or at the bar's open when that lies lower."""
    if gap_at_open:
        return min(open_usd, level_usd)
    return level_usd
