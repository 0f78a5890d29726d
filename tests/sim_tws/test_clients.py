"""Unmodified ib_insync and ib_async, with their defaults, over TCP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from services.sim_tws.market import Action
from tests.sim_tws.harness import FIRST_DAY, SimThread, eventually, next_day

Connect = Callable[..., Any]


def qualified(client: Any, library: Any) -> Any:
    """SMH as a contract the client has resolved."""
    (smh,) = client.qualifyContracts(library.Stock("SMH", "SMART", "USD"))
    return smh


def pump(client: Any) -> Callable[[], object]:
    """Lets a client read its socket."""
    return lambda: client.sleep(0.01)


def test_connecting_syncs_everything_and_names_account_and_next_id(connect: Connect) -> None:
    client = connect()

    assert client.managedAccounts() == ["DU1234567"]
    values = {(v.tag, v.currency): v.value for v in client.accountValues()}
    assert values["NetLiquidation", "USD"] == "1000000.00"
    assert values["TradingType-S", ""] == "PMRGN"
    assert len(values) > 140
    assert client.positions() == []
    assert client.client.getReqId() < 20


def test_contract_details_say_nasdaq_and_the_hours_of_the_next_days(
    connect: Connect, library: Any
) -> None:
    client = connect()

    details = client.reqContractDetails(library.Stock("SMH", "SMART", "USD"))[0]

    assert details.contract.primaryExchange == "NASDAQ"
    assert details.timeZoneId == "US/Eastern"
    assert details.liquidHours.startswith("20250602:0930-20250602:1600;20250603:0930")
    assert details.liquidHours.endswith("20250607:CLOSED")
    assert details.minTick == 0.01


def test_a_wrong_listing_is_unknown_and_a_missing_currency_ambiguous(
    connect: Connect, library: Any
) -> None:
    client = connect()

    assert (
        client.reqContractDetails(library.Stock("SMH", "SMART", "USD", primaryExchange="ARCA"))
        == []
    )
    assert len(client.reqContractDetails(library.Contract(symbol="SMH", secType="STK"))) == 2
    vix = client.reqContractDetails(library.Index("VIX", "CBOE"))[0]
    assert vix.contract.conId == 13455763


def test_daily_history_ends_with_the_running_session_and_becomes_official(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    smh = qualified(client, library)

    during = client.reqHistoricalData(smh, "", "5 Y", "1 day", "TRADES", useRTH=True)
    sim.go("16:01")
    after = client.reqHistoricalData(smh, "", "2 D", "1 day", "TRADES", useRTH=True)

    assert during[-1].date == FIRST_DAY
    assert len(during) > 5 * 250
    official = sim.broker.tape.market.closing_print("SMH", FIRST_DAY)
    assert [bar.date for bar in after] == [during[-2].date, FIRST_DAY]
    assert after[-1].close == official
    assert during[-1].volume < after[-1].volume


def test_intraday_history_holds_only_what_has_happened(connect: Connect, library: Any) -> None:
    client = connect()
    smh = qualified(client, library)

    bars = client.reqHistoricalData(smh, "", "1 D", "5 mins", "TRADES", useRTH=True)
    quotes = client.reqHistoricalData(smh, "", "3600 S", "1 min", "BID", useRTH=True)

    assert len(bars) == 6
    assert (bars[0].date.hour, bars[0].date.minute) == (9, 30)
    assert quotes[-1].volume == -1


def test_history_kept_up_to_date_grows_with_market_time(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    smh = qualified(client, library)
    bars = client.reqHistoricalData(
        smh, "", "1 D", "1 min", "TRADES", useRTH=True, keepUpToDate=True
    )
    before = len(bars)

    sim.go("10:05")

    eventually(lambda: len(bars) >= before + 4, pump(client))


def test_a_kept_up_daily_bar_ends_as_the_official_one(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    smh = qualified(client, library)
    bars = client.reqHistoricalData(
        smh, "", "5 D", "1 day", "TRADES", useRTH=True, keepUpToDate=True
    )

    sim.go("15:59")
    sim.go("16:01")

    official = sim.broker.tape.market.closing_print("SMH", FIRST_DAY)
    eventually(lambda: bars[-1].close == official, pump(client))
    assert bars[-1].date == FIRST_DAY


def test_streaming_ticks_reach_the_client_with_every_turning_point(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    ticker = client.reqMktData(qualified(client, library))
    eventually(lambda: ticker.bid > 0 and ticker.close > 0, pump(client))
    start_ns = sim.broker.now_ns
    seen: list[float] = []
    client.pendingTickersEvent += lambda tickers: seen.extend(
        tick.price for t in tickers for tick in t.ticks if tick.tickType == 4
    )

    sim.go("10:01")
    path = sim.broker.tape.path("SMH", start_ns, sim.broker.now_ns)
    eventually(lambda: len(seen) and seen[-1] == path[-1].last, pump(client))

    assert min(seen) == min(tick.last for tick in path)
    assert max(seen) == max(tick.last for tick in path)
    assert ticker.marketDataType == 1
    assert ticker.ask > ticker.bid > 0


def test_a_new_session_begins_with_its_official_open_and_the_close_before(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    ticker = client.reqMktData(qualified(client, library))
    eventually(lambda: ticker.open > 0 and ticker.close > 0, pump(client))
    tuesday = next_day(FIRST_DAY)

    sim.go("16:01")
    sim.go("09:30:05", tuesday)

    market = sim.broker.tape.market
    eventually(lambda: ticker.open == market.opening_print("SMH", tuesday), pump(client))
    eventually(lambda: ticker.close == market.closing_print("SMH", FIRST_DAY), pump(client))
    assert ticker.low <= ticker.open <= ticker.high


def test_an_ex_date_tells_the_close_less_the_dividend_and_what_has_accrued(
    connect: Connect, library: Any, sim: SimThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: 1,000 shares held, and a subscription that stands over the night
    tuesday = next_day(FIRST_DAY)
    tape = sim.broker.tape
    monkeypatch.setattr(
        tape.market,
        "actions_on",
        lambda day: [Action("dividend", 1.25)] if day == tuesday else [],
    )
    client = connect()
    smh = qualified(client, library)
    ticker = client.reqMktData(smh)
    client.placeOrder(smh, library.MarketOrder("BUY", 1000))
    sim.pass_s(2)
    eventually(lambda: client.positions() and client.positions()[0].position == 1000, pump(client))

    def accrued() -> float:
        rows = client.accountValues()
        return next(float(v.value) for v in rows if v.tag == "AccruedDividend")

    # when
    sim.go("23:59")
    sim.go("00:01", tuesday)
    # then
    close = tape.close_before("SMH", tuesday)
    assert close is not None
    eventually(lambda: ticker.close == pytest.approx(close - 1.25), pump(client))
    eventually(lambda: accrued() == 1250.0, pump(client))


def test_vix_is_an_index_without_quotes(connect: Connect, library: Any) -> None:
    client = connect()
    (vix,) = client.qualifyContracts(library.Index("VIX", "CBOE"))
    ticker = client.reqMktData(vix)

    eventually(lambda: ticker.last > 0 and ticker.close > 0, pump(client))

    assert not ticker.bid > 0


def test_tick_by_tick_and_five_second_bars_stream(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    smh = qualified(client, library)
    bars = client.reqRealTimeBars(smh, 5, "TRADES", useRTH=True)
    prints = client.reqTickByTickData(smh, "AllLast")
    client.reqPositions()

    sim.go("10:00:30")

    eventually(lambda: len(bars) == 6, pump(client))
    eventually(lambda: prints.tickByTicks, pump(client))


def test_a_market_order_fills_in_pieces_with_commission_and_position(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    smh = qualified(client, library)
    trade = client.placeOrder(smh, library.MarketOrder("BUY", 9000))
    eventually(lambda: trade.fills, pump(client))
    sim.pass_s(3)
    eventually(trade.isDone, pump(client))
    eventually(client.positions, pump(client))

    assert trade.orderStatus.status == "Filled"
    assert len(trade.fills) > 1
    prices = [fill.execution.price for fill in trade.fills]
    assert max(prices) > min(prices)
    assert sum(fill.execution.shares for fill in trade.fills) == 9000
    assert sum(f.commissionReport.commission for f in trade.fills) == pytest.approx(45.0)
    assert client.positions()[0].position == 9000
    states = [entry.status for entry in trade.log]
    assert states.index("PreSubmitted") < states.index("Filled")


def test_a_limit_waits_is_modified_and_fills_at_the_quote_or_better(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    smh = qualified(client, library)
    ask = sim.broker.tape.tick("SMH", sim.broker.now_ns).ask
    order = library.LimitOrder("BUY", 100, round(ask * 0.9, 2))
    trade = client.placeOrder(smh, order)
    eventually(lambda: trade.orderStatus.status == "Submitted", pump(client))

    order.lmtPrice = round(ask + 1, 2)
    client.placeOrder(smh, order)

    eventually(trade.isDone, pump(client))
    assert trade.orderStatus.avgFillPrice == ask


def test_a_stop_waits_for_its_trigger_and_sells_on_the_path(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    smh = qualified(client, library)
    client.placeOrder(smh, library.MarketOrder("BUY", 100))
    low = min(
        t.last
        for t in sim.broker.tape.path("SMH", sim.broker.now_ns, sim.broker.now_ns + 1800 * 10**9)
    )
    trade = client.placeOrder(smh, library.StopOrder("SELL", 100, low))
    eventually(lambda: trade.orderStatus.whyHeld == "trigger", pump(client))
    assert trade.orderStatus.status == "PreSubmitted"

    sim.go("10:30")

    eventually(lambda: trade.orderStatus.status == "Filled", pump(client))


def test_cancel_ends_an_order_and_a_second_cancel_is_refused(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    smh = qualified(client, library)
    trade = client.placeOrder(smh, library.LimitOrder("BUY", 10, 10.0))
    eventually(lambda: trade.orderStatus.status == "Submitted", pump(client))
    codes: list[int] = []
    client.errorEvent += lambda _id, code, *_rest: codes.append(code)

    client.cancelOrder(trade.order)
    eventually(lambda: trade.orderStatus.status == "Cancelled", pump(client))
    client.client.cancelOrder(trade.order.orderId, "")
    eventually(lambda: 10148 in codes, pump(client))
    client.client.cancelOrder(99999, "")
    eventually(lambda: 10147 in codes, pump(client))

    assert sim.broker.books.live() == []


def test_global_cancel_leaves_nothing_working(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    smh = qualified(client, library)
    trades = [client.placeOrder(smh, library.LimitOrder("BUY", 10, 10.0 + i)) for i in range(3)]
    eventually(lambda: len(sim.broker.books.live()) == 3, pump(client))

    client.reqGlobalCancel()

    eventually(lambda: all(t.isDone() for t in trades), pump(client))


def test_what_if_tells_margin_and_commission_and_places_nothing(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    smh = qualified(client, library)

    state = client.whatIfOrder(smh, library.MarketOrder("BUY", 1000))

    price = sim.broker.tape.mark(sim.broker.now_ns)
    assert float(state.initMarginChange) == pytest.approx(0.15 * price * 1000, rel=1e-4)
    assert state.commission == 5.0
    assert sim.broker.books.orders == {}


def test_a_bracket_holds_its_children_until_the_parent_filled(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    smh = qualified(client, library)
    ask = sim.broker.tape.tick("SMH", sim.broker.now_ns).ask
    bracket = client.bracketOrder(
        "BUY", 100, round(ask + 1, 2), round(ask * 1.1, 2), round(ask * 0.9, 2)
    )

    trades = [client.placeOrder(smh, order) for order in bracket]
    eventually(lambda: trades[0].orderStatus.status == "Filled", pump(client))
    eventually(lambda: trades[1].orderStatus.status == "Submitted", pump(client))
    assert trades[2].orderStatus.status == "PreSubmitted"


def test_one_cancels_all_ends_the_rest_of_its_group(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    smh = qualified(client, library)
    ask = sim.broker.tape.tick("SMH", sim.broker.now_ns).ask
    far = library.LimitOrder("BUY", 10, round(ask * 0.8, 2))
    near = library.LimitOrder("BUY", 10, round(ask + 1, 2))
    trades = [client.placeOrder(smh, o) for o in client.oneCancelsAll([far, near], "group", 1)]

    eventually(lambda: all(t.isDone() for t in trades), pump(client))
    assert [t.orderStatus.status for t in trades] == ["Cancelled", "Filled"]


def test_orders_fills_and_completed_orders_are_there_after_reconnecting(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    first = connect()
    smh = qualified(first, library)
    done = first.placeOrder(smh, library.MarketOrder("BUY", 100))
    done.order.orderRef = "ignored"
    resting = library.LimitOrder("SELL", 100, 999.0, tif="GTC", orderRef="mine")
    kept = first.placeOrder(smh, resting)
    eventually(lambda: kept.orderStatus.status == "Submitted", pump(first))
    eventually(done.isDone, pump(first))
    first.disconnect()
    eventually(lambda: not sim.server.sessions)

    again = connect()

    (order,) = again.openOrders()
    assert (order.orderRef, order.permId, order.orderId) == (
        "mine",
        kept.order.permId,
        kept.order.orderId,
    )
    assert [fill.execution.orderId for fill in again.fills()] == [done.order.orderId]
    assert {trade.orderStatus.status for trade in again.trades()} == {"Filled", "Submitted"}
    assert again.client.getReqId() > kept.order.orderId


def test_account_summary_positions_and_pnl_follow_the_true_marks(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    smh = qualified(client, library)
    client.placeOrder(smh, library.MarketOrder("BUY", 100))
    eventually(client.positions, pump(client))
    pnl = client.reqPnL("DU1234567")
    single = client.reqPnLSingle("DU1234567", "", smh.conId)
    client.reqPositions()
    sim.go("10:20")

    summary = {v.tag: v.value for v in client.accountSummary()}
    eventually(lambda: abs(single.value) > 1 and single.value < 1e300, pump(client))
    mark = sim.broker.tape.mark(sim.broker.now_ns)
    eventually(lambda: single.value == pytest.approx(100 * mark, abs=0.02), pump(client))

    assert float(summary["NetLiquidation"]) > 0
    assert single.position == 100
    truth = sim.broker.account.smh.daily_usd(mark)
    assert pnl.dailyPnL == pytest.approx(truth, abs=0.01)


def test_published_equity_is_stale_between_three_minute_refreshes(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    smh = qualified(client, library)
    client.placeOrder(smh, library.MarketOrder("BUY", 3000))
    sim.pass_s(2)
    eventually(lambda: client.positions() and client.positions()[0].position == 3000, pump(client))

    def shown() -> float:
        return next(float(v.value) for v in client.accountValues() if v.tag == "NetLiquidation")

    sim.go("10:03")
    client.reqPositions()
    at_refresh = shown()
    truth = sim.broker.account.net_liquidation_usd(sim.broker.tape.mark(sim.broker.now_ns))
    assert at_refresh == pytest.approx(truth, abs=0.01)
    sim.go("10:05:50")
    client.reqPositions()

    assert shown() == at_refresh
    truth = sim.broker.account.net_liquidation_usd(sim.broker.tape.mark(sim.broker.now_ns))
    assert truth != pytest.approx(at_refresh, abs=0.01)
    sim.go("10:06")
    eventually(lambda: shown() != at_refresh, pump(client))


def test_a_used_client_id_is_refused_and_another_one_is_welcome(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    connect(1)
    second = library.IB()
    codes: list[int] = []
    second.errorEvent += lambda _id, code, *_rest: codes.append(code)

    with pytest.raises((TimeoutError, ConnectionError)):
        second.connect("127.0.0.1", sim.port, clientId=1, timeout=0.5)
    assert 326 in codes
    connect(2)


def test_client_zero_sees_and_binds_what_was_entered_in_tws(
    connect: Connect, sim: SimThread
) -> None:
    sim.fault("manual-order", action="SELL", quantity=10, limit=900.0)
    client = connect(0)

    (trade,) = eventually(client.openTrades, pump(client))

    assert trade.order.clientId == 0
    assert trade.order.orderId < 0


def test_day_orders_expire_at_the_close_and_gtc_orders_live_on(
    connect: Connect, library: Any, sim: SimThread
) -> None:
    client = connect()
    smh = qualified(client, library)
    day = client.placeOrder(smh, library.LimitOrder("BUY", 10, 10.0, tif="DAY"))
    gtc = client.placeOrder(smh, library.LimitOrder("BUY", 10, 11.0, tif="GTC"))
    eventually(lambda: gtc.orderStatus.status == "Submitted", pump(client))

    sim.go("10:00", next_day(FIRST_DAY))

    eventually(lambda: day.orderStatus.status == "Cancelled", pump(client))
    assert gtc.orderStatus.status == "Submitted"
