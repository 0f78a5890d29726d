"""A stop monitor with a position, brought there by the facts that its peers would say.

8,000 SMH at 250 USD on 1,000,000 USD of equity: the 2 % stop lies at 247.50 USD.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import IO

from bench.peers import PeerSilentError
from common import wire
from common.clock import SECOND_NS
from common.messages import (
    AccountSnapshot,
    BrokerLink,
    Fill,
    HaltLatch,
    Message,
    OpeningPrint,
    Order,
    OrderBook,
    OrderUpdate,
    Quote,
    Session,
    Signal,
)

SHARES = 8_000
OPEN_USD = 250.0
ABOVE_STOP_USD = 250.0
BELOW_STOP_USD = 245.0
FIRST_DAY = date(2025, 1, 2)
HOUR_NS = 3600 * SECOND_NS
START_S_MAX = 30.0


class Voice:
    """Frames of one service's facts as its engine would number them."""

    def __init__(self, speaker: str) -> None:
        self.speaker = speaker
        self._said: dict[type[Message], int] = {}

    def frame(self, fact: Message) -> bytes:
        seq = self._said[type(fact)] = self._said.get(type(fact), 0) + 1
        now_ns = time.time_ns()
        return wire.encode_fact(
            wire.Envelope(wire.WIRE_VERSION, self.speaker, 1, seq, 1, now_ns, fact)
        )


def session(number: int) -> Session:
    """The session of that number, an hour old and an hour from its close."""
    now_ns = time.time_ns()
    day = FIRST_DAY + timedelta(days=number)
    return Session(
        previous_day=day - timedelta(days=1), day=day, open_ns=now_ns - HOUR_NS,
        close_ns=now_ns + HOUR_NS, early=False, next_day=day + timedelta(days=1),
        next_open_ns=now_ns + 20 * HOUR_NS, next_close_ns=now_ns + 26 * HOUR_NS,
        broker_agrees=True,
    )  # fmt: skip


def feed_facts(number: int) -> list[Message]:
    """What market_feed says in that session, so that the stop is armed."""
    today = session(number)
    opening = OpeningPrint(day=today.day, price_usd=OPEN_USD, official=True)
    return [today, opening, quote(ABOVE_STOP_USD)]


def gateway_facts() -> list[Message]:
    """What broker_gateway says of an account that holds the position."""
    now_ns = time.time_ns()
    value_usd = SHARES * OPEN_USD
    account = AccountSnapshot(
        refreshed_ns=now_ns, net_liquidation_usd=value_usd / 2, cash_usd=-value_usd / 2,
        equity_with_loan_usd=value_usd / 2, init_margin_usd=value_usd * 0.15,
        maint_margin_usd=value_usd * 0.15, excess_liquidity_usd=value_usd * 0.35, sma_usd=None,
        portfolio_margin=True, shares=SHARES, average_cost_usd=OPEN_USD, mark_usd=OPEN_USD,
        other_profit_usd=0.0,
    )  # fmt: skip
    return [
        BrokerLink(
            state="ready", account="DU***67", port=4002, since_ns=now_ns, clock_offset_s=0.0,
            reason="",
        ),
        account,
        OrderBook(
            reconciled=True, working=(), unknown=(), foreign_buy_shares=0, foreign_sell_shares=0
        ),
        HaltLatch(mode="ACTIVE", reason="", since_ns=now_ns),
    ]  # fmt: skip


def signal_facts(number: int) -> list[Message]:
    """What signal_engine says in a bull market."""
    day = FIRST_DAY + timedelta(days=number - 1)
    return [
        Signal(
            day=day, fast_usd=250.0, slow_usd=240.0, side="BULL", final=True, bars=1250,
            flip_close_usd=200.0,
        )
    ]  # fmt: skip


def quote(mark_usd: float) -> Quote:
    """A live quote whose mid and last agree: one of them may fire the stop."""
    return Quote(
        tick_ns=time.time_ns(), bid_usd=mark_usd - 0.01, ask_usd=mark_usd + 0.01, last_usd=mark_usd,
        mark_usd=mark_usd, agree=True, kind="live",
    )  # fmt: skip


def sold_and_bought_back(order: Order) -> list[Message]:
    """The exit fills, and the position is bought back at the same price: all is as before it."""
    now_ns = time.time_ns()
    done = OrderUpdate(
        intent_id=order.intent_id, order_id=1, perm_id=1, status="Filled", filled=order.shares,
        remaining=0, average_usd=BELOW_STOP_USD, code=0, reason="",
    )  # fmt: skip
    sold = Fill(
        exec_id=f"{now_ns}.sold", revision=1, intent_id=order.intent_id, action="SELL",
        shares=order.shares, price_usd=BELOW_STOP_USD, filled_ns=now_ns, liquidation=False,
    )  # fmt: skip
    bought = Fill(
        exec_id=f"{now_ns}.bought", revision=1, intent_id="", action="BUY",
        shares=order.shares, price_usd=BELOW_STOP_USD, filled_ns=now_ns, liquidation=False,
    )  # fmt: skip
    return [done, sold, bought]


def environment(var_dir: Path, run_dir: Path) -> dict[str, str]:
    """A service's environment: these folders, wall clock, settings as shipped, bytecode cached."""
    foreign = ("TRADER_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"TRADER_VAR": str(var_dir), "TRADER_RUN": str(run_dir)}


@contextmanager
def started(module: str, var_dir: Path, run_dir: Path) -> Iterator[float]:
    """Runs `python -m module`, a risk monitor; yields the seconds until its loop began."""
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", module],
        env=environment(var_dir, run_dir),
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        too_late = threading.Timer(START_S_MAX, process.kill)
        too_late.start()
        drain = threading.Thread(target=_drain, args=(process.stderr,))
        try:
            _await_line(process.stderr, b" started, ")
            took_s = time.perf_counter() - began
            too_late.cancel()
            drain.start()
            yield took_s
        finally:
            too_late.cancel()
            process.kill()
            if drain.ident is not None:
                drain.join()


def _await_line(log: IO[bytes], text: bytes) -> None:
    said = []
    for line in log:
        said.append(line)
        if text in line:
            return
    raise PeerSilentError(b"".join(said).decode(errors="replace") or "it ended without a word")


def _drain(log: IO[bytes]) -> None:
    for _ in log:
        pass
