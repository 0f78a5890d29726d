"""What was decided on each session, from the risk monitor's own messages. Pure.

The live system and a backtest are read by this one function: in both the same decider hears and
says these messages, on the bus and in a journal here, from a queue there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from common.messages import (
    BreachCleared,
    Entered,
    EntryClamped,
    EntryRefused,
    Exited,
    Message,
    Now,
    PlaceOrder,
    Session,
    Side,
    Signal,
    StopArmed,
    StopHit,
    TargetPosition,
)

STOPS = ("stop", "resting_stop", "guard")
"""Reasons of an exit that are a stop, whoever carried it out."""
Cause = Literal["stop", "bear", "flatten", ""]

Said = tuple[Now, Message]
"""A message that the risk monitor heard or said, and when."""


@dataclass(frozen=True)
class Step:
    """One entry or exit. `leverage`: what the strategy wanted, with its reason (the VIX).

    `clamped`: why the margin rule bought less than that, or "".
    `price_usd`: average of the fills. `sized_usd`: the price that an entry was sized at, with
    `equity_usd`. `level_usd`: where the stop stood, as a price, before a stop.
    """

    kind: Literal["enter", "leave"]
    cause: Cause = ""
    shares: int = 0
    price_usd: float = 0.0
    leverage: float = 0.0
    why: str = ""
    clamped: str = ""
    equity_usd: float = 0.0
    sized_usd: float = 0.0
    level_usd: float = 0.0
    market_ns: int = 0

    @property
    def decision(self) -> tuple[str, str, float]:
        """What must be the same in a backtest; prices and sizes follow from the market."""
        return self.kind, self.cause, self.leverage


@dataclass
class Decided:
    """One session. `side`: of the final signal before it, None where none was known.

    `refused`, `clamped` (of the entry under way): the last reason for which the live system did
    less than the strategy wanted. `cleared`: a breach that its second sample did not confirm.
    """

    day: date
    side: Side | None = None
    signal_day: date | None = None
    steps: list[Step] = field(default_factory=list)
    refused: str = ""
    clamped: str = ""
    cleared: str = ""
    level_usd: float = 0.0
    held_before: bool = False

    @property
    def decision(self) -> tuple[object, ...]:
        return self.side, tuple(step.decision for step in self.steps), self.held

    @property
    def held(self) -> bool:
        """Whether the session ended with a position."""
        return self.steps[-1].kind == "enter" if self.steps else self.held_before

    @property
    def entries(self) -> list[Step]:
        return [step for step in self.steps if step.kind == "enter"]

    @property
    def stops(self) -> list[Step]:
        return [step for step in self.steps if step.cause == "stop"]


def by_day(said: Iterable[Said]) -> dict[date, Decided]:
    """Every session that a Session message told of while the stream ran."""
    return {decided.day: decided for decided in _days(said)}


def _days(said: Iterable[Said]) -> Iterator[Decided]:
    day: Decided | None = None
    signal: Signal | None = None
    target: TargetPosition | None = None
    sized_usd = 0.0
    for now, message in said:
        match message:
            case Session() if day is None or message.day > day.day:
                if day is not None:
                    yield day
                day = Decided(message.day, held_before=day is not None and day.held)
                _sign(day, signal)
            case Signal(final=True):
                signal = message
                if day is not None:
                    _sign(day, signal)
            case TargetPosition():
                target = message
            case PlaceOrder(order=order) if order.purpose == "ENTRY":
                sized_usd = order.price_usd
            case _ if day is not None:
                _note(day, now, message, target, sized_usd)
    if day is not None:
        yield day


def _sign(day: Decided, signal: Signal | None) -> None:
    """The signal of the close before the session is the one that counts in it."""
    if signal is not None and signal.day < day.day:
        day.side, day.signal_day = signal.side, signal.day


def _note(
    day: Decided, now: Now, message: Message, target: TargetPosition | None, sized_usd: float
) -> None:
    match message:
        case Entered():
            wanted = target if target is not None and target.day == day.day else None
            day.steps.append(
                Step(
                    kind="enter",
                    shares=message.shares,
                    price_usd=message.price_usd,
                    leverage=wanted.leverage if wanted else 0.0,
                    why=wanted.leverage_why if wanted else "",
                    clamped=day.clamped,
                    equity_usd=message.equity_usd,
                    sized_usd=sized_usd,
                    market_ns=now.market_ns,
                )
            )
            day.clamped = ""
        case Exited():
            _leave(day, now, message)
        case StopArmed():
            day.level_usd = message.stop_price_usd or 0.0
        case EntryRefused(reason=reason):
            day.refused = reason
        case EntryClamped(why=why):
            day.clamped = why
        case BreachCleared():
            day.cleared = f"a first sample at ${message.mark_usd:,.2f} or below was not confirmed"
        case StopHit(why=why):
            day.cleared = ""


def _leave(day: Decided, now: Now, message: Exited) -> None:
    """Sales that follow each other for one reason are one decision."""
    cause: Cause = "stop" if message.reason in STOPS else "bear"
    if message.reason == "flatten":
        cause = "flatten"
    shares, value = message.shares, message.shares * message.price_usd
    before = day.steps[-1] if day.steps else None
    if before is not None and before.cause == cause:
        day.steps.pop()
        shares += before.shares
        value += before.shares * before.price_usd
    day.steps.append(
        Step(
            kind="leave",
            cause=cause,
            shares=shares,
            price_usd=value / shares if shares else 0.0,
            why=message.reason,
            level_usd=day.level_usd if cause == "stop" else 0.0,
            market_ns=now.market_ns,
        )
    )
