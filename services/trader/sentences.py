"""Messages as a person reads them: one short sentence each. Pure.

The account id never stands in one; a message without a sentence here is shown field by field.
"""

from __future__ import annotations

from typing import Any

from common import messages as m
from common.core.gateway.limits import shortened
from common.tws.messages import OwnPrice, SendOrder
from services.trader.wording import market_time, one_line, percent, usd

FIELDS_MAX = 110
"""Characters of a message that is shown field by field."""


def sentence(message: Any) -> str:
    """What the message says, in words and with units."""
    for words in (_market, _strategy, _risk, _order, _broker, _command):
        text = words(message)
        if text is not None:
            return text
    text = one_line(message)
    return text if len(text) <= FIELDS_MAX else f"{text[:FIELDS_MAX]} ..."


def _market(message: Any) -> str | None:
    match message:
        case m.Quote():
            bid, ask = _price(message.bid_usd), _price(message.ask_usd)
            return f"SMH {usd(message.mark_usd)} (bid {bid}, ask {ask}, {message.kind})"
        case m.VixLevel():
            return f"VIX {message.level:.2f} ({message.kind})"
        case m.Session():
            early = ", early close" if message.early else ""
            opens = market_time(message.open_ns, day=False)
            closes = market_time(message.close_ns, day=False)
            return f"{message.day}: {opens} to {closes}{early}; then {message.next_day}"
        case m.OpeningPrint():
            source = "official" if message.official else "first valid price"
            return f"{message.day} opened at {usd(message.price_usd)} ({source})"
        case m.Distribution():
            return f"SMH pays {usd(message.distribution_usd)} a share, ex on {message.day}"
        case m.DistributionCounted():
            a_share, counted = usd(message.distribution_usd), usd(message.counted_usd)
            return f"SMH's distribution of {a_share} a share is no loss: {counted} counted"
        case m.DailyHistory() if message.days:
            count, last = len(message.days), usd(message.closes_usd[-1])
            return f"{count:,} daily closes to {message.days[-1]}, the last {last}"
        case m.DailyBar():
            kind = "final" if message.final else "provisional"
            return f"{message.day} closed at {usd(message.close_usd)} ({kind})"
        case OwnPrice():
            return f"SMH {usd(message.price_usd)} ({message.kind})"
        case m.FeedState():
            halted = ", trading halted" if message.halted else ""
            problem = f": {message.problem}" if message.problem else ""
            return f"{message.kind} data{halted}{problem}"
        case _:
            return None


def _strategy(message: Any) -> str | None:
    match message:
        case m.Signal():
            kind = "final" if message.final else "provisional"
            return (
                f"{message.side} at the close of {message.day}: fast EMA {message.fast_usd:,.2f}, "
                f"slow {message.slow_usd:,.2f} ({kind})"
            )
        case m.SignalChanged():
            return f"{message.before} -> {message.after} at the close of {message.day}"
        case m.TargetPosition():
            held = f"{message.leverage:g}x" if message.leverage else "flat"
            return f"{held} for {message.day} ({message.leverage_why})"
        case _:
            return None


def _risk(message: Any) -> str | None:
    match message:
        case m.BaselineSet():
            return f"baseline of {message.day} {usd(message.baseline_usd)} ({message.source})"
        case m.StopArmed():
            price = _price(message.stop_price_usd)
            return f"stop at equity {usd(message.stop_usd)}, SMH {price}, {message.shares:,} held"
        case m.StopHit():
            return (
                f"equity {usd(message.equity_usd)} is at or below {usd(message.stop_usd)}, "
                f"SMH {usd(message.mark_usd)}: {message.why}"
            )
        case m.Equity():
            return f"{usd(message.equity_usd)}, stop {usd(message.stop_usd)} ({message.source})"
        case m.GoNoGo():
            missing = [f"{check.name}: {check.detail}" for check in message.checks if not check.ok]
            return f"no-go: {'; '.join(missing)}" if missing else "go: everything is ready"
        case m.EntryRefused():
            return f"no entry{' today' if message.final else ' yet'}: {message.reason}"
        case m.EntryClamped():
            return f"{message.table:g}x lowered to {message.allowed:.2f}x: {message.why}"
        case m.Entered():
            return f"{_filled(message)}, leverage {message.leverage:.2f}x"
        case m.Exited():
            profit = usd(message.profit_usd)
            return f"{_filled(message)} ({message.reason}), profit since the baseline {profit}"
        case m.RiskState():
            reasons = "; ".join((*message.reasons, *filter(None, (message.pending,))))
            return f"{message.mode}, {message.shares:,} held{f': {reasons}' if reasons else ''}"
        case m.DaySummary():
            return (
                f"{message.day}: {message.entries} entries, {message.stops} stops, "
                f"{message.exits} exits, {percent(message.return_fraction)}, "
                f"equity {usd(message.equity_usd)}"
            )
        case _:
            return None


def _order(message: Any) -> str | None:
    match message:
        case m.PlaceOrder() | m.SubmitOrder():
            order = message.order
            price_usd = order.limit_usd or order.stop_usd
            limit = f" at {usd(price_usd)}" if price_usd else ""
            void = market_time(order.deadline_ns, day=False) if order.deadline_ns else ""
            return (
                f"{order.intent_id}: {order.action} {order.shares:,} {order.order_type}{limit} "
                f"({order.reason}), sized at {usd(order.price_usd)}"
                + (f", void after {void}" if void else "")
            )
        case m.CancelOrder():
            return f"{message.intent_id}: {message.why}"
        case m.OrderState():
            done = f"{message.filled:,} of {message.shares:,} filled"
            return f"{message.intent_id} {message.status}, {done}{_because(message.reason)}"
        case m.OrderUpdate():
            whole = message.filled + message.remaining
            return (
                f"{message.intent_id} {message.status}, {message.filled:,} of {whole:,} filled "
                f"(IB order {message.order_id}){_because(message.reason)}"
            )
        case m.Fill():
            whose = "" if message.intent_id else ", not ours"
            forced = ", FORCED by IB" if message.liquidation else ""
            return f"{message.action} {message.shares:,} at {usd(message.price_usd)}{whose}{forced}"
        case m.Commission():
            return usd(message.commission_usd)
        case SendOrder():
            account = shortened(message.account)
            group = f", OCA group {message.oca_group}" if message.oca_group else ""
            ids = f"IB order {message.order_id}, orderRef {message.order_ref}"
            return f"{ids}, account {account}{group}"
        case _:
            return None


def _broker(message: Any) -> str | None:
    match message:
        case m.BrokerLink():
            account = shortened(message.account) or "none"
            return f"{message.state}, port {message.port}, account {account}" + _because(
                message.reason
            )
        case m.AccountSnapshot():
            worth = usd(message.net_liquidation_usd)
            return f"net liquidation {worth}, {message.shares:,} SMH held"
        case m.BrokerPnl():
            worth, profit = usd(message.value_usd), usd(message.unrealized_usd)
            return f"{message.shares:,} SMH held, worth {worth}, unrealized profit {profit}"
        case m.MarginPreview():
            if message.problem:
                return f"no margin preview: {message.problem}"
            return (
                f"{message.shares:,} shares would need {usd(message.init_after_usd)} of margin, "
                f"equity {usd(message.equity_with_loan_after_usd)}"
            )
        case m.OrderBook():
            unknown = f", UNKNOWN {', '.join(message.unknown)}" if message.unknown else ""
            working = ", ".join(message.working) or "none"
            compared = "" if message.reconciled else " (not yet compared with the broker)"
            return f"working {working}{unknown}{compared}"
        case m.HaltLatch():
            return f"{message.mode}{_because(message.reason)}"
        case m.BrokerNotice():
            return f"{message.code}: {message.text}" + (f"; {message.mend}" if message.mend else "")
        case _:
            return None


def _command(message: Any) -> str | None:
    match message:
        case m.Halt() | m.Unlock():
            return f"by {message.by}: {message.reason}"
        case m.Flatten() | m.Resume() | m.Adopt() | m.AckAlerts():
            return f"by {message.by}"
        case m.PreviewMargin():
            return f"what-if for {message.shares:,} shares"
        case m.Accepted():
            return message.note or "yes"
        case m.Refused():
            return f"no: {message.reason}"
        case m.Alert():
            over = "" if message.raised else " (over)"
            return f"{message.level} {message.code}: {message.text}{over}"
        case m.Pace():
            held = f", held by {message.held_by}" if message.held_by else ""
            return f"market time at {message.speed:,.0f}x{held}"
        case m.Silence():
            return f"{message.topic}: {'nothing is heard' if message.silent else 'heard again'}"
        case m.Restarted():
            return f"{message.process} had ended and runs again ({message.count})"
        case m.Heartbeat():
            age = f"pid {message.pid}, build {message.build}"
            return f"{message.verdict or 'ready'}, {age}"
        case _:
            return None


def _price(price_usd: float | None) -> str:
    return "none" if price_usd is None else usd(price_usd)


def _filled(message: m.Entered | m.Exited) -> str:
    return f"{message.shares:,} at {usd(message.price_usd)}"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
