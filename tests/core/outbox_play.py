"""The gateway's decider on a table: messages in, outputs out, time by hand, crashes at will.

Every step checks what holds for all of them: decide changes nothing, what is said is valid, and a
fold of the journal gives the very same state.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from common import wire
from common.clock import SECOND_NS
from common.core import outbox
from common.messages import (
    Accepted,
    Message,
    Now,
    Order,
    OrderType,
    OrderUpdate,
    Purpose,
    Reason,
    Refused,
    Session,
    Started,
    SubmitOrder,
    Tick,
)
from common.settings import Settings
from common.tws import messages as tws
from common.tws.link_messages import LinkDown, LinkUp, TwsError

ACCOUNT = "DU1234567"
DAY = date(2024, 6, 4)
START_NS = 1_717_509_600 * SECOND_NS  # 10:00 in New York
HOUR_NS = 3600 * SECOND_NS
SESSION = Session(
    previous_day=date(2024, 6, 3),
    day=DAY,
    open_ns=START_NS - HOUR_NS // 2,
    close_ns=START_NS + 6 * HOUR_NS,
    early=False,
    next_day=date(2024, 6, 5),
    next_open_ns=START_NS + 23 * HOUR_NS + HOUR_NS // 2,
    next_close_ns=START_NS + 30 * HOUR_NS,
    broker_agrees=True,
)
REASONS: dict[Purpose, Reason] = {"ENTRY": "signal", "EXIT": "stop", "STOP": "resting_stop"}
_encode = msgspec.msgpack.Encoder().encode
_decode_record = wire.record_decoder(outbox.EDGE_MESSAGES).decode


def order(
    purpose: Purpose = "ENTRY",
    attempt: int = 1,
    shares: int = 1000,
    order_type: OrderType = "MKT",
    limit_usd: float | None = None,
    deadline_s: float = 3600.0,
    outside_rth: bool = False,
) -> Order:
    rests = purpose == "STOP"
    return Order(
        intent_id=f"20240604-{purpose}-{attempt}",
        day=DAY,
        purpose=purpose,
        reason=REASONS[purpose],
        action="BUY" if purpose == "ENTRY" else "SELL",
        shares=shares,
        order_type="STP" if rests else order_type,
        limit_usd=limit_usd,
        stop_usd=99.0 if rests else None,
        outside_rth=outside_rth,
        price_usd=100.0,
        deadline_ns=START_NS + int(deadline_s * SECOND_NS),
    )


def account_rows(
    net: float = 1_000_000.0, currency: str = "USD", shares: int = 0, prefix: str = "", **more: str
) -> tws.AccountRows:
    amounts = {
        "NetLiquidation": net,
        "TotalCashValue": net - shares * 100.0,
        "EquityWithLoanValue": net,
        "InitMarginReq": 0.0,
        "MaintMarginReq": 0.0,
        "ExcessLiquidity": net,
    }
    rows = [(f"{prefix}{key}", f"{usd:.2f}", currency) for key, usd in amounts.items()]
    rows += [(key.replace("_", "-"), value, "") for key, value in more.items()]
    held = (tws.Holding("SMH", "STK", shares, 100.0, 0.0, 100.0),) if shares else ()
    return tws.AccountRows(ACCOUNT, tuple(rows), held)


class Play:
    """A gateway's decider and its journal."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.market_ns = START_NS
        self.host_ns = 1_000 * SECOND_NS
        self.records: list[bytes] = []
        self.state = outbox.start(self.settings)
        self.said: list[Message] = []
        self.sent: list[tws.SendOrder] = []
        self.hear(Started(self.settings.to_json()))
        self.hear(SESSION)

    @property
    def now(self) -> Now:
        return Now(market_ns=self.market_ns, host_ns=self.host_ns)

    def hear(self, message: Message) -> list[Message]:
        """One event, judged and recorded; effects are returned, not performed."""
        outputs = self.judge(message)
        self.record(message, outputs)
        return outputs

    def judge(self, message: Message) -> list[Message]:
        """The decision alone: a process that dies before its record is written leaves no more."""
        outbox.evolve(self.state, self.now, message)
        before = _encode(self.state)
        outputs = outbox.decide(self.state, self.now, message)
        assert _encode(self.state) == before, "decide() changed the state"
        return outputs

    def record(self, message: Message, outputs: list[Message]) -> None:
        if outputs or not isinstance(message, Tick):
            numbered = tuple((0, output) for output in outputs)
            self.records.append(_encode(wire.Record(self.now, "", 0, 0, message, numbered)))
        for output in outputs:
            outbox.evolve(self.state, self.now, output)
            if isinstance(output, tws.SendOrder):
                self.sent.append(output)
        self.said += outputs

    def pass_s(self, seconds: float, step_s: float = 0.5) -> list[Message]:
        """Time passes, with a tick each step."""
        outputs: list[Message] = []
        while seconds > 0:
            step_ns = int(min(step_s, seconds) * SECOND_NS)
            self.market_ns += step_ns
            self.host_ns += step_ns
            seconds -= step_s
            outputs += self.hear(Tick())
        return outputs

    def folded(self) -> outbox.State:
        state = outbox.start(self.settings)
        for payload in self.records:
            record = _decode_record(payload)
            outbox.evolve(state, record.now, record.message)
            for _, output in record.outputs:
                outbox.evolve(state, record.now, output)
        return state

    def crash(self) -> None:
        """kill -9 and a restart: only the records are left."""
        self.state = self.folded()
        self.hear(Started(self.settings.to_json()))

    # --- what TWS says -------------------------------------------------------------------------

    def connect(
        self, next_id: int = 1, accounts: tuple[str, ...] = (ACCOUNT,), shares: int = 0
    ) -> None:
        """A connection, up to a link that is ready; the books are empty but for a position."""
        self.link_up(next_id, accounts)
        self.hear(tws.ContractKnown(229725622, "SMH", "NASDAQ"))
        self.hear(account_rows(shares=shares))
        self.hear(tws.OwnPrice(100.0, "live"))
        self.books(shares=shares)

    def link_up(self, next_id: int = 1, accounts: tuple[str, ...] = (ACCOUNT,)) -> list[Message]:
        return self.hear(LinkUp(7497, 176, accounts, next_id))

    def link_down(self) -> list[Message]:
        return self.hear(LinkDown("the connection was closed", listening=False))

    def books(
        self,
        shares: int = 0,
        opened: tuple[tws.OpenOrder, ...] = (),
        executions: tuple[tws.ExecutionReport, ...] = (),
        completed: tuple[tws.CompletedOrder, ...] = (),
        statuses: tuple[tws.StatusReport, ...] = (),
    ) -> list[Message]:
        """Lets the gateway ask for its books, unless it has, and answers."""
        if not self.state.snapshots.pending:
            self.hear(Tick())
        assert self.state.snapshots.pending, "no snapshot was asked for"
        rows = (tws.PositionReport(ACCOUNT, "SMH", shares, 100.0),) if shares else ()
        number = self.state.snapshots.number
        return self.hear(
            tws.Snapshot(number, self.host_ns, opened, statuses, completed, executions, rows)
        )

    def error(self, code: int, text: str = "as TWS says it", ref_id: int = -1) -> list[Message]:
        return self.hear(TwsError(ref_id, code, text))

    def opened(self, sent: tws.SendOrder, status: str = "Submitted") -> tws.OpenOrder:
        wanted = sent.order
        return tws.OpenOrder(
            sent.order_id, 1, 9000 + sent.order_id, sent.order_ref, ACCOUNT, "SMH", wanted.action,
            wanted.shares, status,
        )  # fmt: skip

    def status(
        self, sent: tws.SendOrder, status: str = "Submitted", filled: int = 0
    ) -> tws.StatusReport:
        remaining = sent.order.shares - filled
        return tws.StatusReport(
            sent.order_id, 1, 9000 + sent.order_id, status, filled, remaining, 100.0, ""
        )

    def execution(
        self, sent: tws.SendOrder, shares: int = 0, number: int = 1, revision: int = 1
    ) -> tws.ExecutionReport:
        return tws.ExecutionReport(
            f"0000e0d5.{sent.order_id:04d}{number:04d}.01.{revision:02d}", sent.order_id, 1,
            9000 + sent.order_id, sent.order_ref, ACCOUNT, "SMH", sent.order.action,
            shares or sent.order.shares, 100.0, self.market_ns, liquidation=False,
        )  # fmt: skip

    # --- what is asked and answered ------------------------------------------------------------

    def submit(self, wanted: Order, key: str = "") -> Accepted | Refused:
        outputs = self.hear(SubmitOrder(key or f"ask-{wanted.intent_id}", 0, wanted))
        return next(o for o in outputs if isinstance(o, (Accepted, Refused)))

    def refusal(self, wanted: Order) -> str:
        answer = self.submit(wanted)
        return answer.reason if isinstance(answer, Refused) else ""

    def send(self, wanted: Order) -> tws.SendOrder:
        """Submitted, accepted and on its way."""
        answer = self.submit(wanted)
        assert isinstance(answer, Accepted), answer
        return self.sent[-1]

    def hold(self, shares: int = 1000) -> tws.SendOrder:
        """An entry that filled; the position is held and proven."""
        sent = self.send(order("ENTRY", shares=shares))
        self.hear(self.opened(sent))
        self.hear(self.execution(sent))
        self.hear(self.status(sent, "Filled", shares))
        self.hear(tws.PositionReport(ACCOUNT, "SMH", shares, 100.0))
        return sent

    def hold_partly(self, shares: int) -> tws.SendOrder:
        """An entry of 1,000 that works on, with so many of them bought."""
        sent = self.send(order("ENTRY"))
        self.hear(self.opened(sent))
        self.hear(self.execution(sent, shares))
        self.hear(tws.PositionReport(ACCOUNT, "SMH", shares, 100.0))
        return sent

    def newest(self, kind: type[Any]) -> Any:
        return next((word for word in reversed(self.said) if isinstance(word, kind)), None)

    def all(self, kind: type[Any]) -> list[Any]:
        return [word for word in self.said if isinstance(word, kind)]

    def status_of(self, wanted: Order) -> str:
        words = [u for u in self.all(OrderUpdate) if u.intent_id == wanted.intent_id]
        return words[-1].status if words else ""
