"""The last hop's limits: each refusal in one plain line, and none for a sound order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec
import pytest

from common.clock import SECOND_NS
from common.core import outbox
from common.core.gateway import limits
from common.messages import (
    Accepted,
    Action,
    BrokerLink,
    DiskState,
    Halt,
    HaltLatch,
    Now,
    Order,
    OrderBook,
    PreviewMargin,
    Refused,
    Resume,
    Unlock,
)
from common.settings import Account, Exit, Limits, Margin, Settings
from common.tws import messages as tws
from common.tws.link_messages import ClockCompared
from tests.core.outbox_play import ACCOUNT, SESSION, START_NS, Play, account_rows, order


def ready(settings: Settings | None = None, shares: int = 0) -> Play:
    play = Play(settings)
    play.connect(shares=shares)
    return play


@dataclass
class Case:
    """An entry that must be refused: what happened before, and a word of the reason."""

    happened: Callable[[Play], object]
    reason: str
    wanted: Order | None = None


def unidentified(play: Play) -> None:
    """Another connection, over which TWS does not know the instrument."""
    play.link_down()
    play.link_up()
    play.hear(tws.ContractProblem("no SMH here"))
    play.hear(account_rows())
    play.books()


def foreign(action: Action) -> tws.OpenOrder:
    return tws.OpenOrder(0, 0, 777, "", ACCOUNT, "SMH", action, 100, "Submitted")


def nothing(_play: Play) -> None:
    """The order itself is the fault."""


def older(play: Play, seconds: float) -> None:
    play.market_ns += int(seconds * SECOND_NS)


ENTRY_CASES = {
    "link down": Case(lambda p: p.link_down(), "connection was closed"),
    "TWS has lost IB": Case(lambda p: p.error(1100), "lost its connection to IB"),
    "not compared since 1102": Case(lambda p: (p.error(1100), p.error(1102)), "compared"),
    "halted": Case(lambda p: p.hear(Halt("h", 0, "me", "lunch")), "halted: me: lunch"),
    "disk full": Case(lambda p: p.hear(DiskState(roomy=False, free_mb=1.0)), "disk"),
    "clock off": Case(lambda p: p.hear(ClockCompared(START_NS, 2.5)), "clock is off by 2.5 s"),
    "read-only": Case(
        lambda p: p.error(
            321, "Error validating request.-'b7' : cause - The API interface is "
            "currently in Read-Only mode."
        ),
        "read-only",
    ),
    "other base currency": Case(lambda p: p.hear(account_rows(currency="EUR")), "EUR"),
    "unknown instrument": Case(unidentified, "no SMH"),
    "another order working": Case(lambda p: p.send(order()), "is sending", order(attempt=2)),
    "a foreign order working": Case(lambda p: p.hear(foreign("BUY")), "not ours is working"),
    "position and fills differ": Case(
        lambda p: p.hear(tws.PositionReport(ACCOUNT, "SMH", 5, 100.0)), "differ"
    ),
    "own price too old": Case(lambda p: older(p, 61), "price is 61 s old"),
    "leverage": Case(nothing, "leverage would be 3.80x", order(shares=38_000)),
    "sized at another price": Case(
        lambda p: p.hear(tws.OwnPrice(101.1, "live")), "sized at $100.00, the gateway's own"
    ),
    "wrong side": Case(nothing, "may not SELL", msgspec.structs.replace(order(), action="SELL")),
    "limit order without a limit": Case(nothing, "limit", order(order_type="LMT")),
    "past its deadline": Case(nothing, "too late", order(deadline_s=-1)),
    "market closed": Case(
        lambda p: older(p, 7 * 3600), "market is closed", order(deadline_s=90_000)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENTRY_CASES)
def test_an_entry_is_refused_with_a_plain_reason_when(name: str) -> None:
    case = ENTRY_CASES[name]
    play = ready()
    case.happened(play)
    sent_before = len(play.sent)
    assert case.reason in play.refusal(case.wanted or order())
    assert len(play.sent) == sent_before


def test_a_sound_entry_leaves_at_once_with_its_account_and_reference() -> None:
    play = ready()
    sent = play.send(order(shares=37_000))
    assert sent.account == ACCOUNT
    assert sent.order_ref.startswith("20240604-ENTRY-1.")
    assert len(sent.order_ref) <= 40


def test_the_leverage_limit_counts_what_is_held_already() -> None:
    play = ready()
    play.hold(30_000)
    assert "leverage" in play.refusal(order(attempt=2, shares=8_000))


def test_the_largest_order_value_is_a_limit_of_its_own() -> None:
    play = ready(Settings(limits=Limits(order_value_usd_max=50_000.0)))
    assert "order_value_usd_max" in play.refusal(order(shares=1_000))


def test_entries_stop_at_the_days_number_of_orders_and_exits_go_on() -> None:
    play = ready(Settings(limits=Limits(orders_per_day_max=2)), shares=1000)
    play.state.actions["20240604"] = 2
    assert "orders_per_day_max" in play.refusal(order())
    assert play.refusal(order("EXIT")) == ""


def test_never_short_a_sale_of_more_than_is_held_is_refused() -> None:
    play = ready(shares=1000)
    assert "never short" in play.refusal(order("EXIT", shares=1001))


def test_never_short_a_second_sale_beside_a_working_one_is_refused() -> None:
    play = ready(shares=1000)
    sent = play.send(order("EXIT"))
    play.hear(play.opened(sent))
    assert "never short" in play.refusal(order("EXIT", attempt=2))


def test_never_short_foreign_sales_count_as_sold() -> None:
    play = ready(shares=1000)
    play.hear(foreign("SELL"))
    assert "never short" in play.refusal(order("EXIT"))
    assert play.refusal(order("EXIT", attempt=2, shares=900)) == ""


def test_orders_that_others_place_meanwhile_are_looked_for_every_minute() -> None:
    """TWS tells nobody of them unasked."""
    play = ready(shares=1000)
    play.hear(SESSION)
    play.pass_s(61)
    play.books(shares=1000, opened=(foreign("SELL"),))
    assert play.newest(OrderBook).foreign_sell_shares == 100
    assert "never short" in play.refusal(order("EXIT"))


def test_a_foreign_order_that_is_gone_is_forgotten_within_seconds() -> None:
    play = ready(shares=1000)
    play.hear(SESSION)
    play.pass_s(61)
    play.books(shares=1000, opened=(foreign("SELL"),))
    play.pass_s(11)
    play.books(shares=1000)
    assert play.newest(OrderBook).foreign_sell_shares == 0
    assert play.send(order("EXIT")).order.shares == 1000


@pytest.mark.parametrize(("bear", "left"), [("next_open", 100), ("after_hours", 0)])
def test_where_exits_go_after_hours_a_foreign_order_that_lapses_is_missed_in_the_evening_too(
    bear: Literal["next_open", "after_hours"], left: int
) -> None:
    play = ready(shares=1000, settings=Settings(exit=Exit(bear=bear)))
    play.hear(SESSION)
    play.pass_s(61)
    play.books(shares=1000, opened=(foreign("SELL"),))
    play.market_ns = SESSION.close_ns
    play.pass_s(11)
    assert play.state.snapshots.pending is (not left)
    if play.state.snapshots.pending:
        play.books(shares=1000)
    assert play.newest(OrderBook).foreign_sell_shares == left


def test_nothing_waits_for_a_look_at_orders_that_are_not_ours() -> None:
    play = ready()
    play.hear(SESSION)
    play.pass_s(61)
    assert play.state.snapshots.pending
    assert outbox.busy(play.state) is False
    play.hear(tws.OwnPrice(100.0, "live"))
    assert play.send(order("ENTRY")).order.shares == 1000


def test_out_of_hours_nobody_looks() -> None:
    play = ready()
    play.hear(SESSION)
    play.pass_s(7 * 3600, 60.0)
    count = len(play.all(tws.TakeSnapshot))
    play.pass_s(3600, 60.0)
    assert len(play.all(tws.TakeSnapshot)) == count


def test_a_sale_waits_while_the_reported_position_lags_behind_the_fills() -> None:
    play = ready()
    sent = play.send(order())
    play.hear(play.opened(sent))
    play.hear(play.execution(sent))
    assert isinstance(play.submit(order("EXIT")), Accepted)
    assert len(play.sent) == 1
    play.hear(tws.PositionReport(ACCOUNT, "SMH", 1000, 100.0))
    play.pass_s(0.5)
    assert len(play.sent) == 2


@pytest.mark.parametrize("own_usd", [99.1, 100.9])
def test_an_entry_sized_within_a_hundredth_of_the_own_price_goes(own_usd: float) -> None:
    play = ready()
    play.hear(tws.OwnPrice(own_usd, "live"))
    assert play.refusal(order()) == ""


def test_an_exit_goes_whatever_price_it_was_noted_at() -> None:
    play = ready(shares=1000)
    play.hear(tws.OwnPrice(50.0, "live"))
    assert play.refusal(order("EXIT")) == ""
    assert len(play.sent) == 1


def test_halted_stops_entries_and_lets_exits_go() -> None:
    play = ready(shares=1000)
    play.hear(Halt("h", 0, "me", "lunch"))
    play.pass_s(0.1)
    assert play.newest(HaltLatch).mode == "HALTED"
    assert play.refusal(order()).startswith("halted")
    assert play.refusal(order("EXIT")) == ""
    assert len(play.sent) == 1


def cancelled(play: Play) -> list[int]:
    return [cancel.order_id for cancel in play.all(tws.SendCancel)]


@pytest.mark.parametrize("bought", [0, 300])
def test_a_halt_cancels_an_entry_that_still_works(bought: int) -> None:
    # given: an entry that waits at the broker, as in a pause of trading
    play = ready()
    entry = play.send(order())
    play.hear(play.opened(entry))
    if bought:
        play.hear(play.execution(entry, bought))
        play.hear(tws.PositionReport(ACCOUNT, "SMH", bought, 100.0))
    play.pass_s(5)
    assert cancelled(play) == []
    # when
    play.hear(Halt("h", 0, "me", "lunch"))
    play.pass_s(60)
    # then: once, and its end is believed by its status
    assert cancelled(play) == [entry.order_id]
    assert play.status_of(entry.order) == "Submitted"
    play.hear(play.status(entry, "Cancelled", bought))
    assert play.status_of(entry.order) == "Cancelled"


def test_a_halt_finds_an_entry_whose_link_or_gateway_was_gone() -> None:
    play = ready()
    entry = play.send(order())
    play.hear(play.opened(entry))
    play.link_down()
    play.hear(Halt("h", 0, "me", "lunch"))
    play.pass_s(2)
    assert cancelled(play) == [], "no byte leaves without a link"
    play.crash()
    play.link_up(next_id=2)
    play.books(opened=(play.opened(entry),))
    play.pass_s(2)
    assert cancelled(play) == [entry.order_id]


def test_a_halt_leaves_exits_and_the_stop_at_the_broker_alone() -> None:
    play = ready(shares=1000)
    for resting, status in ((order("STOP"), "PreSubmitted"), (order("EXIT"), "Submitted")):
        play.hear(play.opened(play.send(resting), status))
        play.hear(Halt(f"h-{resting.purpose}", 0, "me", "lunch"))
        play.pass_s(5)
    assert cancelled(play) == []


def test_the_halt_survives_a_crash_until_resumed() -> None:
    play = ready()
    play.hear(Halt("h", 0, "me", "lunch"))
    play.crash()
    assert play.newest(HaltLatch).mode == "HALTED"
    assert play.refusal(order()).startswith("halted")
    play.hear(Resume("r", 0, "me"))
    play.crash()
    assert play.newest(HaltLatch).mode == "ACTIVE"


@pytest.mark.parametrize(
    ("account", "found", "reason", "locks"),
    [
        (Account(), ("U7654321",), "U7***21 is not a paper account", True),
        (
            Account(),
            ("DU1234567", "DU7654321"),
            "several accounts under this login: DU***67",
            False,
        ),
        (Account(id="DU7654321"), (ACCOUNT,), "DU***21 is not under this login", True),
        (Account(id="U7654321"), ("U7654321", ACCOUNT), "not a paper account", True),
        (Account(mode="live", id="U7654321"), (ACCOUNT,), "not under this login", True),
    ],
)
def test_the_wrong_account_is_refused_before_anything_is_sent(
    account: Account, found: tuple[str, ...], reason: str, locks: bool
) -> None:
    play = Play(Settings(account=account))
    outputs = play.link_up(accounts=found)
    assert not [o for o in outputs if isinstance(o, (tws.Subscribe, tws.TakeSnapshot))]
    play.pass_s(5)
    assert not play.all(tws.TakeSnapshot)
    link = play.newest(BrokerLink)
    assert (link.state, reason in link.reason) == ("locked", True)
    assert (play.newest(HaltLatch).mode == "LOCKED") == locks


def test_live_mode_takes_exactly_the_account_that_is_named() -> None:
    play = Play(Settings(account=Account(mode="live", id="U7654321")))
    outputs = play.link_up(accounts=("U7654321", "U1111111"))
    assert tws.Subscribe("U7654321") in outputs


@pytest.mark.parametrize("named", ["", "DU7654321"])
def test_an_order_of_one_account_never_goes_to_another(named: str) -> None:
    """Paper and account.id empty: TWS comes back with another login, as many shares."""
    play = ready(shares=1000)
    sale = order("EXIT")
    play.send(sale)
    play.settings = Settings(account=Account(id=named))
    play.crash()
    play.link_up(accounts=("DU7654321",))
    play.hear(tws.PositionReport("DU7654321", "SMH", 1000, 100.0))
    play.pass_s(120)
    assert [(sent.account, sent.order) for sent in play.sent] == [(ACCOUNT, sale)]
    link = play.newest(BrokerLink)
    assert (link.state, play.newest(HaltLatch).mode) == ("locked", "LOCKED")
    for word in ("DU***67", "DU***21", "account.id", "TRADER_VAR"):
        assert word in link.reason
    assert isinstance(play.hear(Unlock("u", 0, "me", "sure"))[0], Refused)


def test_locked_refuses_exits_too_until_unlocked_over_the_right_account() -> None:
    play = ready(shares=1000)
    play.link_down()
    play.link_up(accounts=("U7654321",))
    assert isinstance(play.hear(Unlock("u", 0, "me", "sure"))[0], Refused)
    play.link_down()
    play.connect(shares=1000)
    assert play.refusal(order("EXIT")).startswith("locked")
    assert isinstance(play.hear(Resume("r", 0, "me"))[0], Refused)
    assert isinstance(play.hear(Unlock("u", 0, "me", "sure"))[0], Accepted)
    play.pass_s(0.1)
    assert play.newest(HaltLatch).mode == "HALTED"
    assert play.refusal(order("EXIT", attempt=2)) == ""


WINDOWS = [
    # hours after 10:00, order, whether the table lets it go
    (0.0, order(), True),
    (0.0, order(order_type="LMT", limit_usd=99.0), True),
    (-0.51, order(), False),
    (-0.51, order(order_type="LMT", limit_usd=99.0), False),
    (-0.51, order(order_type="LMT", limit_usd=99.0, outside_rth=True), True),
    (-7.0, order(order_type="LMT", limit_usd=99.0, outside_rth=True), False),
    (6.0, order(), False),
    (6.0, order(order_type="LMT", limit_usd=99.0, outside_rth=True), True),
    (6.0, order(outside_rth=True), False),
    (10.1, order(order_type="LMT", limit_usd=99.0, outside_rth=True), False),
    (23.5, order(), True),
]


@pytest.mark.parametrize(("hours", "wanted", "goes"), WINDOWS)
def test_the_order_window_table(hours: float, wanted: Order, goes: bool) -> None:
    now = Now(market_ns=START_NS + int(hours * 3600 * SECOND_NS), host_ns=1)
    assert (limits.window_refusal(SESSION, now, wanted) == "") == goes


def test_an_exit_after_the_close_waits_for_the_next_open() -> None:
    play = ready(shares=1000)
    play.market_ns = SESSION.close_ns + 1
    play.submit(order("EXIT", deadline_s=90_000))
    play.pass_s(2)
    assert play.sent == []
    play.market_ns = SESSION.next_open_ns
    play.pass_s(0.5)
    assert len(play.sent) == 1


def test_a_what_if_is_refused_while_an_order_is_under_way() -> None:
    play = ready()
    play.send(order())
    answer = play.hear(PreviewMargin("p", 0, 100))[0]
    assert isinstance(answer, Refused)


@pytest.mark.parametrize(
    ("setting", "row", "proven"),
    [
        ("auto", "PMRGN", True),
        ("auto", "STKMRGN", None),
        ("auto", "", None),
        ("portfolio", "STKMRGN", True),
        ("regt", "PMRGN", False),
    ],
)
def test_portfolio_margin_is_proven_by_ibs_word_or_said_by_the_setting(
    setting: str, row: str, proven: bool | None
) -> None:
    margin = {"auto": Margin(), "portfolio": Margin(account="portfolio")}
    settings = Settings(margin=margin.get(setting, Margin(account="regt")))
    play = ready(settings)
    play.hear(account_rows(TradingType_S=row))
    assert play.state.account is not None
    assert play.state.account.portfolio_margin is proven


def test_account_keys_may_carry_the_ledger_prefix() -> None:
    play = ready()
    play.hear(account_rows(net=777.0, prefix="$LEDGER-"))
    assert play.state.account is not None
    assert play.state.account.net_liquidation_usd == 777.0


def test_the_profit_of_other_holdings_is_told_apart_from_smhs() -> None:
    play = ready()
    rows = account_rows(shares=100)
    smh = msgspec.structs.replace(rows.holdings[0], profit_usd=1_000.0)
    others = tuple(tws.Holding("XYZ 7", "STK", 10, 55.0, usd, 40.0) for usd in (250.0, -100.0))
    play.hear(msgspec.structs.replace(rows, holdings=(others[0], smh, others[1])))
    assert play.state.account is not None
    assert play.state.account.other_profit_usd == 150.0


@pytest.mark.parametrize("prefix", ["", "$LEDGER-"])
def test_dividends_that_accrue_are_told_in_the_base_currency(prefix: str) -> None:
    play = ready()
    rows = account_rows()
    told = [(f"{prefix}AccruedDividend", "7502.25", "USD"), ("AccruedDividend", "9.00", "EUR")]
    play.hear(msgspec.structs.replace(rows, rows=(*rows.rows, *told)))
    assert play.state.account is not None
    assert play.state.account.accrued_dividends_usd == 7_502.25


def test_dividends_that_the_broker_does_not_tell_are_not_known() -> None:
    play = ready()
    play.hear(account_rows(net=777.0))
    assert play.state.account is not None
    assert play.state.account.accrued_dividends_usd is None


def test_rows_of_an_account_that_is_not_ready_are_no_account() -> None:
    play = ready()
    play.hear(account_rows(net=0.0, AccountReady="false"))
    assert play.state.account is not None
    assert play.state.account.net_liquidation_usd == 1_000_000.0
