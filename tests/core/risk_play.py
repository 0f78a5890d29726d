"""The risk monitor on one plain session, beside a broker that keeps the true books."""

from __future__ import annotations

import itertools
from datetime import date
from typing import Any

import msgspec

from common.core import risk
from common.messages import (
    AccountSnapshot,
    BrokerLink,
    BrokerPnl,
    Commission,
    DailyBar,
    DataKind,
    FeedState,
    Fill,
    HaltLatch,
    MarginPreview,
    Message,
    OpeningPrint,
    Order,
    OrderBook,
    OrderStatus,
    OrderUpdate,
    PlaceOrder,
    PreviewMargin,
    Quote,
    Session,
    Side,
    Signal,
    StopHit,
    TargetPosition,
)
from common.settings import Settings
from tests.playbook import Script, instant, of, one

MONDAY, TUESDAY, WEDNESDAY = date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4)
CASH_USD = 1_000_000.0
CLOSE_USD = 400.0


def settings(**sections: dict[str, Any]) -> Settings:
    """Settings as shipped, but for these: settings(stop={"baseline": "entry"}).

    No stop rests at the broker unless they say so: it is a subject of its own (test_resting.py).
    """
    stop = {"resting": False, **sections.pop("stop", {})}
    return msgspec.convert({**sections, "stop": stop}, Settings)


def session(
    day: date = TUESDAY, previous: date = MONDAY, after: date = WEDNESDAY, close: str = "16:00"
) -> Session:
    return Session(
        previous_day=previous,
        day=day,
        open_ns=instant(day, "09:30"),
        close_ns=instant(day, close),
        early=close != "16:00",
        next_day=after,
        next_open_ns=instant(after, "09:30"),
        next_close_ns=instant(after, "16:00"),
        broker_agrees=True,
    )


class RiskDay(Script):
    """Everything an entry needs is there, one minute before the open, unless told otherwise.

    `held`, `cash_usd`, `other_usd`, `other_profit_usd`, `accrued_usd` and `mark_usd` are the
    broker's true books; `account()` tells them, `fill` changes them.
    """

    def __init__(
        self,
        given: Settings | None = None,
        at: str = "09:29",
        held: int = 0,
        cash_usd: float = CASH_USD,
        hours: Session | None = None,
        leverage: float = 3.0,
        adopted: bool = True,
    ) -> None:
        self.hours = hours or session()
        super().__init__(risk, given or settings(), instant(self.hours.day, at))
        self.held, self.cash_usd, self.other_usd = held, cash_usd, 0.0
        self.other_profit_usd = 0.0
        self.accrued_usd = 0.0
        self.tells_accrued = True
        self.mark_usd = CLOSE_USD
        self.portfolio_margin: bool | None = True
        self.sma_usd: float | None = None
        self.margin_rate = 0.15
        self._numbers = itertools.count(1)
        self.hear(self.hours, self.feed(), self.bar(), self.link(), self.latch(), self.book())
        self.account()
        self.hear(self.signal("BULL"), self.target(leverage))
        if adopted:
            self.given(lambda state: setattr(state, "ours", True))
        self.tick()
        self.forget()

    # --- what is heard -----------------------------------------------------------------------

    def feed(self, **changes: Any) -> FeedState:
        feed = FeedState(
            connected=True, kind="live", halted=False, competing=False, tick_ns=0, problem=""
        )
        return msgspec.structs.replace(feed, **changes)

    def link(self, **changes: Any) -> BrokerLink:
        link = BrokerLink(
            state="ready", account="DU***67", port=7497, since_ns=0, clock_offset_s=0.1, reason=""
        )
        return msgspec.structs.replace(link, **changes)

    def latch(self, **changes: Any) -> HaltLatch:
        return msgspec.structs.replace(HaltLatch(mode="ACTIVE", reason="", since_ns=0), **changes)

    def book(self, **changes: Any) -> OrderBook:
        book = OrderBook(
            reconciled=True, working=(), unknown=(), foreign_buy_shares=0, foreign_sell_shares=0
        )
        return msgspec.structs.replace(book, **changes)

    def bar(self, close_usd: float = CLOSE_USD, day: date | None = None) -> DailyBar:
        return DailyBar(
            day=day or self.hours.previous_day,
            open_usd=close_usd,
            high_usd=close_usd,
            low_usd=close_usd,
            close_usd=close_usd,
            final=True,
        )

    def signal(self, side: Side, day: date | None = None) -> Signal:
        return Signal(
            day=day or self.hours.previous_day,
            fast_usd=400.0,
            slow_usd=360.0 if side == "BULL" else 440.0,
            side=side,
            final=True,
            bars=700,
            flip_close_usd=None,
        )

    def target(self, leverage: float) -> TargetPosition:
        return TargetPosition(
            day=self.hours.day,
            signal_day=self.hours.previous_day,
            leverage=leverage,
            leverage_why="VIX 17.00",
            valid_until_ns=self.hours.close_ns,
        )

    def quote(
        self, mark_usd: float, after_s: float = 0.0, *, agree: bool = True, kind: DataKind = "live"
    ) -> list[Message]:
        """A price `after_s` later; the broker marks to it as well."""
        self.wait(after_s)
        self.mark_usd = mark_usd
        return self.hear(
            Quote(
                tick_ns=self.now.market_ns,
                bid_usd=mark_usd - 0.01,
                ask_usd=mark_usd + 0.01,
                last_usd=mark_usd if agree else mark_usd * 1.01,
                mark_usd=mark_usd,
                agree=agree,
                kind=kind,
                tick_host_ns=self.now.host_ns,
            )
        )

    def pnl(self, mark_usd: float, after_s: float = 0.0) -> list[Message]:
        """IB's own profit and loss of the position, marked at this price."""
        self.wait(after_s)
        return self.hear(
            BrokerPnl(
                heard_ns=self.now.market_ns,
                shares=self.held,
                value_usd=self.held * mark_usd,
                unrealized_usd=0.0,
                daily_usd=None,
                heard_host_ns=self.now.host_ns,
            )
        )

    def account(self, after_s: float = 0.0) -> list[Message]:
        """One completed refresh of the broker's true books."""
        self.wait(after_s)
        value_usd = self.held * self.mark_usd
        equity_usd = self.cash_usd + value_usd + self.other_usd + self.accrued_usd
        margin_usd = abs(value_usd) * self.margin_rate
        return self.hear(
            AccountSnapshot(
                refreshed_ns=self.now.market_ns,
                net_liquidation_usd=equity_usd,
                cash_usd=self.cash_usd,
                equity_with_loan_usd=equity_usd,
                init_margin_usd=margin_usd,
                maint_margin_usd=margin_usd,
                excess_liquidity_usd=equity_usd - margin_usd,
                sma_usd=self.sma_usd,
                portfolio_margin=self.portfolio_margin,
                shares=self.held,
                average_cost_usd=self.mark_usd,
                mark_usd=self.mark_usd,
                other_profit_usd=self.other_profit_usd,
                accrued_dividends_usd=self.accrued_usd if self.tells_accrued else None,
            )
        )

    def update(self, order: Order, status: OrderStatus, filled: int = 0, **more: Any) -> Any:
        return self.hear(
            OrderUpdate(
                intent_id=order.intent_id,
                order_id=1,
                perm_id=1,
                status=status,
                filled=filled,
                remaining=order.shares - filled,
                average_usd=0.0,
                code=more.get("code", 0),
                reason=more.get("reason", ""),
            )
        )

    def fill(
        self,
        order: Order | None,
        shares: int,
        price_usd: float,
        commission_usd: float | None = None,
        **changes: Any,
    ) -> list[Message]:
        """The broker executes `shares` of `order` (None: someone else's sale) and says so."""
        action = changes.pop("action", order.action if order is not None else "SELL")
        signed = shares if action == "BUY" else -shares
        self.held += signed
        self.cash_usd -= signed * price_usd + (commission_usd or 0.0)
        fill = Fill(
            exec_id=f"0001.{next(self._numbers):04d}",
            revision=0,
            intent_id=order.intent_id if order is not None else "",
            action=action,
            shares=shares,
            price_usd=price_usd,
            filled_ns=self.now.market_ns,
            liquidation=False,
        )
        fill = msgspec.structs.replace(fill, **changes)
        said = self.hear(fill)
        if commission_usd is not None:
            said += self.hear(Commission(exec_id=fill.exec_id, commission_usd=commission_usd))
        return said

    # --- what a day is made of ---------------------------------------------------------------

    def at(self, clock: str) -> list[Message]:
        """A tick at this New York time of the session's day."""
        self.wait_until(instant(self.hours.day, clock))
        return self.tick()

    def ready_at(self, clock: str, mark_usd: float = CLOSE_USD) -> list[Message]:
        """The same, with a fresh price and account just before."""
        self.wait_until(instant(self.hours.day, clock))
        said = self.quote(mark_usd) + self.account()
        return said + self.tick()

    def open_at(self, price_usd: float = CLOSE_USD, *, official: bool = True) -> list[Message]:
        """The open, its print and the baseline that comes of it."""
        self.wait_until(max(self.now.market_ns, self.hours.open_ns))
        self.mark_usd = price_usd
        said = self.hear(OpeningPrint(day=self.hours.day, price_usd=price_usd, official=official))
        return said + self.quote(price_usd) + self.tick()

    def preview(self, asked: PreviewMargin, problem: str = "") -> list[Message]:
        """The broker's what-if for a purchase, at `margin_rate` of its value."""
        value_usd = asked.shares * self.mark_usd
        return self.hear(
            MarginPreview(
                key=asked.key,
                shares=asked.shares,
                init_before_usd=0.0,
                init_after_usd=value_usd * self.margin_rate,
                maint_after_usd=value_usd * self.margin_rate,
                equity_with_loan_after_usd=self.cash_usd + self.other_usd + self.accrued_usd,
                commission_usd=5.0,
                problem=problem,
                rejected="201" in problem,
            )
        )

    def asked_at(self, clock: str, mark_usd: float = CLOSE_USD) -> list[Message]:
        """What is said at this instant with everything fresh and every what-if answered."""
        said = self.ready_at(clock, mark_usd)
        said += self.tick()
        answered: set[str] = set()
        while waiting := [p for p in of(PreviewMargin, said) if p.key not in answered]:
            assert len(answered) < 10, "a what-if that is answered is asked again and again"
            for asked in waiting:
                answered.add(asked.key)
                said += self.preview(asked)
            said += self.tick() + self.tick()
        return said

    def entry_order(self, clock: str = "15:55", mark_usd: float = CLOSE_USD) -> Order:
        """The entry order of that instant, by way of its what-if."""
        return one(PlaceOrder, self.asked_at(clock, mark_usd)).order

    def enter(self, clock: str = "15:55", price_usd: float = CLOSE_USD) -> Order:
        """Bought, whole, at once and without commission."""
        order = self.entry_order(clock, price_usd)
        self.update(order, "Submitted")
        self.fill(order, order.shares, price_usd)
        self.update(order, "Filled", order.shares)
        self.account()
        self.tick()
        return order

    def next_session(self, hours: Session | None = None) -> None:
        """The next session's times become known, an hour before its open."""
        self.hours = hours or session(WEDNESDAY, TUESDAY, date(2026, 3, 5))
        self.wait_until(self.hours.open_ns - 3600 * 10**9)
        self.hear(self.hours)

    def stopped_at(self, mark_usd: float, after_s: float = 0.2) -> Order:
        """The exit order of a stop that this price fires."""
        said = self.quote(mark_usd, after_s)
        one(StopHit, said)
        return one(PlaceOrder, said).order

    def newest_mode(self) -> str:
        """The mode that was said last."""
        assert self.state.said_state is not None
        return str(self.state.said_state.mode)

    def sold(self, order: Order, price_usd: float) -> list[Message]:
        """The exit order, filled whole."""
        said: list[Message] = self.update(order, "Submitted")
        said += self.fill(order, order.shares, price_usd)
        said += self.update(order, "Filled", order.shares)
        return said + self.account() + self.tick()


def held_day(
    shares: int = 7500, given: Settings | None = None, price_usd: float = 400.0
) -> RiskDay:
    """7,500 shares at $400 on $1,000,000 (3x), the baseline written at the open."""
    day = RiskDay(given, held=shares, cash_usd=CASH_USD - shares * CLOSE_USD)
    day.open_at(price_usd)
    return day
