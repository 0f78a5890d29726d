"""The broker of a backtest: cash, shares, and fills at prices that bars allow.

It stands where the sockets to the gateway were: it takes the live decider's orders and answers in
the gateway's own messages. What fills where is said in docs/research.md.
"""

from __future__ import annotations

from datetime import date

from common.core import rules
from common.messages import (
    AccountSnapshot,
    Commission,
    Fill,
    MarginPreview,
    Message,
    Order,
    PreviewMargin,
    StopHit,
)
from services.backtest import costs
from services.backtest.options import MarginModel, Options, margin_model
from services.backtest.result import ExitReason, Trade


class BarBroker:
    """An account that trades a bar at a time.

    `market_usd`: what a market order fills at now, before slippage. `bar_open_usd`: the opening
    price of the bar in which a stop may fire.
    """

    def __init__(self, options: Options) -> None:
        self.cash_usd = options.start_equity_usd
        self.shares = 0
        self.interest_usd = 0.0
        self.commission_usd = 0.0
        self.dividend_usd = 0.0
        self.accrued_usd = 0.0
        self.trades: list[Trade] = []
        self.market_usd = 0.0
        self.bar_open_usd = 0.0
        self._margin: MarginModel = margin_model(options.margin)
        self._slippage_bp = options.slippage_bp
        self._gap_at_open = options.gap_fill == "open"
        self._parts = options.parts_per_share
        self._commission_per_share = options.commission_per_share_usd / self._parts
        self._paid_usd = 0.0
        self._got_usd = 0.0
        self._entry = (date.min, 0.0, 0.0)
        self._fills = 0

    def pass_night(self, dividend_usd: float, night_factor: float) -> None:
        """Interest for the night on what is owed; dividends per share on their ex-date, shown as
        accrued until `pay`."""
        charge = costs.interest_usd(self.cash_usd, night_factor)
        credit = self.shares * dividend_usd
        self.cash_usd -= charge
        self.cash_usd += credit
        self.interest_usd += charge
        self.dividend_usd += credit
        self._got_usd += credit
        self.accrued_usd = credit

    def pay(self) -> None:
        """What has accrued of dividends becomes cash."""
        self.accrued_usd = 0.0

    def carry_out(self, order: Order, day: date, now_ns: int, hit: StopHit | None) -> list[Message]:
        """Fills a market order at once: the gateway's messages about it."""
        if order.action == "BUY":
            return self._buy(order, day, now_ns)
        if hit is not None:
            level = rules.stop_price(hit.equity_usd, hit.stop_usd, self.shares, hit.mark_usd)
            price = costs.stop_fill(self.bar_open_usd, level, self._gap_at_open)
            return self._sell(order.intent_id, price, "stop", level, day, now_ns)
        return self._sell(order.intent_id, self.market_usd, "bear", 0.0, day, now_ns)

    def liquidation_usd(self) -> float:
        """The price within this bar at which the broker would liquidate; 0 when none."""
        rate = self._margin.rate_fraction
        if rate == 0.0 or self.shares == 0:
            return 0.0
        value = self.shares * self.bar_open_usd
        held = rate * value
        return rules.liquidation_price(
            self.cash_usd + value - held, held, self.shares, self.bar_open_usd
        )

    def liquidate(self, price_usd: float, day: date, now_ns: int) -> list[Message]:
        """The broker sells everything, without being asked."""
        return self._sell("", price_usd, "liquidation", 0.0, day, now_ns)

    def preview(self, asked: PreviewMargin) -> MarginPreview:
        """The what-if of a purchase at the market price."""
        held = self._margin.rate_fraction * (asked.shares * self.market_usd)
        return MarginPreview(
            key=asked.key,
            shares=asked.shares,
            init_before_usd=0.0,
            init_after_usd=held,
            maint_after_usd=held,
            equity_with_loan_after_usd=self.cash_usd,
            commission_usd=costs.commission_usd(asked.shares, self._commission_per_share),
            problem="",
        )

    def snapshot(self, mark_usd: float, now_ns: int) -> AccountSnapshot:
        """The account at a mark. Flat, the special memorandum account is the cash."""
        value = self.shares * mark_usd
        net = self.cash_usd + value
        held = self._margin.rate_fraction * value
        return AccountSnapshot(
            refreshed_ns=now_ns,
            net_liquidation_usd=net,
            cash_usd=self.cash_usd - self.accrued_usd,
            equity_with_loan_usd=net,
            init_margin_usd=held,
            maint_margin_usd=held,
            excess_liquidity_usd=net - held,
            sma_usd=self.cash_usd if self.shares == 0 else None,
            portfolio_margin=self._margin.kind == "pm",
            shares=self.shares,
            average_cost_usd=0.0,
            mark_usd=mark_usd if self.shares else None,
            other_profit_usd=0.0,
            accrued_dividends_usd=self.accrued_usd,
        )

    def open_trade(self) -> Trade | None:
        """The position still held, as a trade without an end."""
        if self.shares == 0:
            return None
        day, price, leverage = self._entry
        return Trade(
            entry_day=day,
            entry_usd=price * self._parts,
            shares=self.shares / self._parts,
            leverage=leverage,
            exit_day=None,
            exit_usd=0.0,
            reason="",
            stop_usd=0.0,
            profit_usd=0.0,
        )

    def _buy(self, order: Order, day: date, now_ns: int) -> list[Message]:
        price = costs.bought_at(self.market_usd, self._slippage_bp)
        fee = costs.commission_usd(order.shares, self._commission_per_share)
        self._entry = (day, price, order.shares * self.market_usd / self.cash_usd)
        self.shares = order.shares
        self.cash_usd -= order.shares * price
        self.cash_usd -= fee
        self.commission_usd += fee
        self._paid_usd, self._got_usd = order.shares * price + fee, 0.0
        return self._told(order.intent_id, "BUY", order.shares, price, fee, now_ns)

    def _sell(
        self, intent_id: str, at_usd: float, reason: ExitReason, level_usd: float, day: date,
        now_ns: int,
    ) -> list[Message]:  # fmt: skip
        shares = self.shares
        price = costs.sold_at(at_usd, self._slippage_bp)
        fee = costs.commission_usd(shares, self._commission_per_share)
        opened = self.open_trade()
        assert opened is not None
        self.cash_usd += shares * price
        self.cash_usd -= fee
        self.commission_usd += fee
        self.shares = 0
        self.trades.append(
            Trade(
                entry_day=opened.entry_day,
                entry_usd=opened.entry_usd,
                shares=opened.shares,
                leverage=opened.leverage,
                exit_day=day,
                exit_usd=price * self._parts,
                reason=reason,
                stop_usd=level_usd * self._parts,
                profit_usd=shares * price - fee - self._paid_usd + self._got_usd,
            )
        )
        return self._told(intent_id, "SELL", shares, price, fee, now_ns)

    def _told(
        self,
        intent_id: str,
        action: str,
        shares: int,
        price_usd: float,
        fee_usd: float,
        now_ns: int,
    ) -> list[Message]:
        self._fills += 1
        exec_id = f"{self._fills}.01"
        return [
            Fill(
                exec_id=exec_id,
                revision=1,
                intent_id=intent_id,
                action="BUY" if action == "BUY" else "SELL",
                shares=shares,
                price_usd=price_usd,
                filled_ns=now_ns,
                liquidation=not intent_id,
            ),
            Commission(exec_id=exec_id, commission_usd=fee_usd),
            self.snapshot(self.market_usd, now_ns),
        ]
