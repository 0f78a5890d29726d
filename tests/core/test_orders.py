"""order_executor: an order's life is the table of moves, and nothing else."""

from __future__ import annotations

from itertools import product
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as drawn
from hypothesis import strategies as st

from common.clock import SECOND_NS
from common.core import orders
from common.core.orders import MOVES
from common.messages import (
    DONE_STATUSES,
    Accepted,
    Alert,
    BrokerLink,
    CancelOrder,
    Message,
    Now,
    Order,
    OrderState,
    OrderStatus,
    OrderUpdate,
    PlaceOrder,
    Refused,
    SubmitOrder,
)
from common.settings import Settings
from tests.core.risk_play import TUESDAY, WEDNESDAY, session
from tests.playbook import Script, instant, of, one

STATUSES: tuple[OrderStatus, ...] = get_args(OrderStatus)

ENTRY = Order(
    intent_id="20260303-ENTRY-1", day=TUESDAY, purpose="ENTRY", reason="signal", action="BUY",
    shares=7500, order_type="MKT", limit_usd=None, outside_rth=False, price_usd=400.0,
    deadline_ns=instant(TUESDAY, "15:59"),
)  # fmt: skip
EXIT = msgspec.structs.replace(
    ENTRY, intent_id="20260303-EXIT-1", purpose="EXIT", reason="stop", action="SELL",
    deadline_ns=instant(TUESDAY, "16:00"),
)  # fmt: skip
LINK = BrokerLink(
    state="ready", account="DU***67", port=7497, since_ns=0, clock_offset_s=0.0, reason=""
)


def place(order: Order) -> PlaceOrder:
    return PlaceOrder(key=order.intent_id, deadline_ns=0, order=order)


def update(order: Order, status: OrderStatus, filled: int = 0, **more: Any) -> OrderUpdate:
    return OrderUpdate(
        intent_id=order.intent_id, order_id=1, perm_id=1, status=status, filled=filled,
        remaining=order.shares - filled, average_usd=more.get("average_usd", 0.0), code=0,
        reason=more.get("reason", ""),
    )  # fmt: skip


def executor(clock: str = "15:55") -> Script:
    play = Script(orders, Settings(), instant(TUESDAY, clock))
    play.hear(session(), LINK)
    play.forget()
    return play


def status_of(play: Script, order: Order) -> str:
    return str(play.state.lives[order.intent_id].status)


# --- the table ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), list(product(STATUSES, STATUSES)))
def test_the_brokers_word_moves_an_order_along_the_table_and_not_otherwise(
    before: OrderStatus, after: OrderStatus
) -> None:
    play = executor()
    play.hear(place(ENTRY))
    play.given(lambda state: setattr(state.lives[ENTRY.intent_id], "status", before))
    said = play.hear(update(ENTRY, after))
    expected = after if after in MOVES[before] else before
    assert status_of(play, ENTRY) == expected
    assert one(OrderState, said).status == expected


def test_the_table_speaks_of_every_status() -> None:
    assert set(MOVES) == set(STATUSES)
    assert {after for moves in MOVES.values() for after in moves} <= set(STATUSES)


def test_what_is_filled_stays_filled() -> None:
    assert MOVES["Filled"] == frozenset()


@pytest.mark.parametrize("done", sorted(DONE_STATUSES - {"Filled"}))
def test_a_fill_wins_over_every_other_end(done: OrderStatus) -> None:
    assert "Filled" in MOVES[done]


@pytest.mark.parametrize("before", [s for s in STATUSES if s not in DONE_STATUSES])
def test_a_living_order_may_become_unknown_and_an_unknown_one_anything(before: OrderStatus) -> None:
    assert "UNKNOWN" in MOVES[before]
    assert MOVES["UNKNOWN"] == set(STATUSES)


@pytest.mark.parametrize("done", sorted(DONE_STATUSES))
def test_what_is_done_never_becomes_unknown(done: OrderStatus) -> None:
    assert "UNKNOWN" not in MOVES[done]


@drawn(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STATUSES), st.integers(0, 7500)), max_size=25))
def test_whatever_is_heard_filled_never_shrinks_and_the_order_is_submitted_once(
    news: list[tuple[OrderStatus, int]],
) -> None:
    play = executor()
    play.hear(place(ENTRY))
    filled = 0
    for status, count in news:
        play.hear(update(ENTRY, status, count))
        life = play.state.lives[ENTRY.intent_id]
        assert life.filled >= filled
        filled = life.filled
    assert len(play.all(SubmitOrder)) == 1


# --- asked, and asked again --------------------------------------------------------------------


def test_an_order_is_accepted_and_submitted_under_its_own_key_until_answered() -> None:
    play = executor()
    said = play.hear(place(ENTRY))
    assert one(Accepted, said).key == ENTRY.intent_id
    submit = one(SubmitOrder, said)
    assert (submit.key, submit.order) == (ENTRY.intent_id, ENTRY)
    assert submit.deadline_ns == 0, "only the gateway knows whether a late order ever left"


def test_the_same_order_again_is_accepted_and_submitted_under_the_same_key() -> None:
    """Nothing is known of it yet; the gateway drops the repeat."""
    play = executor()
    play.hear(place(ENTRY))
    again = play.hear(place(ENTRY))
    one(Accepted, again)
    assert one(SubmitOrder, again).key == ENTRY.intent_id
    assert len(play.state.lives) == 1


@pytest.mark.parametrize("status", sorted(set(STATUSES) - {"PendingSubmit"}))
def test_an_order_with_news_is_accepted_again_and_not_submitted(status: OrderStatus) -> None:
    play = executor()
    play.hear(place(ENTRY), update(ENTRY, status))
    again = play.hear(place(ENTRY))
    one(Accepted, again)
    assert one(OrderState, again).status == status
    assert not of(SubmitOrder, again)


def test_the_same_id_with_other_terms_is_refused_and_changes_nothing() -> None:
    play = executor()
    play.hear(place(ENTRY))
    other = msgspec.structs.replace(ENTRY, shares=1)
    said = play.hear(place(other))
    assert "other terms" in one(Refused, said).reason
    assert play.state.lives[ENTRY.intent_id].order == ENTRY
    assert not of(SubmitOrder, said)


@pytest.mark.parametrize("status", ["Submitted", "Filled", "UNKNOWN", "REJECTED"])
def test_news_that_came_before_the_order_was_asked_here_is_not_lost(status: OrderStatus) -> None:
    """An exit that went round a dead executor: when it is back it hears of the order first."""
    play = executor()
    assert not play.hear(update(EXIT, status, 7500 if status == "Filled" else 0))
    said = play.hear(place(EXIT))
    one(Accepted, said)
    assert one(OrderState, said).status == status
    assert not of(SubmitOrder, said)


def test_all_news_that_came_before_counts_not_only_the_last() -> None:
    play = executor()
    play.hear(update(EXIT, "Submitted", 100), update(EXIT, "PendingSubmit", 100))
    assert not of(SubmitOrder, play.hear(place(EXIT))), "the broker has it already"


def test_an_order_survives_a_restart() -> None:
    play = executor()
    play.hear(place(ENTRY), update(ENTRY, "Submitted", 100))
    play.restart()
    assert status_of(play, ENTRY) == "Submitted"
    assert not of(SubmitOrder, play.hear(place(ENTRY)))


# --- answers -----------------------------------------------------------------------------------


def test_a_refusal_by_the_gateway_is_denied_with_its_reason() -> None:
    play = executor()
    play.hear(place(ENTRY))
    state = one(OrderState, play.hear(Refused(key=ENTRY.intent_id, reason="halted")))
    assert (state.status, state.reason) == ("DENIED", "halted")


def test_a_refusal_after_the_broker_knows_the_order_changes_nothing() -> None:
    play = executor()
    play.hear(place(ENTRY), update(ENTRY, "Submitted"))
    play.hear(Refused(key=ENTRY.intent_id, reason="too late"))
    assert status_of(play, ENTRY) == "Submitted"


def test_an_acceptance_is_no_evidence() -> None:
    play = executor()
    play.hear(place(ENTRY))
    assert not play.hear(Accepted(key=ENTRY.intent_id, note=""))
    assert status_of(play, ENTRY) == "PendingSubmit"


# --- cancels -----------------------------------------------------------------------------------


def test_an_exit_cancels_what_is_still_being_bought_first() -> None:
    play = executor()
    play.hear(place(ENTRY), update(ENTRY, "Submitted", 100))
    said = play.hear(place(EXIT))
    kinds = [type(message) for message in said]
    assert kinds == [Accepted, CancelOrder, SubmitOrder]
    assert one(CancelOrder, said).intent_id == ENTRY.intent_id


def test_so_does_an_exit_that_went_straight_to_the_gateway() -> None:
    play = executor()
    play.hear(place(ENTRY), update(ENTRY, "Submitted", 100), update(EXIT, "Submitted"))
    assert one(CancelOrder, play.hear(place(EXIT))).intent_id == ENTRY.intent_id


@pytest.mark.parametrize("status", sorted(DONE_STATUSES))
def test_a_finished_entry_is_not_cancelled(status: OrderStatus) -> None:
    play = executor()
    play.hear(place(ENTRY), update(ENTRY, status))
    assert not of(CancelOrder, play.hear(place(EXIT)))


def test_a_cancel_is_asked_once() -> None:
    play = executor()
    play.hear(place(ENTRY), update(ENTRY, "Submitted"), place(EXIT), place(EXIT))
    play.wait_until(ENTRY.deadline_ns)
    play.ticks(20)
    assert len(play.all(CancelOrder)) == 1


def test_what_an_entry_has_not_bought_by_its_deadline_is_not_bought() -> None:
    play = executor()
    play.hear(place(ENTRY), update(ENTRY, "Submitted", 100))
    play.wait_until(ENTRY.deadline_ns - 1)
    assert not of(CancelOrder, play.tick())
    play.wait_until(ENTRY.deadline_ns)
    assert one(CancelOrder, play.ticks(10)).intent_id == ENTRY.intent_id


def test_an_exit_is_never_cancelled_by_time() -> None:
    play = executor()
    play.hear(place(EXIT), update(EXIT, "Submitted", 100))
    play.wait(3600)
    assert not of(CancelOrder, play.ticks(10))


# --- pages -------------------------------------------------------------------------------------


def alerts(said: list[Message], code: str) -> list[Alert]:
    return [alert for alert in of(Alert, said) if alert.code.startswith(code)]


def test_an_order_that_is_not_acknowledged_in_five_seconds_pages_for_a_dialog_once() -> None:
    play = executor()
    play.hear(place(ENTRY))
    assert not alerts(play.ticks(24), "dialog")
    page = one(Alert, list(alerts(play.ticks(20), "dialog")))
    assert (page.level, page.raised) == ("page", True)
    said = play.hear(update(ENTRY, "Submitted")) + play.ticks(5)
    assert [alert.raised for alert in alerts(said, "dialog")] == [False]


def test_an_order_from_before_a_reboot_pages_for_a_dialog_too() -> None:
    play = executor()
    play.hear(place(ENTRY))
    play.now = Now(market_ns=play.now.market_ns + 600 * SECOND_NS, host_ns=5 * SECOND_NS)
    play.restart()
    assert one(Alert, list(alerts(play.ticks(1), "dialog"))).raised


def test_an_exit_unfilled_after_ten_seconds_pages_with_what_is_left() -> None:
    play = executor()
    play.hear(place(EXIT), update(EXIT, "Submitted", 500))
    assert not alerts(play.ticks(49), "unfilled")
    page = one(Alert, list(alerts(play.ticks(5), "unfilled")))
    assert "7000 shares not sold" in page.text


def test_an_unknown_order_pages_until_it_is_proven() -> None:
    play = executor()
    play.hear(place(ENTRY), update(ENTRY, "UNKNOWN", reason="the link was lost"))
    page = one(Alert, list(alerts(play.ticks(5), "unknown")))
    assert "the link was lost" in page.text
    said = play.hear(update(ENTRY, "ABANDONED")) + play.ticks(5)
    assert [alert.raised for alert in alerts(said, "unknown")] == [False]


# --- days --------------------------------------------------------------------------------------


def test_the_next_session_forgets_what_is_done_and_keeps_what_is_not() -> None:
    play = executor()
    play.hear(place(ENTRY), update(ENTRY, "UNKNOWN"), place(EXIT), update(EXIT, "Filled", 7500))
    play.hear(session(WEDNESDAY, TUESDAY, WEDNESDAY.replace(day=5)))
    assert list(play.state.lives) == [ENTRY.intent_id]


def test_busy_while_an_order_lives() -> None:
    play = executor()
    assert not orders.busy(play.state)
    play.hear(place(ENTRY))
    assert orders.busy(play.state)
    play.hear(update(ENTRY, "Filled", 7500))
    assert not orders.busy(play.state)


def test_not_ready_before_the_gateway_was_heard() -> None:
    play = Script(orders, Settings(), instant(TUESDAY, "09:00"))
    assert orders.ready(play.state)
    play.hear(LINK)
    assert orders.ready(play.state) == ""
