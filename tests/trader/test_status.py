"""Every question of `trader status` has its answer, also when services are silent."""

from __future__ import annotations

import pytest
from rich.console import Console

from common import messages as m
from services.trader import screen, status
from services.trader.status import Known, Row
from tests.trader import facts
from tests.trader.facts import NOW_NS, changed, known


def row(view: Known, key: str) -> Row:
    return next(row for row in status.rows(view) if row.key == key)


def flat(*changes: m.Message, without: tuple[str, ...] = ()) -> Known:
    return known(
        changed(facts.ACCOUNT, shares=0), changed(facts.RISK, shares=0, entry_done=False),
        changed(facts.EQUITY, shares=0, stop_price_usd=None, leverage=0.0, armed=False),
        *changes, without=without,
    )  # fmt: skip


def test_in_the_market_the_answer_says_with_how_much() -> None:
    answer = status.answer(known())
    assert answer.text == "In the market with 7,355 SMH."
    assert answer.values == {"in_market": True, "reasons": [], "unwatched": ""}


def test_out_of_the_market_every_reason_is_given_in_the_order_of_mending() -> None:
    view = flat(
        changed(facts.LATCH, mode="HALTED", reason="trader flatten"),
        changed(facts.LINK, state="degraded", reason="TWS has lost IB (1100)"),
        changed(facts.RISK, shares=0, mode="HALTED", reasons=("halted by you",), pending=""),
    )
    assert status.answer(view).values["reasons"] == [
        "HALTED at the gateway: trader flatten",
        "broker link degraded: TWS has lost IB (1100)",
        "halted by you",
    ]


SOLD = m.Fill(
    exec_id="0001.01", revision=1, intent_id="20250602-EXIT-1", action="SELL", shares=7355,
    price_usd=405.3, filled_ns=facts.at(11, 41, 7), liquidation=False,
)  # fmt: skip
STOPPED = m.Exited(
    day=facts.DAY, shares=7355, price_usd=405.3, reason="stop", profit_usd=-21_300.0,
    equity_usd=978_700.0,
)  # fmt: skip


def test_after_a_stop_the_answer_says_when_what_it_cost_and_what_follows() -> None:
    assert status.answer(flat(SOLD, STOPPED)).text == (
        "Not in the market: stopped out at 11:41:07 ET (-2.13%); "
        "re-entry at 2025-06-02 15:55:00 ET, in 6 min 57 s, if nothing changes."
    )


def test_after_a_stop_no_reentry_is_promised_where_there_is_none() -> None:
    over = changed(facts.RISK, shares=0, pending="no entry today: BEAR since the close")
    told = status.answer(flat(SOLD, STOPPED, over)).text
    assert told.startswith("Not in the market: stopped out at 11:41:07 ET (-2.13%); no entry today")
    assert "re-entry" not in told


def test_a_stop_of_yesterday_or_another_exit_is_no_stop_of_today() -> None:
    for left in (
        changed(STOPPED, day=facts.SESSION.previous_day), changed(STOPPED, reason="flatten"),
    ):  # fmt: skip
        assert "stopped" not in status.answer(flat(SOLD, left)).text


def test_out_of_the_market_a_bear_signal_is_reason_enough() -> None:
    assert "the signal is BEAR" in status.answer(flat(changed(facts.SIGNAL, side="BEAR"))).text


def test_a_silent_service_is_the_first_reason() -> None:
    view = flat(without=("signal_engine",))
    assert status.answer(view).values["reasons"][0] == "silent: signal_engine"


def test_a_short_position_is_shouted() -> None:
    answer = status.answer(known(changed(facts.ACCOUNT, shares=-5)))
    assert answer.level == "bad"
    assert "SHORT 5" in answer.text


def test_position_shows_value_cost_and_leverage_now() -> None:
    assert row(known(), "position").text == (
        "7,355 SMH at $408.39 = $3,003,708.45, bought at $408.20, leverage 3.00x"
    )


def test_a_position_that_the_broker_counts_otherwise_is_said() -> None:
    shown = row(known(changed(facts.RISK, shares=7000)), "position")
    assert shown.level == "bad"
    assert "we count 7,000" in shown.text


def test_stop_shows_level_price_distance_and_baseline() -> None:
    shown = row(known(), "stop")
    assert shown.text == (
        "armed: equity $980,000.00, SMH $405.49 (-0.71%); baseline $1,000,000.00 (open)"
    )
    assert shown.values["room_usd"] == pytest.approx(21_295.25)


def test_a_baseline_that_an_entry_has_moved_is_not_called_the_opens() -> None:
    shown = row(known(changed(facts.EQUITY, baseline_usd=1_000_900.0)), "stop")
    assert shown.text.endswith("baseline $1,000,900.00 (after the entry fill)")


def test_a_position_without_an_armed_stop_is_shown_as_bad() -> None:
    assert row(known(changed(facts.EQUITY, armed=False)), "stop").level == "bad"


def test_a_fired_stop_says_so() -> None:
    shown = row(known(changed(facts.RISK, stop_fired=True)), "stop")
    assert shown.text.startswith("FIRED")


def test_signal_shows_gap_and_the_close_that_turns_it() -> None:
    assert row(known(), "signal").text == (
        "BULL: EMA 25=399.87, 125=356.11, gap +12.29%; BEAR at a close below $120.50 "
        "(final, close of 2025-05-30)"
    )


def test_vix_shows_its_tier_and_an_old_one_counts_as_none() -> None:
    fresh = known(changed(facts.VIX, level=12.5))
    assert row(fresh, "leverage").values["table_leverage"] == 3.5
    old = known(changed(facts.VIX, level=12.5, tick_ns=NOW_NS - 1_300 * 10**9))
    assert row(old, "leverage").values["table_leverage"] == 3.0
    assert "too old" in row(old, "leverage").text


def test_data_names_its_kind_age_and_problem() -> None:
    assert row(known(), "data").text == "live, last tick 0.4 s ago"
    problem = "neither live nor delayed data is permitted: subscribe in Client Portal"
    shown = row(known(changed(facts.FEED, kind="none", problem=problem)), "data")
    assert shown.level == "bad"
    assert problem in shown.text


def test_flat_on_delayed_data_the_stop_is_not_armed_and_the_prices_age_is_said() -> None:
    risk = changed(facts.RISK, shares=0, entry_done=False)
    feed, account = changed(facts.FEED, kind="delayed"), changed(facts.ACCOUNT, shares=0)
    view = known(feed, account, risk, without=("risk_monitor",))  # no Equity before an entry
    assert row(view, "stop").text == "not armed: nothing is held"
    assert row(view, "data").text.endswith("prices of 15 min before")


def test_the_account_is_never_shown_whole() -> None:
    shown = row(known(), "link")
    assert "DU***67" in shown.text
    assert "DU1234567" not in repr(shown)


def test_mode_is_the_worse_of_monitor_and_gateway() -> None:
    latch = changed(facts.LATCH, mode="HALTED", reason="the disk is full", since_ns=NOW_NS)
    shown = row(known(latch), "mode")
    assert shown.level == "warn"
    assert shown.text == (
        "HALTED (risk_monitor ACTIVE, broker_gateway HALTED) since 2025-06-02 15:48:03 ET: "
        "the disk is full"
    )


def test_next_is_the_go_no_go_line_at_ten_to_four() -> None:
    assert row(known(), "next").text == "go / no-go line at 2025-06-02 15:50:00 ET, in 1 min 57 s"


def test_what_is_pending_stands_before_what_is_next() -> None:
    pending = "sell 7,355 at the next open (bear)"
    assert row(known(changed(facts.RISK, pending=pending)), "next").text.startswith(pending)


def test_liquidation_shows_ibs_price() -> None:
    assert row(known(), "liquidation").text == "near SMH $311.20 (-23.80%)"


def test_unknown_orders_are_bad_news() -> None:
    shown = row(known(changed(facts.BOOK, unknown=("20250602-ENTRY-1",))), "orders")
    assert (shown.level, "UNKNOWN 20250602-ENTRY-1" in shown.text) == ("bad", True)


def test_uninvested_money_is_shown() -> None:
    assert (
        "not invested $25,000.00"
        in row(known(changed(facts.RISK, uninvested_usd=25_000.0)), "equity").text
    )


def test_pages_stand_before_notices_and_ended_alerts_are_gone() -> None:
    view = known(
        m.Alert(level="notice", code="signal", text="turned", raised=True),
        m.Alert(level="page", code="unknown-order", text="look", raised=True),
        m.Alert(level="page", code="link", text="down", raised=True),
        m.Alert(level="page", code="link", text="", raised=False),
    )
    assert row(view, "alerts").text == "page unknown-order: look\nnotice signal: turned"


def test_with_everything_silent_every_row_says_who_did_not_speak() -> None:
    view = known(without=tuple(facts.SAID))
    assert status.answer(view).text == "Unknown: nobody has said what is held."
    assert all(service.age_s is None for service in status.services(view))
    unknown = {row.key for row in status.rows(view) if row.level == "unknown"}
    assert unknown >= {"position", "equity", "stop", "signal", "data", "link", "mode", "orders"}


def test_a_silent_service_is_shown_as_its_journal_left_it() -> None:
    view = known(without=("risk_monitor",))
    view.picture.recall("risk_monitor", facts.RISK, NOW_NS - 60 * 10**9)
    assert row(view, "mode").values["risk_monitor"] == "ACTIVE"
    silent = next(s for s in status.services(view) if s.service == "risk_monitor")
    assert silent.verdict == "silent; its journal ends at 2025-06-02 15:47:03 ET"


def test_what_was_heard_is_never_replaced_by_what_was_read() -> None:
    view = known()
    view.picture.recall("risk_monitor", changed(facts.RISK, mode="HALTED"), NOW_NS)
    assert row(view, "mode").values["risk_monitor"] == "ACTIVE"


def test_a_restarted_service_shows_when_and_how_often() -> None:
    view = known(m.Restarted("order_executor", 2, facts.at(14, 3, 11)))
    shown = {service.service: service for service in status.services(view)}
    assert shown["order_executor"].verdict == (
        "ready; restarted at 2025-06-02 14:03:11 ET, 2 times by then"
    )
    assert (shown["order_executor"].restarts, shown["console"].restarts) == (2, 0)


def test_mixed_builds_are_warned_of() -> None:
    view = known()
    beat = changed(view.picture.beats["console"].heartbeat, build="other")
    view.picture.hear("console", beat, host_ns=10 * 10**9)
    assert status.warnings(view) == ["The services run different builds: restart the whole system."]


def test_the_screen_fits_a_terminal_of_a_hundred_columns() -> None:
    view = known()
    console = Console(width=100, height=45)
    with console.capture() as captured:
        console.print(
            screen.status(
                "title", status.answer(view), status.rows(view), status.services(view),
                status.warnings(view),
            )
        )  # fmt: skip
    lines = captured.get().splitlines()
    assert len(lines) <= 45
    assert "In the market with 7,355 SMH." in lines[1]
