"""Orders of ours that the broker knows and a damaged journal does not: followed, never doubled."""

from __future__ import annotations

import msgspec
import pytest

from common.messages import (
    Accepted,
    CancelOrder,
    Fill,
    JournalDamaged,
    Order,
    OrderBook,
    Purpose,
    Refused,
    Resume,
    Silence,
    StopArmed,
)
from common.tws import messages as tws
from tests.core.outbox_play import ACCOUNT, DAY, Play, order

WIRE_WAIT_S = 30.0


def held(shares: int = 1000) -> Play:
    play = Play()
    play.connect(shares=shares)
    return play


def worked(play: Play, wanted: Order) -> tws.SendOrder:
    """Sent, and at work at the broker."""
    sent = play.send(wanted)
    play.hear(play.opened(sent))
    play.hear(play.status(sent))
    return sent


def forget(play: Play, records: int) -> None:
    """The process ends, and its journal is readable only up to so many records."""
    del play.records[records:]
    play.state = play.folded()
    play.said.clear()
    play.hear(JournalDamaged("20240604.journal", 1234, "a wrong checksum"))
    play.crash()


def learn(
    play: Play, shares: int, *opened: tws.OpenOrder, done: tuple[tws.CompletedOrder, ...] = (),
    executions: tuple[tws.ExecutionReport, ...] = (), next_id: int = 9,
) -> None:  # fmt: skip
    """Connected again, the books compared, and once more after the wire has had its time."""
    play.link_up(next_id)
    play.hear(tws.ContractKnown(229725622, "SMH", "NASDAQ"))
    play.hear(tws.PositionReport(ACCOUNT, "SMH", shares, 100.0))
    play.hear(tws.OwnPrice(100.0, "live"))
    play.books(shares, opened, executions, done)
    play.pass_s(WIRE_WAIT_S + 1)
    play.books(shares, opened, executions, done)


def forgotten(purpose: Purpose, attempt: int = 1) -> tuple[Play, tws.SendOrder]:
    """1,000 held, and an order at the broker that the journal has lost."""
    play = held(0 if purpose == "ENTRY" else 1000)
    before = len(play.records)
    sent = worked(play, order(purpose, attempt))
    forget(play, before)
    return play, sent


def pages(play: Play) -> set[str]:
    """What is paged and has not ended."""
    return set(play.state.said.alerts)


def test_a_forgotten_stop_is_ours_again_pages_and_keeps_no_exit_from_selling_all() -> None:
    play, stop = forgotten("STOP")
    learn(play, 1000, play.opened(stop))
    book = play.newest(OrderBook)
    assert (book.working, book.foreign_sell_shares) == (("20240604-STOP-1",), 0)
    assert "found 20240604-STOP-1" in pages(play)
    # when: the position has to go, the exit excludes the stop at the broker
    exit_ = play.send(order("EXIT"))
    assert (exit_.order.shares, exit_.oca_group) == (1000, stop.order_ref)


def test_a_forgotten_stop_can_be_cancelled_by_its_id() -> None:
    play, stop = forgotten("STOP")
    learn(play, 1000, play.opened(stop))
    play.hear(CancelOrder("c", 0, "20240604-STOP-1", "not the one that is known"))
    play.pass_s(1)
    assert play.all(tws.SendCancel) == [tws.SendCancel(stop.order_id)]
    play.hear(play.status(stop, "Cancelled"))
    assert "found 20240604-STOP-1" not in pages(play)
    assert play.send(order("STOP", 2)).order_id > stop.order_id


def test_when_a_forgotten_stop_sells_its_fill_is_ours() -> None:
    play, stop = forgotten("STOP")
    learn(play, 1000, play.opened(stop))
    play.hear(play.execution(stop))
    assert play.newest(Fill).intent_id == "20240604-STOP-1"
    assert play.status_of(stop.order) == "Filled"
    assert play.state.position_by_fills == 0


def test_a_forgotten_exit_that_is_asked_for_again_is_the_one_at_the_broker() -> None:
    play, exit_ = forgotten("EXIT")
    learn(play, 1000, play.opened(exit_))
    assert isinstance(play.submit(exit_.order), Accepted)
    play.pass_s(60)
    assert len(play.sent) == 1


def test_a_forgotten_exit_that_was_asked_for_before_the_books_were_there_is_not_sent() -> None:
    play, exit_ = forgotten("EXIT")
    assert isinstance(play.submit(exit_.order), Accepted)
    learn(play, 1000, play.opened(exit_))
    play.pass_s(60)
    assert len(play.sent) == 1
    # then: it is the one with that id, which can be cancelled
    play.hear(CancelOrder("c", 0, exit_.order.intent_id, "a test"))
    play.pass_s(1)
    assert play.all(tws.SendCancel) == [tws.SendCancel(exit_.order_id)]


def test_beside_a_forgotten_exit_no_other_one_is_sent() -> None:
    play, exit_ = forgotten("EXIT")
    learn(play, 1000, play.opened(exit_))
    assert isinstance(play.submit(order("EXIT", 2)), Refused)
    assert len(play.sent) == 1


@pytest.mark.parametrize("status", ["Filled", "Cancelled"])
def test_the_intent_of_a_forgotten_order_that_is_done_is_not_used_a_second_time(
    status: str,
) -> None:
    play, exit_ = forgotten("EXIT")
    filled = 1000 if status == "Filled" else 0
    done = tws.CompletedOrder(9001, exit_.order_ref, ACCOUNT, "SMH", "SELL", status, filled, "")
    learn(play, 1000 - filled, done=(done,))
    play.submit(exit_.order)
    play.submit(order("EXIT", shares=400))
    play.pass_s(60)
    assert len(play.sent) == 1
    assert pages(play) == set()


def test_the_fills_of_a_forgotten_order_are_ours_and_count_once() -> None:
    play, entry = forgotten("ENTRY")
    done = tws.CompletedOrder(9001, entry.order_ref, ACCOUNT, "SMH", "BUY", "Filled", 1000, "")
    learn(play, 1000, done=(done,), executions=(play.execution(entry),))
    assert [fill.intent_id for fill in play.all(Fill)] == ["20240604-ENTRY-1"]
    assert (play.state.position_by_fills, play.state.position_reported) == (1000, 1000)
    assert "not ours" not in play.state.mode_reason


def test_after_damage_nothing_is_sent_before_what_was_on_its_way_must_have_arrived() -> None:
    # given: an exit that TWS holds on its way to the books
    play, exit_ = forgotten("EXIT")
    play.link_up(9)
    play.hear(tws.ContractKnown(229725622, "SMH", "NASDAQ"))
    play.hear(tws.PositionReport(ACCOUNT, "SMH", 1000, 100.0))
    play.submit(order("EXIT", 2))
    play.books(1000)
    play.pass_s(WIRE_WAIT_S - 2)
    assert len(play.sent) == 1
    assert "journal" in pages(play)
    # when: it arrives
    play.pass_s(3)
    play.books(1000, (play.opened(exit_),))
    play.pass_s(5)
    # then: the other was never sent, and the page is over
    assert len(play.sent) == 1
    assert "journal" not in pages(play)


def test_after_damage_with_nothing_forgotten_an_exit_that_waited_leaves() -> None:
    play = held()
    forget(play, len(play.records))
    play.submit(order("EXIT"))
    learn(play, 1000)
    play.pass_s(2)
    assert [sent.order.intent_id for sent in play.sent] == ["20240604-EXIT-1"]


def test_after_damage_no_entry_leaves_early_though_a_person_resumes() -> None:
    play = held(0)
    forget(play, len(play.records))
    play.link_up(9)
    play.hear(Resume("r", 0, "you"))
    play.books()
    assert "damaged" in play.refusal(order())


def test_a_journal_that_began_anew_sends_no_exit_before_the_books_were_compared() -> None:
    play = Play()
    play.link_up()
    play.hear(tws.ContractKnown(229725622, "SMH", "NASDAQ"))
    play.hear(tws.PositionReport(ACCOUNT, "SMH", 1000, 100.0))
    play.submit(order("EXIT"))
    play.pass_s(0.5)
    assert not play.sent
    play.books(1000)
    play.pass_s(1)
    assert len(play.sent) == 1


def test_what_bears_no_reference_of_ours_or_another_client_id_stays_foreign() -> None:
    play, stop = forgotten("STOP")
    opened = play.opened(stop)
    others = (
        msgspec.structs.replace(opened, client_id=7, perm_id=1),
        msgspec.structs.replace(opened, order_ref="20240604-STOP-1.00000000", perm_id=2),
        msgspec.structs.replace(opened, order_ref="", perm_id=3),
        msgspec.structs.replace(opened, action="BUY", perm_id=4),
    )
    learn(play, 1000, *others)
    assert not play.state.orders
    assert len(play.state.foreign) == 4


def test_a_forgotten_exit_of_the_guard_has_used_its_number() -> None:
    play = held()
    before = len(play.records)
    worked(play, order("EXIT", 900))
    forgot = play.sent[-1]
    forget(play, before)
    done = tws.CompletedOrder(9001, forgot.order_ref, ACCOUNT, "SMH", "SELL", "Cancelled", 0, "")
    learn(play, 1000, done=(done,))
    play.hear(StopArmed(day=DAY, stop_usd=98_000.0, stop_price_usd=99.0, shares=1000))
    play.hear(Silence("StopArmed", silent=True))
    for _ in range(8):
        play.hear(tws.OwnPrice(98.0, "live"))
        play.pass_s(1)
    assert play.sent[-1].order.intent_id == "20240604-EXIT-901"


def test_a_fold_of_the_journal_knows_what_was_found() -> None:
    play, stop = forgotten("STOP")
    learn(play, 1000, play.opened(stop))
    assert play.folded() == play.state
