"""Matching, auctions, margin and money: the broker without sockets, in exact market time."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from common.clock import SECOND_NS
from services.sim_tws import account_values, history, requests
from services.sim_tws.account import PORTFOLIO, REG_T, Account
from services.sim_tws.broker import Broker
from services.sim_tws.contracts import SMH, Contract
from services.sim_tws.day_cycle import DayCycle
from services.sim_tws.market import Action, Market, replay
from services.sim_tws.market_time import instant_ns
from services.sim_tws.orders import Execution, Order, Ticket
from services.sim_tws.switches import Switches
from services.sim_tws.tape import Tape
from tests.sim_tws.harness import DATA, FIRST_DAY, next_day

TUESDAY = next_day(FIRST_DAY)


class House:
    """A broker at a wall time, with shortcuts that read as a script."""

    def __init__(
        self,
        market: Market,
        at: str = "10:00",
        kind: str = PORTFOLIO,
        cash: float = 1e6,
        day: date = FIRST_DAY,
    ) -> None:
        self.tape = Tape(market)
        self.account = Account("DU1", cash, kind)
        self.broker = Broker(self.tape, [self.account], _ns(day, at), Switches())
        DayCycle(self.broker)
        self._order_id = 0
        self._seen: dict[str, Execution] = {}

    def go(self, wall: str, day: date = FIRST_DAY) -> None:
        self.broker.exchange.advance(_ns(day, wall))

    def order(self, action: str, shares: float, kind: str = "MKT", **terms: Any) -> Order:
        self._order_id += 1
        self.refusal = self.broker.place(
            1, self._order_id, SMH, "SMART", Ticket(action, shares, kind, **terms)
        )
        found = self.broker.books.find(1, self._order_id)
        assert found is not None, self.refusal
        return found

    def refused(self, action: str, shares: float, kind: str = "MKT", **terms: Any) -> str:
        """The reason an order of those terms is Inactive for."""
        order = self.order(action, shares, kind, **terms)
        assert order.status == "Inactive"
        return order.completed_reason

    @property
    def seen(self) -> dict[str, Execution]:
        """Every fill ever booked, also those the broker has forgotten since."""
        self._seen.update({fill.exec_id: fill for fill in self.broker.books.executions})
        return self._seen

    @property
    def mark(self) -> float:
        return self.tape.mark(self.broker.now_ns)

    @property
    def equity(self) -> float:
        return self.account.net_liquidation_usd(self.mark)


@pytest.fixture
def house(market: Market) -> House:
    return House(market)


def test_cash_plus_shares_is_conserved_up_to_fees_and_prices(house: House) -> None:
    order = house.order("BUY", 5000)
    house.go("10:01")
    sale = house.order("SELL", 5000)
    house.go("10:02")

    fills = house.broker.books.executions
    cash = 1e6 - sum(f.side * f.shares * f.price_usd + f.commission_usd for f in fills)
    assert order.status == sale.status == "Filled"
    assert house.account.cash_usd == pytest.approx(cash)
    assert house.account.smh.shares == 0
    realized = sum(f.realized_usd or 0 for f in fills)
    assert realized == pytest.approx(house.account.cash_usd - 1e6, abs=1e-6)


def test_commission_is_half_a_cent_a_share_and_a_dollar_at_least_per_order(house: House) -> None:
    small = house.order("BUY", 10)
    large = house.order("BUY", 9000)
    house.go("10:01")

    assert small.commission_usd == 1.0
    assert large.commission_usd == pytest.approx(45.0)
    assert len([f for f in house.broker.books.executions if f.perm_id == large.perm_id]) > 1


def test_moc_fills_at_the_closing_print_and_is_refused_five_minutes_before(house: House) -> None:
    moc = house.order("BUY", 100, "MOC")
    house.go("15:55")
    reason = house.refused("BUY", 100, "MOC")
    loc = house.order("BUY", 100, "LOC", limit_usd=1.0)
    house.go("16:00")

    assert moc.average_usd == house.tape.market.closing_print("SMH", FIRST_DAY)
    assert "no longer accepts MOC" in reason
    assert loc.status == "Cancelled"


def test_opg_fills_at_the_opening_print_and_is_refused_after_the_close(house: House) -> None:
    house.go("16:00:01")
    reason = house.refused("SELL", 1, tif="OPG")
    house.go("08:00", TUESDAY)
    opg = house.order("BUY", 100, tif="OPG")
    house.go("09:28", TUESDAY)
    late = house.refused("BUY", 100, tif="OPG")
    house.go("09:30", TUESDAY)

    assert "at-the-opening" in reason
    assert "at-the-opening" in late
    assert opg.average_usd == house.tape.market.opening_print("SMH", TUESDAY)


def test_a_market_order_after_hours_waits_for_the_next_open(house: House) -> None:
    house.go("17:00")
    order = house.order("BUY", 100)
    assert order.status == "PreSubmitted"
    house.go("23:00")
    assert order.status == "PreSubmitted"
    house.go("09:30", TUESDAY)

    assert order.average_usd == house.tape.market.opening_print("SMH", TUESDAY)


def test_a_limit_outside_hours_trades_only_when_it_says_so(house: House) -> None:
    house.order("BUY", 100)
    house.go("17:00")
    bid = house.tape.tick("SMH", house.broker.now_ns).bid
    held = house.order("SELL", 50, "LMT", limit_usd=round(bid - 1, 2))
    traded = house.order("SELL", 50, "LMT", limit_usd=round(bid - 1, 2), outside_rth=True)

    assert (held.status, traded.status) == ("PreSubmitted", "Filled")


def test_what_is_left_of_a_day_order_at_the_close_is_cancelled(house: House) -> None:
    house.go("15:59:59")
    order = house.order("BUY", 9000)
    house.go("16:00:30")

    assert order.status == "Cancelled"
    assert 0 < order.filled < 9000
    assert house.account.smh.shares == order.filled


def test_ioc_takes_what_is_shown_and_fok_all_or_nothing(house: House) -> None:
    ioc = house.order("BUY", 90_00, tif="IOC")
    fok = house.order("BUY", 9000, tif="FOK")

    assert ioc.status == "Cancelled"
    assert 0 < ioc.filled < 9000
    assert (fok.status, fok.filled) == ("Cancelled", 0)


def test_a_stop_limit_triggers_and_then_respects_its_limit(house: House) -> None:
    house.order("BUY", 100)
    path = house.tape.path("SMH", house.broker.now_ns, house.broker.now_ns + 3600 * SECOND_NS)
    low = min(tick.last for tick in path)
    order = house.order("SELL", 100, "STP LMT", aux_usd=low, limit_usd=round(low + 50, 2))
    house.go("11:00")

    assert (order.status, order.triggered) == ("Submitted", True)


def test_a_trailing_stop_follows_the_market_up_and_never_down(house: House) -> None:
    house.order("BUY", 100)
    order = house.order("SELL", 100, "TRAIL", aux_usd=50.0)
    house.go("15:00")

    path = house.tape.path("SMH", _ns(FIRST_DAY, "10:00"), house.broker.now_ns)
    assert order.stop_usd is not None
    assert order.stop_usd >= max(tick.last for tick in path) - 50.5
    assert order.status == "PreSubmitted"


@pytest.mark.parametrize(
    ("method", "fires"), [(0, True), (1, False), (2, True), (4, False), (8, False)]
)
def test_a_wild_last_print_fires_only_stops_that_watch_the_last(
    house: House, method: int, *, fires: bool
) -> None:
    house.order("BUY", 100)
    level = round(house.mark * 0.93, 2)
    stop = house.order("SELL", 100, "STP", aux_usd=level, trigger_method=method)

    house.tape.inject("SMH", house.broker.now_ns, -10.0, "last")
    house.go("10:00:10")

    assert (stop.status == "Filled") is fires
    if fires:
        assert stop.average_usd > level, "nobody trades at the wild price"


@pytest.mark.parametrize(("method", "fires"), [(1, False), (4, True), (8, True)])
def test_a_wild_quote_fires_every_quote_method_but_double_bid_ask(
    house: House, method: int, *, fires: bool
) -> None:
    house.order("BUY", 100)
    level = round(house.mark * 0.93, 2)
    stop = house.order("SELL", 100, "STP", aux_usd=level, trigger_method=method)

    house.tape.inject("SMH", house.broker.now_ns, -10.0, "quote")
    house.go("10:00:10")

    assert (stop.status == "Filled") is fires


@pytest.mark.parametrize(
    ("second", "fires"),
    [
        ({"bid": 0.98}, True),
        ({"bid": 0.99, "bid_size": 2.0}, True),
        ({"bid": 0.99, "bid_size": 1.0}, False),
        ({"bid": 1.01}, False),
    ],
    ids=["another price", "more shown", "the same quote", "back above"],
)
def test_double_bid_ask_fires_at_a_second_quote_running_below_the_level(
    house: House, second: dict[str, float], *, fires: bool
) -> None:
    house.order("BUY", 100)
    tick = house.tape.tick("SMH", house.broker.now_ns)
    level = round(tick.bid * 0.95, 2)
    stop = house.order("SELL", 100, "STP", aux_usd=level, trigger_method=1)
    first = tick._replace(bid=round(level * 0.99, 2))

    house.broker.exchange._match_all(first)
    assert (stop.status, stop.why_held) == ("PreSubmitted", "trigger")

    shown = int(tick.bid_size * second.get("bid_size", 1.0))
    house.broker.exchange._match_all(
        first._replace(bid=round(level * second["bid"], 2), bid_size=shown)
    )
    assert (stop.status == "Filled") is fires


def test_an_exit_of_the_stops_group_cancels_it_with_its_first_fill(house: House) -> None:
    house.order("BUY", 9000)
    house.go("10:01")
    group: dict[str, Any] = {"oca_group": "g", "oca_type": 1}
    stop = house.order("SELL", 9000, "STP", aux_usd=1.0, trigger_method=1, **group)
    leave = house.order("SELL", 9000, **group)

    assert 0 < leave.filled < 9000
    assert (stop.status, stop.filled) == ("Cancelled", 0)
    house.go("10:02")
    assert (leave.status, house.account.smh.shares) == ("Filled", 0)


def test_a_group_that_has_traded_or_ended_takes_no_further_order(house: House) -> None:
    house.order("BUY", 200)
    sold: dict[str, Any] = {"oca_group": "sold", "oca_type": 1}
    house.order("SELL", 100, **sold)
    ended: dict[str, Any] = {"oca_group": "ended", "oca_type": 1}
    stop = house.order("SELL", 100, "STP", aux_usd=1.0, **ended)
    house.broker.cancel(1, stop.order_id)

    assert "closed" in house.refused("SELL", 100, **sold)
    assert "closed" in house.refused("SELL", 100, **ended)
    assert house.account.smh.shares == 100


def test_cancelling_one_of_a_group_leaves_the_other(house: House) -> None:
    house.order("BUY", 100)
    group: dict[str, Any] = {"oca_group": "g", "oca_type": 1}
    stop = house.order("SELL", 100, "STP", aux_usd=1.0, **group)
    rest = house.order("SELL", 100, "LMT", limit_usd=9999.0, **group)
    house.broker.cancel(1, stop.order_id)

    assert (stop.status, rest.status) == ("Cancelled", "Submitted")


def test_a_resting_day_stop_ends_with_its_session(house: House) -> None:
    house.order("BUY", 100)
    stop = house.order("SELL", 100, "STP", aux_usd=1.0, trigger_method=1)
    house.go("16:00:01")

    assert (stop.status, house.account.smh.shares) == ("Cancelled", 100)


def test_a_halt_stops_matching_and_resuming_goes_on(house: House) -> None:
    house.tape.halted = True
    order = house.order("BUY", 100)
    house.go("10:05")
    assert order.status == "PreSubmitted"

    house.tape.halted = False
    house.broker.exchange.sweep()

    assert order.status == "Filled"


def test_portfolio_margin_allows_more_than_six_times_and_refuses_beyond(house: House) -> None:
    reason = house.refused("BUY", int(1e6 * 6.8 / house.mark))
    order = house.order("BUY", int(1e6 * 6.0 / house.mark))
    house.go("10:01")

    assert "EQUITY WITH LOAN VALUE" in reason
    assert "MUST EXCEED THE INITIAL MARGIN" in reason
    assert order.status == "Filled"


def test_small_portfolio_margin_accounts_may_only_reduce(market: Market) -> None:
    house = House(market, cash=99_000.0)

    assert "PORTFOLIO MARGIN" in house.refused("BUY", 1)


def test_a_stressed_rate_liquidates_what_the_equity_no_longer_carries(house: House) -> None:
    house.order("BUY", int(1e6 * 3.6 / house.mark))
    house.go("10:01")
    held = house.account.smh.shares
    house.account.stress_rate = 0.30
    house.go("10:02")

    forced = [f for f in house.broker.books.executions if f.liquidation]
    assert forced
    assert 0 < house.account.smh.shares < held
    assert house.equity >= house.account.margin_usd(house.mark)


def test_reg_t_shows_25_percent_and_liquidates_above_twice_at_the_close(market: Market) -> None:
    house = House(market, kind=REG_T)
    order = house.order("BUY", int(1e6 * 3 / house.mark))
    house.go("10:01")
    assert order.status == "Filled"
    assert house.account.margin_usd(house.mark) == pytest.approx(
        0.25 * house.mark * house.account.smh.shares
    )
    house.go("15:49")
    assert house.account.smh.shares == order.filled

    house.go("17:30")

    assert house.account.smh.shares * house.mark < 2.05 * house.equity
    assert any(f.liquidation for f in house.broker.books.executions)


def test_reg_t_leaves_twice_alone(market: Market) -> None:
    house = House(market, kind=REG_T)
    house.order("BUY", int(1e6 * 1.99 / house.mark))
    house.go("17:30")

    assert not any(f.liquidation for f in house.broker.books.executions)


def test_a_split_changes_shares_but_never_equity(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.order("BUY", 1000)
    resting = house.order("SELL", 1000, "LMT", limit_usd=900.0, tif="GTC")
    house.go("20:00")
    before = house.equity
    monkeypatch.setattr(
        house.tape.market,
        "actions_on",
        lambda day: [Action("split", 2.0)] if day == TUESDAY else [],
    )
    house.go("08:00", TUESDAY)

    assert house.account.smh.shares == 2000
    assert house.equity == pytest.approx(before, abs=0.2)
    assert resting.status == "Cancelled"


@pytest.mark.skipif(not DATA.exists(), reason=f"no market data at {DATA} (TRADER_DATA)")
def test_the_real_split_of_2023_looks_like_no_price_move_anywhere() -> None:
    house = House(replay(DATA, 7), day=date(2023, 5, 4))
    house.order("BUY", 1000)
    house.go("20:30", date(2023, 5, 4))
    before = house.equity
    asked = requests.Historical(
        req_id=1,
        contract=Contract(),
        end="",
        bar_size="1 day",
        duration="3 D",
        regular_hours=True,
        show="TRADES",
        date_format=1,
        keep_up_to_date=False,
    )
    for wall in ("00:01", "09:00", "09:30:01", "15:00", "16:30"):
        house.go(wall, date(2023, 5, 5))
        closes = [bar.close for bar in history.bars(asked, SMH, house.tape, house.broker.now_ns)]

        assert max(closes) / min(closes) < 1.05, wall
        assert house.equity == pytest.approx(before, rel=0.03), wall
    assert house.account.smh.shares == 2000


def test_an_early_close_moves_everything_with_it(market: Market) -> None:
    day = date(2025, 7, 3)
    house = House(market, at="12:00", day=day)
    moc = house.order("BUY", 100, "MOC")
    resting = house.order("BUY", 100, "LMT", limit_usd=10.0)
    house.go("12:55", day)
    late = house.refused("BUY", 100, "MOC")
    house.go("13:00", day)

    assert "no longer accepts" in late
    assert moc.average_usd == market.closing_print("SMH", day)
    assert resting.status == "Cancelled"
    assert house.order("BUY", 1).status == "PreSubmitted"


def test_a_dividend_accrues_on_its_ex_date_and_is_paid_in_cash_days_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.order("BUY", 1000)
    house.go("20:00")
    cash = house.account.cash_usd
    monkeypatch.setattr(
        house.tape.market,
        "actions_on",
        lambda day: [Action("dividend", 1.25)] if day == TUESDAY else [],
    )
    house.go("08:00", TUESDAY)
    assert (house.account.cash_usd, house.account.accrued_usd) == (cash, 1250.0)
    valued = house.account.valuation(house.mark, house.broker.now_ns)
    rows = account_values.rows(valued, "DU1", "portfolio", "USD", 1.0)
    assert ("AccruedDividend", "1250.00", "USD") in rows
    assert valued.net_liquidation_usd == pytest.approx(house.equity)
    assert house.equity == pytest.approx(cash + 1250.0 + 1000 * house.mark)

    house.go("08:00", TUESDAY + timedelta(days=6))
    assert (house.account.cash_usd, house.account.accrued_usd) == (cash + 1250.0, 0.0)


def test_the_close_before_is_told_less_the_dividend_of_its_ex_date(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = house.tape.close_before("SMH", TUESDAY)
    assert close is not None
    monkeypatch.setattr(
        house.tape.market,
        "actions_on",
        lambda day: [Action("dividend", 1.25)] if day == TUESDAY else [],
    )
    assert house.tape.adjusted_close("SMH", TUESDAY) == pytest.approx(close - 1.25)
    assert house.tape.close_before("SMH", TUESDAY) == close


def test_daily_pnl_starts_again_before_midnight(house: House) -> None:
    house.order("BUY", 1000)
    house.go("23:00")
    assert abs(house.account.smh.daily_usd(house.mark)) > 1
    house.go("23:56")

    assert house.account.smh.daily_usd(house.mark) == pytest.approx(0.0)


def test_oca_types_two_and_three_shrink_instead_of_cancelling(house: House) -> None:
    far = house.order("BUY", 1000, "LMT", limit_usd=10.0, oca_group="g", oca_type=2)
    near = house.order("BUY", 9000, oca_group="g", oca_type=2)

    assert 0 < near.filled < 9000
    assert far.status == "Submitted"
    assert far.quantity == pytest.approx(1000 * (1 - near.filled / 9000), abs=1)
    house.go("10:01")
    assert (near.status, far.status) == ("Filled", "Cancelled")


def test_a_cancelled_parent_takes_its_children_along(house: House) -> None:
    parent = house.order("BUY", 100, "LMT", limit_usd=10.0)
    child = house.order("SELL", 100, "STP", aux_usd=5.0, parent_id=parent.order_id)
    assert child.held_for_parent

    assert house.broker.cancel(1, parent.order_id) is None

    assert child.status == "Cancelled"


def test_changing_an_order_keeps_its_identity_and_its_side(house: House) -> None:
    order = house.order("BUY", 100, "LMT", limit_usd=10.0)
    perm_id = order.perm_id
    smaller = Ticket("BUY", 50, "LMT", limit_usd=11.0)
    flipped = Ticket("SELL", 50, "LMT", limit_usd=11.0)

    assert house.broker.place(1, 1, SMH, "SMART", smaller) is None
    refusal = house.broker.place(1, 1, SMH, "SMART", flipped)

    assert (order.quantity, order.ticket.limit_usd, order.perm_id) == (50, 11.0, perm_id)
    assert refusal is not None
    assert refusal[0] == 105


def test_a_jump_over_the_weekend_does_everything_in_order(house: House) -> None:
    house.order("BUY", 1000)
    stop = house.order("SELL", 1000, "STP", aux_usd=round(house.mark * 0.97, 2), tif="GTC")
    house.go("12:00", date(2025, 6, 9))

    path = house.tape.path("SMH", _ns(FIRST_DAY, "10:00"), house.broker.now_ns)
    touched = [t for t in path if t.last <= (stop.ticket.aux_usd or 0)]
    assert (stop.status == "Filled") is bool(touched)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", [PORTFOLIO, REG_T])
def test_whatever_is_ordered_the_books_add_up(market: Market, seed: int, kind: str) -> None:
    rng = random.Random(seed)
    house = House(market, kind=kind)
    for _ in range(40):
        _anything(house, rng)
        house.broker.exchange.advance(
            house.broker.now_ns + int(rng.expovariate(1 / 1800) * SECOND_NS)
        )

        fills = [*house.seen.values()]
        cash = 1e6 - sum(f.side * f.shares * f.price_usd + f.commission_usd for f in fills)
        assert house.account.cash_usd == pytest.approx(cash, abs=0.01)
        assert house.account.smh.shares == sum(f.side * f.shares for f in fills)
        for order in house.broker.books.orders.values():
            own = sum(f.shares for f in fills if f.perm_id == order.perm_id)
            assert own == order.filled <= order.quantity
            assert (order.status == "Filled") is (order.remaining == 0 and order.filled > 0)
        working = house.broker.exchange.working
        assert {o.perm_id for o in house.broker.books.live() if not o.held_for_parent} == working


def _anything(house: House, rng: random.Random) -> None:
    """One random order, change or cancel, around the market."""
    price = house.mark
    near = round(price * rng.uniform(0.99, 1.01), 2)
    live = [order for order in house.broker.books.live() if order.client_id == 1]
    if live and rng.random() < 0.3:
        order = rng.choice(live)
        if rng.random() < 0.5:
            house.broker.cancel(1, order.order_id)
        else:
            changed = replace(order.ticket, quantity=float(rng.randrange(1, 4000)))
            house.broker.place(1, order.order_id, SMH, "SMART", changed)
        return
    kind = rng.choice(["MKT", "LMT", "STP", "STP LMT", "MOC", "LOC", "TRAIL"])
    house.order(
        rng.choice(["BUY", "SELL"]),
        float(rng.randrange(1, 4000)),
        kind,
        limit_usd=near if kind in {"LMT", "STP LMT", "LOC"} else None,
        aux_usd=near if kind in {"STP", "STP LMT"} else 2.0 if kind == "TRAIL" else None,
        tif=rng.choice(["DAY", "GTC"]) if kind in {"MOC", "LOC"} else rng.choice(TIFS),
        outside_rth=rng.random() < 0.3,
        oca_group=rng.choice(["", "", "g"]),
        oca_type=rng.choice([1, 2, 3]),
    )


TIFS = ["DAY", "GTC", "IOC", "FOK"]


def _ns(day: date, wall: str) -> int:
    hour, minute, *second = (int(part) for part in wall.split(":"))
    return instant_ns(day, hour, minute) + (second[0] if second else 0) * SECOND_NS
