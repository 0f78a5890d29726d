"""Plays messages through a decider: given a state, when this is heard, then that is said."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from common.core import quotes
from common.core.feed import market_day
from common.messages import DataKind, Message, Quote
from common.settings import Settings
from common.tws.link_messages import LinkUp
from common.tws.market_messages import (
    ASK,
    BID,
    LAST,
    AskContract,
    CalendarRead,
    ContractLine,
    ContractsFound,
    HistoryRead,
    KindSaid,
    PriceBar,
    RawTick,
    RawTicks,
    ReadCalendar,
    ReadHistory,
    SessionHours,
    Subscribe,
)
from tests.playbook import Script

EFFECTS = (Subscribe, AskContract, ReadHistory, ReadCalendar)
MONDAY = date(2026, 3, 2)  # of a plain week in winter time: open 14:30 UTC, close 21:00
SMH, VIX = "SMH", "VIX"


def ns(day: date, hour: int, minute: int = 0, second: float = 0.0) -> int:
    """UTC ns of a New York winter wall time."""
    utc = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(
        hours=hour + 5, minutes=minute, seconds=second
    )
    return int(utc.timestamp() * 1000) * 1_000_000


def weekdays(last: date, count: int) -> list[date]:
    """The last `count` weekdays up to and including `last`: a calendar without holidays."""
    days: list[date] = []
    day = last
    while len(days) < count:
        if day.weekday() < 5:
            days.append(day)
        day -= timedelta(days=1)
    return days[::-1]


def hours(day: date, close_hour: int = 16) -> SessionHours:
    return SessionHours(day=day, open_ns=ns(day, 9, 30), close_ns=ns(day, close_hour))


def bars_until(last: date, count: int = 700, close: float = 400.0) -> tuple[PriceBar, ...]:
    return tuple(
        PriceBar(day=day, open_usd=close, high_usd=close, low_usd=close, close_usd=close)
        for day in weekdays(last, count)
    )


class Play(Script):
    """A decider's script, moved by market instants."""

    def at(self, market_ns: int) -> list[Message]:
        """Moves to an instant and lets a Tick pass."""
        self.wait_until(market_ns)
        return self.tick()


class FeedPlay(Play):
    """market_feed, connected at 09:29 on a Monday with everything it asked for answered."""

    def __init__(
        self,
        settings: Settings | None = None,
        start_ns: int = ns(MONDAY, 9, 29),
        kind: DataKind | None = "live",
    ) -> None:
        self.kind = kind
        super().__init__(quotes, settings or Settings(), start_ns)
        self.hear(self.calendar())
        self.hear(LinkUp(port=7497, server_version=176, accounts=("DU1234567",), next_order_id=1))
        self.hear(self.contract())
        self.tick()
        self.hear(self.history())

    def hear(self, *messages: Message) -> list[Message]:
        """As ever; each new subscription is told its `kind` at once, unless that is None."""
        outputs = super().hear(*messages)
        for output in outputs:
            if isinstance(output, Subscribe) and self.kind is not None:
                super().hear(KindSaid(symbol=output.symbol, kind=self.kind))
        return outputs

    def calendar(self) -> CalendarRead:
        around = weekdays(MONDAY + timedelta(days=40), 40)
        return CalendarRead(
            asked_ns=self.now.market_ns,
            past_days=tuple(weekdays(MONDAY + timedelta(days=40), 800)),
            sessions=tuple(hours(day) for day in around),
            problem="",
        )

    def contract(self, **changes: Any) -> ContractsFound:
        line = ContractLine(
            con_id=1, primary_exchange="NASDAQ", name="SMH",
            hours=tuple(hours(day) for day in weekdays(MONDAY + timedelta(days=4), 5)),
        )  # fmt: skip
        return ContractsFound(lines=(msgspec.structs.replace(line, **changes),), problem="")

    def history(self, last: date | None = None) -> HistoryRead:
        """The bars up to `last`, by default of the newest session that is final by now."""
        final = market_day.last_final(self.now.market_ns, self.state.hours, delayed=False)
        assert final is not None
        return HistoryRead(
            asked_ns=self.now.market_ns, bars=bars_until(last or final.day), problem=""
        )

    def open_market(self) -> None:
        """A minute after the open, with one valid price."""
        self.at(ns(MONDAY, 9, 31))
        self.smh((BID, 400.0), (ASK, 400.02), (LAST, 400.0))

    def smh(self, *ticks: tuple[int, float], after_s: float = 0.0) -> list[Quote]:
        """One chunk of SMH ticks; the quotes said on it."""
        raw = tuple(RawTick(type=kind, value=value) for kind, value in ticks)
        self.wait(after_s)
        said = self.hear(RawTicks(symbol=SMH, ticks=raw))
        return [fact for fact in said if isinstance(fact, Quote)]

    def vix(self, level: float, after_s: float = 0.0, tick_type: int = LAST) -> list[Message]:
        raw = (RawTick(type=tick_type, value=level),)
        self.wait(after_s)
        return self.hear(RawTicks(symbol=VIX, ticks=raw))

    def effects(self, outputs: list[Message]) -> list[Message]:
        return [output for output in outputs if isinstance(output, EFFECTS)]
