"""Every way this TWS can be told to misbehave: one table, used by scripts, the socket and people.

A fault is a name, one line of meaning, its arguments with their defaults, and what it does to a
server. `seconds` are market time, `host_seconds` this machine's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from services.sim_tws import fault_actions as act
from services.sim_tws.server import Server

Args = Mapping[str, Any]
ON = {"on": True}


class FaultError(Exception):
    """An unknown fault, an unknown argument or a value of the wrong kind."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`defaults` also say each argument's type."""

    name: str
    meaning: str
    act: Callable[[Server, Args], None]
    defaults: Args = field(default_factory=dict)


def _switch(name: str, meaning: str, attribute: str) -> Fault:
    """A fault that only turns one switch on or off."""
    return Fault(name, meaning, lambda server, a: setattr(server.switches, attribute, a["on"]), ON)


_TABLE = [
    # Link and connection
    Fault("link-loss", "1100; after seconds (0: until link-restore) comes code 1101 or 1102",
          act.link_loss, {"seconds": 30.0, "code": 1102, "report_fills": True}),
    Fault("link-restore", "end a link loss now with 1101 or 1102; missed fills told or kept back",
          act.link_restore, {"code": 1102, "report_fills": True}),
    Fault("nightly-reset", "server reset: accounts unready, farms broken, 1100, then 1102",
          act.nightly_reset, {"seconds": 90.0}),
    Fault("farm", "one data farm notice: 2103 2104 2105 2106 2107 2108 2119 2157 2158",
          act.farm, {"code": 2103, "farm": "usfarm"}),
    _switch("quotes-stop", "quotes and bars stay silent, subscriptions stand", "quotes_frozen"),
    Fault("restart", "sockets drop, port refuses, staged orders lost, next order id rolled back",
          act.restart, {"host_seconds": 2.0, "ids_back": 0, "ids_taken_host_seconds": 0.0}),
    Fault("refuse-port", "sockets drop and the port refuses connections",
          act.refuse_port, {"host_seconds": 2.0}),
    Fault("drop-client", "the connection of one client id dies", act.drop_client, {"client_id": 1}),
    Fault("half-open", "one client's line goes dead and neither end is told; it may connect anew",
          act.half_open, {"client_id": 1, "host_seconds": 30.0}),
    Fault("freeze", "connections are accepted and nothing is answered until it is off again",
          act.freeze, ON),
    Fault("slow", "every message leaves late, in order", act.slow, {"host_seconds": 2.0}),
    Fault("late", "messages of one kind leave late (host_seconds 0: no longer)",
          act.late, {"message": "execDetailsEnd", "host_seconds": 2.0}),
    Fault("withhold", "messages of one kind are never sent",
          act.withhold, {"message": "openOrderEnd", "on": True}),
    _switch("pace-requests", "requests over 50 a second wait instead of error 100",
            "pace_requests"),
    Fault("clock-questions", "reqCurrentTime is not answered so soon after the last, of any client",
          act.clock_questions, {"host_seconds": 4.0, "shared": True}),
    Fault("clock-skew", "reqCurrentTime answers this many seconds ahead",
          act.clock_skew, {"seconds": 5}),
    _switch("read-only", "the API is read-only: orders get 321, completed orders no answer",
            "read_only"),
    # Orders
    Fault("reject", "the next count orders are refused with this code and text",
          act.reject, {"code": 201, "text": "", "count": 1}),
    Fault("reject-kid", "orders are refused for a missing key information document",
          act.reject_kid, {"count": 1}),
    _switch("refuse-group-joins", "an order is refused in a one-cancels-all group that has another",
            "refuse_group_joins"),
    _switch("reject-outside-hours", "orders outside hours are refused instead of held",
            "reject_outside_hours"),
    Fault("tif-preset", "each order brings notice 10349 and works on", act.tif_preset, ON),
    Fault("order-notice", "each order brings an error of this code and works on (code 0: no more)",
          act.order_notice, {"code": 481, "text": "Order size was reduced."}),
    Fault("lose-orders", "the next count orders vanish without a word",
          act.lose_orders, {"count": 1}),
    Fault("deactivate-orders", "the next count orders turn Inactive without a word and stay listed",
          act.deactivate_orders, {"count": 1}),
    Fault("hold-orders", "the next count orders wait in dialogs of TWS: no book knows them",
          act.hold_orders, {"count": 1}),
    Fault("answer-dialogs", "TWS's user sends what waits in dialogs, or discards it",
          act.answer_dialogs, {"send": True}),
    Fault("ack-delay", "everything about orders is told late, although it happens in time",
          act.ack_delay, {"host_seconds": 2.0}),
    _switch("duplicate-status", "open orders and statuses are sent twice", "duplicate_status"),
    _switch("reorder-status", "open orders and statuses swap places in pairs", "reorder_status"),
    _switch("fill-beats-cancel", "the next cancel is overtaken by a complete fill",
            "fill_beats_cancel"),
    _switch("early-what-if", "a what-if's first reply spells unset so that ib_insync ends its wait",
            "early_what_if"),
    _switch("unnumbered-orders", "new orders are told with permId 0 until they fill",
            "unnumbered_orders"),
    _switch("push-open-orders", "a connecting client is told its open orders unasked",
            "push_open_orders"),
    Fault("cancel-own-only", "only the placing client may cancel an order",
          act.cancel_own_only, ON),
    _switch("own-executions-only", "reqExecutions answers the asking client's own fills only",
            "own_executions_only"),
    Fault("utc-times", "executions tell their time in UTC (20250415-23:38:31), as a TWS set to it",
          act.utc_times, ON),
    Fault("correct-execution", "the newest fill is told again at another price, revision .02",
          act.correct_execution, {"price": 100.0}),
    Fault("cancel-all", "IB cancels every working order", act.cancel_all),
    Fault("manual-order", "the owner trades in TWS itself",
          act.manual_order, {"action": "SELL", "quantity": 100, "limit": 0.0}),
    Fault("liquidation", "IB sells shares of its own accord",
          act.liquidation, {"quantity": 100}),
    # Market data
    Fault("wild-print", "one print percent off in last, bid, ask, quote or all",
          act.wild_print, {"symbol": "SMH", "percent": -5.0, "where": "last"}),
    Fault("bad-ticks", "the next count prices are nan, -1, 0 or whatever value says",
          act.bad_ticks, {"value": -1.0, "count": 3}),
    Fault("data-permission", "live and delayed data allowed or not: 354, 10167, 10168, 10089",
          act.data_permission, {"live": False, "delayed": True}),
    _switch("delayed-not-asked", "live data that is not permitted is refused with 10168, not 354",
            "refused_as_not_enabled"),
    _switch("part-permitted", "live data is permitted in part: 10091, and no price comes",
            "part_permitted"),
    _switch("watchlist", "SMH stands in a TWS watchlist: tick 49 tells the end of a halt as well",
            "watchlist"),
    Fault("competing-session", "10197: another session of the user has the live data",
          act.competing_session, ON),
    Fault("halt", "trading in SMH is halted (tick 49) or resumed", act.halt, ON),
    _switch("ambiguous-contract", "SMH/USD has a second listing", "ambiguous_contract"),
    Fault("history-error", "historical requests fail with 162 and this text ('' ends it)",
          act.history_error, {"text": "Trading TWS session is connected from a different IP"}),
    # Account
    Fault("deposit", "cash comes in; a negative amount is a withdrawal",
          act.deposit, {"amount": 10_000.0}),
    Fault("foreign-position", "the account holds something else, at a fixed price",
          act.foreign_position, {"symbol": "AAPL", "shares": 100.0, "price": 200.0}),
    Fault("part-share", "part of a share of SMH is held too, as from a reinvested dividend",
          act.part_share, {"shares": 0.4}),
    Fault("margin-rate", "the portfolio-margin stress rate, percent",
          act.margin_rate, {"percent": 30.0}),
    Fault("base-currency", "account values are in another base currency",
          act.base_currency, {"currency": "EUR"}),
    Fault("accounts", "other or more account ids (commas) for new connections",
          act.accounts, {"ids": "DU1234567,DU7654321"}),
    _switch("ledger-keys", "ledger rows of the account carry the $LEDGER- prefix", "ledger_keys"),
    _switch("refresh-ends", "message 54 ends every refresh of the account, not the first alone",
            "refresh_ends"),
    Fault("account-taken", "2100: the subscriptions to the account are over",
          act.account_taken, {}),
    _switch("slow-pnl", "account PnL comes once a minute instead of once a second", "slow_pnl"),
]  # fmt: skip

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _TABLE}


def inject(server: Server, name: str, given: Args) -> dict[str, object]:
    """Does it now: what was done, with every argument. FaultError when the name or an argument is
    wrong, then nothing happened."""
    fault = FAULTS.get(name)
    if fault is None:
        raise FaultError(f"no fault '{name}'; known: {', '.join(FAULTS)}")
    values = dict(fault.defaults)
    for key, value in given.items():
        if key not in values:
            known = ", ".join(values) or "none"
            raise FaultError(f"{name} takes no '{key}'; its arguments: {known}")
        values[key] = _typed(name, key, value, values[key])
    try:
        fault.act(server, values)
    except ValueError as wrong:
        raise FaultError(f"{name}: {wrong}") from None
    server.log(f"fault {name} {values}")
    return {"fault": name, "meaning": fault.meaning, "args": values}


def listing() -> list[dict[str, object]]:
    """Name, meaning and arguments of every fault."""
    return [
        {"fault": fault.name, "meaning": fault.meaning, "args": dict(fault.defaults)}
        for fault in _TABLE
    ]


_CONVERT: Mapping[type, Callable[[Any], object]] = {int: int, float: float, str: str}


def _typed(name: str, key: str, value: object, default: object) -> object:
    """The value as the type of its default; numbers and flags also from text."""
    kind = type(default)
    if kind is bool:
        if isinstance(value, bool):
            return value
        if str(value).lower() in {"true", "1", "yes", "on"}:
            return True
        if str(value).lower() in {"false", "0", "no", "off"}:
            return False
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        with suppress(ValueError):
            return _CONVERT[kind](value)
    raise FaultError(f"{name}: '{key}' must be of the kind of {default!r}, not {value!r}")
