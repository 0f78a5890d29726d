"""Every fault, seen from a client's side; the last test keeps the table complete."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Callable

import pytest

from services.sim_tws import faults
from services.sim_tws.faults import FAULTS, FaultError
from services.sim_tws.market_time import read_instant_ns
from tests.sim_tws.harness import DEADLINE_S, SimThread, eventually
from tests.sim_tws.raw_client import SMH, RawClient, order_fields

Raw = Callable[..., RawClient]
UNSET = "1.7976931348623157E308"


def buy(client: RawClient, order_id: int = 1, **terms: object) -> None:
    client.say(*order_fields(order_id, client.version, **terms))


def subscribe(client: RawClient, req_id: int = 7) -> None:
    client.say(1, 11, req_id, *SMH, 0, "", 0, 0, "")


def silent(client: RawClient, *messages: str) -> bool:
    """Has none of these come by the time a round trip is done?"""
    before = len(client.heard)
    client.say(17, 1)
    client.hear("15")
    return not [fields for fields in client.heard[before:] if fields[0] in messages]


# Link and connection


def test_link_loss(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    buy(client, 1, kind="LMT", limit=1.0)
    client.hear("3", f2="Submitted")
    buy(client, 2, action="SELL", kind="STP", aux=_reached(sim))
    client.hear("5", f1="2")

    sim.fault("link-loss", seconds=600, code=1102)
    assert client.hear("4", f3="1100")
    sim.go("10:09")
    client.say(61, 1)
    assert client.hear("62")
    client.say(7, 3, 5, 0, "", "", "", "", "", "")
    client.hear("55")
    assert not [f for f in client.heard if f[0] in {"11", "61"}], "what IB did is not known here"

    sim.go("10:10")
    assert client.hear("4", f3="1102")[4].endswith("secdefnj.")
    assert client.hear("11")[18] == "SLD"


def test_link_loss_may_drop_fills_until_asked(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    buy(client, 1, action="SELL", kind="STP", aux=_reached(sim))
    client.hear("5", f1="1")
    sim.fault("link-loss", seconds=600, code=1101, report_fills=False)
    sim.go("10:11")
    client.hear("4", f3="1101")

    assert silent(client, "11", "3", "5")
    client.say(7, 3, 5, 0, "", "", "", "", "", "")
    assert client.hear("11")[1] == "5"


def test_link_restore(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    subscribe(client)
    client.hear("58")
    sim.fault("link-loss", seconds=0)
    client.hear("4", f3="1100")
    buy(client)
    client.say(9, 8, 5, *SMH, 0, "", "", "")
    assert silent(client, "3", "4", "5", "10"), "orders sent into the outage are lost"

    sim.fault("link-restore", code=1101)

    client.hear("4", f3="1101")
    client.say(2, 2, 7)
    assert client.hear("4", f2="7")[3] == "300", "1101 ends subscriptions"


def test_nightly_reset(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    client.say(6, 2, 1, "DU1234567")
    client.hear("54")

    sim.fault("nightly-reset", seconds=60)

    assert client.hear("4", f3="2103")
    assert client.hear("6", f2="AccountReady")[3] == "false"
    assert client.hear("4", f3="1100")
    sim.go("10:02")
    assert client.hear("4", f3="1102")
    assert client.hear("4", f3="2106")


def test_farm(raw: Raw, sim: SimThread) -> None:
    client = raw().start()

    for code in (2103, 2105, 2107, 2108, 2119, 2157):
        sim.fault("farm", code=code, farm="usfarm")
        assert client.hear("4", f3=str(code))[4].endswith("usfarm")


def test_quotes_stop(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    subscribe(client)
    client.hear("2", f3="8")

    sim.fault("quotes-stop")
    sim.go("10:05")
    assert silent(client, "1", "2")
    sim.fault("quotes-stop", on=False)
    sim.go("10:06")
    assert client.hear("1")


def test_restart(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    buy(client, 8)
    client.hear("59")

    sim.fault("restart", host_seconds=0.3, ids_back=3, ids_taken_host_seconds=0.3)

    assert client.closed()
    with pytest.raises(ConnectionError):
        RawClient(sim.port)
    again = _once_it_listens(raw)
    assert again.hear("4")[3] == "326"
    assert again.closed()
    eventually(lambda: time.monotonic_ns() > sim.server.switches.ids_taken_until_host_ns)
    assert raw().start().heard[1] == ["9", "1", "6"]


def test_refuse_port(raw: Raw, sim: SimThread) -> None:
    client = raw().start()

    sim.fault("refuse-port", host_seconds=0.2)

    assert client.closed()
    with pytest.raises(ConnectionError):
        RawClient(sim.port)
    assert _once_it_listens(raw).hear("15")


def test_drop_client(raw: Raw, sim: SimThread) -> None:
    first, second = raw(client_id=1).start(), raw(client_id=2).start()

    sim.fault("drop-client", client_id=1)

    assert first.closed()
    second.say(17, 1)
    assert second.hear("15")


def test_half_open(raw: Raw, sim: SimThread) -> None:
    first, second = raw(client_id=1).start(), raw(client_id=2).start()
    sim.fault("half-open", client_id=1, host_seconds=0.3)

    first.say(17, 1)
    first.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        first.hear("15")
    second.say(17, 1)
    assert second.hear("15")
    assert raw(client_id=1).start(), "the id is free again"
    first.socket.settimeout(DEADLINE_S)
    assert first.closed(), "in the end the kernel gives it up"


def test_freeze(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("freeze")

    client.say(17, 1)
    client.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.hear("15")
    newcomer = raw(client_id=2)
    newcomer.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        newcomer.shake_hands()

    sim.fault("freeze", on=False)
    client.socket.settimeout(DEADLINE_S)
    newcomer.socket.settimeout(DEADLINE_S)
    assert client.hear("15"), "what was asked meanwhile is answered afterwards"
    assert newcomer.shake_hands() == 176


def test_slow(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("slow", host_seconds=0.15)

    began = time.monotonic()
    client.say(17, 1)
    client.say(8, 1, 1)
    client.hear("9")

    assert time.monotonic() - began >= 0.14
    assert [f[0] for f in client.heard][-2:] == ["15", "9"], "late, but in order"


def test_late(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("late", message="execDetailsEnd", host_seconds=0.1)

    client.say(7, 3, 5, 0, "", "", "", "", "", "")
    client.say(17, 1)

    client.hear("15")
    assert "55" not in [f[0] for f in client.heard]
    assert client.hear("55")


@pytest.mark.parametrize(
    ("name", "number", "question"),
    [("openOrderEnd", "53", (5, 1)), ("positionEnd", "62", (61, 1)),
     ("completedOrdersEnd", "102", (99, 0)), ("accountDownloadEnd", "54", (6, 2, 1, "")),
     ("accountUpdateMultiEnd", "74", (76, 1, 3, "", "", 0)),
     ("execDetailsEnd", "55", (7, 3, 5, 0, "", "", "", "", "", ""))],
)  # fmt: skip
def test_withhold(
    raw: Raw, sim: SimThread, name: str, number: str, question: tuple[object, ...]
) -> None:
    client = raw().start()
    sim.fault("withhold", message=name)
    client.say(*question)
    assert silent(client, number)

    sim.fault("withhold", message=name, on=False)
    client.say(*question)
    assert client.hear(number)


def test_pace_requests(raw: Raw, sim: SimThread) -> None:
    sim.fault("pace-requests")
    client = raw().start()
    for _ in range(60):
        client.say(17, 1)
    for _ in range(60):
        client.hear("15")
    assert not [f for f in client.heard if f[0] == "4" and f[3] == "100"]


def test_a_question_after_the_time_too_soon_after_the_last_stays_unanswered(raw: Raw) -> None:
    first, second = raw(client_id=1).start(), raw(client_id=2).start()
    first.say(49, 1)
    assert first.hear("49")
    first.say(49, 1)
    assert silent(first, "49")
    second.say(49, 1)
    assert second.hear("49"), "each client for itself"


def test_clock_questions(raw: Raw, sim: SimThread) -> None:
    first, second = raw(client_id=1).start(), raw(client_id=2).start()
    sim.fault("clock-questions")
    first.say(49, 1)
    assert first.hear("49")
    second.say(49, 1)
    assert silent(second, "49"), "all clients together"
    sim.fault("clock-questions", host_seconds=0.0, shared=False)
    second.say(49, 1)
    assert second.hear("49")


def test_clock_skew(raw: Raw, sim: SimThread) -> None:
    honest, ahead = raw(client_id=1).start(), raw(client_id=2).start()
    honest.say(49, 1)
    sim.fault("clock-skew", seconds=7)
    ahead.say(49, 1)
    assert int(ahead.hear("49")[2]) == int(honest.hear("49")[2]) + 7


def test_read_only(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("read-only")

    buy(client)

    assert "Read-Only" in client.hear("4", f2="1")[4]
    client.say(99, 0)
    assert silent(client, "102")


# Orders


def test_reject(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("reject", code=201, text="Order rejected - reason:because", count=1)

    buy(client, 1)
    assert client.hear("4", f2="1")[3:5] == ["201", "Order rejected - reason:because"]
    assert client.hear("5", f1="1")[94] == "Inactive"
    assert client.hear("3", f1="1")[2] == "Inactive"
    buy(client, 2)
    assert client.hear("3", f2="Filled")


def test_a_refusal_by_tws_itself_leaves_no_order(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("reject", code=110)
    buy(client, 1)
    assert client.hear("4", f2="1")[3] == "110"
    assert silent(client, "3", "5")
    assert sim.broker.books.orders == {}


def test_reject_kid(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("reject-kid")
    buy(client)
    assert "KID" in client.hear("4", f2="1")[4]


def test_reject_outside_hours(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.go("17:00")
    buy(client, 1)
    assert "will not be placed at the exchange until" in client.hear("4", f2="1", f3="399")[4]

    sim.fault("reject-outside-hours")
    buy(client, 2)

    assert client.hear("4", f2="2")[4] == "Order rejected - reason:Exchange is closed."


def test_refuse_group_joins(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("refuse-group-joins")
    far = {"kind": "LMT", "limit": "20.0", "oca": "pair", "oca_type": 1}
    buy(client, 1, **far)
    client.hear("3", f1="1", f2="Submitted")  # the first of a group is no join

    buy(client, 2, **far)

    assert client.hear("4", f2="2")[3:5] == [
        "201",
        "Order rejected - reason:OCA group pair is closed.",
    ]
    assert [order.order_id for order in sim.broker.books.live()] == [1]


def test_tif_preset(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("tif-preset")
    buy(client)
    assert client.hear("4", f2="1")[3] == "10349"
    assert client.hear("3", f2="Filled")


def test_order_notice(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("order-notice", code=481, text="smaller")
    buy(client, 1)
    assert client.hear("4", f2="1")[3:5] == ["481", "smaller"]
    assert client.hear("3", f2="Filled")


def test_lose_orders(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("lose-orders", count=1)
    buy(client, 1)
    assert silent(client, "3", "5", "11")
    buy(client, 2)
    assert client.hear("11")[2] == "2"


def test_deactivate_orders(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("deactivate-orders", count=1)
    buy(client, 1)
    assert client.hear("3", f1="1")[2] == "Inactive"
    assert silent(client, "4", "11")
    sim.go("16:30")
    client.say(16, 1)
    assert client.hear("5", f1="1")[94] == "Inactive", "a day order too stays listed"
    client.hear("53")

    client.say(4, 1, 1, "")

    client.hear("3", f1="1", f2="Cancelled")
    client.say(16, 1)
    client.hear("53")
    assert sim.broker.books.live() == []


def test_hold_orders(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("hold-orders", count=1)
    for _ in range(2):  # the second time it is the same order, shown already
        buy(client, 1)
        assert silent(client, "3", "5", "11")
    buy(client, 2)
    assert client.hear("11")[2] == "2"


@pytest.mark.parametrize("send", [True, False])
def test_answer_dialogs(raw: Raw, sim: SimThread, send: bool) -> None:
    client = raw().start()
    sim.fault("hold-orders", count=1)
    buy(client, 1)
    assert silent(client, "3", "5", "11")
    sim.fault("answer-dialogs", send=send)
    assert client.hear("3", f2="Filled" if send else "Cancelled")
    assert sim.broker.account.smh.shares == (100 if send else 0)


def test_ack_delay(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("ack-delay", host_seconds=0.2)
    buy(client)
    assert silent(client, "3", "5", "11", "59")
    assert sim.broker.account.smh.shares == 100
    assert client.hear("59")


def test_duplicate_status(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("duplicate-status")
    buy(client)
    client.hear("59")
    states = [f[2] for f in client.heard if f[0] == "3"]
    assert states == ["PreSubmitted"] * 2 + ["Filled"] * 2


def test_reorder_status(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("reorder-status")
    buy(client)
    client.hear("3", f2="Filled")
    assert [f[0] for f in client.heard if f[0] in {"3", "5"}][:2] == ["3", "5"]


def test_fill_beats_cancel(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    buy(client, 1, kind="LMT", limit=10.0)
    client.hear("3", f2="Submitted")
    sim.fault("fill-beats-cancel")

    client.say(4, 1, 1, "")

    assert client.hear("3")[2] == "PendingCancel"
    assert client.hear("3")[2] == "Filled"


def test_early_what_if(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("early-what-if")
    buy(client, 1, what_if=1)
    assert client.hear("5")[98] == UNSET
    assert float(client.hear("5")[98]) > 0


def test_unnumbered_orders(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("unnumbered-orders")
    buy(client, 1, kind="LMT", limit="20.0")
    assert client.hear("3", f1="1")[6] == "0"
    buy(client, 2)
    assert client.hear("3", f2="Filled")[6] != "0"


def test_push_open_orders(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    buy(client, 1, kind="LMT", limit=10.0, tif="GTC")
    client.hear("3", f2="Submitted")
    client.close()
    eventually(lambda: not sim.server.sessions)
    sim.fault("push-open-orders")

    again = raw().start()

    assert again.hear("5")[1] == "1"


def test_cancel_own_only(raw: Raw, sim: SimThread) -> None:
    owner, other = raw(client_id=1).start(), raw(client_id=2).start()
    for order_id in (1, 2):
        buy(owner, order_id, kind="LMT", limit=10.0)
        owner.hear("3", f1=str(order_id), f2="Submitted")
    other.say(4, 1, 1, "")
    assert owner.hear("3", f1="1", f2="Cancelled")

    sim.fault("cancel-own-only")
    other.say(4, 1, 2, "")

    assert other.hear("4", f2="2")[3] == "10147"


def test_own_executions_only(raw: Raw, sim: SimThread) -> None:
    owner, other = raw(client_id=1).start(), raw(client_id=2).start()
    buy(owner)
    owner.hear("59")
    other.say(7, 3, 5, 0, "", "", "", "", "", "")
    assert other.hear("11")
    other.hear("55")

    sim.fault("own-executions-only")
    other.say(7, 3, 6, 0, "", "", "", "", "", "")
    other.hear("55")

    assert len([f for f in other.heard if f[0] == "11"]) == 1


def test_utc_times(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    buy(client)
    local = client.hear("11")[15]
    sim.fault("utc-times")
    client.say(7, 3, 5, 0, "", "", "", "", "", "")
    utc = client.hear("11", f1="5")[15]
    assert re.fullmatch(r"\d{8}-\d\d:\d\d:\d\d", utc)
    assert local.endswith(" US/Eastern")
    assert read_instant_ns(utc) == read_instant_ns(local)


def test_correct_execution(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    buy(client)
    first = client.hear("11")
    client.hear("59")
    cash = sim.broker.account.cash_usd

    sim.fault("correct-execution", price=100.0)

    second = client.hear("11")
    assert second[14] == first[14].removesuffix(".01") + ".02"
    assert second[20] == "100.0"
    assert sim.broker.account.cash_usd == pytest.approx(cash + (float(first[20]) - 100) * 100)


def test_cancel_all(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    buy(client, 1, kind="LMT", limit=10.0)
    client.hear("3", f2="Submitted")
    sim.fault("cancel-all")
    assert client.hear("3", f2="Cancelled")
    assert client.hear("4", f2="1")[3] == "202"


def test_manual_order(raw: Raw, sim: SimThread) -> None:
    client, owner = raw(client_id=1).start(), raw(client_id=0).start()
    client.say(61, 1)
    client.hear("62")
    sim.fault("manual-order", action="BUY", quantity=30)

    assert client.hear("61")[14] == "30"
    fill = owner.hear("11")
    assert (fill[2], fill[22], fill[26]) == ("0", "0", "")
    assert silent(client, "11")
    client.say(16, 1)
    client.hear("53")


def test_liquidation(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    buy(client)
    client.hear("59")
    with pytest.raises(FaultError):
        sim.fault("liquidation", quantity="many")

    sim.fault("liquidation", quantity=40)

    client.say(7, 3, 5, 0, "", "", "", "", "", "")
    forced = client.hear("11", f18="SLD")
    assert (forced[19], forced[23]) == ("40", "1")


# Market data


def test_wild_print(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    subscribe(client)
    honest = float(client.hear("1", f3="4")[4])

    sim.fault("wild-print", percent=-5, where="last")
    sim.pass_s(2)

    prices = [float(client.hear("1", f3="4")[4]) for _ in range(2)]
    assert prices[0] == pytest.approx(honest * 0.95, rel=1e-3)
    assert prices[1] == pytest.approx(honest, rel=1e-3)


def test_bad_ticks(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    subscribe(client)
    client.hear("2", f3="8")

    sim.fault("bad-ticks", value="nan", count=1)
    sim.go("10:01")
    assert math.isnan(float(client.hear("1")[4]))
    sim.fault("bad-ticks", value=-1, count=1)
    sim.go("10:02")
    assert client.hear("1", f4="-1.0")


def test_data_permission(raw: Raw, sim: SimThread) -> None:
    sim.fault("data-permission", live=False, delayed=True)
    client = raw().start()
    subscribe(client, 1)
    assert client.hear("4", f2="1")[3] == "354"

    client.say(59, 1, 3)
    subscribe(client, 2)
    assert client.hear("4", f2="2")[3] == "10167"
    assert client.hear("58")[3] == "3"
    bid = client.hear("1", f3="66")
    before = sim.broker.tape.tick("SMH", sim.broker.now_ns - 900 * 10**9)
    assert float(bid[4]) == before.bid
    client.say(20, 3, *SMH, 0, "", "1 min", "1800 S", 1, "TRADES", 2, 0, "")
    assert int(client.hear("17")[-8]) * 10**9 <= sim.broker.now_ns - 900 * 10**9

    sim.fault("data-permission", live=False, delayed=False)
    subscribe(client, 4)
    assert client.hear("4", f2="4")[3] == "10168"
    client.say(59, 1, 1)
    subscribe(client, 5)
    assert client.hear("4", f2="5")[3] == "10089"


def test_delayed_not_asked(raw: Raw, sim: SimThread) -> None:
    sim.fault("data-permission", live=False, delayed=True)
    sim.fault("delayed-not-asked")
    client = raw().start()
    subscribe(client, 1)
    assert client.hear("4", f2="1")[3] == "10168"
    client.say(59, 1, 3)
    subscribe(client, 2)
    assert client.hear("4", f2="2")[3] == "10167"


def test_part_permitted(raw: Raw, sim: SimThread) -> None:
    sim.fault("part-permitted")
    client = raw().start()
    subscribe(client, 1)
    assert client.hear("4", f2="1")[3] == "10091"
    sim.go("10:00:10")
    assert silent(client, "1")
    client.say(59, 1, 3)
    subscribe(client, 2)
    assert client.hear("58", f2="2")[3] == "3"


def test_competing_session(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    subscribe(client)
    client.hear("2", f3="8")

    sim.fault("competing-session")

    assert client.hear("4", f2="7")[3] == "10197"
    sim.go("10:01")
    assert silent(client, "1")


def test_halt(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    subscribe(client)
    assert silent(client, "45"), "that nothing is halted is not told"

    sim.fault("halt")
    assert client.hear("45", f3="49")[4] == "1.0"
    buy(client)
    client.hear("3", f2="PreSubmitted")
    sim.go("10:05")
    assert silent(client, "11")
    assert not [f for f in client.heard[-100:] if f[0] == "1" and f[3] == "4"], "nothing trades"
    sim.fault("halt", on=False)

    assert client.hear("11")
    sim.go("10:06")
    assert client.hear("1", f3="4"), "prints alone say that it is over"
    assert silent(client, "45")


def test_watchlist(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("watchlist")
    subscribe(client)
    assert client.hear("45", f3="49")[4] == "0.0"
    sim.fault("halt")
    assert client.hear("45", f3="49")[4] == "1.0"
    sim.fault("halt", on=False)
    assert client.hear("45", f3="49")[4] == "0.0"


def test_ambiguous_contract(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("ambiguous-contract")
    client.say(9, 8, 5, *SMH, 0, "", "", "")
    client.hear("52")
    assert len([f for f in client.heard if f[0] == "10"]) == 2
    subscribe(client)
    assert client.hear("4", f2="7")[3] == "200"


def test_history_error(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("history-error", text="no")
    client.say(20, 3, *SMH, 0, "", "1 day", "5 D", 1, "TRADES", 1, 0, "")
    assert client.hear("4", f2="3")[3] == "162"


# Account


def test_deposit(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    client.say(6, 2, 1, "")
    client.hear("54")
    sim.fault("deposit", amount=-250_000)
    sim.go("10:03")
    assert client.hear("6", f2="NetLiquidation")[3] == "750000.00"


def test_foreign_position(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    client.say(61, 1)
    client.hear("62")
    sim.fault("foreign-position", symbol="AAPL", shares=10, price=200)
    assert client.hear("61", f4="AAPL")[14] == "10"
    assert sim.broker.account.net_liquidation_usd(1.0) == 1_000_000


def test_part_share(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    buy(client)
    client.hear("59")
    client.say(61, 1)
    client.hear("62")
    sim.fault("part-share", shares=0.4)
    assert client.hear("61")[14] == "100.4"
    buy(client, 2, action="SELL", quantity=100.4)
    assert client.hear("4", f2="2")[3] == "10243", "it cannot be sold over the API"


def test_margin_rate(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("margin-rate", percent=30)
    buy(client, 1, what_if=1, quantity=1000)
    client.hear("5")
    margin = float(client.hear("5")[98])
    assert margin == pytest.approx(0.30 * 1000 * sim.broker.tape.mark(sim.broker.now_ns), rel=1e-4)


def test_base_currency(raw: Raw, sim: SimThread) -> None:
    sim.fault("base-currency", currency="EUR")
    client = raw().start()
    client.say(6, 2, 1, "")
    row = client.hear("6", f2="NetLiquidation")
    assert (row[4], row[3]) == ("EUR", "900000.00")


def test_accounts(raw: Raw, sim: SimThread) -> None:
    sim.fault("accounts", ids="U1111111,U2222222")
    client = raw().start()
    assert client.heard[0][2] == "U1111111,U2222222"
    buy(client)
    assert client.hear("4", f2="1")[3] == "435"


def test_ledger_keys(raw: Raw, sim: SimThread) -> None:
    sim.fault("ledger-keys")
    client = raw().start()
    client.say(6, 2, 1, "")
    client.hear("54")
    keys = {f[2] for f in client.heard if f[0] == "6"}
    assert "$LEDGER-CashBalance" in keys
    assert "CashBalance" not in keys


def test_refresh_ends(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    client.say(6, 2, 1, "")
    client.hear("54")
    sim.go("10:03")
    client.hear("8")
    assert silent(client, "54"), "the first download alone"
    sim.fault("refresh-ends")
    sim.go("10:06")
    assert client.hear("54")


def test_account_taken(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    client.say(6, 2, 1, "")
    client.hear("54")
    sim.fault("account-taken")
    assert client.hear("4", f3="2100")
    sim.go("10:03")
    assert silent(client, "8")


def test_slow_pnl(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    sim.fault("slow-pnl")
    client.say(92, 3, "DU1234567", "")
    assert client.hear("94")[2] == UNSET
    sim.go("10:01")
    client.hear("94")
    sim.go("10:01:30")
    assert silent(client, "94")
    sim.go("10:02")
    assert client.hear("94")


# The table itself


def test_wrong_faults_are_refused_and_change_nothing(sim: SimThread) -> None:
    for name, args in (("nonsense", {}), ("slow", {"speed": 1}), ("slow", {"host_seconds": "x"}),
                       ("freeze", {"on": "perhaps"}), ("farm", {"code": 1}),
                       ("wild-print", {"where": "moon"})):  # fmt: skip
        with pytest.raises(FaultError):
            sim.fault(name, **args)
    assert sim.do(faults.listing)[0]["fault"] == "link-loss"


def test_every_fault_has_a_test_of_its_own() -> None:
    here = vars(sys.modules[__name__])
    missing = [name for name in FAULTS if f"test_{name.replace('-', '_')}" not in here]
    assert missing == []


def _reached(sim: SimThread) -> float:
    """A stop level the next nine minutes touch."""
    now_ns = sim.broker.now_ns
    path = sim.broker.tape.path("SMH", now_ns, now_ns + 540 * 10**9)
    return min(tick.last for tick in path)


def _once_it_listens(raw: Raw) -> RawClient:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            client = raw()
        except ConnectionError:
            assert time.monotonic() < deadline, "the port did not open again"
            time.sleep(0.01)
            continue
        client.shake_hands()
        client.say(71, 2, 1, "")
        return client
