"""An exit that the broker rejects as too large is sold in pieces, until flat and no longer."""

from __future__ import annotations

import pytest

from common.messages import PlaceOrder, Resume
from tests.core.risk_play import RiskDay, held_day
from tests.playbook import of, one

BUDGET = 40
"""Exits that the gateway sends in a day by default."""


def sold_out(day: RiskDay, price: float, taken_max: int) -> list[int]:
    """What a broker that takes so many shares at once is asked to sell, order by order."""
    waiting, asked = [day.stopped_at(397.0)], list[int]()
    for _ in range(5000):
        if not day.state.shares:
            break
        if not waiting:
            waiting += [said.order for said in of(PlaceOrder, day.ticks(1, every_s=0.25))]
            continue
        order = waiting.pop(0)
        asked.append(order.shares)
        if order.shares > taken_max:
            said = day.update(order, "REJECTED", code=201, reason="201: margin")
        else:
            said = day.sold(order, price)
        waiting += [placed.order for placed in of(PlaceOrder, said)]
    return asked


def test_after_a_piece_is_sold_the_next_of_its_size_follows() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    day.update(order, "REJECTED", code=201, reason="201: margin")
    piece = one(PlaceOrder, day.ticks(12)).order
    day.fill(piece, piece.shares, 397.0)
    assert (piece.shares, one(PlaceOrder, day.ticks(3)).order.shares) == (1875, 1875)


@pytest.mark.parametrize("taken_max", [7499, 1000, 600])
def test_in_pieces_that_the_broker_takes_all_is_sold_within_a_days_orders(
    taken_max: int,
) -> None:
    day = held_day()
    asked = sold_out(day, 396.0, taken_max)
    assert day.state.shares == 0
    assert len(asked) <= BUDGET, asked


def test_a_broker_that_soon_takes_more_is_soon_asked_for_more() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    for _ in range(5):
        day.update(order, "REJECTED", code=201, reason="201: margin")
        order = one(PlaceOrder, day.ticks(62, every_s=0.5)).order
    assert order.shares == 7
    count = 0
    while day.state.shares:
        count += 1
        said = day.sold(order, 396.0)
        orders = of(PlaceOrder, [*said, *day.ticks(3)])
        order = orders[0].order if orders else order
    assert count < BUDGET - 6


def test_the_next_positions_first_exit_is_whole_again() -> None:
    # given: exits were rejected, then the person sold everything in TWS
    day = held_day()
    order = day.stopped_at(397.0)
    day.update(order, "REJECTED", code=201, reason="201: margin")
    day.fill(None, 7500, 396.0, action="SELL")
    day.account()
    day.ticks(30, every_s=2.0)
    day.hear(Resume(key="r", deadline_ns=0, by="person"))
    # when: the next day's entry is stopped
    day.next_session()
    day.hear(day.target(3.0), day.bar(396.0), day.signal("BULL"))
    day.open_at(396.0)
    day.account()
    entry = day.enter("15:55", 396.0)
    # then
    assert day.stopped_at(392.0).shares == entry.shares
