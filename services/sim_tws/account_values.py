"""The rows an account shows: the key set of a real single-currency account.

Suffix -S is the securities segment (all there is here), -C the commodities segment (always
empty). `$LEDGER-` prefixes and other base currencies are faults of newer or foreign set-ups.
"""

from __future__ import annotations

from services.sim_tws.account import PORTFOLIO, REG_T_OVERNIGHT_RATE, Valuation

Row = tuple[str, str, str]  # key, value, currency

_LEDGER_KEYS = [
    "CashBalance",
    "TotalCashBalance",
    "StockMarketValue",
    "NetLiquidationByCurrency",
    "UnrealizedPnL",
    "RealizedPnL",
    "ExchangeRate",
    "AccruedCash",
    "RealCurrency",
    "Currency",
]


def rows(
    valuation: Valuation, account_id: str, margin_kind: str, base: str, usd_in_base: float
) -> list[Row]:
    """Every row of account updates. Amounts of the account in `base`; the ledger per currency."""
    return [
        *_identity_rows(account_id, margin_kind),
        *_segment_rows(valuation, margin_kind, base, usd_in_base),
        *_ledger_rows(valuation, "BASE", usd_in_base),
        *_ledger_rows(valuation, "USD", 1.0),
    ]


def with_ledger_prefix(all_rows: list[Row]) -> list[Row]:
    """As some newer servers send them: the keys of the ledger carry `$LEDGER-`."""
    return [
        (f"$LEDGER-{key}", value, currency) if key in _LEDGER_KEYS else (key, value, currency)
        for key, value, currency in all_rows
    ]


def summary_rows(all_rows: list[Row], tags: str) -> list[Row]:
    """The rows a summary request asked for, in the order of the account's own rows."""
    asked = {tag.strip() for tag in tags.split(",")}
    ledger = {tag for tag in asked if tag.startswith("$LEDGER")}
    plain = [row for row in all_rows if row[0] in asked]
    if not ledger:
        return plain
    currencies = _ledger_currencies(ledger)
    return plain + [
        row
        for row in all_rows
        if row[0].removeprefix("$LEDGER-") in _LEDGER_KEYS
        and (currencies is None or row[2] in currencies)
    ]


def _ledger_currencies(tags: set[str]) -> set[str] | None:
    """None means all currencies."""
    if "$LEDGER:ALL" in tags:
        return None
    return {tag.partition(":")[2] or "BASE" for tag in tags}


def _identity_rows(account_id: str, margin_kind: str) -> list[Row]:
    trading = "PMRGN" if margin_kind == PORTFOLIO else "STKMRGN"
    return [
        ("AccountCode", account_id, ""),
        ("AccountOrGroup", account_id, "BASE"),
        ("AccountOrGroup", account_id, "USD"),
        ("AccountReady", "true", ""),
        ("AccountType", "INDIVIDUAL", ""),
        ("Billable-S", "0.00", "USD"),
        ("ColumnPrio-C", "2", ""),
        ("ColumnPrio-S", "1", ""),
        ("Currency", "BASE", "BASE"),
        ("Currency", "USD", "USD"),
        ("DayTradesRemaining", "-1", ""),
        *((f"DayTradesRemainingT+{day}", "-1", "") for day in range(1, 5)),
        ("DayTradingStatus-S", "NO", ""),
        ("HighestSeverity", "0", ""),
        ("NLVAndMarginInReview", "false", ""),
        ("RealCurrency", "USD", "BASE"),
        ("RealCurrency", "USD", "USD"),
        ("SegmentTitle-C", "US Commodities", ""),
        ("SegmentTitle-S", "US Securities", ""),
        ("TradingType-S", trading, ""),
        ("WhatIfPMEnabled", "true", ""),
    ]


def _segment_rows(v: Valuation, margin_kind: str, base: str, usd_in_base: float) -> list[Row]:
    net = v.net_liquidation_usd
    amounts = {
        "AccruedCash": 0.0,
        "AccruedDividend": v.accrued_usd,
        "AvailableFunds": v.available_usd,
        "EquityWithLoanValue": net,
        "ExcessLiquidity": v.excess_liquidity_usd,
        "FullAvailableFunds": v.available_usd,
        "FullExcessLiquidity": v.excess_liquidity_usd,
        "FullInitMarginReq": v.init_margin_usd,
        "FullMaintMarginReq": v.maint_margin_usd,
        "GrossPositionValue": v.gross_usd,
        "Guarantee": 0.0,
        "IndianStockHaircut": 0.0,
        "InitMarginReq": v.init_margin_usd,
        "LookAheadAvailableFunds": v.available_usd,
        "LookAheadExcessLiquidity": v.excess_liquidity_usd,
        "LookAheadInitMarginReq": v.init_margin_usd,
        "LookAheadMaintMarginReq": v.maint_margin_usd,
        "MaintMarginReq": v.maint_margin_usd,
        "NetLiquidation": net,
        "NetLiquidationUncertainty": 0.0,
        "PASharesValue": 0.0,
        "PhysicalCertificateValue": 0.0,
        "PostExpirationExcess": 0.0,
        "PostExpirationMargin": 0.0,
        "TotalCashValue": v.cash_usd,
        "TotalDebitCardPendingCharges": 0.0,
    }
    rate = 1 / v.init_margin_usd * v.gross_usd if v.init_margin_usd else _power(margin_kind)
    account_only = {
        "BuyingPower": max(0.0, v.available_usd) * rate,
        "PreviousDayEquityWithLoanValue": v.previous_equity_usd,
        "RegTEquity": net,
        "RegTMargin": REG_T_OVERNIGHT_RATE * v.gross_usd,
        "SMA": v.sma_usd,
        "SettledCash": v.cash_usd,
    }
    found: list[Row] = []
    for key, usd in amounts.items():
        text = _amount(usd * usd_in_base)
        found += [(key, text, base), (f"{key}-C", "0.00", base), (f"{key}-S", text, base)]
    for key, usd in account_only.items():
        text = _amount(usd * usd_in_base)
        found.append((key, text, base))
        if key != "BuyingPower":
            found.append((f"{key}-S", text, base))
    cushion = v.excess_liquidity_usd / net if net > 0 else 0.0
    found += [("Cushion", f"{cushion:.6g}", ""), ("LookAheadNextChange", "0", "")]
    found += [("Leverage-S", f"{v.gross_usd / net if net > 0 else 0.0:.2f}", "")]
    return found


def _ledger_rows(v: Valuation, currency: str, factor: float) -> list[Row]:
    amounts = {
        "AccruedCash": 0.0,
        "CashBalance": v.cash_usd,
        "CorporateBondValue": 0.0,
        "Cryptocurrency": 0.0,
        "FundValue": 0.0,
        "FutureOptionValue": 0.0,
        "FuturesPNL": 0.0,
        "FxCashBalance": 0.0,
        "IssuerOptionValue": 0.0,
        "MoneyMarketFundValue": 0.0,
        "MutualFundValue": 0.0,
        "NetDividend": v.accrued_usd,
        "NetLiquidationByCurrency": v.net_liquidation_usd,
        "OptionMarketValue": 0.0,
        "RealizedPnL": v.realized_usd,
        "StockMarketValue": v.stock_usd,
        "TBillValue": 0.0,
        "TBondValue": 0.0,
        "TotalCashBalance": v.cash_usd,
        "UnrealizedPnL": v.unrealized_usd,
        "WarrantValue": 0.0,
    }
    rate = f"{factor if currency == 'USD' else 1.0:.6f}"
    return [
        *((key, _amount(usd * factor), currency) for key, usd in amounts.items()),
        ("ExchangeRate", rate, currency),
    ]


def _power(margin_kind: str) -> float:
    return 6.67 if margin_kind == PORTFOLIO else 4.0


def _amount(value: float) -> str:
    return f"{value:.2f}"
