"""Shares and money from executions and commissions alone; what TWS publishes is only compared."""

from __future__ import annotations

import math

from tests.oracle.facts import (
    AccountSaid,
    Charged,
    Executed,
    MoneyMoved,
    PositionSaid,
    Split,
    number,
)

CASH_KEYS = frozenset({"TotalCashBalance", "TotalCashValue"})
PART_MIN = 1e-6
"""A smaller part of a share is an error of rounding."""


class Ledger:
    """The account's SMH shares and cash. Opening cash is the first that TWS published."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.executions: dict[str, Executed] = {}  # by root id: a correction takes its place
        self.commissions_usd: dict[str, float] = {}
        self.shares = 0.0
        self.part = 0.0
        """Of a share, that lies beside the whole ones."""
        self.opening_cash_usd = math.nan
        self.spent_usd = 0.0
        self.published_shares: float | None = None
        self.published_cash_usd = math.nan
        self.net_liquidation_usd: dict[int, float] = {}  # by client id: what it was told last

    @property
    def cash_usd(self) -> float:
        return self.opening_cash_usd - self.spent_usd

    def executed(self, execution: Executed) -> bool:
        """Books it; False when it is known already."""
        root, _, revision = execution.exec_id.rpartition(".")
        old = self.executions.get(root)
        if execution.symbol != self.symbol or (
            old is not None and old.exec_id.rpartition(".")[2] >= revision
        ):
            return False
        self.executions[root] = execution
        self._book(execution, +1)
        if old is not None:
            self._book(old, -1)
        return True

    def charged(self, charge: Charged) -> float:
        """Books a commission; returns how much more it is than what was booked for it, USD."""
        root = charge.exec_id.rpartition(".")[0]
        more_usd = charge.commission_usd - self.commissions_usd.get(root, 0.0)
        if root not in self.executions:
            return 0.0
        self.commissions_usd[root] = charge.commission_usd
        self.spent_usd += more_usd
        return more_usd

    def published(self, said: AccountSaid) -> None:
        if said.key == "NetLiquidation" and said.currency == "USD":
            self.net_liquidation_usd[said.client_id] = number(said.value)
        elif said.key in CASH_KEYS and said.currency == "USD":
            self.published_cash_usd = number(said.value)
            if math.isnan(self.opening_cash_usd):
                self.opening_cash_usd = self.published_cash_usd + self.spent_usd

    def order_placed(self) -> None:
        """From here on a position may come from an execution that is told later."""
        if self.published_shares is None:
            self.published_shares = self.shares

    def position_said(self, said: PositionSaid) -> None:
        """A position that was there before the first order is part of the opening. Part of a share
        beside whole ones is nobody's: no order can sell it."""
        if said.symbol != self.symbol:
            return
        whole = float(math.floor(said.shares + PART_MIN))
        self.part = said.shares - whole
        if self.published_shares is None and not self.executions:
            self.shares = whole
        self.published_shares = whole

    def money_moved(self, moved: MoneyMoved) -> None:
        self.opening_cash_usd += moved.amount_usd

    def split(self, split: Split) -> None:
        """Parts of shares split too, and may make a whole one."""
        if split.symbol == self.symbol:
            whole = (self.shares + self.part) * split.ratio
            self.shares = float(math.floor(whole + PART_MIN))
            self.part = whole - self.shares

    def _book(self, execution: Executed, sign: int) -> None:
        signed = sign * execution.side * execution.shares
        self.shares += signed
        self.spent_usd += signed * execution.price_usd
