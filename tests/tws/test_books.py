"""Which End of TWS completes which comparison: it says one without a number for each question."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from common.clock import WallClock
from common.messages import Message
from common.settings import Settings
from common.tws.books import COMPLETED, OPEN, POSITIONS, Books
from common.tws.gateway_edge import GatewayEdge
from common.tws.messages import Snapshot

SMH = SimpleNamespace(symbol="SMH", secType="STK", conId=7)


class Told:
    """An edge on which one comparison was given up and the next one is under way."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.edge = GatewayEdge(Settings(), WallClock(), self.heard.append)
        self.edge._at.account, self.edge._at.con_id = "DU1", SMH.conId
        self.number = 0

    def ask(self) -> Books:
        self.number += 1
        books = Books(self.number, 0, 100 + self.number, self.edge._at.ends_owed)
        books.asked = True
        self.edge._at.books, self.edge._at.ends_owed = books, frozenset()
        return books

    def answer(self) -> None:
        """The Ends of one question; its executions bear the newest number."""
        self.edge._on_positionEnd()
        self.edge._on_openOrderEnd()
        self.edge._on_completedOrdersEnd()
        self.edge._on_execDetailsEnd(100 + self.number)

    async def snapshots(self) -> list[Snapshot]:
        await asyncio.sleep(0)
        return [message for message in self.heard if isinstance(message, Snapshot)]


def test_half_of_a_late_answer_does_not_complete_the_next_comparison() -> None:
    async def story() -> None:
        told = Told()
        first = told.ask()
        told.edge._on_position("DU1", SMH, 1000, 100.0)
        told.edge._give_up(first)
        told.ask()
        told.answer()
        assert await told.snapshots() == [], "the position was in the half that was given up"
        told.edge._on_position("DU1", SMH, 1000, 100.0)
        told.answer()
        (snapshot,) = await told.snapshots()
        assert [row.shares for row in snapshot.positions] == [1000]

    asyncio.run(story())


def test_an_answer_that_was_lost_costs_one_comparison_and_no_more() -> None:
    async def story() -> None:
        told = Told()
        told.edge._give_up(told.ask())
        second = told.ask()
        told.answer()
        told.edge._give_up(second)
        told.ask()
        told.answer()
        assert [snapshot.number for snapshot in await told.snapshots()] == [3]

    asyncio.run(story())


def test_an_end_that_comes_between_two_comparisons_is_owed_no_more() -> None:
    async def story() -> None:
        told = Told()
        told.edge._give_up(told.ask())
        assert told.edge._at.ends_owed == {OPEN, COMPLETED, POSITIONS}
        told.answer()
        told.ask()
        told.answer()
        assert [snapshot.number for snapshot in await told.snapshots()] == [2]

    asyncio.run(story())
