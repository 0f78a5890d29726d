"""The gateway's own exit: a stop is kept while the stop monitor is silent, and never twice."""

from __future__ import annotations

import msgspec
import pytest

from common.clock import SECOND_NS
from common.messages import (
    GUARD_FIRST,
    Accepted,
    Alert,
    Fill,
    Halt,
    Message,
    Silence,
    StopArmed,
    StopHit,
)
from common.settings import Settings, Stop
from common.tws import messages as tws
from tests.core.outbox_play import ACCOUNT, DAY, SESSION, Play, order

LEVEL_USD = 99.34  # the stop price of an entry at 100, held at 3x
OWN = f"20240604-EXIT-{GUARD_FIRST}"


def armed(shares: int = 1000) -> StopArmed:
    return StopArmed(day=DAY, stop_usd=980_000.0, stop_price_usd=LEVEL_USD, shares=shares)


def hit() -> StopHit:
    return StopHit(
        day=DAY, equity_usd=979_000.0, stop_usd=980_000.0, mark_usd=99.0, why="mid and last agree"
    )


def guarded(shares: int = 1000) -> Play:
    """A position with the stop armed, bought by us."""
    play = Play()
    play.connect()
    play.hold(shares)
    play.hear(armed(shares))
    play.sent.clear()
    play.said.clear()
    return play


def silence(play: Play) -> list[Message]:
    return play.hear(Silence(topic="StopArmed", silent=True))


def prices(play: Play, *usd: float, every_s: float = 1.0) -> None:
    for price in usd:
        play.hear(tws.OwnPrice(price, "live"))
        play.pass_s(every_s)


def test_a_true_breach_is_sold_while_the_stop_monitor_is_silent() -> None:
    play = guarded()
    silence(play)
    prices(play, 99.3, 99.2, 99.1)
    [sent] = play.sent
    assert (sent.order.intent_id, sent.order.action, sent.order.shares) == (OWN, "SELL", 1000)
    assert (sent.order.order_type, sent.order.reason) == ("MKT", "stop")


def test_it_is_sold_once_however_often_time_passes_or_the_gateway_dies() -> None:
    play = guarded()
    silence(play)
    prices(play, 99.3, 99.2, 99.1)
    play.crash()
    silence(play)
    prices(play, 99.0, 98.9, 98.8, 98.7)
    assert {sent.order.intent_id for sent in play.sent} == {OWN}
    assert len({sent.order_id for sent in play.sent}) == 1


def test_a_breach_seen_before_the_silence_counts_once_it_is_silent() -> None:
    play = guarded()
    prices(play, 99.3, 99.2, 99.1)
    assert not play.sent
    silence(play)
    prices(play, 99.1)
    assert [sent.order.intent_id for sent in play.sent] == [OWN]


def test_while_the_monitor_speaks_it_never_sells() -> None:
    play = guarded()
    prices(play, 99.0, 98.0, 97.0, 96.0)
    play.hear(hit())
    play.pass_s(30)
    assert not play.sent


def test_a_fired_stop_without_an_exit_for_three_seconds_is_sold() -> None:
    play = guarded()
    play.hear(hit())
    silence(play)
    play.pass_s(2.4)
    assert not play.sent
    play.pass_s(1.1)
    assert [sent.order.intent_id for sent in play.sent] == [OWN]


def test_a_fired_stop_whose_exit_is_on_its_way_is_not_sold_again() -> None:
    play = guarded()
    play.hear(hit())
    play.hear(play.opened(play.send(order("EXIT"))))
    silence(play)
    play.pass_s(10)
    assert [sent.order.intent_id for sent in play.sent] == ["20240604-EXIT-1"]


def test_a_stop_that_fired_before_a_later_entry_is_not_that_entrys_stop() -> None:
    play = guarded()
    play.hear(hit())
    sold = play.send(order("EXIT"))
    play.hear(play.execution(sold))
    play.hear(tws.PositionReport(ACCOUNT, "SMH", 0, 0.0))
    again = play.send(order("ENTRY", 2))
    play.hear(play.execution(again))
    play.hear(tws.PositionReport(ACCOUNT, "SMH", 1000, 100.0))
    play.sent.clear()
    silence(play)
    play.pass_s(10)
    assert not play.sent


def served() -> Play:
    """A stop that has fired, was sold and is over."""
    play = guarded()
    play.hear(hit())
    sold = play.send(order("EXIT"))
    play.hear(play.execution(sold))
    play.hear(play.status(sold, "Filled", 1000))
    play.hear(tws.PositionReport(ACCOUNT, "SMH", 0, 0.0))
    play.sent.clear()
    return play


def test_a_stop_that_was_served_is_not_the_stop_of_shares_bought_by_hand_later() -> None:
    play = served()
    by_hand = tws.ExecutionReport(
        "00aa.77.01.01", 0, 0, 4242, "", ACCOUNT, "SMH", "BUY", 500, 100.0, play.market_ns,
        liquidation=False,
    )  # fmt: skip
    play.hear(by_hand)
    play.hear(tws.PositionReport(ACCOUNT, "SMH", 500, 100.0))
    play.hear(armed(500))
    silence(play)
    prices(play, 101.0, 101.0, 101.0, 101.0, 101.0)
    assert not play.sent


def test_a_served_stop_that_is_told_again_is_not_the_next_entrys_stop() -> None:
    """As a monitor does that speaks under a new epoch, after a reboot."""
    play = served()
    entry = play.send(order("ENTRY", 2))
    play.hear(play.execution(entry))
    play.hear(play.status(entry, "Filled", 1000))
    play.hear(tws.PositionReport(ACCOUNT, "SMH", 1000, 100.0))
    play.hear(armed())
    play.sent.clear()
    play.hear(hit())
    silence(play)
    prices(play, 101.0, 101.0, 101.0, 101.0, 101.0)
    assert not play.sent


def test_beside_its_exit_an_entry_buys_nothing_more() -> None:
    # given: an entry, part-filled
    play = Play()
    play.connect()
    entry = play.hold_partly(400)
    play.hear(armed(400))
    play.sent.clear()
    # when: the guard sells what it has bought
    silence(play)
    prices(play, 99.3, 99.2, 99.1)
    # then
    assert [sent.order.shares for sent in play.sent] == [400]
    assert [sent.order_id for sent in play.all(tws.SendCancel)] == [entry.order_id]


@pytest.mark.parametrize(
    "usd",
    [(99.35, 99.35, 99.35), (99.0, 99.5, 99.0, 99.5), (50.0, 50.0, 50.0), (33.4, 33.4, 33.4)],
    ids=["above the level", "one low print at a time", "a 2:1 split", "a 3:1 split"],
)
def test_what_is_no_breach_is_not_sold(usd: tuple[float, ...]) -> None:
    play = guarded()
    silence(play)
    prices(play, *usd)
    assert not play.sent


def test_one_low_price_that_nothing_follows_is_not_sold_and_pages_that_nobody_watches() -> None:
    play = guarded()
    silence(play)
    prices(play, 99.0)
    play.pass_s(20)
    assert not play.sent
    assert "guard_blind" in {alert.code for alert in play.all(Alert) if alert.raised}


def test_a_delayed_price_is_never_held_against_the_level() -> None:
    play = guarded()
    silence(play)
    for _ in range(4):
        play.hear(tws.OwnPrice(90.0, "delayed"))
        play.pass_s(1)
    assert not play.sent


def marks(play: Play, *usd: float, shares: int = 1000) -> None:
    """The broker's profit and loss of the position, once a second."""
    for price in usd:
        play.hear(tws.PnlReport(shares, shares * price, 0.0, None))
        play.pass_s(1.0)


def test_with_delayed_data_the_brokers_own_mark_is_held_against_the_level() -> None:
    play = guarded()
    play.hear(tws.OwnPrice(99.9, "delayed"))
    marks(play, 99.9)
    silence(play)
    marks(play, 99.0, 98.9)
    play.hear(tws.OwnPrice(99.9, "delayed"))  # of a quarter of an hour ago
    marks(play, 98.8)
    assert [sent.order.intent_id for sent in play.all(tws.SendOrder)] == [OWN]
    assert not [alert for alert in play.all(Alert) if alert.code == "guard_blind" and alert.raised]


@pytest.mark.parametrize(
    "usd",
    [(99.35, 99.35, 99.35), (99.0, 99.5, 99.0, 99.5), (50.0, 50.0, 50.0)],
    ids=["above the level", "one low mark at a time", "a 2:1 split"],
)
def test_a_mark_that_is_no_breach_is_not_sold(usd: tuple[float, ...]) -> None:
    play = guarded()
    silence(play)
    marks(play, *usd)
    assert not play.sent


def test_a_mark_of_other_shares_is_none_and_a_live_price_goes_before_it() -> None:
    play = guarded()
    silence(play)
    marks(play, 90.0, 90.0, 90.0, shares=900)
    assert not play.sent
    prices(play, 99.9)
    marks(play, 98.0, 98.0, 98.0)
    assert not play.sent


def test_a_level_for_another_number_of_shares_is_no_level() -> None:
    play = guarded()
    play.hear(armed(shares=900))
    silence(play)
    prices(play, 99.0, 98.9, 98.8)
    assert not play.sent


def test_yesterdays_level_is_no_level() -> None:
    play = guarded()
    play.hear(msgspec.structs.replace(armed(), day=SESSION.previous_day))
    silence(play)
    prices(play, 99.0, 98.9, 98.8)
    assert not play.sent


@pytest.mark.parametrize("hours", [-1.0, 7.0], ids=["before the open", "after the close"])
def test_out_of_hours_nothing_is_sold(hours: float) -> None:
    play = guarded()
    play.market_ns += int(hours * 3600) * SECOND_NS
    silence(play)
    prices(play, 99.0, 98.9, 98.8)
    assert not play.sent


def test_without_a_position_nothing_is_sold() -> None:
    play = Play()
    play.connect()
    play.hear(armed())
    silence(play)
    prices(play, 99.0, 98.9, 98.8)
    assert not play.sent


def test_it_waits_for_a_sound_link_and_sells_over_it() -> None:
    play = guarded()
    silence(play)
    play.error(1100)
    prices(play, 99.0, 98.9, 98.8)
    assert not play.sent
    play.error(1102)
    play.books(shares=1000)
    prices(play, 98.8, 98.7)
    assert [sent.order.intent_id for sent in play.sent] == [OWN]


def test_a_halt_does_not_hold_it_back() -> None:
    play = guarded()
    play.hear(Halt(key="h", deadline_ns=0, by="trader", reason="lunch"))
    silence(play)
    prices(play, 99.0, 98.9, 98.8)
    assert [sent.order.intent_id for sent in play.sent] == [OWN]


def test_shares_that_others_sell_are_left_to_them() -> None:
    play = guarded()
    foreign = tws.OpenOrder(77, 0, 5, "", ACCOUNT, "SMH", "SELL", 400, "Submitted")
    play.hear(foreign)
    silence(play)
    prices(play, 99.0, 98.9, 98.8)
    assert [sent.order.shares for sent in play.sent] == [600]


def test_it_excludes_the_stop_that_rests_at_the_broker() -> None:
    play = guarded()
    resting = order("STOP")
    rests = play.send(resting)
    play.hear(play.opened(rests, "PreSubmitted"))
    silence(play)
    prices(play, 99.3, 99.2, 99.1)
    own = play.sent[-1]
    assert (own.order.intent_id, own.oca_group) == (OWN, rests.oca_group)


def test_refused_beside_that_stop_it_has_the_stop_cancelled_and_sells_alone() -> None:
    play = guarded()
    stop = play.send(order("STOP"))
    play.hear(play.opened(stop, "PreSubmitted"))
    silence(play)
    prices(play, 99.3, 99.2, 99.1)
    play.error(201, "Order rejected - reason:not beside another order", play.sent[-1].order_id)
    prices(play, 99.1, 99.0, 98.9)
    assert play.newest(tws.SendCancel).order_id == stop.order_id
    assert len(play.sent) == 2
    play.hear(play.status(stop, "Cancelled"))
    prices(play, 98.8)
    assert (play.sent[-1].order.intent_id, play.sent[-1].oca_group) == (f"{OWN[:-1]}1", "")


def test_an_exit_that_ended_unfilled_is_followed_by_the_next() -> None:
    play = guarded()
    silence(play)
    prices(play, 99.3, 99.2, 99.1)
    play.error(201, ref_id=play.sent[-1].order_id)
    prices(play, 99.0, 98.9, 98.8)
    numbers = [int(sent.order.intent_id.rpartition("-")[2]) for sent in play.sent]
    assert sorted(set(numbers)) == [GUARD_FIRST, GUARD_FIRST + 1]


def test_a_monitor_that_is_back_cannot_sell_beside_it() -> None:
    play = guarded()
    silence(play)
    prices(play, 99.3, 99.2, 99.1)
    play.hear(play.opened(play.sent[-1]))
    play.hear(Silence(topic="StopArmed", silent=False))
    assert "in orders already" in play.refusal(order("EXIT"))
    play.hear(play.execution(play.sent[-1]))
    assert [fill.intent_id for fill in play.all(Fill)] == [OWN]


def test_it_pages_for_as_long_as_the_monitor_is_silent() -> None:
    play = guarded()
    silence(play)
    prices(play, 99.3, 99.2, 99.1)
    page = next(alert for alert in play.all(Alert) if alert.code == "guard")
    assert (page.level, page.raised) == ("page", True)
    assert OWN in page.text
    play.hear(Silence(topic="StopArmed", silent=False))
    assert [a.raised for a in play.all(Alert) if a.code == "guard"][-1] is False


def test_with_the_stop_off_nothing_is_armed_nothing_is_sold_and_nobody_is_paged_for_it() -> None:
    play = Play(Settings(stop=Stop(baseline="off", resting=False)))
    play.connect()
    play.hold()
    play.sent.clear()
    silence(play)
    prices(play, 90.0, 80.0, 70.0)
    play.pass_s(20)  # without a price that is fresh
    assert not play.sent
    assert not [alert for alert in play.all(Alert) if alert.code.startswith("guard")]


def test_no_command_is_needed_for_it() -> None:
    play = guarded()
    silence(play)
    prices(play, 99.3, 99.2, 99.1)
    assert not play.all(Accepted)


def test_in_the_first_seconds_of_a_session_a_missing_price_is_no_blindness() -> None:
    # given: shares that came over night, so that no stop was ever armed for them
    play = Play()
    play.connect()
    play.hold()
    silence(play)
    opens_ns = SESSION.next_open_ns
    play.market_ns = opens_ns - SECOND_NS
    play.hear(
        msgspec.structs.replace(
            SESSION, day=SESSION.next_day, open_ns=opens_ns, close_ns=SESSION.next_close_ns
        )
    )
    play.said.clear()
    # when, then
    for seconds, blind in ((1.0, False), (2.9, False), (0.6, True)):
        play.pass_s(seconds)
        assert bool([alert for alert in play.all(Alert) if alert.code == "guard_blind"]) is blind


def test_a_first_position_whose_stop_is_being_armed_is_no_silence_for_three_seconds() -> None:
    play = Play()
    play.connect()
    silence(play)  # nothing was ever armed
    play.hold()
    play.hear(tws.OwnPrice(100.0, "delayed"))
    play.pass_s(2)
    assert not [alert for alert in play.all(Alert) if alert.code == "guard_blind"]
    play.pass_s(2)
    assert [alert for alert in play.all(Alert) if alert.code == "guard_blind"]
