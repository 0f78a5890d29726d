"""The judge is judged: honest days pass, and each broken promise is found in hand-made traffic.

A judge that finds nothing proves nothing until it was seen to find everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from tests.oracle.judge import judge
from tests.oracle.traffic import GATEWAY, Traffic
from tests.oracle.verdict import Verdict

TUESDAY = date(2026, 1, 6)
PRICE = 100.0
RISING = [PRICE * (0.5 + 0.5 * number / 699) for number in range(700)]
FALLING = RISING[::-1]
CRASHED = [*RISING[1:], 0.3 * PRICE]  # BULL up to the day before the last, BEAR at its close
SHARES = 30_000  # 3x of one million at 100
STOPPED = PRICE * (1 - 0.03 / 3)  # an equity loss of 3 % at 3x
JUST_STOPPED = 99.34  # an honest stop may have fired, none must have


def morning(path: Path, closes: list[float] = RISING) -> Traffic:
    """Connected, told the account, the history and a price, at 09:31 of a Tuesday."""
    traffic = Traffic(path, TUESDAY).connect(1).connect(2).account().position(0)
    traffic.subscribe().history(closes)
    return traffic.at("09:31").quote(PRICE)


def holding(path: Path, closes: list[float] = RISING, seen_from: str = "09:31") -> Traffic:
    """The morning after an honest entry, with the final bar of the entry's day."""
    traffic = morning(path).at("15:55").quote(PRICE).buy(10, SHARES, PRICE)
    bought_usd = SHARES * PRICE + 1
    traffic.account(cash_usd=1_000_000 - bought_usd, net_usd=999_999)
    traffic.at("16:02").history(closes, opens=[PRICE])
    traffic.next_day()
    return traffic.at(seen_from).quote(PRICE)


def cancelling(traffic: Traffic, times: int) -> Traffic:
    for order_id in range(times):
        traffic.cancel(order_id)
    return traffic


def ended(traffic: Traffic, **asked: int) -> Verdict:
    """The session is over."""
    return judge(traffic.at("16:05").quote(PRICE).close(), **asked)  # type: ignore[arg-type] # the tests name int arguments only


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wire.msgpack"


def test_an_honest_day_has_no_violation_and_its_figures_add_up(path: Path) -> None:
    traffic = morning(path).at("15:55").quote(PRICE).buy(10, SHARES, PRICE)
    traffic.account(cash_usd=-2_000_001, net_usd=999_999)
    found = ended(traffic)
    assert found.violations == (), found.text()
    assert (found.figures.days, found.figures.entries, found.figures.stops) == (1, 1, 0)
    assert found.figures.shares == SHARES
    assert found.figures.cash_usd == found.figures.published_cash_usd == -2_000_001
    assert found.figures.missed_entries == ()
    assert found.figures.connections == {1: 1, 2: 1}


def test_a_stop_then_a_reentry_the_same_day_is_honest(path: Path) -> None:
    traffic = holding(path).at("11:00").quote(STOPPED).sell(11, SHARES, STOPPED)
    traffic.account(cash_usd=969_998, net_usd=969_998)
    traffic.at("15:55").quote(STOPPED).buy(12, 29_000, STOPPED)
    found = ended(traffic)
    assert found.violations == (), found.text()
    assert (found.figures.entries, found.figures.stops, found.figures.exits) == (2, 1, 0)
    assert found.figures.stop_host_s == (0.0,)


def test_a_bear_exit_at_the_next_open_is_honest(path: Path) -> None:
    traffic = holding(path, closes=CRASHED).sell(11, SHARES, PRICE)
    found = ended(traffic)
    assert found.violations == (), found.text()
    assert (found.figures.stops, found.figures.exits, found.figures.shares) == (0, 1, 0)


def test_an_identical_resend_is_the_same_order(path: Path) -> None:
    traffic = morning(path).at("15:55").quote(PRICE).place(10, "BUY", SHARES)
    traffic.buy(10, SHARES, PRICE)
    assert ended(traffic).violations == ()


def test_an_execution_told_twice_counts_once_and_a_correction_takes_its_place(path: Path) -> None:
    traffic = morning(path).at("15:55").quote(PRICE).place(10, "BUY", SHARES)
    traffic.execute(10, "BOT", SHARES, PRICE, "0000.1.01")
    traffic.execute(10, "BOT", SHARES, PRICE, "0000.1.01")
    traffic.execute(10, "BOT", SHARES, PRICE + 1, "0000.1.02").status(10, "Filled")
    found = ended(traffic.position(SHARES))
    assert found.violations == (), found.text()
    assert found.figures.shares == SHARES
    assert found.figures.cash_usd == 1_000_000 - SHARES * (PRICE + 1) - 1


def test_a_flatten_that_was_asked_for_is_honest(path: Path) -> None:
    traffic = holding(path).at("11:00").sell(11, SHARES, PRICE)
    traffic.at("16:05").quote(PRICE)
    assert judge(traffic.close(), flattened_on={traffic.day}).violations == ()


def test_an_order_that_ended_while_nobody_listened_is_not_alive(path: Path) -> None:
    traffic = morning(path).at("15:55").quote(PRICE).place(10, "BUY", SHARES)
    traffic.status(10, "Submitted").connect(GATEWAY, connection=7).frame(7, "in", 5, 1).frame(
        7, "out", 53, 1
    )
    found = ended(traffic.at("15:56").place(11, "BUY", SHARES), gateway_starts=2)
    assert found.violations == (), found.text()


def test_an_exit_leaves_what_others_may_sell_until_they_are_no_longer_listed(path: Path) -> None:
    traffic = holding(path).at("11:00").quote(STOPPED).others("SELL", 100)
    traffic.place(11, "SELL", SHARES - 100).execute(11, "SLD", SHARES - 100, STOPPED)
    traffic.status(11, "Filled").frame(GATEWAY, "in", 16, 1).frame(GATEWAY, "out", 53, 1)
    found = ended(traffic.sell(12, 100, STOPPED))
    assert found.violations == (), found.text()


def test_what_an_exit_left_to_a_sale_of_others_is_answered_for(path: Path) -> None:
    # given: a stop fired by what may just be a breach, so that the true one comes after its sale
    traffic = holding(path).at("11:00").quote(JUST_STOPPED).others("SELL", 100)
    traffic.place(11, "SELL", SHARES - 100).execute(11, "SLD", SHARES - 100, JUST_STOPPED)
    traffic.status(11, "Filled").position(100)
    # when
    found = ended(traffic.at("11:01").quote(STOPPED / 2, last=STOPPED / 2))
    # then
    assert found.violations == (), found.text()


def test_an_exit_that_is_filled_sells_though_its_executions_are_told_later(path: Path) -> None:
    traffic = holding(path).at("11:00").quote(JUST_STOPPED).place(11, "SELL", SHARES)
    traffic.status(11, "Submitted").status(11, "Filled").quote(STOPPED).at("11:01")
    found = ended(traffic.execute(11, "SLD", SHARES, JUST_STOPPED).position(0))
    assert found.violations == (), found.text()


@pytest.mark.parametrize(("until", "breaches"), [("09:30:04", 0), ("09:30:06", 1)])
def test_a_breach_counts_once_an_opening_price_can_be_known(
    path: Path, until: str, breaches: int
) -> None:
    opened = holding(path, seen_from="09:29").at("09:30").quote(STOPPED)
    opened.at(until).quote(STOPPED).quote(PRICE)
    found = ended(opened.at("16:02").history(RISING, opens=[PRICE]))
    assert len(found.violations) == len(found.breaches) == breaches, found.text()


@pytest.mark.parametrize(("next_usd", "breaches"), [(97.0, 0), (PRICE, 1)])
def test_a_first_mid_far_from_the_opening_price_may_be_measured_from_once_it_is_borne_out(
    path: Path, next_usd: float, breaches: int
) -> None:
    # given: quotes stand far under the opening price, or one does
    opened = holding(path, seen_from="09:29").at("09:30:01").quote(97.0)
    opened.at("09:30:03").quote(next_usd)
    # when
    opened.at("11:00").quote(97.0)
    # then
    found = ended(opened.at("16:02").history(RISING, opens=[PRICE]))
    assert len(found.breaches) == breaches, found.text()


def test_a_day_on_which_an_entry_was_due_and_none_came_is_named(path: Path) -> None:
    traffic = morning(path).at("15:56").quote(PRICE).at("15:58").quote(PRICE)
    found = ended(traffic)
    assert found.violations == ()
    assert found.figures.missed_entries == (TUESDAY,)


def test_money_without_a_published_opening_is_unknown_rather_than_zero(path: Path) -> None:
    traffic = Traffic(path, TUESDAY).connect(1)
    assert math.isnan(ended(traffic).figures.cash_usd)


Story = Callable[[Path], Traffic]
BROKEN: dict[str, tuple[str, Story]] = {
    "two entries alive at once": (
        "two entries alive at once",
        lambda path: morning(path).at("15:55").place(10, "BUY", 100).place(11, "BUY", 100),
    ),
    "a doubled intent": (
        "doubles 10",
        lambda path: morning(path).at("15:55").place(10, "BUY", 100, ref="a").status(
            10, "Cancelled").place(11, "BUY", 100, ref="a"),
    ),
    "an entry after a rejection that is in truth alive": (
        "two entries alive at once",
        lambda path: morning(path).at("15:55").place(10, "BUY", 100).error(10, 10349)
        .place(11, "BUY", 100),
    ),
    "a second entry in a session": (
        "second of its session",
        lambda path: morning(path).at("15:55").buy(10, 100, PRICE).place(11, "BUY", 100),
    ),
    "an entry after one that no book knows: it may wait in a dialog of TWS": (
        "second of its session",
        lambda path: morning(path).at("15:55").place(10, "BUY", 100).frame(1, "in", 5, 1).frame(
            1, "out", 53, 1).place(11, "BUY", 100),
    ),
    "an entry beside an order of others": (
        "beside order 77 of others",
        lambda path: morning(path).at("15:55").others("BUY", 5).place(11, "BUY", 100),
    ),
    "an exit of what others may sell": (
        "sells 30000 of 30000 held, 100 in sales already",
        lambda path: holding(path).at("11:00").quote(STOPPED).others("SELL", 100).place(
            11, "SELL", SHARES),
    ),
    "an entry on top of a position": (
        "while 30000 shares are held",
        lambda path: holding(path).at("15:55").place(11, "BUY", 100),
    ),
    "an entry while a sale is open": (
        "while SELL 11 is open",
        lambda path: holding(path).at("15:55").quote(STOPPED).place(11, "SELL", SHARES)
        .place(12, "BUY", 100),
    ),
    "short": (
        "short: -1 shares",
        lambda path: morning(path).execute(5, "SLD", 1, PRICE).position(-1),
    ),
    "a sale without a position": (
        "sells 10 of 0 held",
        lambda path: morning(path).place(10, "SELL", 10),
    ),
    "a sale of more than is held": (
        "sells 30001 of 30000 held",
        lambda path: holding(path).quote(STOPPED).place(11, "SELL", SHARES + 1),
    ),
    "two sales of the same shares": (
        "30000 in sales already",
        lambda path: holding(path).quote(STOPPED).place(11, "SELL", SHARES)
        .place(12, "SELL", SHARES),
    ),
    "no account": (
        "names no account",
        lambda path: morning(path).at("15:55").place(10, "BUY", 100, account=""),
    ),
    "a foreign account": (
        "not under this login",
        lambda path: morning(path).at("15:55").place(10, "BUY", 100, account="U7654321"),
    ),
    "no TIF": (
        "has no TIF",
        lambda path: morning(path).at("15:55").place(10, "BUY", 100, tif=""),
    ),
    "no orderRef": (
        "has no orderRef",
        lambda path: morning(path).at("15:55").place(10, "BUY", 100, ref=""),
    ),
    "another symbol": (
        "is for QQQ",
        lambda path: morning(path).at("15:55").place(10, "BUY", 100, symbol="QQQ"),
    ),
    "an order from another client": (
        "came from client 2",
        lambda path: morning(path).at("15:55").place(10, "BUY", 100, connection=2),
    ),
    "a short sale by name": (
        "neither BUY nor SELL",
        lambda path: morning(path).at("15:55").place(10, "SSHORT", 100),
    ),
    "one id, two contents": (
        "placed again, changed",
        lambda path: morning(path).at("15:55").place(10, "BUY", 100).place(10, "BUY", 101),
    ),
    "an id that goes back": (
        "order id 9 after 10",
        lambda path: morning(path).at("15:55").place(10, "BUY", 100).status(
            10, "Cancelled").place(9, "BUY", 100),
    ),
    "too much leverage": (
        "leverage of 3.80",
        lambda path: morning(path).at("15:55").place(10, "BUY", 38_000),
    ),
    "an entry before any net liquidation": (
        "without a price or net liquidation",
        lambda path: Traffic(path, TUESDAY).connect(1).at("15:55").place(10, "BUY", 1),
    ),
    "too many actions": (
        "more than 20 order actions",
        lambda path: cancelling(morning(path), 21),
    ),
    "an entry too early": (
        "outside the entry window",
        lambda path: morning(path).at("15:54:59").place(10, "BUY", 100),
    ),
    "an entry too late": (
        "outside the entry window",
        lambda path: morning(path).at("15:59:06").place(10, "BUY", 100),
    ),
    "an entry against the signal": (
        "the close before was BEAR",
        lambda path: morning(path, FALLING).at("15:55").place(10, "BUY", 100),
    ),
    "an entry without the final bar": (
        "without a final daily bar",
        lambda path: Traffic(path, TUESDAY).connect(1).connect(2).account().position(0)
        .subscribe().at("15:55").quote(PRICE).place(10, "BUY", 100),
    ),
    "an entry before the bar it rests on was told": (
        "without a final daily bar",
        lambda path: Traffic(path, TUESDAY).connect(1).connect(2).account().position(0)
        .subscribe().at("15:55").quote(PRICE).place(10, "BUY", 100).at("15:56").history(RISING),
    ),
    "a broken stop without a sale": (
        "no sell order followed",
        lambda path: holding(path).at("11:00").quote(STOPPED).at("11:01").quote(PRICE),
    ),
    "a stop after an entry that is measured from the open": (
        "no sell order followed",
        lambda path: holding(path).at("10:00").quote(PRICE * 1.02).at("10:01").quote(STOPPED),
    ),
    "a sale without a cause": (
        "without a breach, a bear signal or a flatten",
        lambda path: holding(path).at("11:00").quote(PRICE * 0.994).sell(11, SHARES, PRICE),
    ),
    "a sale on a wild print that neither side confirms": (
        "without a breach, a bear signal or a flatten",
        lambda path: holding(path).at("11:00").quote(PRICE, last=PRICE * 1.2)
        .sell(11, SHARES, PRICE),
    ),
    "a bear signal without a sale": (
        "BEAR since the close before",
        lambda path: holding(path, closes=CRASHED).at("15:50").quote(PRICE),
    ),
    "a market order outside the session": (
        "outside the session",
        lambda path: holding(path, closes=CRASHED).at("16:01").place(11, "SELL", SHARES),
    ),
    "a second order connection without a restart": (
        "was made 2 times by 1 starts",
        lambda path: morning(path).connect(GATEWAY, connection=9),
    ),
    "a published position that no execution explains": (
        "5 shares published, 0 by the executions",
        lambda path: morning(path).execute(1, "BOT", 5, PRICE).execute(2, "SLD", 5, PRICE)
        .position(5),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_each_broken_promise_is_found(path: Path, name: str) -> None:
    phrase, story = BROKEN[name]
    found = ended(story(path))
    assert any(phrase in violation.sentence for violation in found.violations), found.text()


def test_a_torn_last_record_is_left_out(path: Path) -> None:
    whole = morning(path).close()
    with whole.open("ab") as file:
        file.write(b"\x96\xcf\x00")
    assert judge(whole).figures.connections == {1: 1, 2: 1}


def test_an_empty_recording_is_no_verdict(path: Path) -> None:
    path.touch()
    with pytest.raises(ValueError, match="nothing to judge"):
        judge(path)
