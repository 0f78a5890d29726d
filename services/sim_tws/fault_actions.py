"""What each fault does to a server; `faults.py` names them and says what they mean."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common.clock import SECOND_NS, host_ns
from services.sim_tws import replies
from services.sim_tws.account import Account, Position
from services.sim_tws.contracts import SMH
from services.sim_tws.market import SYMBOLS
from services.sim_tws.orders import Ticket
from services.sim_tws.server import DEFINITION_FARM, HISTORY_FARM, LINK_LOST, QUOTE_FARMS, Server

Args = Mapping[str, Any]

LINK_TEXT = {
    1101: "Connectivity between IB and Trader Workstation has been restored - data lost.",
    1102: "Connectivity between IB and Trader Workstation has been restored - data maintained. "
    f"All data farms are connected: {'; '.join((*QUOTE_FARMS, HISTORY_FARM, DEFINITION_FARM))}.",
}
REPEAT_LOSS_HOST_S = 5.0
FARM_TEXT = {
    2103: "Market data farm connection is broken:{}",
    2104: "Market data farm connection is OK:{}",
    2105: "HMDS data farm connection is broken:{}",
    2106: "HMDS data farm connection is OK:{}",
    2107: "HMDS data farm connection is inactive but should be available upon demand.{}",
    2108: "Market data farm connection is inactive but should be available upon demand.{}",
    2119: "Market data farm is connecting:{}",
    2157: "Sec-def data farm connection is broken:{}",
    2158: "Sec-def data farm connection is OK:{}",
}
REJECT_TEXT = {
    110: "The price does not conform to the minimum price variation for this contract.",
    103: "Duplicate order id",
    201: "Order rejected - reason:The order was refused by the broker.",
}
KID_TEXT = (
    "Order rejected - reason:This product does not have a Key Information Document (KID) in a "
    "language your country requires. Retail clients can only close their positions."
)
# The messages a client waits for, by the names its library gives them.
MESSAGES = {
    "tickPrice": 1, "orderStatus": 3, "errorMsg": 4, "openOrder": 5, "accountValue": 6,
    "portfolioValue": 7, "nextValidId": 9, "contractDetails": 10, "execDetails": 11,
    "managedAccounts": 15, "historicalData": 17, "currentTime": 49, "contractDetailsEnd": 52,
    "openOrderEnd": 53, "accountDownloadEnd": 54, "execDetailsEnd": 55, "commissionReport": 59,
    "position": 61, "positionEnd": 62, "accountSummary": 63, "accountSummaryEnd": 64,
    "accountUpdateMulti": 73, "accountUpdateMultiEnd": 74, "pnl": 94, "pnlSingle": 95,
    "completedOrdersEnd": 102,
}  # fmt: skip
ORDER_MESSAGES = (3, 5, 11, 59)

_running: set[asyncio.Task[None]] = set()  # a task nobody holds may vanish half-way


def link_loss(server: Server, args: Args) -> None:
    if args["code"] not in LINK_TEXT:
        raise ValueError("code is 1101 or 1102")
    server.broker.lose_link()
    _say_lost(server)
    if args["seconds"] > 0:
        due_ns = server.broker.now_ns + int(args["seconds"] * SECOND_NS)
        server.broker.exchange.at(due_ns, lambda _ts: link_restore(server, args))


def link_restore(server: Server, args: Args) -> None:
    if args["code"] not in LINK_TEXT:
        raise ValueError("code is 1101 or 1102")
    if server.broker.link_up:
        return
    if args["code"] == 1101:
        for session in server.live_sessions():
            session.subscriptions.drop_market_data()
    server.broadcast(args["code"], LINK_TEXT[args["code"]])
    server.broker.restore_link(args["report_fills"])


def nightly_reset(server: Server, args: Args) -> None:
    for quote_farm in QUOTE_FARMS:
        farm(server, {"code": 2103, "farm": quote_farm})
    farm(server, {"code": 2105, "farm": HISTORY_FARM})
    server.money.say_unready(server.live_sessions())
    link_loss(server, {"seconds": 0, "code": 1102})

    def back(_ts_ns: int) -> None:
        link_restore(server, {"code": 1102, "report_fills": True})
        for quote_farm in QUOTE_FARMS:
            farm(server, {"code": 2104, "farm": quote_farm})
        farm(server, {"code": 2106, "farm": HISTORY_FARM})

    server.broker.exchange.at(server.broker.now_ns + int(args["seconds"] * SECOND_NS), back)


def farm(server: Server, args: Args) -> None:
    if args["code"] not in FARM_TEXT:
        raise ValueError(f"code is one of {', '.join(map(str, FARM_TEXT))}")
    server.broadcast(args["code"], FARM_TEXT[args["code"]].format(args["farm"]))


def restart(server: Server, args: Args) -> None:
    ids = server.broker.books.last_order_id
    for client_id in ids:
        ids[client_id] = max(0, ids[client_id] - args["ids_back"])
    server.broker.lose_staged()
    taken_s = args["host_seconds"] + args["ids_taken_host_seconds"]
    if args["ids_taken_host_seconds"] > 0:
        server.switches.ids_taken_until_host_ns = host_ns() + int(taken_s * SECOND_NS)
    refuse_port(server, args)


def refuse_port(server: Server, args: Args) -> None:
    task = asyncio.get_running_loop().create_task(server.refuse(args["host_seconds"]))
    _running.add(task)
    task.add_done_callback(_running.discard)


def drop_client(server: Server, args: Args) -> None:
    for session in server.live_sessions():
        if session.client_id == args["client_id"]:
            session.abort()


def half_open(server: Server, args: Args) -> None:
    for session in server.live_sessions():
        if session.client_id == args["client_id"]:
            server.sessions.pop(session.number)
            session.cut_off(args["host_seconds"])


def freeze(server: Server, args: Args) -> None:
    server.set_frozen(args["on"])


def slow(server: Server, args: Args) -> None:
    server.switches.slow_s = args["host_seconds"]


def late(server: Server, args: Args) -> None:
    server.switches.delayed_s[_message(args["message"])] = args["host_seconds"]


def withhold(server: Server, args: Args) -> None:
    number = _message(args["message"])
    if args["on"]:
        server.switches.withheld.add(number)
    else:
        server.switches.withheld.discard(number)


def clock_questions(server: Server, args: Args) -> None:
    server.switches.time_spacing_s = args["host_seconds"]
    server.switches.time_spacing_shared = args["shared"]


def clock_skew(server: Server, args: Args) -> None:
    server.switches.time_skew_s = args["seconds"]


def reject(server: Server, args: Args) -> None:
    switches = server.switches
    switches.reject_code = args["code"]
    switches.reject_text = args["text"] or REJECT_TEXT.get(args["code"], "Order rejected")
    switches.rejects_left = args["count"]


def reject_kid(server: Server, args: Args) -> None:
    reject(server, {"code": 201, "text": KID_TEXT, "count": args["count"]})


def tif_preset(server: Server, args: Args) -> None:
    code = 10349 if args["on"] else 0
    order_notice(server, {"code": code, "text": "Order TIF was set to DAY based on order preset."})


def order_notice(server: Server, args: Args) -> None:
    server.switches.notice_code = args["code"]
    server.switches.notice_text = args["text"]


def lose_orders(server: Server, args: Args) -> None:
    server.switches.lose_orders = args["count"]


def deactivate_orders(server: Server, args: Args) -> None:
    server.switches.deactivate_orders = args["count"]


def hold_orders(server: Server, args: Args) -> None:
    server.switches.hold_orders = args["count"]


def answer_dialogs(server: Server, args: Args) -> None:
    server.advance()
    server.broker.answer_dialogs(args["send"])


def ack_delay(server: Server, args: Args) -> None:
    for number in ORDER_MESSAGES:
        server.switches.delayed_s[number] = args["host_seconds"]


def cancel_own_only(server: Server, args: Args) -> None:
    server.switches.cancel_by_anyone = not args["on"]


def utc_times(server: Server, args: Args) -> None:
    server.broker.say.utc_times = args["on"]


def correct_execution(server: Server, args: Args) -> None:
    if not server.broker.correct_last_execution(args["price"]):
        raise ValueError("there is no fill yet")


def cancel_all(server: Server, _args: Args) -> None:
    server.broker.cancel_all()


def manual_order(server: Server, args: Args) -> None:
    if args["action"] not in {"BUY", "SELL"} or args["quantity"] < 1:
        raise ValueError("action is BUY or SELL, quantity at least 1")
    limit = args["limit"] or None
    kind = "LMT" if limit else "MKT"
    ticket = Ticket(args["action"], float(args["quantity"]), kind, limit_usd=limit)
    server.broker.place_own(ticket)
    for session in server.live_sessions():
        if session.binds_manual_orders:
            server.orders.bind_manual_orders(session)


def liquidation(server: Server, args: Args) -> None:
    held = server.broker.account.smh.shares
    if not held:
        raise ValueError("no shares are held")
    shares = min(abs(held), float(args["quantity"]))
    ticket = Ticket("SELL" if held > 0 else "BUY", shares, "MKT", outside_rth=True)
    server.broker.place_own(ticket, liquidation=True)


def wild_print(server: Server, args: Args) -> None:
    if args["where"] not in {"last", "bid", "ask", "quote", "all"}:
        raise ValueError("where is last, bid, ask, quote or all")
    if args["symbol"] not in SYMBOLS:
        raise ValueError(f"symbol is one of {', '.join(SYMBOLS)}")
    server.broker.tape.inject(args["symbol"], server.broker.now_ns, args["percent"], args["where"])


def bad_ticks(server: Server, args: Args) -> None:
    server.switches.bad_tick = args["value"]
    server.switches.bad_ticks_left = args["count"]


def data_permission(server: Server, args: Args) -> None:
    server.switches.live_data = args["live"]
    server.switches.delayed_data = args["delayed"]


def competing_session(server: Server, args: Args) -> None:
    server.switches.competing_session = args["on"]
    server.switches.quotes_frozen = args["on"]
    if args["on"]:
        server.data.compete(server.live_sessions())


def halt(server: Server, args: Args) -> None:
    server.advance()
    server.broker.tape.halted = args["on"]
    server.data.halt_changed(server.live_sessions())
    if not args["on"]:
        server.broker.exchange.sweep()


def history_error(server: Server, args: Args) -> None:
    server.switches.history_error = args["text"]


def deposit(server: Server, args: Args) -> None:
    server.broker.account.move_cash(args["amount"])


def foreign_position(server: Server, args: Args) -> None:
    """Paid for out of the account's cash, so that equity does not jump."""
    if args["symbol"] == SMH.symbol:
        raise ValueError("SMH is traded by manual-order")
    con_id = 100_000_000 + sum(ord(letter) << 7 * i for i, letter in enumerate(args["symbol"][:3]))
    instrument = replace(
        SMH, con_id=con_id, symbol=args["symbol"], local_symbol=args["symbol"],
        long_name=args["symbol"], stock_type="COMMON", tradable=False,
    )  # fmt: skip
    account = server.broker.account
    account.positions[con_id] = Position(
        instrument, args["shares"], args["price"], fixed_price_usd=args["price"]
    )
    account.move_cash(-args["shares"] * args["price"])
    server.broker.say.position_changed()


def part_share(server: Server, args: Args) -> None:
    if not 0 < args["shares"] < 1:
        raise ValueError("shares lies between 0 and 1")
    broker = server.broker
    broker.account.trade(1, args["shares"], broker.tape.mark(broker.now_ns), 0.0)
    broker.say.position_changed()


def margin_rate(server: Server, args: Args) -> None:
    if not 0 < args["percent"] <= 100:
        raise ValueError("percent lies between 0 and 100")
    for account in server.broker.books.accounts:
        account.stress_rate = args["percent"] / 100


def account_taken(server: Server, _args: Args) -> None:
    for session in server.live_sessions():
        if session.subscriptions.account_updates is not None:
            session.subscriptions.account_updates = None
            session.error(replies.NO_ID, 2100, "New account data requested from TWS.  API client "
                          "has been unsubscribed from account data.")  # fmt: skip


def base_currency(server: Server, args: Args) -> None:
    for account in server.broker.books.accounts:
        account.base_currency = args["currency"]


def accounts(server: Server, args: Args) -> None:
    names = [name.strip() for name in args["ids"].split(",") if name.strip()]
    if not names:
        raise ValueError("at least one account id")
    books = server.broker.books
    books.accounts[0].account_id = names[0]
    kind = books.accounts[0].margin_kind
    books.accounts[1:] = [Account(name, 100_000.0, kind) for name in names[1:]]
    server.money.refresh()


def _say_lost(server: Server) -> None:
    """1100 comes again and again while the link is down."""
    if not server.broker.link_up:
        server.broadcast(1100, LINK_LOST)
        loop = asyncio.get_running_loop()
        loop.call_later(REPEAT_LOSS_HOST_S, lambda: _say_lost(server))


def _message(name: str) -> int:
    number = MESSAGES.get(name) or (int(name) if name.isdigit() else None)
    if number is None:
        raise ValueError(f"message is a number or one of {', '.join(MESSAGES)}")
    return number
