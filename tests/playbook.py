"""Plays messages through a decider as its service does: given these, when this, then that.

Each message is evolved, decided on and its outputs evolved, in the engine's order. Beside the state
runs a second one that learns only what a journal keeps, as bytes; after every step the two are
equal, and deciding has changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from typing import Any, TypeVar

import msgspec

from common import wire
from common.clock import NEW_YORK, SECOND_NS
from common.fold import edge_messages
from common.messages import Heartbeat, Message, Now, Started, Tick
from common.settings import Settings

_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_Kind = TypeVar("_Kind", bound=Message)


def instant(day: date, clock: str) -> int:
    """UTC ns of a New York wall time: "15:55", "15:55:01" or "15:55:01.5"."""
    return int(datetime.combine(day, time.fromisoformat(clock), NEW_YORK).timestamp() * 1e6) * 1000


class Script:
    """One decider under a clock that the test moves; host time moves along with market time."""

    def __init__(self, decider: Any, settings: Settings, market_ns: int) -> None:
        self.decider = decider
        self.state = decider.start(settings)
        self.now = Now(market_ns=market_ns, host_ns=1_000 * SECOND_NS)
        self.said: list[Message] = []
        """Everything said so far, oldest first."""
        self._folded = decider.start(settings)
        self._records = wire.record_decoder(edge_messages(decider))
        self.hear(Started(settings_json=settings.to_json()))

    # --- time --------------------------------------------------------------------------------

    def wait(self, market_s: float, host_s: float | None = None) -> None:
        """Lets time pass, without a tick; host time by as much unless it is given."""
        host_s = market_s if host_s is None else host_s
        self.now = Now(
            market_ns=self.now.market_ns + round(market_s * SECOND_NS),
            host_ns=self.now.host_ns + round(host_s * SECOND_NS),
        )

    def wait_until(self, market_ns: int) -> None:
        assert market_ns >= self.now.market_ns, "market time does not go back"
        self.wait((market_ns - self.now.market_ns) / SECOND_NS)

    def tick(self, after_s: float = 0.0) -> list[Message]:
        """A tick, `after_s` later."""
        self.wait(after_s)
        return self.hear(Tick())

    def ticks(self, count: int, every_s: float = 0.2) -> list[Message]:
        """Everything said over so many ticks."""
        return [message for _ in range(count) for message in self.tick(every_s)]

    def given(self, change: Callable[[Any], None]) -> None:
        """Puts something into the state that no message of the test brings about."""
        change(self.state)
        change(self._folded)

    # --- hearing and saying ------------------------------------------------------------------

    def hear(self, *messages: Message) -> list[Message]:
        """What is said and done on each of them, heard one after the other at this instant."""
        return [output for message in messages for output in self._hear(message)]

    def _hear(self, message: Message) -> list[Message]:
        decider, state = self.decider, self.state
        decider.evolve(state, self.now, message)
        before = _encode(state)
        outputs: list[Message] = decider.decide(state, self.now, message)
        assert _encode(state) == before, f"decide changed the state on {type(message).__name__}"
        for output in outputs:
            decider.evolve(state, self.now, output)
        self._fold(message, outputs)
        self.said += outputs
        return outputs

    def _fold(self, message: Message, outputs: Sequence[Message]) -> None:
        """What a restart would know: State and record pass through bytes, as in a journal."""
        if outputs or not isinstance(message, (Tick, Heartbeat)):
            record = wire.Record(self.now, "", 0, 0, message, tuple((0, o) for o in outputs))
            kept = self._records.decode(wire.encode_any(record))
            self._folded = msgspec.msgpack.decode(_encode(self._folded), type=self.decider.State)
            self.decider.evolve(self._folded, kept.now, kept.message)
            for _, output in kept.outputs:
                self.decider.evolve(self._folded, kept.now, output)
        live, folded = _encode(self.state), _encode(self._folded)
        assert live == folded, f"a fold of the journal differs after {type(message).__name__}"

    def restart(self) -> list[Message]:
        """The process dies and comes back: the state is what the journal gives."""
        self.state = msgspec.msgpack.decode(_encode(self._folded), type=self.decider.State)
        return self.hear(Started(settings_json=self.state.settings.to_json()))

    def all(self, kind: type[_Kind]) -> list[_Kind]:
        """Everything of a kind said so far."""
        return of(kind, self.said)

    def newest(self, kind: type[_Kind]) -> _Kind:
        """The last of a kind; fails when there was none."""
        found = self.all(kind)
        assert found, f"no {kind.__name__} was said"
        return found[-1]

    def forget(self) -> None:
        """What was said so far is not looked at again."""
        self.said.clear()


def of(kind: type[_Kind], messages: Sequence[Message]) -> list[_Kind]:
    """Those of one kind."""
    return [message for message in messages if isinstance(message, kind)]


def one(kind: type[_Kind], messages: Sequence[Message]) -> _Kind:
    """The only one of its kind; fails on none and on several."""
    found = of(kind, messages)
    assert len(found) == 1, f"{len(found)} of {kind.__name__}, not 1: {list(messages)}"
    return found[0]
