"""python -m services.sim_tws --port P: a simulated TWS for unmodified API clients."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from contextlib import suppress
from datetime import date
from pathlib import Path

from common.clock import Clock, Progress, ReplayClock
from common.parent import die_with_supervisord
from services.sim_tws import control, script
from services.sim_tws.account import MARGIN_KINDS, PORTFOLIO, PORTFOLIO_START_USD_MIN, Account
from services.sim_tws.broker import Broker
from services.sim_tws.market import DEFAULT_START, Market, MarketDataError, replay, synthetic
from services.sim_tws.market_time import instant_ns
from services.sim_tws.own_clock import OwnClock
from services.sim_tws.recorder import Recorder
from services.sim_tws.script import ScriptError
from services.sim_tws.server import Server
from services.sim_tws.state_file import StateError, StateFile
from services.sim_tws.switches import Switches
from services.sim_tws.tape import Tape


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m services.sim_tws",
        description="A simulated TWS (server version 176) with one market and one account. Its "
        "market time runs through the sessions; nights pass in about a second, also when no "
        "--seconds-per-day is given. It was never compared with a real TWS.",
    )
    add = options.add_argument
    add("--port", type=int, required=True, help="TCP port to listen on (0: any free one)")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--data", type=Path, help="folder of CSV files to replay (default: a synthetic market)")
    add("--start", type=date.fromisoformat, help="first session date, YYYY-MM-DD")
    add("--at", type=_wall_time, default=(9, 30), metavar="HH:MM", help="New York time to begin")
    add("--seconds-per-day", type=float, help="host seconds a session takes (default: real time)")
    add("--seed", type=int, default=7, help="seed of the market's random draws")
    add("--account-type", choices=MARGIN_KINDS, default=PORTFOLIO, help="margin rules")
    add("--account", default="DU1234567", help="account id; several separated by commas")
    add("--cash", type=float, default=1_000_000.0, help="USD in the account at the start")
    add("--clock", type=Path, help="follow this shared replay clock instead of an own one")
    add("--control", type=Path, help="unix socket for faults, status and truth (JSON lines)")
    add("--script", type=Path, help="timed faults, TOML or JSON lines")
    add("--state", type=Path, help="keep ids, orders and positions here across restarts")
    add("--record", type=Path, help="append every frame to this file (MessagePack)")
    add("--delayed-data", dest="live", action="store_false", help="no live data permission")
    add("--live-data", dest="live", action="store_true", help="live data permission (default)")
    options.set_defaults(live=True)
    return options


def main() -> int:
    chosen = parser().parse_args()
    die_with_supervisord()
    try:
        market = _market(chosen)
        cues = script.read(chosen.script) if chosen.script else []
        state_file = StateFile(chosen.state) if chosen.state else None
        saved = state_file.load() if state_file else None
        start = chosen.start or max(DEFAULT_START, market.first_day)
        first = market.session_at_or_after(instant_ns(start, 0))
    except (LookupError, MarketDataError, ScriptError, StateError) as wrong:
        _say(f"simulated TWS cannot start: {wrong}")
        return 2
    start_ns = saved.market_ns if saved else instant_ns(first.date, *chosen.at)
    clock: Clock
    if chosen.clock is None:
        clock = OwnClock(market, start_ns, chosen.seconds_per_day)
    else:
        clock = ReplayClock(chosen.clock)
        start_ns = saved.market_ns if saved else clock.now_ns()
        if start_ns > clock.now_ns():
            _say(f"simulated TWS cannot start: {chosen.state} is of a later market time")
            return 2
    if chosen.account_type == PORTFOLIO and chosen.cash < PORTFOLIO_START_USD_MIN:
        _say(f"portfolio margin needs ${PORTFOLIO_START_USD_MIN:,}; this account has less")
    ids = chosen.account.split(",")
    accounts = [Account(name, chosen.cash, chosen.account_type) for name in ids]
    broker = Broker(Tape(market), accounts, start_ns, Switches(live_data=chosen.live))
    if saved is not None:
        broker.resume(saved.books)
    recorder = Recorder(chosen.record) if chosen.record else None
    progress = Progress(chosen.clock, create=True) if chosen.clock else None
    server = Server(broker, clock, recorder, state_file, progress)
    script.arm(server, cues)
    return asyncio.run(_serve(server, chosen))


async def _serve(server: Server, chosen: argparse.Namespace) -> int:
    """Runs until a signal; the port appears once everything else is ready."""
    loop = asyncio.get_running_loop()
    try:
        if chosen.control is not None:
            await control.listen(server, chosen.control)
        port = await server.listen(chosen.host, chosen.port)
    except OSError as wrong:
        _say(f"simulated TWS cannot start: {wrong}")
        return 2
    beat = loop.create_task(server.beat())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, beat.cancel)
    _say(f"simulated TWS on {chosen.host}:{port}")
    with suppress(asyncio.CancelledError):
        await beat
    await server.close()
    return 0


def _market(chosen: argparse.Namespace) -> Market:
    if chosen.data is not None:
        return replay(chosen.data, chosen.seed)
    return synthetic(chosen.seed, chosen.start or DEFAULT_START)


def _wall_time(text: str) -> tuple[int, int]:
    hour, _, minute = text.partition(":")
    if not (hour.isdigit() and minute.isdigit() and int(hour) < 24 and int(minute) < 60):
        raise argparse.ArgumentTypeError(f"'{text}' is not HH:MM")
    return int(hour), int(minute)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the program's own log


if __name__ == "__main__":
    sys.exit(main())
