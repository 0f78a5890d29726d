"""The control socket: one JSON line asks, one JSON line answers; and its command line.

{"fault": "wild-print", "args": {"percent": -5}}  ->  {"ok": true}
{"list": true}    every fault, its meaning and arguments
{"truth": true}   market time, cash, positions, true net liquidation, orders, fills
{"status": true}  the connected clients and the switches that are on

python -m services.sim_tws.control PATH FAULT [name=value ...]
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from services.sim_tws import faults
from services.sim_tws.contracts import SMH
from services.sim_tws.faults import FaultError
from services.sim_tws.market_time import new_york
from services.sim_tws.server import Server
from services.sim_tws.switches import Switches

LINE_BYTES_MAX = 64 * 1024
ANSWER_HOST_S_MAX = 10.0


async def listen(server: Server, path: Path) -> asyncio.AbstractServer:
    """Serves the socket at `path`, readable by the owner alone; a stale one is replaced."""
    if path.is_socket():
        path.unlink()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(answer(server, line)).encode() + b"\n")
                await writer.drain()
        except (ValueError, ConnectionError):
            pass  # an overlong line or a caller that left: nothing to tell anybody
        finally:
            writer.close()

    listener = await asyncio.start_unix_server(talk, path, limit=LINE_BYTES_MAX)
    path.chmod(0o600)
    return listener


def answer(server: Server, line: bytes) -> dict[str, Any]:
    """What one line gets; wrong lines get {"ok": false, "error": ...} and change nothing."""
    try:
        asked = json.loads(line)
    except ValueError:
        return _wrong("not a JSON line")
    if not isinstance(asked, dict):
        return _wrong("not a JSON object")
    server.advance()
    if "fault" in asked:
        return _inject(server, asked["fault"], asked.get("args", {}))
    if asked.get("list"):
        return {"ok": True, "faults": faults.listing()}
    if asked.get("truth"):
        return {"ok": True, **truth(server)}
    if asked.get("status"):
        return {"ok": True, **status(server)}
    return _wrong("one of fault, list, truth, status is needed")


def truth(server: Server) -> dict[str, Any]:
    """What really is, whatever clients were told."""
    broker = server.broker
    now_ns = broker.now_ns
    mark = broker.tape.mark(now_ns)
    account = broker.account
    held = [item for item in account.positions.values() if item.shares]
    return {
        "market_ns": now_ns,
        "market_time": f"{new_york(now_ns):%Y-%m-%d %H:%M:%S}",
        "cash_usd": round(account.cash_usd, 6),
        "positions": {item.instrument.symbol: item.shares for item in held},
        "net_liquidation_usd": round(account.net_liquidation_usd(mark), 6),
        "margin_usd": round(account.margin_usd(mark), 6),
        "sma_usd": round(account.sma_usd, 6),
        "last_usd": broker.tape.tick(SMH.symbol, now_ns).last,
        "executions": len(broker.books.executions),
        "orders_placed": broker.books.orders_placed,
        "open_orders": [
            {
                "client_id": order.client_id,
                "order_id": order.order_id,
                "perm_id": order.perm_id,
                "action": order.ticket.action,
                "quantity": order.quantity,
                "filled": order.filled,
                "type": order.ticket.order_type,
                "status": order.status,
                "order_ref": order.ticket.order_ref,
            }
            for order in broker.books.live()
        ],
    }


def status(server: Server) -> dict[str, Any]:
    """Who is connected, and which switches differ from a TWS at its best."""
    best = asdict(Switches())
    now = {field.name: getattr(server.switches, field.name) for field in fields(Switches)}
    return {
        "market_time": f"{new_york(server.broker.now_ns):%Y-%m-%d %H:%M:%S}",
        "link_up": server.broker.link_up,
        "halted": server.broker.tape.halted,
        "clients": [
            {"connection": s.number, "client_id": s.client_id, "version": s.version}
            for s in server.sessions.values()
        ],
        "switches": {
            name: sorted(value) if isinstance(value, set) else value
            for name, value in now.items()
            if value != best[name]
        },
    }


def ask(path: Path, question: dict[str, Any]) -> dict[str, Any]:
    """Sends one question to a server's control socket; OSError when nobody answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(ANSWER_HOST_S_MAX)
        line.connect(str(path))
        line.sendall(json.dumps(question).encode() + b"\n")
        with line.makefile("rb") as replies:
            found = json.loads(replies.readline())
    if not isinstance(found, dict):
        raise OSError("the server answered no object")
    return found


def _inject(server: Server, name: object, args: object) -> dict[str, Any]:
    if not isinstance(name, str) or not isinstance(args, dict):
        return _wrong('"fault" is a name and "args" an object')
    try:
        return {"ok": True} | faults.inject(server, name, args)
    except FaultError as wrong:
        return _wrong(str(wrong))


def _wrong(reason: str) -> dict[str, Any]:
    return {"ok": False, "error": reason}


def main(words: list[str]) -> int:
    """0: done; 1: the server refused; 2: wrong words or nobody there."""
    if len(words) < 2 or any("=" not in word for word in words[2:]):
        print(__doc__, file=sys.stderr)  # noqa: T201 - the command's own output
        return 2
    path, name, *pairs = words
    question: dict[str, Any] = (
        {name: True}
        if name in {"list", "truth", "status"}
        else {"fault": name, "args": dict(pair.split("=", 1) for pair in pairs)}
    )
    try:
        found = ask(Path(path), question)
    except OSError as wrong:
        print(f"{path}: {wrong}", file=sys.stderr)  # noqa: T201 - the command's own output
        return 2
    print(json.dumps(found, indent=2))  # noqa: T201 - the command's own output
    return 0 if found.get("ok") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
