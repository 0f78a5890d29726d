"""What passed between the system and TWS, as the oracle reads it from a recording of the wire."""

from __future__ import annotations

import math
from typing import Any

from common.messages import Message
from common.tws import messages as tws
from common.tws.link_messages import TwsError
from common.tws.orders import CANCEL_WITH_BLOCK, DOUBLE_BID_ASK
from tests.oracle import facts as f
from tests.simulation.timeline import Timeline

PRICE_REQUEST, BARS_REQUEST = 1, 2
ORDER_FIELDS = f.PLAIN_ORDER_FIELDS - 2


class Witness:
    """Notes facts of one connection, in the order in which they were sent or heard there."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.facts: list[f.Fact] = []

    def head(self, connection: int, client_id: int) -> tuple[int, int, int, int]:
        timeline = self._timeline
        return timeline.market_ns, timeline.host_ns, connection, client_id

    def note(self, fact: f.Fact) -> None:
        self.facts.append(fact)

    def placed(
        self, head: tuple[int, int, int, int], effect: tws.SendOrder | tws.AskPreview
    ) -> None:
        what_if = isinstance(effect, tws.AskPreview)
        order = None if isinstance(effect, tws.AskPreview) else effect.order
        terms = (
            (effect.account, "", "BUY", str(effect.shares))
            if isinstance(effect, tws.AskPreview)
            else (effect.account, effect.order_ref, *map(str, _terms(effect)))
        )
        self.note(
            f.Placed(
                *head,
                order_id=effect.order_id,
                symbol="SMH",
                action=order.action if order else "BUY",
                shares=float(order.shares if order else effect.shares),  # type: ignore[union-attr] # a preview has shares
                order_type=order.order_type if order else "MKT",
                tif="DAY",
                account=effect.account,
                order_ref="" if isinstance(effect, tws.AskPreview) else effect.order_ref,
                outside_rth=bool(order and order.outside_rth),
                what_if=what_if,
                content=(*terms, *[""] * (ORDER_FIELDS - len(terms))),
                **_resting(effect),
            )
        )

    def heard(self, head: tuple[int, int, int, int], message: Message) -> None:
        """What the order connection was told."""
        match message:
            case tws.OpenOrder() | tws.StatusReport():
                self.note(
                    f.OrderSaid(
                        *head, message.order_id, message.client_id, message.perm_id,
                        message.status, what_if=False, sells=_sells(message),
                    )
                )  # fmt: skip
            case tws.ExecutionReport():
                self.executed(head, message)
            case tws.CommissionCharged():
                self.note(f.Charged(*head, message.exec_id, message.commission_usd))
            case tws.PositionReport():
                shares = message.shares + message.part
                self.note(f.PositionSaid(*head, message.account, message.symbol, shares))
            case tws.PnlReport():
                self.note(f.PnlSaid(*head, float(message.shares), message.value_usd))
            case TwsError():
                self.note(f.ErrorSaid(*head, message.ref_id, message.code, message.text))
            case tws.AccountRows():
                for key, value, currency in message.rows:
                    if key in {"NetLiquidation", "TotalCashValue"}:
                        self.note(f.AccountSaid(*head, key, value, currency))

    def executed(self, head: tuple[int, int, int, int], report: tws.ExecutionReport) -> None:
        self.note(
            f.Executed(
                *head, exec_id=report.exec_id, order_id=report.order_id, owner=report.client_id,
                symbol=report.symbol, side=1 if report.action == "BUY" else -1,
                shares=float(report.shares), price_usd=report.price_usd,
                traded_ns=report.executed_ns,
            )
        )  # fmt: skip


def _sells(message: tws.OpenOrder | tws.StatusReport) -> float:
    sells = isinstance(message, tws.OpenOrder) and message.action == "SELL"
    return float(message.shares) if sells else 0.0  # type: ignore[union-attr] # only an OpenOrder sells


def _terms(effect: tws.SendOrder) -> tuple[object, ...]:
    """Everything of the order that travels to TWS."""
    order = effect.order
    return (
        order.action, order.shares, order.order_type, order.limit_usd, order.outside_rth,
        order.stop_usd, effect.oca_group,
    )  # fmt: skip


def _resting(effect: tws.SendOrder | tws.AskPreview) -> dict[str, Any]:
    """What sets a stop at the broker, and the exit that joins its group, apart."""
    if isinstance(effect, tws.AskPreview):
        return {}
    stop_usd, group = effect.order.stop_usd, effect.oca_group
    return {
        "stop_usd": math.nan if stop_usd is None else stop_usd,
        "oca_group": group,
        "oca_type": str(CANCEL_WITH_BLOCK) if group else "0",
        "trigger_method": str(DOUBLE_BID_ASK) if stop_usd is not None else "0",
    }
