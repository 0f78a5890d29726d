"""Account rows as TWS sends them, read into one AccountSnapshot.

Keys may carry a `$LEDGER-` prefix (newer TWS). Amounts count in the base currency only.
"""

from __future__ import annotations

import math

from common.core.gateway.state import State
from common.messages import AccountSnapshot, Now
from common.tws.messages import AccountRows

LEDGER_PREFIX = "$LEDGER-"
PORTFOLIO_MARGIN_WORD = "PMRGN"
"""IB's own word for a portfolio-margin account, in the row TradingType-S. Its absence proves
nothing, and neither do margin rates: then the account counts as not proven."""


class Rows:
    """The rows of one refresh, by key; the base currency is that of NetLiquidation."""

    def __init__(self, report: AccountRows) -> None:
        self._values: dict[tuple[str, str], str] = {}
        for key, value, currency in report.rows:
            self._values[key.removeprefix(LEDGER_PREFIX), currency] = value
        currencies = {c for key, c in self._values if key == "NetLiquidation" and c != "BASE"}
        self.base = currencies.pop() if len(currencies) == 1 else ""

    def text(self, key: str) -> str:
        return self._values.get((key, ""), "")

    def amount(self, key: str) -> float | None:
        """The finite amount of a key in the base currency."""
        for currency in (self.base, "BASE"):
            try:
                value = float(self._values[key, currency])
            except (KeyError, ValueError):
                continue
            if math.isfinite(value) and abs(value) < 1e12:
                return value
        return None


def base_currency_refusal(report: AccountRows) -> str:
    """Net liquidation in another currency, divided by a USD price, would size wrongly."""
    base = Rows(report).base
    if base in {"", "USD"}:
        return ""
    return f"the account's base currency is {base}: this system sizes in USD, so it must be USD"


def portfolio_margin(state: State, report: AccountRows) -> bool | None:
    """True where proven or where the setting says so; None is unproven."""
    said = state.settings.margin.account
    if said != "auto":
        return said == "portfolio"
    return True if Rows(report).text("TradingType-S") == PORTFOLIO_MARGIN_WORD else None


def snapshot(state: State, now: Now, report: AccountRows) -> AccountSnapshot | None:
    """The account after a complete refresh; None while TWS says it is not ready or amounts lack."""
    rows = Rows(report)
    if rows.text("AccountReady") == "false":
        return None  # during IB's reset the rows mean nothing
    net = rows.amount("NetLiquidation")
    cash = rows.amount("TotalCashValue")
    equity = rows.amount("EquityWithLoanValue")
    init, maint = rows.amount("InitMarginReq"), rows.amount("MaintMarginReq")
    excess = rows.amount("ExcessLiquidity")
    if None in (net, cash, equity, init, maint, excess):
        return None
    symbol = state.settings.strategy.symbol
    ours = next((h for h in report.holdings if h.symbol == symbol and h.security == "STK"), None)
    return AccountSnapshot(
        refreshed_ns=now.market_ns,
        net_liquidation_usd=net or 0.0,
        cash_usd=cash or 0.0,
        equity_with_loan_usd=equity or 0.0,
        init_margin_usd=init or 0.0,
        maint_margin_usd=maint or 0.0,
        excess_liquidity_usd=excess or 0.0,
        sma_usd=rows.amount("SMA"),
        portfolio_margin=portfolio_margin(state, report),
        shares=ours.shares if ours else 0,
        average_cost_usd=ours.average_cost_usd if ours else 0.0,
        mark_usd=ours.mark_usd if ours and ours.shares else None,
        other_profit_usd=sum(h.profit_usd for h in report.holdings if h is not ours),
        accrued_dividends_usd=rows.amount("AccruedDividend"),
    )
