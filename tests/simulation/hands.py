"""An edge over a simulated connection: what the gateway's and the feed's have in common.

At the level of messages they do what `common/tws/connection.py`, `gateway_edge.py` and `market.py`
do with real bytes: connect for ever, notice a frozen TWS, ask, collect a snapshot, pass on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from common.clock import SECOND_NS
from common.messages import Message
from common.settings import Settings
from common.tws.connection import RECONNECT_S
from common.tws.link_messages import ClockCompared, LinkDown, LinkUp, TwsError
from tests.oracle import facts as f
from tests.simulation.pipe import Pipe
from tests.simulation.timeline import Act
from tests.simulation.tws import LINK_LOST, SimTws
from tests.simulation.witness import Witness

FROZEN_S = 6.5  # a second of silence, then two questions without an answer
CONNECT_TIMEOUT_S = 10.0
COMPARED_S = 1.0


class Host(Protocol):
    """The process that the hands belong to."""

    def now_ns(self) -> int: ...
    def mono_ns(self) -> int: ...
    def tell(self, message: Message) -> None: ...
    def later(self, host_s: float, act: Act) -> None: ...
    def when_awake(self, act: Act) -> None: ...


class Hands:
    """One connection, for ever."""

    client_id = 0

    def __init__(self, host: Host, tws_side: SimTws, witness: Witness, settings: Settings) -> None:
        self.host, self.tws, self.witness, self.settings = host, tws_side, witness, settings
        self.pipe: Pipe | None = None
        self._attempt = 0
        self._said_down = ""
        self._said_offset_s: float | None = None

    def start(self) -> None:
        self.host.later(0.01, self._connect)

    def stop(self, *, bytes_lost: bool) -> None:
        """The process is dead; its socket closes."""
        pipe, self.pipe = self.pipe, None
        if pipe is not None:
            pipe.alive = False
            pipe.cut = pipe.cut or bytes_lost

    # --- connecting ----------------------------------------------------------------------------

    def _connect(self) -> None:
        if not self.tws.port_open:
            self._failed("nothing listens on 127.0.0.1", listening=False)
        elif self.tws.frozen:
            self.host.later(
                CONNECT_TIMEOUT_S, lambda: self._failed("no API handshake", listening=True)
            )
        else:
            self.host.later(0.02, self._handshake)

    def _handshake(self) -> None:
        pipe = None
        if self.tws.port_open and not self.tws.frozen:
            pipe = self.tws.connect(self.client_id, self)
        if pipe is None:
            self._failed("client id is in use by another program (326)", listening=True)
            return
        self.pipe, self._attempt, self._said_down = pipe, 0, ""
        self._said_offset_s = None
        accounts = (self.tws.account_id,)
        self.witness.note(f.AccountsNamed(*self.head(), accounts=accounts))
        next_id = self.tws.next_order_id(self.client_id)
        self.connected()
        self.host.tell(LinkUp(7497, 176, accounts, next_id))
        if not self.tws.broker.link_up:
            self.host.tell(TwsError(-1, LINK_LOST, "Connectivity has been lost."))
        self.host.later(COMPARED_S, lambda: self.compare_clocks(pipe))

    def _failed(self, reason: str, *, listening: bool) -> None:
        self._say_down(reason, listening=listening)
        self._attempt += 1
        self.host.later(RECONNECT_S[min(self._attempt, len(RECONNECT_S) - 1)], self._connect)

    def _say_down(self, reason: str, *, listening: bool) -> None:
        if reason != self._said_down:
            self._said_down = reason
            self.host.tell(LinkDown(reason, listening))

    def closed(self, why: str) -> None:
        def learn() -> None:
            self.pipe = None
            self.disconnected()
            self._say_down(why, listening=False)
            self.host.later(RECONNECT_S[0], self._connect)

        self.host.when_awake(learn)

    def deliver(self, message: object) -> None:
        self.host.when_awake(lambda: self.heard(message))

    def notice_silence(self, pipe: Pipe) -> None:
        """Questions find a frozen or half-open TWS out after some seconds."""

        def look() -> None:
            if self.pipe is pipe and (self.tws.frozen or pipe.cut):
                pipe.die("TWS is frozen: no answer to two questions", bytes_lost=pipe.cut)

        self.host.later(FROZEN_S, look)

    def compare_clocks(self, pipe: Pipe) -> None:
        if self.pipe is not pipe or pipe.cut:
            return
        if self.tws.frozen:
            self.host.later(COMPARED_S, lambda: self.compare_clocks(pipe))
            return
        offset_s = round((self.host.now_ns() - self.tws.market_ns) / SECOND_NS, 3)
        if self._said_offset_s is None or abs(offset_s - self._said_offset_s) >= 0.1:
            self._said_offset_s = offset_s
            self.host.tell(ClockCompared(self.host.now_ns(), offset_s))

    def head(self) -> tuple[int, int, int, int]:
        return self.witness.head(self.pipe.number if self.pipe else 0, self.client_id)

    def ask(self, act: Callable[[Pipe], None]) -> None:
        pipe = self.pipe
        if pipe is not None:
            pipe.ask(lambda: act(pipe))

    # --- for the two kinds of hands ------------------------------------------------------------

    def connected(self) -> None: ...
    def disconnected(self) -> None: ...
    def heard(self, message: object) -> None: ...
    def perform(self, effect: Message) -> None: ...


class Part:
    """A piece of a snapshot's answer, with its End."""

    def __init__(self, act: Act) -> None:
        self.act = act
