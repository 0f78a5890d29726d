"""What happens by the clock at a broker: auctions, expiry, corporate actions, margin calls.

One session is planned at a time: its last event plans the next, so a jump over a night or a week
runs everything in order.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial

from common.clock import MINUTE_NS, SECOND_NS
from services.sim_tws.account import PORTFOLIO, REG_T, REG_T_OVERNIGHT_RATE, Account
from services.sim_tws.broker import Broker
from services.sim_tws.contracts import SMH
from services.sim_tws.market import SessionTimes
from services.sim_tws.market_time import instant_ns
from services.sim_tws.orders import Ticket
from services.sim_tws.tape import extended_hours

PNL_RESET = (23, 55)  # New York, the evening before
SMA_CHECK_FIRST_NS = 10 * MINUTE_NS  # before the close
SMA_CHECK_LAST_NS = 80 * MINUTE_NS  # after the close
SMA_CHECK_STEP_NS = 10 * MINUTE_NS
MARGIN_CHECK_STEP_NS = 10 * SECOND_NS
PAID_AFTER = timedelta(days=4)
"""From a dividend's ex-date to its payment; on a day without a session, with the next one."""
LIQUIDATION_MARGIN = 1.05  # IB sells a little more than the deficit needs


class DayCycle:
    """Plans the broker's events session by session."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._exchange = broker.exchange
        now_ns = broker.now_ns
        self._plan(broker.tape.market.session_at_or_after(now_ns - SMA_CHECK_LAST_NS), now_ns)

    def _plan(self, session: SessionTimes, now_ns: int) -> None:
        """Events of one session that are still ahead."""
        tape, exchange = self._broker.tape, self._exchange
        reset_ns = instant_ns(session.date - timedelta(days=1), *PNL_RESET)
        actions_ns = instant_ns(session.date, 0)
        first_ns, last_ns = extended_hours(session)
        events: list[tuple[int, Callable[[int], None]]] = [
            (reset_ns, self._reset),
            (actions_ns, lambda _ts: self._corporate_actions(session.date)),
            (first_ns, lambda _ts: exchange.sweep()),
            (session.open_ns, lambda _ts: exchange.open_auction(session)),
            (session.open_ns + MARGIN_CHECK_STEP_NS, partial(self._check_margin, session)),
            (session.close_ns, lambda _ts: self._close(session)),
            (session.close_ns + SECOND_NS, lambda _ts: exchange.sweep()),
            (last_ns, lambda _ts: exchange.end_of_extended_hours()),
        ]
        for ts_ns, action in events:
            if ts_ns > now_ns:
                exchange.at(ts_ns, action)
        if session.open_ns <= now_ns < session.close_ns:
            exchange.at(now_ns + MARGIN_CHECK_STEP_NS, partial(self._check_margin, session))
        if self._broker.account.margin_kind == REG_T:
            step = session.close_ns - SMA_CHECK_FIRST_NS
            while step <= session.close_ns + SMA_CHECK_LAST_NS:
                if step > now_ns:
                    exchange.at(step, lambda _ts: self._check_sma())
                step += SMA_CHECK_STEP_NS
        try:
            following = tape.market.session_at_or_after(session.close_ns)
        except LookupError:
            return
        exchange.at(
            max(now_ns, session.close_ns) + 2 * SECOND_NS,
            lambda ts: self._plan(following, ts),
        )

    def _close(self, session: SessionTimes) -> None:
        self._exchange.close_auction(session)
        price = self._broker.tape.market.closing_print(SMH.symbol, session.date)
        for account in self._broker.books.accounts:
            account.end_of_session(price)

    def _reset(self, ts_ns: int) -> None:
        mark = self._broker.tape.mark(ts_ns)
        for account in self._broker.books.accounts:
            account.reset_daily(mark)

    def _corporate_actions(self, day: date) -> None:
        """Splits change shares and average cost and end GTC orders; dividends accrue, and are paid
        in cash some days later."""
        self._broker.books.forget_before(instant_ns(day - timedelta(days=1), 0))
        actions = self._broker.tape.actions_on(day)
        for account in self._broker.books.accounts:
            account.pay_dividends(day)
        for action in actions:
            if action.kind == "split":
                self._broker.cancel_all()
            for account in self._broker.books.accounts:
                if action.kind == "split":
                    account.split(action.value)
                else:
                    paid_usd = round(account.smh.shares * action.value, 2)
                    account.accrue(paid_usd, day + PAID_AFTER)
        if actions:
            self._broker.say.position_changed()

    def _check_margin(self, session: SessionTimes, ts_ns: int) -> None:
        """IB sells without asking when excess liquidity is negative."""
        broker = self._broker
        account = broker.account
        if account.smh.shares:
            mark = broker.tape.mark(ts_ns)
            excess = account.net_liquidation_usd(mark) - account.margin_usd(mark)
            if excess < 0:
                self._liquidate(account, -excess / (account.margin_rate * mark))
        next_ns = ts_ns + MARGIN_CHECK_STEP_NS
        if next_ns < session.close_ns:
            self._exchange.at(next_ns, partial(self._check_margin, session))

    def _check_sma(self) -> None:
        """Reg T at the end of the day: a negative SMA is cured by selling."""
        account = self._broker.account
        mark = self._broker.tape.mark(self._broker.now_ns)
        if account.margin_kind != PORTFOLIO and account.sma_usd < 0:
            self._liquidate(account, -account.sma_usd / (REG_T_OVERNIGHT_RATE * mark))

    def _liquidate(self, account: Account, shares_needed: float) -> None:
        held = int(account.smh.shares)
        if any(order.liquidation for order in self._broker.books.live()) or not held:
            return
        shares = min(abs(held), int(shares_needed * LIQUIDATION_MARGIN) + 1)
        action = "SELL" if held > 0 else "BUY"
        ticket = Ticket(action, float(shares), "MKT", outside_rth=True)
        self._broker.place_own(ticket, liquidation=True)
