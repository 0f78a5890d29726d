"""Promise 2's other half and section 5: what cannot be done is said aloud, once, and ended once."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from common.core import risk
from common.messages import (
    GUARD_FIRST,
    Alert,
    JournalDamaged,
    Message,
    PlaceOrder,
    RiskState,
    Silence,
)
from common.settings import Settings
from tests.core.risk_play import CASH_USD, TUESDAY, RiskDay, held_day, settings
from tests.playbook import Script, instant, of, one


def newest(day: RiskDay) -> RiskState:
    """What status shows: the state as it was said last."""
    state = day.state.said_state
    assert isinstance(state, RiskState)
    return state


# --- BREACHED ----------------------------------------------------------------------------------


def test_a_fired_stop_that_leads_to_no_order_within_ten_seconds_is_breached() -> None:
    day = held_day()
    day.stopped_at(397.0)
    day.ticks(49)
    assert newest(day).breached == ""
    day.ticks(3)
    assert "not acknowledged" in newest(day).breached


def test_so_is_one_that_has_nothing_left_to_sell() -> None:
    day = held_day()
    day.hear(day.book(foreign_sell_shares=7500))
    day.quote(397.0, 0.2)
    day.ticks(52)
    assert newest(day).breached


def test_so_is_one_whose_orders_are_refused_again_and_again() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    day.update(order, "DENIED", reason="not now")
    day.ticks(52)
    assert newest(day).breached


def test_an_acknowledged_exit_is_not_breached() -> None:
    day = held_day()
    day.update(day.stopped_at(397.0), "Submitted")
    day.ticks(100)
    assert newest(day).breached == ""


BREACHES: dict[str, tuple[Callable[[RiskDay], list[Message]], str]] = {
    "link down": (lambda day: day.hear(day.link(state="down")), "no link"),
    "locked": (lambda day: day.hear(day.link(state="locked")), "no link"),
    "gateway dead": (lambda day: day.hear(Silence(topic="BrokerLink", silent=True)), "no link"),
    "trading halt": (lambda day: day.hear(day.feed(halted=True)), "halted"),
    "exit unknown": (
        lambda day: day.update(day.state.exit.order, "UNKNOWN") if day.state.exit else [],
        "UNKNOWN until the broker proves it",
    ),
    "exit inactive": (
        lambda day: day.update(day.state.exit.order, "Inactive") if day.state.exit else [],
        "does not work exit",
    ),
}


@pytest.mark.parametrize("what", BREACHES)
def test_breached_is_said_at_once_with_its_reason_paged_once_and_ended_once(what: str) -> None:
    happens, reason = BREACHES[what]
    day = held_day()
    order = day.stopped_at(397.0)
    happens(day)
    alert = one(Alert, [a for a in of(Alert, day.ticks(5)) if a.code == "breached"])
    assert alert.level == "page"
    assert reason in newest(day).breached
    day.hear(day.link(), day.feed(), Silence(topic="BrokerLink", silent=False))
    said = day.sold(order, 397.0) + day.ticks(5)
    ended = one(Alert, [a for a in of(Alert, said) if a.code == "breached"])
    assert not ended.raised
    assert newest(day).breached == ""


def test_breached_stands_beside_any_mode() -> None:
    day = held_day()
    day.hear(day.latch(mode="HALTED", reason="by hand"), day.link(state="down"))
    day.quote(397.0, 0.2)
    day.tick()
    assert newest(day).mode == "HALTED"
    assert newest(day).breached


# --- alerts ------------------------------------------------------------------------------------


def alerts(messages: list[Message], code: str) -> list[Alert]:
    return [alert for alert in of(Alert, messages) if alert.code == code]


def test_a_position_without_a_price_pages_once_and_ends_once() -> None:
    day = held_day()
    day.wait(30)
    raised = one(Alert, day.ticks(20))
    assert (raised.code, raised.level, raised.raised) == ("blind", "page", True)
    day.quote(400.0)
    assert [alert.raised for alert in alerts(day.ticks(20), "blind")] == [False]


def test_with_delayed_data_nobody_is_paged_until_the_broker_had_time_for_its_first_word() -> None:
    day = RiskDay()
    order = day.entry_order()
    day.quote(400.0, kind="delayed")
    said = day.fill(order, 3000, 400.0)
    day.wait(4)
    assert not alerts(said + day.ticks(2), "blind")
    day.wait(4)
    assert alerts(day.ticks(2), "blind"), "but it has to come"


def test_a_position_without_a_baseline_pages() -> None:
    day = RiskDay(held=7500, cash_usd=-2_000_000.0)
    day.wait_until(instant(TUESDAY, "09:30:09"))
    day.quote(400.0)
    assert not alerts(day.tick(), "unarmed")
    day.quote(400.0, 2.0)
    assert alerts(day.tick(), "unarmed")


def test_no_alert_is_said_again_after_a_restart() -> None:
    day = held_day()
    day.wait(30)
    day.tick()
    day.restart()
    assert not of(Alert, day.ticks(10))


def test_little_excess_liquidity_pages() -> None:
    day = held_day()
    day.margin_rate = 0.32  # of three million: 960,000 of a million
    day.account(1.0)
    assert alerts(day.tick(), "liquidity")[0].level == "page"


def test_money_moved_is_a_notice_with_its_amount() -> None:
    day = held_day()
    day.account(1.0)
    day.cash_usd -= 50_000.0
    day.account(1.0)
    alert = one(Alert, alerts(day.tick(), "flow"))
    assert alert.level == "notice"
    assert "$-50,000.00" in alert.text


def test_an_exit_that_the_broker_rejects_pages_at_once_until_it_is_sold() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    day.update(order, "REJECTED", reason="201: margin")
    page = one(Alert, alerts(day.tick(), "exit-rejected"))
    assert page.level == "page"
    assert "201: margin" in page.text
    piece = one(PlaceOrder, day.ticks(12)).order
    said = day.fill(piece, piece.shares, 397.0) + day.ticks(2)
    assert [alert.raised for alert in alerts(said, "exit-rejected")] == [False]


def test_a_damaged_journal_halts_and_pages_with_the_offset() -> None:
    day = RiskDay()
    day.hear(JournalDamaged(file="20260303.journal", offset=4711, why="a wrong checksum"))
    alert = one(Alert, alerts(day.tick(), "halt-journal"))
    assert "4711" in alert.text
    assert newest(day).mode == "HALTED"


# --- status ------------------------------------------------------------------------------------


def test_the_state_is_said_on_change_only() -> None:
    day = held_day()
    day.tick()
    said = [out for _ in range(30) for out in (*day.quote(400.0, 0.2), *day.tick())]
    assert not of(RiskState, said)


@pytest.mark.parametrize(
    ("choice", "clock", "words"),
    [
        ("open", "10:00", "the stop monitor, at equity $980,000.00"),
        ("open", "17:00", "NOT PROTECTED: the market is shut"),
        ("off", "10:00", "NOT PROTECTED: stop.baseline is off"),
    ],
)
def test_status_says_what_protects_the_position(choice: str, clock: str, words: str) -> None:
    day = held_day(given=settings(stop={"baseline": choice}))
    day.wait_until(instant(TUESDAY, clock))
    day.quote(400.0)
    day.tick()
    assert newest(day).protected_by == words


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("blind", "it is BLIND, no valid price"),
        ("locked", "LOCKED, nothing is sent"),
        ("down", "no link to the broker"),
        ("silent", "no link to the broker"),
        ("degraded", "TWS has lost its link to IB"),
        ("halted", "trading in SMH is halted"),
        ("split", "the price looks like a split's"),
    ],
)
def test_no_protection_is_claimed_that_the_stop_monitor_cannot_give(what: str, why: str) -> None:
    day = held_day()
    day.quote(200.0 if what == "split" else 400.0, 60)
    match what:
        case "blind":
            day.wait(60)
        case "locked":
            day.hear(day.latch(mode="LOCKED", reason="other account"))
        case "silent":
            day.hear(Silence(topic="BrokerLink", silent=True))
        case "halted":
            day.hear(day.feed(halted=True))
        case "down" | "degraded":
            day.hear(day.link(state=what))
        case _:
            pass
    day.tick()
    assert newest(day).unwatched == why
    assert newest(day).protected_by == f"NOT PROTECTED: {why}"
    # and once it can again, that is said too
    if what != "split":
        day.hear(Silence(topic="BrokerLink", silent=False))
        day.hear(day.latch(), day.feed(), day.link())
        day.quote(400.0, 1.0)
        day.tick()
        assert newest(day).unwatched == ""
        assert newest(day).protected_by.startswith("the stop monitor")


def test_status_tells_ibs_liquidation_price() -> None:
    day = held_day()
    day.margin_rate = 0.25
    day.account(1.0)
    day.tick()
    price = newest(day).liquidation_price_usd
    assert price is not None
    # at that price the loss and the margin it frees leave nothing
    equity = CASH_USD - 7500 * (400.0 - price)
    assert equity - 0.25 * 7500 * price == pytest.approx(0.0, abs=7500 * 0.01)


def test_status_tells_why_there_is_no_entry() -> None:
    day = RiskDay(leverage=0.0)
    day.open_at()
    day.asked_at("15:55")
    day.tick()
    assert newest(day).pending.startswith("no entry today: BEAR")


@pytest.mark.parametrize("words", ["x" * 2000])
def test_the_longest_reasons_still_make_valid_messages(words: str) -> None:
    """The playbook decodes every record: a text too long to be read back would fail there."""
    day = held_day()
    day.hear(day.link(state="down", reason=words), day.feed(problem=words))
    day.hear(day.latch(mode="HALTED", reason=words))
    order = day.stopped_at(397.0)
    day.update(order, "REJECTED", reason=words)
    day.ticks(100)
    day.fill(None, 7500, 397.0)
    day.asked_at("15:50", 397.0)
    day.asked_at("15:55", 397.0)
    day.asked_at("15:59", 397.0)
    assert newest(day).mode == "HALTED"


# --- ready, busy -------------------------------------------------------------------------------


def test_it_is_ready_once_session_account_signal_and_link_were_heard() -> None:
    day = RiskDay()
    bare = Script(risk, Settings(), day.now.market_ns)
    awaited: list[str] = []
    heard = (day.state.session, day.state.account, day.state.signal, day.state.link)
    for message in heard:
        awaited.append(risk.ready(bare.state))
        assert message is not None
        bare.hear(message)
    assert [words.split()[-1] for words in awaited] == ["times", "values", "signal", "link"]
    assert risk.ready(bare.state) == ""


@pytest.mark.parametrize(
    ("link", "is_ready"),
    [("ready", True), ("degraded", True), ("down", False), ("reconciling", False),
     ("locked", False)],
)  # fmt: skip
def test_a_link_that_is_only_degraded_holds_nothing_up(link: str, is_ready: bool) -> None:
    day = RiskDay()
    day.hear(day.link(state=link))
    assert (risk.ready(day.state) == "") == is_ready


def test_it_is_busy_while_an_order_or_a_question_about_one_is_open() -> None:
    day = held_day()
    assert not risk.busy(day.state)
    day.quote(390.0, 0.2, agree=False)
    assert risk.busy(day.state), "a breach is suspected"
    day.quote(400.0, 0.2)
    assert not risk.busy(day.state)
    order = day.stopped_at(397.0)
    assert risk.busy(day.state)
    day.sold(order, 397.0)
    assert not risk.busy(day.state)
    day.entry_order("15:55", 397.0)
    assert risk.busy(day.state)


def test_an_exit_of_the_gateway_that_stays_unfilled_pages_like_any_other() -> None:
    day = held_day()
    order = msgspec.structs.replace(
        day.stopped_at(397.0), intent_id=f"{TUESDAY:%Y%m%d}-EXIT-{GUARD_FIRST}"
    )
    day = held_day()
    day.update(order, "Submitted")
    pages = [a for a in of(Alert, day.ticks(60)) if a.code == "guard-unfilled"]
    assert [(page.level, page.raised) for page in pages] == [("page", True)]
