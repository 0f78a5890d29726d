"""Each server version 157..176 gets its own layout; checked on raw bytes against the page."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sim_tws.harness import SimThread
from tests.sim_tws.raw_client import SMH, RawClient, order_fields

Raw = Callable[..., RawClient]
VERSIONS = [157, 158, 160, 162, 163, 164, 166, 169, 170, 174, 176]


@pytest.mark.parametrize(
    ("offer", "answer"), [("v157..176", 176), ("v100..157", 157), ("v100..226", 176), ("v170", 170)]
)
def test_the_lower_of_both_versions_is_spoken(raw: Raw, offer: str, answer: int) -> None:
    assert raw(offer).shake_hands() == answer


@pytest.mark.parametrize("offer", ["v177..200", "v100..156", "v", "hello", "v1..2..3"])
def test_a_client_of_other_versions_is_sent_away(raw: Raw, offer: str) -> None:
    assert raw(offer).closed()


def test_start_brings_accounts_then_id_then_the_farms(raw: Raw) -> None:
    client = raw().start()

    farm = client.hear("4")

    assert [fields[0] for fields in client.heard] == ["15", "9", "4"]
    assert client.heard[0] == ["15", "1", "DU1234567"]
    assert client.heard[1] == ["9", "1", "1"]
    assert farm[:4] == ["4", "2", "-1", "2104"]


@pytest.mark.parametrize("version", VERSIONS)
def test_an_order_is_understood_and_told_in_the_version_s_layout(raw: Raw, version: int) -> None:
    client = raw(f"v157..{version}").start()

    client.say(*order_fields(1, version, kind="LMT", limit=10.25, ref="mine", tif="GTC"))

    order = client.hear("5")
    gates = [(158, 1), (160, 1), (162, 1), (170, 5)]
    assert len(order) == 128 + sum(count for since, count in gates if version >= since)
    assert (order[1], order[2], order[13:18]) == (
        "1",
        "229725622",
        ["BUY", "100", "LMT", "10.25", "0.0"],
    )
    assert (order[18], order[23], order[24]) == ("GTC", "mine", "1")
    assert (order[7], order[54], order[62], order[68]) == ("?", "3", "None", "?")
    assert (order[88], order[93], order[94]) == ("IB", "0", "PreSubmitted")
    assert order[95] == "1.7976931348623157E308"
    assert (order[112], order[124]) == ("None", "1")
    status = client.hear("3")
    assert len(status) == 12
    assert (status[1], status[2], status[4]) == ("1", "PreSubmitted", "100")


@pytest.mark.parametrize("version", VERSIONS)
def test_completed_orders_have_96_fields_and_101_from_170(raw: Raw, version: int) -> None:
    client = raw(f"v157..{version}").start()
    client.say(*order_fields(1, version))
    client.hear("59")

    client.say(99, 0)

    done = client.hear("101")
    assert len(done) == (101 if version >= 170 else 96)
    assert (done[12], done[77], done[87], done[13]) == ("BUY", "Filled", "100", "0")
    assert done[95].startswith("Filled Size")
    assert client.hear("102") == ["102"]


@pytest.mark.parametrize("version", VERSIONS)
def test_an_execution_has_31_fields_and_its_commission_8(raw: Raw, version: int) -> None:
    client = raw(f"v157..{version}").start()
    client.say(*order_fields(1, version))

    fill = client.hear("11")
    fee = client.hear("59")

    assert len(fill) == 31
    assert (fill[1], fill[2], fill[18], fill[19]) == ("-1", "1", "BOT", "100")
    assert fill[15] == ("20250602 10:00:00 US/Eastern" if version >= 174 else "20250602  10:00:00")
    assert len(fee) == 8
    assert (fee[3], fee[4], fee[5]) == ("1.0", "USD", "1.7976931348623157E308")


def test_the_messages_of_a_market_order_come_in_the_real_order(raw: Raw) -> None:
    client = raw().start()

    client.say(*order_fields(1, 176))
    client.hear("59")

    told = [fields for fields in client.heard if fields[0] in {"3", "5", "11", "59"}]
    states = [f[94] if f[0] == "5" else f[2] if f[0] == "3" else "" for f in told]
    assert [f[0] for f in told] == ["5", "3", "11", "5", "3", "5", "59"]
    assert states == ["PreSubmitted", "PreSubmitted", "", "Filled", "Filled", "Filled", ""]


@pytest.mark.parametrize("version", VERSIONS)
def test_an_error_carries_its_json_field_only_from_166(raw: Raw, version: int) -> None:
    client = raw(f"v157..{version}").start()

    client.say(4, 1, 77, *([""] if version >= 169 else []))

    wrong = client.hear("4", f3="10147")
    assert wrong[2] == "77"
    assert len(wrong) == (6 if version >= 166 else 5)


@pytest.mark.parametrize("version", [157, 163, 164, 176])
def test_contract_details_follow_their_rewrite_at_164(raw: Raw, version: int) -> None:
    client = raw(f"v157..{version}").start()

    client.say(9, 8, 5, *SMH, 0, "", "", *([""] if version >= 176 else []))

    details = client.hear("10")
    assert len(details) == {157: 39, 163: 40}.get(version, 40)
    shift = 1 if version < 164 else 0
    assert details[1 + shift : 4 + shift] == ["5", "SMH", "STK"]
    assert details[12 + shift] == "229725622"
    assert client.hear("52") == ["52", "1", "5"]


@pytest.mark.parametrize(("version", "whole"), [(162, True), (163, False)])
def test_volumes_are_whole_numbers_below_163(raw: Raw, version: int, whole: bool) -> None:
    client = raw(f"v157..{version}").start()

    client.say(20, 5, *SMH, 0, "", "1 day", "3 D", 1, "TRADES", 1, 0, "")

    bars = client.hear("17")
    volumes = bars[10::8]
    assert bars[4] == "3"
    assert all(volume.isdigit() for volume in volumes) or not whole


def test_the_empty_and_the_unset_spellings_mean_the_same_order(raw: Raw, sim: SimThread) -> None:
    client = raw().start()
    unset, big = "1.7976931348623157e+308", "2147483647"
    for order_id, blank in ((1, ""), (2, unset), (3, big)):
        fields = order_fields(order_id, 176, kind="LMT", limit=10.0, aux=blank)
        client.say(*fields)
        client.hear("5", f1=str(order_id))

    tickets = [order.ticket for order in sim.do(sim.broker.books.live)]

    assert len(tickets) == 3
    assert {ticket.aux_usd for ticket in tickets} == {None}


def test_a_what_if_is_answered_twice_unset_first(raw: Raw) -> None:
    client = raw().start()

    client.say(*order_fields(1, 176, what_if=1))

    first, second = client.hear("5"), client.hear("5")
    assert first[93] == second[93] == "1"
    assert float(first[98]) == 1.7976931348623157e308
    assert float(second[98]) > 1000
    assert second[104:108] == ["1.0", "", "", "USD"]


def test_an_untransmitted_order_is_silent_until_its_child_is_sent(raw: Raw) -> None:
    client = raw().start()
    client.say(*order_fields(1, 176, kind="LMT", limit=10.0, transmit=0))
    client.say(17, 1)
    client.hear("15")
    assert not [fields for fields in client.heard if fields[0] in {"3", "5"}]

    client.say(*order_fields(2, 176, action="SELL", kind="LMT", limit=999.0, parent=1))

    assert client.hear("5")[1] == "1"
    assert client.hear("5", f1="2")[94] == "PreSubmitted"


def test_a_used_order_id_is_refused_also_after_reconnecting(raw: Raw) -> None:
    client = raw().start()
    client.say(*order_fields(5, 176))
    client.hear("59")
    client.say(*order_fields(4, 176))
    assert client.hear("4", f2="4")[3:5] == ["103", "Duplicate order id"]
    client.say(*order_fields(5, 176))
    assert client.hear("4", f2="5")[3] == "104"

    other = raw(client_id=2).start()

    assert other.heard[1] == ["9", "1", "1"]
    client.say(8, 1, 1)
    assert client.hear("9") == ["9", "1", "6"]
