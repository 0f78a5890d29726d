"""Cash, positions and margin of one account; the truth, valued at any mark.

Portfolio margin: a stress rate per share, initial = maintenance. Reg T: 25% of the value in the
session (what a what-if shows), 50% against the SMA at the end of the day. All amounts in USD.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from services.sim_tws.contracts import SMH, Instrument

COMMISSION_PER_SHARE_USD = 0.005
COMMISSION_MIN_USD = 1.0
PORTFOLIO = "portfolio"
REG_T = "regt"
MARGIN_KINDS = (PORTFOLIO, REG_T)
REG_T_RATE = 0.25
REG_T_OVERNIGHT_RATE = 0.50
PORTFOLIO_START_USD_MIN = 110_000
PORTFOLIO_USD_MIN = 100_000  # below it only orders that reduce margin pass


@dataclass(slots=True)
class Position:
    """Shares of one instrument; `average_usd` includes commissions, as IB's does."""

    instrument: Instrument
    shares: float = 0.0
    average_usd: float = 0.0
    realized_usd: float = 0.0  # since the last reset
    reset_value_usd: float = 0.0
    traded_usd: float = 0.0  # net cash of trades since the last reset
    fixed_price_usd: float | None = None  # an instrument outside the market

    def trade(self, side: int, shares: float, price: float, fee: float) -> float | None:
        """Books one fill; returns the profit it realized, None for an opening one."""
        signed = side * shares
        self.traded_usd -= signed * price + fee
        if self.shares * signed >= 0:
            total = abs(self.shares) + shares
            cost = abs(self.shares) * self.average_usd + shares * price + side * fee
            self.average_usd = cost / total
            self.shares += signed
            return None
        closing = min(shares, abs(self.shares))
        fee_closing = fee * closing / shares
        realized = (price - self.average_usd) * closing * -side - fee_closing
        self.shares += signed
        if shares > closing:
            self.average_usd = price + side * (fee - fee_closing) / (shares - closing)
        elif self.shares == 0:
            self.average_usd = 0.0
        self.realized_usd += realized
        return realized

    def mark(self, smh_usd: float) -> float:
        return smh_usd if self.fixed_price_usd is None else self.fixed_price_usd

    def daily_usd(self, smh_usd: float) -> float:
        return self.shares * self.mark(smh_usd) - self.reset_value_usd + self.traded_usd

    def unrealized_usd(self, smh_usd: float) -> float:
        return self.shares * (self.mark(smh_usd) - self.average_usd)


@dataclass(frozen=True, slots=True)
class Holding:
    """A position inside a valuation."""

    instrument: Instrument
    shares: float
    price_usd: float
    average_usd: float
    realized_usd: float

    @property
    def value_usd(self) -> float:
        return self.shares * self.price_usd


@dataclass(frozen=True, slots=True)
class Valuation:
    """The account at one instant and mark."""

    ts_ns: int
    cash_usd: float
    holdings: tuple[Holding, ...]
    init_margin_usd: float
    maint_margin_usd: float
    sma_usd: float
    unrealized_usd: float
    realized_usd: float
    previous_equity_usd: float
    accrued_usd: float

    @property
    def gross_usd(self) -> float:
        return sum(abs(holding.value_usd) for holding in self.holdings)

    @property
    def stock_usd(self) -> float:
        return sum(holding.value_usd for holding in self.holdings)

    @property
    def net_liquidation_usd(self) -> float:
        return self.cash_usd + self.stock_usd + self.accrued_usd

    @property
    def excess_liquidity_usd(self) -> float:
        return self.net_liquidation_usd - self.maint_margin_usd

    @property
    def available_usd(self) -> float:
        return self.net_liquidation_usd - self.init_margin_usd


@dataclass(slots=True)
class Account:
    """One account of the login, with its money and its margin rules."""

    account_id: str
    cash_usd: float
    margin_kind: str = PORTFOLIO
    stress_rate: float = 0.15
    positions: dict[int, Position] = field(default_factory=dict)
    sma_usd: float = 0.0
    previous_equity_usd: float = 0.0
    base_currency: str = "USD"
    dividends: dict[date, float] = field(default_factory=dict)
    """Accrued, USD, by the day on which they are paid."""

    def __post_init__(self) -> None:
        self.sma_usd = self.sma_usd or self.cash_usd
        self.previous_equity_usd = self.previous_equity_usd or self.cash_usd
        self.positions.setdefault(SMH.con_id, Position(SMH))

    @property
    def smh(self) -> Position:
        return self.positions[SMH.con_id]

    @property
    def margin_rate(self) -> float:
        return self.stress_rate if self.margin_kind == PORTFOLIO else REG_T_RATE

    def trade(self, side: int, shares: float, price: float, fee: float) -> float | None:
        """Books one SMH fill; returns the profit realized, None for an opening fill."""
        self.cash_usd -= side * shares * price + fee
        held = self.smh.shares
        grows = abs(held + side * shares) - abs(held)
        self.sma_usd -= REG_T_OVERNIGHT_RATE * grows * price + fee
        return self.smh.trade(side, shares, price, fee)

    def move_cash(self, amount_usd: float) -> None:
        """A deposit (+) or withdrawal (-), a dividend or a fee."""
        self.cash_usd += amount_usd
        self.sma_usd += amount_usd

    @property
    def accrued_usd(self) -> float:
        """Dividends from their ex-date to their payment; part of net liquidation."""
        return sum(self.dividends.values())

    def accrue(self, amount_usd: float, paid_on: date) -> None:
        """An ex-date: a dividend of the shares held, to be paid on that day."""
        if amount_usd:
            self.dividends[paid_on] = self.dividends.get(paid_on, 0.0) + amount_usd

    def pay_dividends(self, day: date) -> None:
        """Those due by `day` become cash."""
        for paid_on in [due for due in self.dividends if due <= day]:
            self.move_cash(self.dividends.pop(paid_on))

    def split(self, ratio: float) -> None:
        self.smh.shares *= ratio
        self.smh.average_usd /= ratio

    def margin_usd(self, smh_usd: float, extra_shares: float = 0.0) -> float:
        """Margin of all positions with `extra_shares` of SMH added."""
        total = 0.0
        for position in self.positions.values():
            extra = extra_shares if position.instrument == SMH else 0.0
            total += abs((position.shares + extra) * position.mark(smh_usd)) * self.margin_rate
        return total

    def valuation(self, smh_usd: float, ts_ns: int) -> Valuation:
        held = tuple(
            Holding(p.instrument, p.shares, p.mark(smh_usd), p.average_usd, p.realized_usd)
            for p in self.positions.values()
            if p.shares or p.traded_usd
        )
        margin = self.margin_usd(smh_usd)
        return Valuation(
            ts_ns=ts_ns,
            cash_usd=self.cash_usd,
            holdings=held,
            init_margin_usd=margin,
            maint_margin_usd=margin,
            sma_usd=self.sma_usd,
            unrealized_usd=sum(p.unrealized_usd(smh_usd) for p in self.positions.values()),
            realized_usd=sum(p.realized_usd for p in self.positions.values()),
            previous_equity_usd=self.previous_equity_usd,
            accrued_usd=self.accrued_usd,
        )

    def net_liquidation_usd(self, smh_usd: float) -> float:
        held_usd = sum(p.shares * p.mark(smh_usd) for p in self.positions.values())
        return self.cash_usd + held_usd + self.accrued_usd

    def end_of_session(self, smh_usd: float) -> None:
        """The 16:00 roll: equity is remembered; the SMA is at least the Reg T excess."""
        equity = self.net_liquidation_usd(smh_usd)
        gross = sum(abs(p.shares * p.mark(smh_usd)) for p in self.positions.values())
        self.previous_equity_usd = equity
        self.sma_usd = max(self.sma_usd, equity - REG_T_OVERNIGHT_RATE * gross)

    def reset_daily(self, smh_usd: float) -> None:
        """The daily PnL starts again from here."""
        for position in self.positions.values():
            position.reset_value_usd = position.shares * position.mark(smh_usd)
            position.traded_usd = 0.0
            position.realized_usd = 0.0


def commission_usd(cumulative: float, charged_usd: float) -> float:
    """The fee of a fill: what `cumulative` shares of its order cost, less what was charged."""
    due = max(COMMISSION_MIN_USD, cumulative * COMMISSION_PER_SHARE_USD)
    return round(due - charged_usd, 6)
