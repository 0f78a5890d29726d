"""One entry and its evening: the risk monitor's decider beside the simulated TWS's broker.

The broker's what-if, its acceptance, its fills, its SMA and its end-of-day check are the simulated
TWS's own; the decider hears of them what the gateway would tell it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from common.core import outbox
from common.core.gateway import account_rows
from common.messages import (
    Alert,
    EntryClamped,
    EntryRefused,
    Fill,
    GoNoGo,
    MarginPreview,
    Message,
    Order,
    PlaceOrder,
    PreviewMargin,
    RiskState,
)
from common.settings import Settings
from common.tws import messages as tws
from services.sim_tws import account as money
from services.sim_tws import account_values, order_checks
from services.sim_tws.broker import Broker
from services.sim_tws.contracts import SMH
from services.sim_tws.day_cycle import DayCycle
from services.sim_tws.market import Market, synthetic
from services.sim_tws.orders import Execution, Ticket
from services.sim_tws.switches import Switches
from services.sim_tws.tape import Tape
from tests.core.risk_play import RiskDay, session, settings
from tests.playbook import instant, of

DAY, BEFORE, AFTER = date(2025, 6, 2), date(2025, 5, 30), date(2025, 6, 3)
TIERS = (3.0, 3.25, 3.5, 3.75)
EQUITIES_USD = (90_000.0, 105_000.0, 150_000.0, 1_000_000.0)
ACCOUNTS = (("portfolio", 0.15), ("portfolio", 0.30), ("regt", 0.25))
"""Kind, and initial margin of value; 0.30 is IB's stress of a concentrated position."""
SAID = ("auto", "portfolio", "regt")
CHECKS = ("clamp", "refuse", "off")


@dataclass(frozen=True, slots=True)
class Case:
    kind: str
    rate: float
    said: str  # margin.account
    check: str  # margin.check
    equity_usd: float
    tier: float


@dataclass(slots=True)
class Outcome:
    """What came of it. `told`: the line a person reads; `liquidated`: shares that IB sold."""

    mark_usd: float
    ask_usd: float
    shares: int = 0
    fill_usd: float = 0.0
    told: str = ""
    refused: str = ""
    ready: str = ""
    sma_usd: float = 0.0
    cash_usd: float = 0.0
    liquidation_price_usd: float | None = None
    liquidated: int = 0
    mode: str = ""
    paged: bool = False
    what_ifs: int = 0


def cases() -> Iterator[Case]:
    for (kind, rate), said, check, equity_usd, tier in itertools.product(
        ACCOUNTS, SAID, CHECKS, EQUITIES_USD, TIERS
    ):
        yield Case(kind, rate, said, check, equity_usd, tier)


@functools.cache
def market() -> Market:
    return synthetic(7, DAY)


class MarginDay(RiskDay):
    """A risk monitor whose account, what-ifs and fills are the simulated broker's."""

    def __init__(self, case: Case) -> None:
        start_ns = instant(DAY, "15:45")
        self.owned = money.Account("DU1234567", case.equity_usd, case.kind, stress_rate=case.rate)
        self.broker = Broker(Tape(market()), [self.owned], start_ns, Switches())
        self.cycle = DayCycle(self.broker)
        self.gateway = outbox.start(Settings())
        given = settings(margin={"check": case.check, "account": case.said})
        self.gateway.settings = given
        self.told_fills = 0
        self.what_ifs = 0
        hours = session(DAY, BEFORE, AFTER)
        super().__init__(given, "15:45", cash_usd=case.equity_usd, hours=hours, leverage=case.tier)

    def _hear(self, message: Message) -> list[Message]:
        """Without the second state: these combinations are many."""
        self.decider.evolve(self.state, self.now, message)
        outputs: list[Message] = self.decider.decide(self.state, self.now, message)
        for output in outputs:
            self.decider.evolve(self.state, self.now, output)
        self.said += outputs
        return outputs

    @property
    def true_mark_usd(self) -> float:
        return self.broker.tape.mark(self.now.market_ns)

    def account(self, after_s: float = 0.0) -> list[Message]:
        self.wait(after_s)
        found = account_rows.snapshot(self.gateway, self.now, self._rows())
        assert found is not None
        return self.hear(found)

    def _rows(self) -> tws.AccountRows:
        valuation = self.owned.valuation(self.true_mark_usd, self.now.market_ns)
        rows = account_values.rows(valuation, "DU1234567", self.owned.margin_kind, "USD", 1.0)
        held = tuple(
            tws.Holding(
                symbol="SMH", security="STK", shares=int(h.shares), mark_usd=h.price_usd,
                profit_usd=0.0, average_cost_usd=h.average_usd,
            )
            for h in valuation.holdings
        )  # fmt: skip
        return tws.AccountRows(account="DU1234567", rows=tuple(rows), holdings=held)

    def go(self, clock: str) -> list[Message]:
        """An instant of the day, everything fresh, every what-if answered by the broker."""
        self.wait_until(instant(DAY, clock))
        self.broker.exchange.advance(self.now.market_ns)
        said = self.quote(self.true_mark_usd) + self.account() + self.tick()
        while asked := [p for p in of(PreviewMargin, said) if p.key == self.state.preview_asked]:
            if self.state.preview is not None:
                break
            self.what_ifs += 1
            assert self.what_ifs < 40, "a what-if that is answered is asked again and again"
            said += self.preview(asked[-1]) + self.tick()
        return said + self.tick()

    def preview(self, asked: PreviewMargin, problem: str = "") -> list[Message]:
        mark_usd = self.true_mark_usd
        ask_usd = self.broker.tape.tick("SMH", self.now.market_ns).ask
        refusal = order_checks.margin_refusal(1, asked.shares, ask_usd, [], self.owned, mark_usd)
        problem = f"{refusal[0]}: {refusal[1]}" if refusal else problem
        fee_usd = money.commission_usd(asked.shares, 0.0)
        after_usd = self.owned.margin_usd(mark_usd, asked.shares)
        return self.hear(
            MarginPreview(
                key=asked.key,
                shares=asked.shares,
                init_before_usd=0.0 if refusal else self.owned.margin_usd(mark_usd),
                init_after_usd=0.0 if refusal else after_usd,
                maint_after_usd=0.0 if refusal else after_usd,
                equity_with_loan_after_usd=0.0 if refusal else self.owned.cash_usd - fee_usd,
                commission_usd=0.0 if refusal else fee_usd,
                problem=problem,
                rejected=refusal is not None,
            )
        )

    def buy(self, order: Order, order_id: int) -> str:
        """The order at the broker; "" when it was filled, else why not."""
        ticket = Ticket("BUY", float(order.shares), "MKT", order_ref=order.intent_id)
        refusal = self.broker.place(1, order_id, SMH, "SMART", ticket)
        assert refusal is None, refusal
        self.wait(2.0)
        self.broker.exchange.advance(self.now.market_ns)
        placed = self.broker.books.find(1, order_id)
        assert placed is not None
        if placed.status != "Filled":
            self.update(order, "REJECTED", code=201, reason=placed.completed_reason)
            return placed.completed_reason
        self.update(order, "Submitted")
        self.hear_fills(order)
        self.update(order, "Filled", order.shares)
        self.account()
        self.tick()
        return ""

    def hear_fills(self, order: Order | None = None) -> list[Execution]:
        """What the broker executed since the last look."""
        new = self.broker.books.executions[self.told_fills :]
        self.told_fills += len(new)
        for fill in new:
            self.hear(
                Fill(
                    exec_id=fill.exec_id, revision=0, intent_id=order.intent_id if order else "",
                    action="BUY" if fill.side > 0 else "SELL", shares=int(fill.shares),
                    price_usd=fill.price_usd, filled_ns=fill.ts_ns, liquidation=fill.liquidation,
                )
            )  # fmt: skip
        return new


@functools.cache
def played(case: Case) -> Outcome:
    """The entry at 15:55 and what the broker does about it until 17:25."""
    day = MarginDay(case)
    ready = of(GoNoGo, day.go("15:50"))
    said: list[Any] = day.go("15:55")
    tick = day.broker.tape.tick("SMH", day.now.market_ns)
    found = Outcome(day.true_mark_usd, tick.ask)
    found.ready = next((c.detail for line in ready for c in line.checks if c.name == "margin"), "")
    for order_id in (1, 2):
        orders = [message.order for message in of(PlaceOrder, said)]
        if not orders:
            break
        found.refused = day.buy(orders[-1], order_id)
        if not found.refused:
            found.shares = orders[-1].shares
            break
        said = day.go(f"15:5{5 + order_id}")
    found.told = " ".join(clamp.why for clamp in day.all(EntryClamped))
    refusals = day.all(EntryRefused)
    found.refused = refusals[-1].reason if refusals and not found.shares else found.refused
    found.what_ifs = day.what_ifs
    _evening(day, found)
    return found


def _evening(day: MarginDay, found: Outcome) -> None:
    found.sma_usd, found.cash_usd = day.owned.sma_usd, day.owned.cash_usd
    if found.shares:
        found.fill_usd = day.broker.books.executions[-1].average_usd
        day.tick(1.0)
        found.liquidation_price_usd = day.newest(RiskState).liquidation_price_usd
    day.wait_until(instant(DAY, "17:25"))
    day.broker.exchange.advance(day.now.market_ns)
    found.liquidated = sum(int(f.shares) for f in day.hear_fills() if f.liquidation)
    day.account()
    day.tick(3.0)
    state = day.newest(RiskState) if day.all(RiskState) else None
    found.mode = state.mode if state else "ACTIVE"
    found.paged = any(
        alert.level == "page" and alert.raised and alert.code == "halt-liquidation"
        for alert in day.all(Alert)
    )
