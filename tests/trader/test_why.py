"""From an order back to what caused it and on to what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import count

from common import messages as m
from common import wire
from common.tws.messages import OwnPrice, SendOrder
from services.trader import why
from services.trader.journals import Entry
from services.trader.sentences import sentence
from tests.trader import facts
from tests.trader.facts import at, changed

INTENT = "20250602-ENTRY-1"
ORDER = m.Order(
    intent_id=INTENT, day=facts.DAY, purpose="ENTRY", reason="signal", action="BUY", shares=100,
    order_type="MKT", limit_usd=None, outside_rth=False, price_usd=408.39, deadline_ns=at(15, 59),
)  # fmt: skip
BAR = m.DailyBar(
    day=date(2025, 5, 30), open_usd=1, high_usd=2, low_usd=1, close_usd=2, final=True
)  # fmt: skip
FILL = m.Fill(
    exec_id="e1", revision=1, intent_id=INTENT, action="BUY", shares=100, price_usd=408.4,
    filled_ns=at(15, 55, 2), liquidation=False,
)  # fmt: skip
ENTERED = m.Entered(
    day=facts.DAY, shares=100, price_usd=408.4, leverage=3.0, equity_usd=1e6, again=False
)


def update(status: m.OrderStatus, filled: int) -> m.OrderUpdate:
    return m.OrderUpdate(
        intent_id=INTENT, order_id=7, perm_id=9, status=status, filled=filled,
        remaining=100 - filled, average_usd=408.4, code=0, reason="",
    )  # fmt: skip


def day() -> Iterator[Entry]:
    """One entry through all services, as their journals hold it."""
    offsets = count(1)

    def entry(
        service: str, ns: int, source: str, seq: int, heard: m.Message, *said: m.Message
    ) -> Entry:
        numbered = tuple(
            (number if isinstance(output, m.FACTS) else 0, output)
            for number, output in enumerate(said, start=1)
        )
        now = m.Now(market_ns=ns, host_ns=ns)
        record = wire.Record(now, source, 1, seq, heard, numbered)
        return Entry(service, next(offsets), record)

    place = m.PlaceOrder(key="place-1", deadline_ns=at(15, 59), order=ORDER)
    submit = m.SubmitOrder(key="submit-1", deadline_ns=at(15, 59), order=ORDER)
    yes = m.Accepted(key="place-1", note="")
    yield entry("market_feed", at(9, 26), "tws", 0, facts.QUOTE, BAR)
    yield entry("signal_engine", at(9, 26, 1), "market_feed", 1, BAR, facts.SIGNAL, facts.TARGET)
    yield entry("risk_monitor", at(9, 26, 2), "signal_engine", 2, facts.TARGET)
    yield entry("risk_monitor", at(15, 55), "", 0, m.Tick(), place)
    yield entry("order_executor", at(15, 55, 1), "risk_monitor", 0, place, yes, submit)
    yield entry("broker_gateway", at(15, 55, 2), "tws", 0, FILL, update("Submitted", 0), FILL)
    yield entry("broker_gateway", at(15, 55, 2), "", 0, m.Tick(), update("Filled", 100))
    cost = m.Commission(exec_id="e1", commission_usd=0.5)
    yield entry("broker_gateway", at(15, 55, 3), "tws", 0, cost, cost)
    yield entry("risk_monitor", at(15, 55, 3), "broker_gateway", 2, FILL, ENTERED)
    other = changed(ORDER, intent_id="20250602-EXIT-1")
    later = m.PlaceOrder(key="place-2", deadline_ns=0, order=other)
    yield entry("risk_monitor", at(15, 56), "", 0, m.Tick(), later)


def chain() -> why.Chain:
    found = why.chain(list(day())[::-1], INTENT)
    assert found is not None
    return found


def words(steps: tuple[why.Step, ...]) -> list[str]:
    return [f"{step.service} {step.verb} {type(step.message).__name__}" for step in steps]


def test_the_causes_lead_from_the_order_back_to_what_tws_said() -> None:
    assert words(chain().causes) == [
        "market_feed heard Quote",
        "signal_engine heard DailyBar",
        "signal_engine said Signal",
        "signal_engine said TargetPosition",
        "risk_monitor heard TargetPosition",
    ]


def test_the_story_leads_from_decision_to_order_fill_commission_and_entry() -> None:
    assert words(chain().story) == [
        "risk_monitor asked PlaceOrder",
        "order_executor answered Accepted",
        "order_executor asked SubmitOrder",
        "broker_gateway heard Fill",
        "broker_gateway said OrderUpdate",
        "broker_gateway said Fill",
        "broker_gateway said OrderUpdate",
        "broker_gateway heard Commission",
        "broker_gateway said Commission",
        "risk_monitor said Entered",
    ]


def test_status_fills_and_commission_are_added_up() -> None:
    found = chain()
    assert (found.status, found.filled, found.commission_usd) == ("Filled", 100, 0.5)


def test_the_short_story_leaves_out_raw_reports_and_repetitions() -> None:
    assert words(tuple(why.essential(chain().story))) == [
        "risk_monitor asked PlaceOrder",
        "order_executor answered Accepted",
        "order_executor asked SubmitOrder",
        "broker_gateway said OrderUpdate",
        "broker_gateway said Fill",
        "broker_gateway said OrderUpdate",
        "risk_monitor said Entered",
    ]


def test_an_exit_that_a_sold_stop_made_needless_names_the_stop() -> None:
    exit_id, stop_id = "20250602-EXIT-1", "20250602-STOP-1"
    order = changed(ORDER, intent_id=exit_id, purpose="EXIT", reason="stop", action="SELL")
    place = m.PlaceOrder(key="place-1", deadline_ns=0, order=order)
    refused = changed(update("REJECTED", 0), intent_id=exit_id)
    sold = changed(update("Filled", 100), intent_id=stop_id, order_id=6)

    def story(*updates: m.OrderUpdate) -> why.Chain:
        now = m.Now(market_ns=at(15, 0), host_ns=1)
        said = tuple(enumerate(updates, start=1))
        records = [
            Entry("risk_monitor", 1, wire.Record(now, "", 1, 0, m.Tick(), ((0, place),))),
            Entry("broker_gateway", 2, wire.Record(now, "", 1, 0, m.Tick(), said)),
        ]
        found = why.chain(records, exit_id)
        assert found is not None
        return found

    needless, needed = story(sold, refused), story(refused)

    assert needless.instead == sold
    assert needed.instead is None
    assert story(sold, changed(refused, status="Filled", filled=100)).instead is None


def test_an_exit_of_the_gateways_guard_leads_back_to_the_silence_and_the_price() -> None:
    day_key = "20250602-EXIT-900"
    own = changed(ORDER, intent_id=day_key, purpose="EXIT", reason="stop", action="SELL")
    armed = m.StopArmed(day=facts.DAY, stop_usd=980_000.0, stop_price_usd=400.0, shares=100)
    price = OwnPrice(price_usd=399.0, kind="live")
    sent = SendOrder(order_id=8, account="DU1", order_ref=f"{day_key}.1", order=own)
    silence = m.Silence(topic="StopArmed", silent=True)

    def entry(number: int, service: str, source: str, heard: m.Message, *said: m.Message) -> Entry:
        now = m.Now(market_ns=at(15, number), host_ns=number)
        seqs = tuple((number if isinstance(o, m.FACTS) else 0, o) for o in said)
        return Entry(service, number, wire.Record(now, source, 1, number - 1, heard, seqs))

    entries = [
        entry(1, "risk_monitor", "market_feed", facts.QUOTE, armed),
        entry(2, "broker_gateway", "risk_monitor", armed),
        entry(3, "broker_gateway", "", silence),
        entry(4, "broker_gateway", "tws", price, sent),
    ]
    found = why.chain(entries, day_key)
    assert found is not None
    assert words(found.causes) == [
        "risk_monitor heard Quote",
        "broker_gateway heard StopArmed",
        "broker_gateway heard Silence",
        "broker_gateway heard OwnPrice",
    ]
    assert "SMH $399.00" in sentence(found.causes[-1].message)
    assert "nothing is heard" in sentence(found.causes[-2].message)


def test_ibs_order_id_leads_to_the_intent() -> None:
    assert why.intent_of(day(), 7) == INTENT
    assert why.intent_of(day(), 8) is None


def test_an_order_that_nobody_decided_has_no_story() -> None:
    assert why.chain(list(day()), "20250602-ENTRY-9") is None
