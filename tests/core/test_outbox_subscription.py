"""What is asked of TWS again, so that an exit can leave and the guard can see; how a link that TWS
calls broken or read-only comes back."""

from __future__ import annotations

import pytest

from common.clock import SECOND_NS
from common.core.gateway.subscription import (
    ACCOUNT_SILENCE_S,
    ASK_AGAIN_S,
    PRICE_PAUSE_S,
    PRICE_SILENCE_S,
)
from common.core.outbox import READ_ONLY_LOOK_S
from common.messages import BrokerLink
from common.tws import messages as tws
from tests.core.outbox_play import SESSION, Play, account_rows, order

NO_ANSWER = tws.ContractProblem("no answer on SMH: TimeoutError()")


def ready(shares: int = 0) -> Play:
    play = Play()
    play.connect(shares=shares)
    return play


def asked(play: Play) -> int:
    return len(play.all(tws.Subscribe))


def test_an_instrument_that_is_not_known_is_asked_for_until_it_is() -> None:
    play = Play()
    play.link_up()
    play.hear(NO_ANSWER)
    again_s = play.settings.broker.request_timeout_s + ASK_AGAIN_S
    play.pass_s(again_s - 1)
    assert asked(play) == 1, "the question may still be under way"
    play.pass_s(3 * again_s)
    assert asked(play) == 4
    play.hear(tws.ContractKnown(229725622, "SMH", "NASDAQ"))
    play.hear(account_rows())
    play.hear(tws.OwnPrice(100.0, "live"))
    play.pass_s(again_s + 1)
    assert asked(play) == 4


def test_an_account_that_is_not_told_is_asked_for_until_it_is() -> None:
    """Found by the simulation: no entry until the next connection, and nobody said why."""
    play = Play()
    play.link_up()
    play.hear(tws.ContractKnown(229725622, "SMH", "NASDAQ"))
    play.books()
    play.hear(tws.OwnPrice(100.0, "live"))
    again_s = play.settings.broker.request_timeout_s + ASK_AGAIN_S
    play.pass_s(2 * again_s + 1)
    assert asked(play) == 3
    play.hear(account_rows())
    play.hear(tws.OwnPrice(100.0, "live"))
    play.pass_s(again_s + 1)
    assert asked(play) == 3


def test_the_profit_and_loss_of_a_position_is_asked_for_again_once_a_minute() -> None:
    play = ready(shares=1000)
    for _ in range(6):
        play.pass_s(PRICE_PAUSE_S / 4)
        play.hear(tws.OwnPrice(100.0, "live"))
    assert asked(play) == 2
    for _ in range(6):
        play.pass_s(PRICE_PAUSE_S / 4)
        play.hear(tws.OwnPrice(100.0, "live"))
        play.hear(tws.PnlReport(1000, 100_000.0, 0.0, 0.0))
    assert asked(play) == 2
    flat = ready()
    for _ in range(6):
        flat.pass_s(PRICE_PAUSE_S / 4)
        flat.hear(tws.OwnPrice(100.0, "live"))
    assert asked(flat) == 1, "IB says nothing on a position that is not held"


def test_a_question_without_an_answer_holds_up_no_exit_of_a_known_instrument() -> None:
    play = ready(shares=1000)
    play.error(1101)
    play.hear(NO_ANSWER)
    play.books(shares=1000)
    assert play.send(order("EXIT")).order.purpose == "EXIT"


def test_a_price_that_falls_silent_in_the_session_is_asked_for_once_a_minute() -> None:
    play = ready()
    play.pass_s(PRICE_PAUSE_S - 1)  # the last subscription is younger than the pause
    assert asked(play) == 1
    play.pass_s(2 * PRICE_PAUSE_S)
    assert asked(play) == 3
    play.hear(tws.OwnPrice(100.0, "live"))
    play.pass_s(PRICE_SILENCE_S - 1)
    assert asked(play) == 3


def test_a_silent_price_is_asked_for_by_host_time_too() -> None:
    """Simulated days pass faster: 30 seconds of theirs are one of ours."""
    play = ready()
    play.pass_s(PRICE_PAUSE_S + 1)
    before = asked(play)
    play.host_ns += int(PRICE_PAUSE_S * SECOND_NS)
    play.hear(tws.OwnPrice(100.0, "live"))
    play.market_ns += 600 * SECOND_NS
    play.pass_s(1)
    assert asked(play) == before


def test_nobody_asks_for_a_price_outside_the_session_or_over_a_broken_link() -> None:
    play = ready()
    play.market_ns = SESSION.close_ns
    play.pass_s(5 * PRICE_PAUSE_S)
    assert asked(play) == 1
    play = ready()
    play.error(1100)
    play.pass_s(5 * PRICE_PAUSE_S)
    assert asked(play) == 1
    assert play.newest(BrokerLink).state == "degraded"


@pytest.mark.parametrize("back", [1101, 1102, 2104, 2106, 2158])
def test_a_tws_that_says_it_is_away_from_ib_is_sent_nothing_until_it_is_back(back: int) -> None:
    play = ready(shares=1000)
    play.error(2110)
    assert play.newest(BrokerLink).state == "degraded"
    play.submit(order("EXIT"))
    play.pass_s(10)
    assert not play.sent
    play.error(back)
    play.books(shares=1000)
    assert play.newest(BrokerLink).state == "ready"
    assert [sent.order for sent in play.sent] == [order("EXIT")]


@pytest.mark.parametrize("said", [(1100,), (1100, 2110), (2110, 1100)])
def test_a_farm_alone_does_not_end_a_lost_link(said: tuple[int, ...]) -> None:
    play = ready()
    for code in said:
        play.error(code)
    play.error(2104)
    assert play.newest(BrokerLink).state == "degraded"


def test_an_api_that_is_no_longer_read_only_is_found_out_by_a_comparison() -> None:
    play = ready(shares=1000)
    play.pass_s(61)
    pending = play.state.snapshots.number
    play.error(321, "The API interface is currently in Read-Only mode.")
    late = tws.Snapshot(pending, play.host_ns, (), (), (), (), ())
    play.hear(late)
    assert play.newest(BrokerLink).state == "locked", "books of before prove nothing"
    for _ in range(3):
        play.pass_s(READ_ONLY_LOOK_S + 1)
        play.hear(tws.SnapshotFailed(play.state.snapshots.number, "completed orders"))
    assert play.state.snapshots.number == pending + 3
    assert play.newest(BrokerLink).state == "locked"
    play.pass_s(READ_ONLY_LOOK_S + 1)
    play.books(shares=1000)
    assert play.newest(BrokerLink).state == "ready"
    assert play.send(order("EXIT")).order.purpose == "EXIT"


def account_asked(play: Play) -> int:
    return len(play.all(tws.AskAccount))


def quiet(play: Play, seconds: float) -> None:
    """Prices go on, the account is silent."""
    for _ in range(int(seconds // 15)):
        play.pass_s(15.0)
        play.hear(tws.OwnPrice(100.0, "live"))


def test_an_account_in_which_nothing_changes_is_asked_for_before_it_is_old() -> None:
    """IB tells changes only: of cash alone it tells nothing all day, and no entry went."""
    play = ready()
    for asked_times in (1, 2, 3):
        quiet(play, ACCOUNT_SILENCE_S + 15)
        assert account_asked(play) == asked_times
        play.hear(account_rows())
    assert asked(play) == 1, "price and profit and loss go on"


def test_an_account_that_stays_untold_is_asked_for_once_a_minute() -> None:
    play = ready()
    quiet(play, ACCOUNT_SILENCE_S + 15)
    quiet(play, 2 * PRICE_PAUSE_S + 15)
    assert account_asked(play) == 3


def test_an_account_that_another_subscription_took_over_is_asked_for_again() -> None:
    play = ready()
    play.error(2100)
    assert play.newest(BrokerLink).state == "reconciling"
    play.pass_s(play.settings.broker.request_timeout_s + ASK_AGAIN_S + 1)
    assert asked(play) == 2
    play.hear(account_rows())
    assert play.newest(BrokerLink).state == "ready"
