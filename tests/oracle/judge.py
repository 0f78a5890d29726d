"""The judge: one pass over the facts of a recording, each promise checked as its bytes pass."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from tests.oracle import facts as f
from tests.oracle import resting
from tests.oracle.averages import DailyPrices, sides
from tests.oracle.day import LAST_MOMENTS_NS, BearClose, Breach, Day
from tests.oracle.frames import read
from tests.oracle.ledger import Ledger
from tests.oracle.orders import Key, Orders
from tests.oracle.rules import ON_ITS_WAY, SHIPPED, Rules
from tests.oracle.sessions import Session, new_york_day, sessions_between
from tests.oracle.stop import (
    DECIDED_NS_MAX,
    FIRST_MARK_NS,
    LATE_NS,
    MARKS_NS,
    OPEN_FRACTION,
    Baseline,
    Moved,
    Quote,
    Quotes,
)
from tests.oracle.verdict import Figures, Verdict, Violation

WIRE_NS = 5 * f.SECOND_NS  # market time that may pass between a decision and the server's stamp
EXTENDED_BEFORE_OPEN_NS = 330 * 60 * f.SECOND_NS
EXTENDED_AFTER_CLOSE_NS = 240 * 60 * f.SECOND_NS
UNANSWERED = "the stop was broken and no sell order followed"
ONE_SAMPLE_NS = 10 * f.SECOND_NS
OPENING_NS = 5 * f.SECOND_NS
"""In which the opening price may still be unknown, and with it the stop."""

Cause = Literal["stop", "bear", "flatten"]


def judge(
    record: Path,
    *,
    symbol: str = "SMH",
    orders_client_id: int = 1,
    gateway_starts: int = 1,
    flattened_on: Collection[date] = (),
) -> Verdict:
    """Judges a recording of the simulated TWS (`--record`).

    `gateway_starts`: how often the process with the order connection was started, so how often it
    may have connected. `flattened_on`: days on which a person asked for `trader flatten`, which
    is not on the wire.
    """
    passed = [fact for frame in read(record) if (fact := f.decode(frame)) is not None]
    if not passed:
        raise ValueError(f"{record} holds nothing to judge")
    first, last = (new_york_day(passed[at].ns) for at in (0, -1))
    sessions = sessions_between(first - timedelta(days=10), last)
    return judge_facts(
        passed, sessions, symbol=symbol, orders_client_id=orders_client_id,
        gateway_starts=gateway_starts, flattened_on=flattened_on,
    )  # fmt: skip


def judge_facts(
    passed: Sequence[f.Fact],
    sessions: dict[date, Session],
    *,
    symbol: str = "SMH",
    orders_client_id: int = 1,
    gateway_starts: int = 1,
    flattened_on: Collection[date] = (),
    rules: Rules = SHIPPED,
) -> Verdict:
    """Judges what passed, decoded already; `sessions`: those of its days and some before."""
    daily = DailyPrices(symbol, sessions)
    daily.learn(passed)
    the_judge = Judge(symbol, sessions, daily, orders_client_id, flattened_on, rules)
    return the_judge.verdict(passed, gateway_starts)


class Judge:
    """State of the pass. `daily` knows the whole recording already, so opens in hindsight."""

    def __init__(
        self,
        symbol: str,
        sessions: dict[date, Session],
        daily: DailyPrices,
        orders_client_id: int,
        flattened_on: Collection[date],
        rules: Rules,
    ) -> None:
        self._rules = rules
        self._symbol = symbol
        self._sessions = sessions
        self._daily = daily
        self._sides = sides(daily.closes)
        self._orders_client_id = orders_client_id
        self._flattened_on = flattened_on
        self._violations: list[Violation] = []
        self._orders = Orders()
        self._ledger = Ledger(symbol)
        self._quotes = Quotes(symbol)
        self._accounts: set[str] = set()
        self._connections: dict[int, set[int]] = {}
        self._day: Day | None = None
        self._day_before: Day | None = None
        self._days = 0
        self._actions: Counter[tuple[date, bool]] = Counter()  # resting stops apart
        self._id_max: dict[int, int] = {}
        self._refs: dict[str, Key] = {}
        self._causes: dict[Key, Cause] = {}
        self._moved: list[Moved] = []
        self._unknown_when_sent: dict[Key, list[Moved]] = {}  # and moved after each purchase
        self._traded: set[Key] = set()
        self._missed: list[date] = []
        self._stop_host_s: list[float] = []
        self._breaches: list[Breach] = []
        self._bear_closes: list[BearClose] = []

    def verdict(self, passed: Iterable[f.Fact], gateway_starts: int) -> Verdict:
        for fact in passed:
            self._enter_day(fact)
            self._hear(fact)
            if self._rules.after_hours:
                self._watch_evening(fact)
        self._check_end(fact.ns, gateway_starts)
        traded = Counter(self._causes.get(key) for key in self._traded)
        bought = sum(self._orders.placed[key].action == "BUY" for key in self._traded)
        figures = Figures(
            days=self._days,
            entries=bought,
            stops=traded["stop"],
            exits=traded["bear"] + traded["flatten"],
            shares=self._ledger.shares,
            cash_usd=self._ledger.cash_usd,
            published_cash_usd=self._ledger.published_cash_usd,
            missed_entries=tuple(self._missed),
            stop_host_s=tuple(self._stop_host_s),
            connections={client: len(seen) for client, seen in self._connections.items()},
        )
        executions = tuple(self._ledger.executions.values())
        return Verdict(
            tuple(self._violations), executions, figures, tuple(self._breaches),
            tuple(self._bear_closes),
        )  # fmt: skip

    def _hear(self, fact: f.Fact) -> None:  # noqa: C901, PLR0912 - one line per kind of fact
        match fact:
            case f.Opened():
                self._quotes.opened(fact.connection)
            case f.PriceSaid() | f.LastSizeSaid():
                self._on_price(fact)
            case f.Placed():
                self._on_placed(fact)
            case f.CancelAsked():
                self._count_action(fact)
                self._orders.cancel_asked(fact)
            case f.OrderSaid():
                self._orders.said(fact)
            case f.ErrorSaid():
                self._orders.refused(fact)
                self._quotes.refused(fact)
            case f.KindSaid():
                self._quotes.kind_said(fact)
            case f.DelayedSaid():
                self._quotes.delayed(fact)
            case f.OrderCompleted():
                self._orders.completed(fact)
            case f.OpenOrdersAsked():
                self._orders.asked_for_open(fact)
            case f.OpenOrdersEnded():
                self._orders.listed(fact)
            case f.Executed():
                self._on_executed(fact)
            case f.Charged():
                self._on_charged(fact)
            case f.PositionSaid():
                self._ledger.position_said(fact)
            case f.AccountSaid():
                self._ledger.published(fact)
                if fact.key == "NetLiquidation" and fact.currency == "USD":
                    self._on_first_marks(fact, f.number(fact.value))
                for moved in self._moved:
                    moved.tell(fact.host_ns)
                if self._baseline is not None:
                    self._baseline.told(fact.host_ns)
            case f.MoneyMoved():
                self._ledger.money_moved(fact)
                for unknown in (self._moved, *self._unknown_when_sent.values()):
                    unknown.append(Moved(fact.amount_usd, fact.host_ns))
                if self._baseline is not None:
                    self._baseline.move(fact.amount_usd, fact.host_ns)
            case f.PnlSaid():
                self._on_pnl(fact)
            case f.Split():
                self._ledger.split(fact)
            case f.AccountsNamed():
                self._accounts.update(fact.accounts)
                self._connections.setdefault(fact.client_id, set()).add(fact.connection)
            case f.QuotesAsked():
                self._quotes.asked(fact)

    # Days

    def _enter_day(self, fact: f.Fact) -> None:
        """Ends the running session at its close and begins the next one at its open."""
        day = self._day
        if day is not None and day.due_for_entry is False and not day.entries:
            in_window = day.entry_from_ns <= fact.ns < day.entry_until_ns
            day.due_for_entry = in_window and not self._ledger.shares and not self._orders.alive
        if day is not None and fact.ns < day.session.close_ns + LAST_MOMENTS_NS:
            return
        today = self._sessions.get(new_york_day(fact.ns))
        if day is not None and (today is None or today.day != day.session.day):
            self._end_day(day)
            self._day, self._day_before = None, day
        if today is not None and self._day is None and fact.ns >= today.open_ns:
            self._day = self._begin_day(today, fact.host_ns)

    def _begin_day(self, session: Session, host_ns: int) -> Day:
        shares, before = self._ledger.shares, self._day_before
        earlier = max(other for other in self._sessions if other < session.day)
        told_ns = self._daily.told_ns.get(earlier, session.close_ns)
        day = Day(session, self._sides.get(earlier), told_ns, shares, self._rules)
        if shares and before is not None:
            day.leaves_since_yesterday = before.stop_may_fire or before.leaves_since_yesterday
            if before.holds_open_breach():
                day.breach = before.breach
        opens, closes = self._daily.opens, self._daily.closes
        opened_usd = opens.get(session.day, math.nan) if shares else 0.0
        if self._rules.baseline == "previous_close":
            opened_usd = closes.get(earlier, math.nan) if shares else 0.0
        if self._rules.baseline == "entry" and shares and before is not None:
            day.baseline = before.baseline
        elif not math.isnan(opened_usd) and self._rules.baseline != "off":
            moved = [replace(one) for one in self._moved if not one.known(host_ns)]
            usd = self._ledger.cash_usd + shares * opened_usd
            day.baseline = Baseline(usd, moved=moved, rules=self._rules)
        return day

    def _end_day(self, day: Day) -> None:
        """What must have happened by the close of a session that was seen to its end."""
        session = day.session
        self._days += 1
        breach = day.breach
        late = breach is not None and session.close_ns - breach.ns < LAST_MOMENTS_NS
        if breach is not None and not (breach.answered or late):
            self._violate(breach.ns, UNANSWERED)
        if day.signal == "BEAR" and day.shares_at_open > 0 and not day.sold:
            self._violate(session.close_ns, "BEAR since the close before, and nothing was sold")
        if day.signal == "BULL" and day.due_for_entry and not day.entries:
            self._missed.append(session.day)

    def _watch_evening(self, fact: f.Fact) -> None:
        """Once the close is final and BEAR, what is held is on its way out."""
        day, shares = self._day, self._ledger.shares
        if day is None or not day.session.close_ns <= fact.ns:
            return
        today = day.session.day
        if day.bear_close is None:
            told_ns = self._daily.told_ns.get(today)
            known = told_ns is not None and told_ns <= fact.ns
            if known and self._sides.get(today) == "BEAR" and shares > 0:
                day.bear_close = BearClose(fact.ns, fact.host_ns)
                self._bear_closes.append(day.bear_close)
        ends = day.bear_close
        if ends is not None and ends.sold_host_ns is None:
            gone = shares <= 0 or self._orders.selling(day.session.close_ns)
            ends.sold_host_ns = fact.host_ns if gone else None

    @property
    def _baseline(self) -> Baseline | None:
        """The day's; that of an entry holds over night."""
        over_night = self._day_before if self._rules.baseline == "entry" else None
        day = self._day or over_night
        return day.baseline if day is not None else None

    # Prices and money

    def _on_price(self, tick: f.PriceSaid | f.LastSizeSaid) -> None:
        quote = self._quotes.said(tick)
        day, shares = self._day, self._ledger.shares
        if day is None or shares <= 0 or self._rules.baseline == "off":
            return
        if not day.session.open_ns <= tick.ns < day.session.close_ns:
            return
        cash_usd = self._ledger.cash_usd
        if quote is None:
            # At the very end one sample is enough, and bid and ask alone make one.
            equity_usd, base = cash_usd + shares * self._quotes.newest.mid, day.baseline
            last = day.session.close_ns - tick.ns <= ONE_SAMPLE_NS
            if last and base is not None and base.possibly_broken(equity_usd):
                day.stop_may_fire = True
            return
        if day.baseline is None:
            day.baseline = Baseline(cash_usd + shares * quote.last, rules=self._rules)
        if not math.isnan(quote.mid):
            self._on_opening_mid(day, tick, quote.mid)
            day.must.denied()
            day.may.denied()
            marks = (quote.mid, quote.last)
            if day.baseline.possibly_broken(*(cash_usd + shares * mark for mark in marks)):
                day.stop_may_fire = True
            if day.baseline.truly_broken(quote, cash_usd, shares, tick.host_ns):
                self._on_breach(day, tick)
        elif isinstance(tick, f.PriceSaid):
            self._on_lone_print(day, tick, quote, cash_usd + shares * quote.last)

    def _on_opening_mid(self, day: Day, tick: f.Fact, mid_usd: float) -> None:
        """Where the first mid and the opening price are far apart, either may be the wild one."""
        age_ns, opened_usd = tick.ns - day.session.open_ns, self._daily.opens.get(day.session.day)
        if opened_usd is None or day.bought is not None or age_ns > LATE_NS:
            return
        if not day.first_mid.take(mid_usd, tick.ns) or self._rules.baseline != "open":
            return
        first_usd = day.first_mid.usd
        if abs(opened_usd / first_usd - 1) > OPEN_FRACTION and day.baseline is not None:
            day.baseline.widen(self._ledger.cash_usd + self._ledger.shares * first_usd)

    def _on_lone_print(self, day: Day, tick: f.PriceSaid, quote: Quote, equity_usd: float) -> None:
        """Beside no mid; at the very end one is enough."""
        assert day.baseline is not None
        surely = day.baseline.beyond_doubt(tick.host_ns, equity_usd)
        possibly = day.baseline.possibly_broken
        if day.must.printed(tick.ns, broken=surely and not quote.jumped):
            self._on_breach(day, tick)
        last = day.session.close_ns - tick.ns <= ONE_SAMPLE_NS
        if day.may.printed(tick.ns, broken=possibly(equity_usd)) or (last and possibly(equity_usd)):
            day.stop_may_fire = True

    def _on_first_marks(self, said: f.AccountSaid | f.PnlSaid, equity_usd: float) -> None:
        """Without live data the baseline of what is held at the open is of the broker's own first
        marks; honest is every one that was told until then."""
        day, shares = self._day, self._ledger.shares
        if day is None or day.bought is not None or shares <= 0 or self._quotes.live:
            return
        if self._rules.baseline != "open":
            return
        age_ns = said.ns - day.session.open_ns
        if not 0 <= age_ns < day.session.close_ns - day.session.open_ns:
            return
        if day.marked_ns and age_ns > day.marked_ns + MARKS_NS:
            return
        day.baseline = day.baseline or Baseline(equity_usd, rules=self._rules)
        day.baseline.widen(equity_usd)
        if age_ns >= FIRST_MARK_NS and not day.marked_ns:
            day.marked_ns = age_ns
        if age_ns > LATE_NS:  # then the stricter of the close before and now
            closed_usd = self._daily.close_before(day.session.day)
            if not math.isnan(closed_usd):
                day.baseline.widen(self._ledger.cash_usd + shares * closed_usd)

    def _on_pnl(self, said: f.PnlSaid) -> None:
        day, shares = self._day, self._ledger.shares
        if said.shares == shares:
            self._on_first_marks(said, self._ledger.cash_usd + said.value_usd)
        if day is None or day.baseline is None or shares <= 0 or said.shares != shares:
            return
        base, equity_usd = day.baseline, self._ledger.cash_usd + said.value_usd
        blind = self._quotes.blind(said.ns)
        last = day.session.close_ns - said.ns <= ONE_SAMPLE_NS
        possibly = base.possibly_broken(equity_usd)
        if (blind and day.may.told(said.ns, broken=possibly)) or (possibly and (last or not blind)):
            day.stop_may_fire = True
        in_session = day.session.open_ns <= said.ns < day.session.close_ns
        unseen = math.isnan(self._quotes.newest.mid) and (blind or self._quotes.live)
        if not (in_session and unseen):
            return
        if day.must.told(said.ns, broken=base.beyond_doubt(said.host_ns, equity_usd)):
            self._on_breach(day, said)

    def _on_breach(self, day: Day, fact: f.Fact) -> None:
        of_open = day.bought is None and self._rules.baseline == "open"
        if of_open and fact.ns - day.session.open_ns < OPENING_NS:
            return
        if day.breach is None:
            left_to_others = day.sold and self._ledger.shares <= self._orders.sold_by_others
            selling = left_to_others or self._orders.selling(day.session.open_ns)
            day.breach = Breach(fact.ns, fact.host_ns, selling, fact.host_ns if selling else 0)
            self._breaches.append(day.breach)
        day.breach.last_host_ns = fact.host_ns

    def _on_executed(self, execution: f.Executed) -> None:
        corrects = execution.exec_id.rpartition(".")[0] in self._ledger.executions
        if not self._ledger.executed(execution):
            return
        key = (execution.owner, execution.order_id)
        self._orders.executed(execution)
        placed = self._orders.placed.get(key)
        if placed is not None:
            self._traded.add(key)
        shares = self._ledger.shares
        if shares < 0:
            self._violate(execution.ns, f"short: {shares:g} shares after {execution.exec_id}")
        day = self._day
        if day is None:
            return
        if placed is not None and execution.side < 0:
            self._sold(day, execution)  # by a wrong clock it was sent before the open
            if placed.rests:
                day.stop_may_fire = day.stopped = True
        stops = self._rules.baseline != "off"
        if (
            stops and execution.side > 0 and not (corrects and day.bought != key)
        ):  # of an earlier session
            usd = self._ledger.cash_usd + shares * execution.price_usd
            before = day.baseline if day.bought == key and day.baseline else Baseline(usd)
            lower_usd = min(usd, before.usd, before.lower_usd)
            higher_usd = max(usd, before.usd, before.higher_usd)
            # Sized by an account that knew nothing of it: honest until the next one is told.
            unknown = self._unknown_when_sent.get(key, ())
            moved = [Moved(one.amount_usd, execution.host_ns) for one in unknown]
            day.baseline = Baseline(usd, lower_usd, higher_usd, moved, self._rules)
            day.bought = key
        if shares == 0:
            day.stop_may_fire = day.leaves_since_yesterday = False
            day.breach = None

    def _on_charged(self, charge: f.Charged) -> None:
        more_usd = self._ledger.charged(charge)
        execution = self._ledger.executions.get(charge.exec_id.rpartition(".")[0])
        if execution is None or execution.side < 0:
            return
        if self._baseline is not None:
            self._baseline.charge(more_usd)

    # Orders

    def _on_placed(self, order: f.Placed) -> None:
        if order.what_if:
            self._check_id(order)
            return
        self._count_action(order)
        self._ledger.order_placed()
        key = (order.client_id, order.order_id)
        earlier = self._orders.placed.get(key)
        if earlier is not None and not earlier.what_if:
            if earlier.content != order.content:
                self._violate(order.ns, f"order id {order.order_id} placed again, changed")
            return
        self._check_id(order)
        self._check_terms(order)
        if order.action == "BUY":
            self._unknown_when_sent[key] = [
                moved for moved in self._moved if not moved.known(order.host_ns, DECIDED_NS_MAX)
            ]
            self._check_entry(order)
        elif order.rests:
            self._check_resting_stop(order)
        elif order.action == "SELL":
            self._check_exit(order)
        else:
            self._violate(order.ns, f"{order.action} is neither BUY nor SELL")
        self._orders.place(order)

    def _count_action(self, fact: f.Placed | f.CancelAsked) -> None:
        placed = self._orders.placed.get((fact.client_id, fact.order_id))
        order = fact if isinstance(fact, f.Placed) else placed
        day = new_york_day(fact.ns), order is not None and order.rests
        self._actions[day] += 1
        most = self._rules.actions_a_day_max
        if self._actions[day] == most + 1:
            self._violate(fact.ns, f"more than {most} order actions in a day")

    def _check_id(self, order: f.Placed) -> None:
        highest = self._id_max.get(order.client_id, 0)
        if order.order_id <= highest:
            self._violate(order.ns, f"order id {order.order_id} after {highest}")
        self._id_max[order.client_id] = max(highest, order.order_id)

    def _check_terms(self, order: f.Placed) -> None:
        """What every order says of itself."""
        name = f"order {order.order_id}"
        if order.client_id != self._orders_client_id:
            self._violate(order.ns, f"{name} came from client {order.client_id}")
        if not order.plain:
            self._violate(order.ns, f"{name} is no plain order ({len(order.content)} fields)")
        if order.symbol != self._symbol:
            self._violate(order.ns, f"{name} is for {order.symbol}")
        if not order.account:
            self._violate(order.ns, f"{name} names no account")
        elif order.account not in self._accounts:
            self._violate(order.ns, f"{name} names an account that is not under this login")
        if not order.tif:
            self._violate(order.ns, f"{name} has no TIF")
        if not order.order_ref:
            self._violate(order.ns, f"{name} has no orderRef")
        elif order.order_ref in self._refs:
            earlier = self._refs[order.order_ref][1]
            self._violate(order.ns, f"{name} doubles {earlier}: the same orderRef")
        self._refs.setdefault(order.order_ref, (order.client_id, order.order_id))

    def _check_entry(self, order: f.Placed) -> None:
        name = f"entry {order.order_id}"
        for alive in self._orders.alive.values():
            other = f"{alive.placed.action} {alive.placed.order_id}"
            if alive.placed.action == "BUY":
                self._violate(order.ns, f"two entries alive at once: {name} beside {other}")
            else:
                self._violate(order.ns, f"{name} while {other} is open")
        for said in self._orders.others_at(order.host_ns - resting.TOLD_NS):
            self._violate(order.ns, f"{name} beside order {said.perm_id} of others")
        if self._ledger.shares:
            self._violate(order.ns, f"{name} while {self._ledger.shares:g} shares are held")
        if self._actions[new_york_day(order.ns), False] > self._rules.entry_actions_max:
            self._violate(order.ns, f"{name} after too many order actions in a day")
        self._check_size(order)
        day = self._day
        if day is None or not day.entry_from_ns <= order.ns <= day.entry_until_ns + WIRE_NS:
            self._violate(order.ns, f"{name} outside the entry window")
            return
        earlier = {(e.client_id, e.order_id) for e in day.entries}
        if earlier & self._traded or earlier - self._orders.answered:
            self._violate(order.ns, f"{name} is the second of its session")
        if day.signal == "BEAR":
            self._violate(order.ns, f"{name} though the close before was BEAR")
        elif day.stopped and not self._rules.reentry_same_day:
            self._violate(order.ns, f"{name} after a stop the same day")
        elif day.signal is None or day.signal_ns > order.ns:
            self._violate(order.ns, f"{name} without a final daily bar of the close before")
        day.entries.append(order)

    def _check_size(self, order: f.Placed) -> None:
        rules, price_usd = self._rules, self._quotes.sound_usd
        account_usd = self._ledger.net_liquidation_usd.get(order.client_id, math.nan)
        equity_usd = min(account_usd, rules.capital_usd_max)  # a NaN stays one
        if order.shares * price_usd > rules.order_value_usd_max * ON_ITS_WAY:
            self._violate(order.ns, f"entry {order.order_id} over the most that an order may cost")
        leverage = (self._ledger.shares + order.shares) * price_usd / equity_usd
        if math.isnan(leverage):
            self._violate(order.ns, f"entry {order.order_id} without a price or net liquidation")
        elif leverage > rules.leverage_max * ON_ITS_WAY:
            self._violate(order.ns, f"entry {order.order_id} at a leverage of {leverage:.2f}")

    def _check_exit(self, order: f.Placed) -> None:
        name = f"exit {order.order_id}"
        for fault in resting.exit_faults(order, self._orders, self._ledger):
            self._violate(order.ns, f"{name} {fault}")
        if not self._may_trade(order):
            self._violate(order.ns, f"{name} outside the session")
        if order.outside_rth and not self._rules.after_hours:
            self._violate(order.ns, f"{name} is for outside regular hours, which nobody asked for")
        cause = self._cause(order)
        if cause is None and resting.just_sold(order, self._orders, self._ledger):
            cause = "stop"  # it crossed the stop's own sale, whose breach was answered by that
        if cause is None:
            self._violate(order.ns, f"{name} without a breach, a bear signal or a flatten")
        else:
            self._causes[order.client_id, order.order_id] = cause
        if self._day is not None:
            flattened = self._day.session.day in self._flattened_on
            self._day.stopped |= cause == "stop" and self._day.stop_may_fire and not flattened
            self._sold(self._day, order)

    def _sold(self, day: Day, fact: f.Placed | f.Executed) -> None:
        day.sold = True
        if day.breach is not None and not day.breach.answered:
            day.breach.answered, day.breach.answered_host_ns = True, fact.host_ns
            self._stop_host_s.append((fact.host_ns - day.breach.host_ns) / f.SECOND_NS)

    def _check_resting_stop(self, order: f.Placed) -> None:
        baseline = self._day.baseline if self._day is not None else None
        for fault in resting.stop_faults(order, self._orders, self._ledger, baseline):
            self._violate(order.ns, f"resting stop {order.order_id} {fault}")
        if not self._may_trade(order):
            self._violate(order.ns, f"resting stop {order.order_id} outside the session")
        if self._rules.baseline == "off":
            self._violate(order.ns, f"resting stop {order.order_id} though the stop is off")
        self._causes[order.client_id, order.order_id] = "stop"

    def _may_trade(self, order: f.Placed) -> bool:
        session = self._sessions.get(new_york_day(order.ns))
        if session is None:
            return False
        from_ns, until_ns = session.open_ns, session.close_ns + WIRE_NS
        if order.outside_rth and order.order_type == "LMT":
            from_ns -= EXTENDED_BEFORE_OPEN_NS
            until_ns += EXTENDED_AFTER_CLOSE_NS
        return from_ns <= order.ns < until_ns

    def _cause(self, order: f.Placed) -> Cause | None:
        """Why a sale is allowed; the stop before the signal, as the system has it."""
        day = self._day
        if day is None:
            return None
        if (day.stop_may_fire or day.leaves_since_yesterday) and not order.outside_rth:
            return "stop"
        if resting.just_sold(order, self._orders, self._ledger):
            return "stop"
        if order.ns >= day.session.close_ns:
            signal = self._sides.get(day.session.day)
        else:
            signal = day.signal
        if signal == "BEAR":
            return "bear"
        if order.outside_rth:
            return None
        return "flatten" if day.session.day in self._flattened_on else None

    # The end

    def _check_end(self, ns: int, gateway_starts: int) -> None:
        if self._day is not None and ns >= self._day.session.close_ns + LAST_MOMENTS_NS:
            self._end_day(self._day)
        connected = len(self._connections.get(self._orders_client_id, ()))
        if connected > gateway_starts:
            self._violate(
                ns, f"the order connection was made {connected} times by {gateway_starts} starts"
            )
        said = self._ledger.published_shares
        if said is not None and said != self._ledger.shares:
            self._violate(
                ns, f"{said:g} shares published, {self._ledger.shares:g} by the executions"
            )

    def _violate(self, ns: int, sentence: str) -> None:
        self._violations.append(Violation(ns, sentence))
