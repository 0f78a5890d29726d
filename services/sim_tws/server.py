"""The listening server: who is connected, which desk answers what, and the beat of publication."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from common.clock import SECOND_NS, Clock, Progress, host_ns
from services.sim_tws import replies, requests
from services.sim_tws.account_desk import AccountDesk
from services.sim_tws.announcer import Encode
from services.sim_tws.broker import Broker
from services.sim_tws.data_desk import DataDesk
from services.sim_tws.day_cycle import DayCycle
from services.sim_tws.history_desk import HistoryDesk
from services.sim_tws.market_time import new_york
from services.sim_tws.order_desk import OrderDesk
from services.sim_tws.recorder import Recorder
from services.sim_tws.requests import Request
from services.sim_tws.session import Session
from services.sim_tws.state_file import StateFile

PUBLICATIONS_PER_S_MAX = 20
CONNECTIONS_MAX = 64
QUOTE_FARMS = ("usfarm.nj", "usfarm")
HISTORY_FARM = "ushmds"
DEFINITION_FARM = "secdefnj"
# What TWS cannot answer from memory while its link to IB is down.
NEEDS_LINK = (
    requests.MarketData,
    requests.TickByTick,
    requests.RealTimeBars,
    requests.Historical,
    requests.HistoricalTicks,
    requests.HeadTimestamp,
    requests.ContractDetails,
    requests.MatchingSymbols,
)
LINK_LOST = "Connectivity between IB and Trader Workstation has been lost."
Handler = Callable[[Session, Any], None]


class Server:
    """One simulated TWS: sockets in front of one broker and one market."""

    def __init__(
        self,
        broker: Broker,
        clock: Clock,
        recorder: Recorder | None = None,
        state_file: StateFile | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.broker = broker
        self.clock = clock
        self.switches = broker.switches
        self.sessions: dict[int, Session] = {}  # by connection number
        self.log: Callable[[str], None] = lambda line: print(line, file=sys.stderr)  # noqa: T201 - the program's own log
        self.after_orders: list[tuple[int, Callable[[], None]]] = []  # faults due by order count
        self._recorder = recorder
        self._state_file = state_file
        self._progress = progress
        self._connections = 0
        self._time_asked_ns: dict[int, int] = {}  # host time, by connection number; 0 for all
        self._listener: asyncio.Server | None = None
        self._address: tuple[str, int] = ("127.0.0.1", 0)
        self.orders = OrderDesk(broker)
        self.money = AccountDesk(broker)
        self.data = DataDesk(broker.tape, broker.switches, broker.now_ns)
        self.history = HistoryDesk(broker.tape, broker.switches, self.data)
        self.cycle = DayCycle(broker)
        self._handlers = self._table()
        broker.say.outlet = self

    # Life

    async def listen(self, host: str, port: int) -> int:
        """Accepts clients; returns the port (0 asks for a free one)."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._new_session, host, port)
        bound = self._listener.sockets[0].getsockname()
        self._address = (bound[0], bound[1])
        return self._address[1]

    async def refuse(self, for_s: float) -> None:
        """Closes the port, drops everybody, listens again later: a restart as clients see it."""
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        for session in list(self.sessions.values()):
            session.abort()
        await asyncio.sleep(for_s)
        await self.listen(*self._address)

    def set_frozen(self, frozen: bool) -> None:
        """Stops or resumes all talk, as if the process were stopped; IB itself goes on."""
        self.switches.frozen = frozen
        for session in self.sessions.values():
            if frozen:
                session.freeze()
            else:
                session.thaw()

    async def close(self) -> None:
        """Stops listening and drops everybody."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for session in list(self.sessions.values()):
            session.abort()
        if self._recorder is not None:
            self._recorder.close()
        await asyncio.sleep(0)

    async def beat(self) -> None:
        """Advances and publishes, at most twenty times a second of host time, for ever."""
        gap_s = 1 / PUBLICATIONS_PER_S_MAX
        while True:
            self.publish()
            if self._progress is not None:
                self._progress.write(self.broker.now_ns)
            await asyncio.sleep(gap_s)

    def publish(self) -> None:
        self.advance()
        if not self.broker.link_up:
            return
        live = self.live_sessions()
        now_ns = self.broker.now_ns
        self.data.publish(live, now_ns)
        self.history.publish(live, now_ns)
        self.money.publish_pnl(live)

    def advance(self) -> None:
        """Market time moves on: fills, expiries and the account's refreshes happen."""
        self.broker.exchange.advance(self.clock.now_ns())
        self.money.publish(self.live_sessions())
        self._save()

    def live_sessions(self) -> list[Session]:
        return [session for session in self.sessions.values() if session.started]

    # Connections

    def opened(self, session: Session) -> None:
        self.record(session, "open", b"")
        self.sessions[session.number] = session
        if len(self.sessions) > CONNECTIONS_MAX:
            session.close()

    def closed(self, session: Session) -> None:
        self.sessions.pop(session.number, None)
        self._time_asked_ns.pop(session.number, None)
        self.record(session, "close", b"")

    def start_client(self, session: Session, client_id: int) -> None:
        """START_API: the id is free or the connection ends with 326."""
        taken = any(other.client_id == client_id for other in self.sessions.values())
        if taken or host_ns() < self.switches.ids_taken_until_host_ns:
            session.error(
                replies.NO_ID,
                326,
                "Unable to connect as the client id is already in use. Retry with a unique "
                "client id.",
            )
            session.close()
            return
        session.client_id = client_id
        session.send(replies.managed_accounts(self.broker.account_ids))
        session.send(replies.next_valid_id(self.broker.next_order_id(client_id)))
        if self.switches.push_open_orders:
            self.orders.push_open_orders(session)
        if not self.broker.link_up:
            session.error(replies.NO_ID, 1100, LINK_LOST)
            return
        for farm in QUOTE_FARMS:
            session.error(replies.NO_ID, 2104, f"Market data farm connection is OK:{farm}")
        session.error(replies.NO_ID, 2106, f"HMDS data farm connection is OK:{HISTORY_FARM}")
        session.error(replies.NO_ID, 2158, f"Sec-def data farm connection is OK:{DEFINITION_FARM}")

    def broadcast(self, code: int, text: str) -> None:
        for session in self.live_sessions():
            session.error(replies.NO_ID, code, text)

    def connect_time_text(self) -> str:
        return f"{new_york(self.clock.now_ns()):%Y%m%d %H:%M:%S %Z}"

    def record(self, session: Session, direction: str, body: bytes) -> None:
        if self._recorder is not None:
            client_id = -1 if session.client_id is None else session.client_id
            # The clock, not the broker: a request arrives before the broker has caught up.
            self._recorder.write(self.clock.now_ns(), session.number, client_id, direction, body)

    def _new_session(self) -> Session:
        self._connections += 1
        return Session(self, self._connections)

    # The broker's outlet

    def to_client(self, client_id: int, encode: Encode) -> None:
        for session in self.sessions.values():
            if session.client_id == client_id:
                session.send(encode(session.version))

    def position_changed(self) -> None:
        self.money.position_changed()

    # Requests

    def answer(self, session: Session, request: Request) -> None:
        self.advance()
        if not self.broker.link_up and isinstance(request, NEEDS_LINK):
            return  # TWS has nobody to ask; the client waits
        self._handlers[type(request)](session, request)
        self.money.publish(self.live_sessions())
        if isinstance(request, requests.PlaceOrder):
            self._run_due_faults()
        self._save()

    def _run_due_faults(self) -> None:
        placed = self.broker.books.orders_placed
        due = [entry for entry in self.after_orders if entry[0] <= placed]
        self.after_orders = [entry for entry in self.after_orders if entry[0] > placed]
        for _, act in due:
            act()

    def _save(self) -> None:
        if self._state_file is not None:
            self._state_file.save(self.broker.now_ns, self.broker.books)

    def _table(self) -> dict[type, Handler]:
        """Which desk answers which request."""
        now: Callable[[Callable[[Session, Any, int], None]], Handler] = lambda answer: (  # noqa: E731 - a local adapter
            lambda session, request: answer(session, request, self.broker.now_ns)
        )
        return {
            requests.MarketData: now(self.data.market_data),
            requests.MarketDataType: self._market_data_type,
            requests.TickByTick: now(self.data.tick_by_tick),
            requests.RealTimeBars: now(self.data.bars),
            requests.Historical: now(self.history.historical),
            requests.HistoricalTicks: now(self.history.ticks),
            requests.HeadTimestamp: self.history.head_timestamp,
            requests.ContractDetails: now(self.history.contract_details),
            requests.MatchingSymbols: self.history.matching_symbols,
            requests.MarketRule: self.history.market_rule,
            requests.PlaceOrder: self.orders.place,
            requests.CancelOrder: self.orders.cancel,
            requests.GlobalCancel: self.orders.cancel_all,
            requests.OpenOrders: self.orders.open_orders,
            requests.AllOpenOrders: self.orders.all_open_orders,
            requests.AutoOpenOrders: self.orders.auto_open_orders,
            requests.CompletedOrders: self.orders.completed_orders,
            requests.Executions: self.orders.executions,
            requests.Ids: self._ids,
            requests.ManagedAccounts: self._managed_accounts,
            requests.CurrentTime: self._current_time,
            requests.AccountUpdates: self.money.updates,
            requests.AccountUpdatesMulti: self.money.updates_multi,
            requests.AccountSummary: self.money.summary,
            requests.Positions: self.money.positions,
            requests.PositionsMulti: self.money.positions_multi,
            requests.Pnl: self.money.pnl,
            requests.PnlSingle: self.money.pnl_single,
            requests.Cancel: self._cancel,
            requests.Ignored: lambda _session, _request: None,
            requests.Unsupported: self._unsupported,
        }

    def _market_data_type(self, session: Session, request: requests.MarketDataType) -> None:
        if 1 <= request.kind <= 4:
            session.subscriptions.data_kind = request.kind
        else:
            session.error(
                -1, 321, "Error validating request.-'bN' : cause - Invalid market data type"
            )

    def _ids(self, session: Session, _request: requests.Ids) -> None:
        assert session.client_id is not None
        session.send(replies.next_valid_id(self.broker.next_order_id(session.client_id)))

    def _managed_accounts(self, session: Session, _request: requests.ManagedAccounts) -> None:
        session.send(replies.managed_accounts(self.broker.account_ids))

    def _current_time(self, session: Session, _request: requests.CurrentTime) -> None:
        switches = self.switches
        asker = 0 if switches.time_spacing_shared else session.number
        last_ns, self._time_asked_ns[asker] = self._time_asked_ns.get(asker), host_ns()
        if last_ns is not None and host_ns() - last_ns < switches.time_spacing_s * SECOND_NS:
            return
        epoch_s = self.broker.now_ns // SECOND_NS
        session.send(replies.current_time(epoch_s + switches.time_skew_s))

    def _unsupported(self, session: Session, request: requests.Unsupported) -> None:
        session.error(
            request.req_id,
            321,
            f"Error validating request.-'bN' : cause - {request.name} is not supported by this "
            "server",
        )

    def _cancel(self, session: Session, request: requests.Cancel) -> None:
        running, req_id = session.subscriptions, request.req_id
        if request.what == 1:
            self.data.cancel_market_data(session, req_id)
        elif request.what == 20:
            self.history.cancel_historical(session, req_id)
        elif request.what == 50:
            self.data.cancel_bars(session, req_id)
        elif request.what == 97:
            self.data.cancel_tick_by_tick(session, req_id)
        elif request.what == 61:
            running.positions = False
        streams: dict[int, dict[int, Any]] = {
            62: running.summaries, 74: running.positions_multi, 76: running.account_multi,
            92: running.pnl, 94: running.pnl_single,
        }  # fmt: skip
        streams.get(request.what, {}).pop(req_id, None)
