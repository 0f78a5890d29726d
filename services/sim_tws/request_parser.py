"""Reads requests from the wire: what ib_insync, ib_async, the official library and its forks send.

An unknown number or fields that do not fit raise BadRequestError with the id the reply must name;
never a dropped socket.
"""

from __future__ import annotations

from collections.abc import Callable

from services.sim_tws import contracts, place_order
from services.sim_tws.requests import (
    AccountSummary,
    AccountUpdates,
    AccountUpdatesMulti,
    AllOpenOrders,
    AutoOpenOrders,
    Cancel,
    CancelOrder,
    CompletedOrders,
    ContractDetails,
    CurrentTime,
    Executions,
    GlobalCancel,
    HeadTimestamp,
    Historical,
    HistoricalTicks,
    Ids,
    Ignored,
    ManagedAccounts,
    MarketData,
    MarketDataType,
    MarketRule,
    MatchingSymbols,
    OpenOrders,
    PlaceOrder,
    Pnl,
    PnlSingle,
    Positions,
    PositionsMulti,
    RealTimeBars,
    Request,
    StartApi,
    TickByTick,
    Unsupported,
)
from services.sim_tws.wire import FieldError, Fields


class BadRequestError(Exception):
    """A request whose fields are wrong; carries the id the error reply names (-1: none)."""

    def __init__(self, req_id: int, message: int, reason: str) -> None:
        super().__init__(reason)
        self.req_id = req_id
        self.message = message
        self.reason = reason


Parser = Callable[[Fields, int], Request]

# Requests of a real TWS that are no part of this product, and where their request id stands.
_UNSUPPORTED: dict[int, tuple[str, int]] = {
    10: ("reqMktDepth", 2), 18: ("requestFA", 0), 19: ("replaceFA", 0),
    21: ("exerciseOptions", 2), 22: ("reqScannerSubscription", 1), 24: ("reqScannerParameters", 0),
    52: ("reqFundamentalData", 2), 54: ("calculateImpliedVolatility", 2),
    55: ("calculateOptionPrice", 2), 65: ("verifyRequest", 0), 66: ("verifyMessage", 0),
    67: ("queryDisplayGroups", 2), 68: ("subscribeToGroupEvents", 2),
    69: ("updateDisplayGroup", 2), 72: ("verifyAndAuthRequest", 0),
    73: ("verifyAndAuthMessage", 0), 78: ("reqSecDefOptParams", 1), 79: ("reqSoftDollarTiers", 1),
    80: ("reqFamilyCodes", 0), 82: ("reqMktDepthExchanges", 0), 83: ("reqSmartComponents", 1),
    84: ("reqNewsArticle", 1), 85: ("reqNewsProviders", 0), 86: ("reqHistoricalNews", 1),
    88: ("reqHistogramData", 1), 100: ("reqWshMetaData", 1), 102: ("reqWshEventData", 1),
    104: ("reqUserInfo", 1),
}  # fmt: skip

# Cancels: their message number -> (the message that began it, is there a version field).
_CANCELS: dict[int, tuple[int, bool]] = {
    2: (1, True), 25: (20, True), 51: (50, True), 63: (62, True), 64: (61, True), 75: (74, True),
    77: (76, True), 90: (87, False), 93: (92, False), 95: (94, False), 98: (97, False),
}  # fmt: skip

# Taken silently: the ends of unsupported subscriptions, news bulletins and the log level.
_IGNORED = frozenset({11, 12, 13, 14, 23, 53, 56, 57, 70, 89, 101, 103})

# Where the id of a request stands, counted from the message number: for error replies.
_ID_AT: dict[int, int] = {
    1: 2, 2: 2, 3: 1, 4: 2, 7: 2, 9: 2, 20: 1, 25: 2, 50: 2, 51: 2, 62: 2, 63: 2, 74: 2, 75: 2,
    76: 2, 77: 2, 81: 1, 87: 1, 90: 1, 92: 1, 93: 1, 94: 1, 95: 1, 96: 1, 97: 1, 98: 1,
}  # fmt: skip


def parse(body: bytes, version: int) -> Request:
    """The typed request of one payload; BadRequestError where its fields do not fit."""
    fields = Fields(body)
    message = -1
    try:
        message = fields.integer(-1)
        return _parse(message, fields, version, body)
    except FieldError as wrong:
        raise BadRequestError(_id_of(body, _ID_AT.get(message, 0)), message, str(wrong)) from None


def _parse(message: int, fields: Fields, version: int, body: bytes) -> Request:
    parser = _PARSERS.get(message)
    if parser is not None:
        return parser(fields, version)
    if message in _CANCELS:
        what, versioned = _CANCELS[message]
        fields.skip(1 if versioned else 0)
        return Cancel(what, fields.integer(-1) if message != 64 else -1)
    if message in _IGNORED:
        return Ignored()
    if message in _UNSUPPORTED:
        name, at = _UNSUPPORTED[message]
        return Unsupported(_id_of(body, at), name)
    raise FieldError(f"Unknown message id {message}")


def _id_of(body: bytes, at: int) -> int:
    fields = Fields(body)
    try:
        fields.skip(at)
        return fields.integer(-1) if at else -1
    except FieldError:
        return -1


def _start_api(f: Fields, _: int) -> Request:
    f.skip(1)
    return StartApi(f.integer())


def _market_data(f: Fields, _: int) -> Request:
    f.skip(1)
    req_id, contract = f.integer(), contracts.read(f)
    contracts.read_legs(f, contract)
    if f.flag():
        f.skip(3)  # delta-neutral underlying
    return MarketData(req_id, contract, f.text(), f.flag())


def _place_order(f: Fields, version: int) -> Request:
    return PlaceOrder(*place_order.read(f, version))


def _cancel_order(f: Fields, _: int) -> Request:
    f.skip(1)
    return CancelOrder(f.integer())


def _account_updates(f: Fields, _: int) -> Request:
    f.skip(1)
    return AccountUpdates(f.flag(), f.text())


def _executions(f: Fields, _: int) -> Request:
    f.skip(1)
    return Executions(
        req_id=f.integer(),
        client_id=f.integer(),
        account=f.text(),
        since=f.text(),
        symbol=f.text(),
        sec_type=f.text(),
        exchange=f.text(),
        side=f.text(),
    )


def _contract_details(f: Fields, _: int) -> Request:
    f.skip(1)
    return ContractDetails(f.integer(), contracts.read(f))


def _historical(f: Fields, _: int) -> Request:
    req_id, contract = f.integer(), contracts.read(f)
    f.skip(1)  # includeExpired
    end, bar_size, duration = f.text(), f.text(), f.text()
    regular, show, date_format = f.flag(), f.text(), f.integer(1)
    contracts.read_legs(f, contract)
    return Historical(
        req_id, contract, end, bar_size, duration, regular, show, date_format, f.flag()
    )


def _historical_ticks(f: Fields, _: int) -> Request:
    req_id, contract = f.integer(), contracts.read(f)
    f.skip(1)  # includeExpired
    start, end, count, show = f.text(), f.text(), f.integer(), f.text()
    return HistoricalTicks(req_id, contract, start, end, count, show)


def _head_timestamp(f: Fields, _: int) -> Request:
    req_id, contract = f.integer(), contracts.read(f)
    f.skip(2)  # includeExpired, useRTH
    return HeadTimestamp(req_id, contract, f.text(), f.integer(1))


def _real_time_bars(f: Fields, _: int) -> Request:
    f.skip(1)
    req_id, contract = f.integer(), contracts.read(f)
    f.skip(1)  # barSize: always 5 s
    return RealTimeBars(req_id, contract, f.text())


def _tick_by_tick(f: Fields, _: int) -> Request:
    return TickByTick(f.integer(), contracts.read(f), f.text(), f.integer())


def _auto_open_orders(f: Fields, _: int) -> Request:
    f.skip(1)
    return AutoOpenOrders(f.flag())


def _market_data_type(f: Fields, _: int) -> Request:
    f.skip(1)
    return MarketDataType(f.integer(1))


def _account_summary(f: Fields, _: int) -> Request:
    f.skip(1)
    req_id = f.integer()
    f.skip(1)  # group
    return AccountSummary(req_id, f.text())


def _account_updates_multi(f: Fields, _: int) -> Request:
    f.skip(1)
    return AccountUpdatesMulti(f.integer(), f.text(), f.text())


def _positions_multi(f: Fields, _: int) -> Request:
    f.skip(1)
    return PositionsMulti(f.integer(), f.text(), f.text())


def _pnl(f: Fields, _: int) -> Request:
    return Pnl(f.integer(), f.text())


def _pnl_single(f: Fields, _: int) -> Request:
    req_id, account = f.integer(), f.text()
    f.skip(1)  # model
    return PnlSingle(req_id, account, f.integer())


_PARSERS: dict[int, Parser] = {
    1: _market_data,
    3: _place_order,
    4: _cancel_order,
    5: lambda _f, _v: OpenOrders(),
    6: _account_updates,
    7: _executions,
    8: lambda _f, _v: Ids(),
    9: _contract_details,
    15: _auto_open_orders,
    16: lambda _f, _v: AllOpenOrders(),
    17: lambda _f, _v: ManagedAccounts(),
    20: _historical,
    49: lambda _f, _v: CurrentTime(),
    50: _real_time_bars,
    58: lambda _f, _v: GlobalCancel(),
    59: _market_data_type,
    61: lambda _f, _v: Positions(),
    62: _account_summary,
    71: _start_api,
    74: _positions_multi,
    76: _account_updates_multi,
    81: lambda f, _v: MatchingSymbols(f.integer(), f.text()),
    87: _head_timestamp,
    91: lambda f, _v: MarketRule(f.integer()),
    92: _pnl,
    94: _pnl_single,
    96: _historical_ticks,
    97: _tick_by_tick,
    99: lambda f, _v: CompletedOrders(f.flag() if f.left else False),
}
