"""Facts of one afternoon: 2 June 2025, 15:48:03 in New York, 7,355 SMH held."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import msgspec

from common import messages as m
from common.clock import NEW_YORK, SECOND_NS
from common.settings import Settings
from services.trader.picture import Picture, expected_services
from services.trader.status import Known
from tests.trader.stage import heartbeat

DAY = date(2025, 6, 2)


def at(hour: int, minute: int, second: int = 0, day: int = 2) -> int:
    """UTC ns of a New York time in June 2025."""
    moment = datetime(2025, 6, day, hour, minute, second, tzinfo=NEW_YORK)
    return int(moment.timestamp()) * SECOND_NS


NOW_NS = at(15, 48, 3)

SESSION = m.Session(
    day=DAY, open_ns=at(9, 30), close_ns=at(16, 0), early=False, previous_day=date(2025, 5, 30),
    next_day=date(2025, 6, 3), next_open_ns=at(9, 30, day=3), next_close_ns=at(16, 0, day=3),
    broker_agrees=True,
)  # fmt: skip
QUOTE = m.Quote(
    tick_ns=NOW_NS - 400_000_000, bid_usd=408.38, ask_usd=408.40, last_usd=408.39,
    mark_usd=408.39, agree=True, kind="live",
)  # fmt: skip
SIGNAL = m.Signal(
    day=date(2025, 5, 30), fast_usd=399.87, slow_usd=356.11, side="BULL", final=True, bars=1250,
    flip_close_usd=120.5,
)  # fmt: skip
TARGET = m.TargetPosition(
    day=DAY, signal_day=date(2025, 5, 30), leverage=3.0, leverage_why="VIX 16.2",
    valid_until_ns=at(16, 0),
)  # fmt: skip
VIX = m.VixLevel(tick_ns=NOW_NS - 3 * SECOND_NS, level=16.2, kind="live")
FEED = m.FeedState(
    connected=True, kind="live", halted=False, competing=False, tick_ns=NOW_NS - 400_000_000,
    problem="",
)  # fmt: skip
EQUITY = m.Equity(
    day=DAY, equity_usd=1_001_295.25, baseline_usd=1_000_000.0, stop_usd=980_000.0,
    stop_price_usd=405.49, shares=7355, mark_usd=408.39, leverage=3.0, flow_usd=0.0,
    source="quotes", age_s=0.4, armed=True, sampled_ns=NOW_NS - 400_000_000,
)  # fmt: skip
BASELINE = m.BaselineSet(
    day=DAY, baseline_usd=1_000_000.0, shares=7355, price_usd=408.2, source="open", labelled="",
)  # fmt: skip
RISK = m.RiskState(
    mode="ACTIVE", breached="", reasons=(), pending="", shares=7355, entry_done=True,
    stop_fired=False, uninvested_usd=0.0, liquidation_price_usd=311.2, protected_by="the stop",
)  # fmt: skip
LINK = m.BrokerLink(
    state="ready", account="DU1234567", port=7497, since_ns=at(9, 0), clock_offset_s=0.1,
    reason="",
)  # fmt: skip
ACCOUNT = m.AccountSnapshot(
    refreshed_ns=NOW_NS - 60 * SECOND_NS, net_liquidation_usd=1_001_200.0, cash_usd=-2_000_000.0,
    equity_with_loan_usd=1_001_200.0, init_margin_usd=450_000.0, maint_margin_usd=450_000.0,
    excess_liquidity_usd=551_200.0, sma_usd=None, portfolio_margin=True, shares=7355,
    average_cost_usd=408.2, mark_usd=408.39, other_profit_usd=0.0,
)  # fmt: skip
BOOK = m.OrderBook(
    reconciled=True, working=(), unknown=(), foreign_buy_shares=0, foreign_sell_shares=0
)
LATCH = m.HaltLatch(mode="ACTIVE", reason="", since_ns=at(9, 0))

SAID: dict[str, tuple[m.Message, ...]] = {
    "market_feed": (SESSION, QUOTE, VIX, FEED),
    "signal_engine": (SIGNAL, TARGET),
    "risk_monitor": (EQUITY, BASELINE, RISK),
    "broker_gateway": (LINK, ACCOUNT, BOOK, LATCH),
    "order_executor": (),
    "watchdog": (),
    "console": (),
}


def changed(fact: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(fact, **fields)


def known(*changes: m.Message, without: tuple[str, ...] = (), now_ns: int = NOW_NS) -> Known:
    """The afternoon, with some facts changed and some services silent."""
    picture = Picture(expected=expected_services("tws"))
    for speaker, facts in SAID.items():
        if speaker not in without:
            picture.hear(speaker, heartbeat(), host_ns=10 * SECOND_NS)
            for fact in facts:
                picture.hear(speaker, fact, host_ns=10 * SECOND_NS)
    for change in changes:
        picture.hear("market_feed", change, host_ns=10 * SECOND_NS)
    return Known(picture, Settings(), now_ns, host_now_ns=10 * SECOND_NS + 300_000_000)
