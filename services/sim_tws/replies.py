"""Encoders of every message the server sends, except those that describe orders.

Each returns one payload. Only versions 157..176 are spoken; where a layout changed inside that
range the encoder takes the connection's `version`. Sizes below 163 are whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.sim_tws.contracts import Contract, Instrument
from services.sim_tws.market import Bar
from services.sim_tws.wire import UNSET_FLOAT, Value, payload

DECIMAL_SIZES = 163
NO_ID = -1


def size(value: float, version: int) -> Value:
    """A size or volume as the version writes it."""
    whole = int(value)
    return whole if version < DECIMAL_SIZES or whole == value else value


def handshake(version: int, now_text: str) -> bytes:
    return payload(version, now_text)


def managed_accounts(accounts: Sequence[str]) -> bytes:
    return payload(15, 1, ",".join(accounts))


def next_valid_id(order_id: int) -> bytes:
    return payload(9, 1, order_id)


def error(req_id: int, code: int, text: str, version: int) -> bytes:
    body: list[Value] = [4, 2, req_id, code, text]
    if version >= 166:
        body.append("")  # advancedOrderRejectJson
    return payload(*body)


def current_time(epoch_s: int) -> bytes:
    return payload(49, 1, epoch_s)


def tick_price(req_id: int, kind: int, price: float, shares: Value, mask: int = 0) -> bytes:
    return payload(1, 6, req_id, kind, price, shares, mask)


def tick_size(req_id: int, kind: int, shares: Value) -> bytes:
    return payload(2, 6, req_id, kind, shares)


def tick_generic(req_id: int, kind: int, value: float) -> bytes:
    return payload(45, 6, req_id, kind, value)


def tick_string(req_id: int, kind: int, value: str) -> bytes:
    return payload(46, 6, req_id, kind, value)


def tick_snapshot_end(req_id: int) -> bytes:
    return payload(57, 1, req_id)


def market_data_type(req_id: int, kind: int) -> bytes:
    return payload(58, 1, req_id, kind)


def tick_req_params(req_id: int, min_tick: float, bbo_exchange: str) -> bytes:
    return payload(81, req_id, min_tick, bbo_exchange, 3)


def tick_by_tick_last(
    req_id: int, kind: int, epoch_s: int, price: float, shares: Value, exchange: str
) -> bytes:
    return payload(99, req_id, kind, epoch_s, price, shares, 0, exchange, "")


def tick_by_tick_quote(
    req_id: int, epoch_s: int, bid: float, ask: float, bid_size: Value, ask_size: Value
) -> bytes:
    return payload(99, req_id, 3, epoch_s, bid, ask, bid_size, ask_size, 0)


def tick_by_tick_mid(req_id: int, epoch_s: int, mid: float) -> bytes:
    return payload(99, req_id, 4, epoch_s, mid)


def real_time_bar(req_id: int, bar: Bar, version: int) -> bytes:
    return payload(
        50, 3, req_id, bar.start_ns // 1_000_000_000, bar.open, bar.high, bar.low, bar.close,
        size(bar.volume, version), bar.wap, bar.count,
    )  # fmt: skip


def contract_details(
    req_id: int, instrument: Instrument, contract: Contract, hours: tuple[str, str], version: int
) -> bytes:
    """`hours` are tradingHours and liquidHours of the next days, in the instrument's zone."""
    body: list[Value] = [10]
    if version < 164:
        body.append(8)
    exchanges = ",".join(instrument.valid_exchanges)
    body += [
        req_id, instrument.symbol, instrument.sec_type, "", 0.0, "", contract.exchange,
        instrument.currency, instrument.local_symbol, instrument.trading_class,
        instrument.trading_class, instrument.con_id, instrument.min_tick,
    ]  # fmt: skip
    if version < 164:
        body.append(100)  # mdSizeMultiplier
    rules = ",".join([str(instrument.market_rule)] * len(instrument.valid_exchanges))
    body += [
        "", instrument.order_types, exchanges, 1, 0, instrument.long_name,
        instrument.primary_exchange, "", "", "", "", "US/Eastern", *hours, "", "", 0, 1, "", "",
        rules, "", instrument.stock_type,
    ]  # fmt: skip
    if version == 163:
        body.append(100)
    if version >= 164:
        body += [1, 1, 100]  # minSize, sizeIncrement, suggestedSizeIncrement
    return payload(*body)


def contract_details_end(req_id: int) -> bytes:
    return payload(52, 1, req_id)


def symbol_samples(req_id: int, instruments: Sequence[Instrument], version: int) -> bytes:
    body: list[Value] = [79, req_id, len(instruments)]
    for item in instruments:
        kinds = ["CFD", "OPT", "IOPT", "WAR"] if item.sec_type == "STK" else ["OPT", "FUT"]
        body += [item.con_id, item.symbol, item.sec_type, item.primary_exchange, item.currency]
        body += [len(kinds), *kinds]
        if version >= 176:
            body += [item.long_name, ""]
    return payload(*body)


def market_rule(rule_id: int, low_edge: float, increment: float) -> bytes:
    return payload(93, rule_id, 1, low_edge, increment)


def head_timestamp(req_id: int, text: str) -> bytes:
    return payload(88, req_id, text)


def historical_data(
    req_id: int, start: str, end: str, rows: Sequence[tuple[str, Bar]], version: int
) -> bytes:
    """Rows are (date text, bar), oldest first."""
    body: list[Value] = [17, req_id, start, end, len(rows)]
    for text, bar in rows:
        body += [text, bar.open, bar.high, bar.low, bar.close]
        body += [size(bar.volume, version), bar.wap, bar.count]
    return payload(*body)


def historical_data_update(req_id: int, text: str, bar: Bar, version: int) -> bytes:
    return payload(
        90, req_id, bar.count, text, bar.open, bar.close, bar.high, bar.low, bar.wap,
        size(bar.volume, version),
    )  # fmt: skip


def historical_ticks(
    message: int, req_id: int, rows: Sequence[Sequence[Value]], done: bool
) -> bytes:
    """Message 96 rows: epoch, price, size; 97: epoch, bid, ask, sizes; 98: epoch, price, size."""
    body: list[Value] = [message, req_id, len(rows)]
    for epoch_s, *values in rows:
        body += [epoch_s, 0, *values]
        if message == 98:
            body += ["NASDAQ", ""]
    return payload(*body, done)


def account_value(key: str, value: str, currency: str, account: str) -> bytes:
    return payload(6, 2, key, value, currency, account)


def portfolio_value(
    instrument: Instrument, shares: Value, price: float, average: float, realized: float,
    account: str,
) -> bytes:  # fmt: skip
    """Shares held, the published mark, the average cost per share and the profit realized."""
    held = float(shares or 0)
    value = held * price
    return payload(
        7, 8, *_identity(instrument), instrument.primary_exchange, instrument.currency,
        instrument.local_symbol, instrument.trading_class, shares, price, round(value, 2), average,
        round(value - held * average, 2), round(realized, 2), account,
    )  # fmt: skip


def account_update_time(text: str) -> bytes:
    return payload(8, 1, text)


def account_download_end(account: str) -> bytes:
    return payload(54, 1, account)


def account_summary(req_id: int, account: str, tag: str, value: str, currency: str) -> bytes:
    return payload(63, 1, req_id, account, tag, value, currency)


def account_summary_end(req_id: int) -> bytes:
    return payload(64, 1, req_id)


def account_update_multi(
    req_id: int, account: str, model: str, key: str, value: str, currency: str
) -> bytes:
    return payload(73, 1, req_id, account, model, key, value, currency)


def account_update_multi_end(req_id: int) -> bytes:
    return payload(74, 1, req_id)


def position(account: str, instrument: Instrument, shares: Value, average: float) -> bytes:
    return payload(
        61, 3, account, *_identity(instrument), instrument.primary_exchange, instrument.currency,
        instrument.local_symbol, instrument.trading_class, shares, average,
    )  # fmt: skip


def position_end() -> bytes:
    return payload(62, 1)


def position_multi(
    req_id: int, account: str, instrument: Instrument, shares: Value, average: float, model: str
) -> bytes:
    return payload(
        71, 1, req_id, account, *_identity(instrument), instrument.primary_exchange,
        instrument.currency, instrument.local_symbol, instrument.trading_class, shares, average,
        model,
    )  # fmt: skip


def position_multi_end(req_id: int) -> bytes:
    return payload(72, 1, req_id)


def pnl(req_id: int, daily: float, unrealized: float, realized: float) -> bytes:
    return payload(94, req_id, daily, unrealized, realized)


def pnl_single(
    req_id: int, shares: Value, daily: float, unrealized: float, realized: float, value: float
) -> bytes:
    return payload(95, req_id, shares, daily, unrealized, realized, value)


def pnl_unready(req_id: int) -> bytes:
    """What a fresh PnL subscription says until its first computation."""
    return payload(94, req_id, UNSET_FLOAT, UNSET_FLOAT, UNSET_FLOAT)


def _identity(instrument: Instrument) -> tuple[Value, ...]:
    return (instrument.con_id, instrument.symbol, instrument.sec_type, "", 0.0, "", "")
