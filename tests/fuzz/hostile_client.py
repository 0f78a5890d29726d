"""Target `sim-client`: whatever bytes a client sends to the simulated TWS, over TCP.

It answers with an error or closes that connection, and serves on; no frame that is no order becomes
one; its books stay finite.
"""

from __future__ import annotations

import functools
import math
import random
import socket
import struct
from datetime import date
from pathlib import Path

from services.sim_tws.market import Market, synthetic
from services.sim_tws.session import REQUESTS_PER_S_MAX
from tests.fuzz import mutations
from tests.fuzz.target import Broken, Tally, Target, shown
from tests.sim_tws.harness import FIRST_DAY, SimThread, running
from tests.sim_tws.raw_client import SMH, RawClient, order_fields

PER_CONNECTION = REQUESTS_PER_S_MAX - 8
VERSION = 176
GREETINGS = (b"v157..176", b"v176", b"v157..176 +PACEAPI")


@functools.cache
def market(day: date) -> Market:
    return synthetic(7, day)


def _body(*fields: object) -> bytes:
    return "".join(f"{field}\0" for field in fields).encode()


REQUESTS: tuple[bytes, ...] = (
    _body(71, 2, 1, ""), _body(49, 1), _body(8, 1, 1), _body(17, 1), _body(5, 1), _body(16, 1),
    _body(15, 1, 1), _body(99, 1), _body(58, 1), _body(61, 1), _body(64, 1),
    _body(6, 2, 1, "DU1234567"), _body(62, 1, 7, "All", "NetLiquidation,$LEDGER:ALL"),
    _body(1, 11, 7, *SMH, 0, "", 0, 0, ""), _body(2, 2, 7), _body(59, 1, 3),
    _body(9, 8, 3, *SMH, 0, "", ""),
    _body(20, 4, *SMH, 0, "", "1 day", "5 D", 1, "TRADES", 1, 0, ""),
    _body(50, 3, 5, *SMH, 5, "TRADES", 1, ""), _body(87, 6, *SMH, 0, 1, "TRADES", 1),
    _body(96, 7, *SMH, 0, "20250602 10:00:00 US/Eastern", "", 10, "TRADES", 1, 0, ""),
    _body(97, 8, *SMH, "Last", 0, 0), _body(7, 3, 9, 0, "", "", "", "", "", ""),
    _body(92, 10, "DU1234567", ""), _body(94, 11, "DU1234567", "", 229725622),
    _body(74, 1, 12, "DU1234567", ""), _body(76, 1, 13, "DU1234567", "", 1), _body(81, 14, "SMH"),
    _body(91, 26), _body(4, 1, 1, ""), _body(10, 5, 7, *SMH, 5, 0, ""),
)  # fmt: skip


def _order(rng: random.Random, order_id: int) -> bytes:
    given: dict[str, object] = {
        "action": rng.choice(("BUY", "SELL")), "quantity": rng.choice((1, 100, 7000)),
        "kind": rng.choice(("MKT", "LMT", "STP", "TRAIL", "MOC")), "limit": rng.choice(("", 240.0)),
        "aux": rng.choice(("", 200.0)), "tif": rng.choice(("DAY", "GTC", "IOC", "OPG", "GTD")),
        "transmit": rng.choice((0, 1, 1)), "parent": rng.choice((0, 0, 1)),
        "what_if": rng.choice((0, 0, 1)), "oca": rng.choice(("", "group")),
        "until": rng.choice(("", "20250610 10:00:00 US/Eastern")),
    }  # fmt: skip
    return _body(*order_fields(order_id, VERSION, **given))


def clients(rng: random.Random, messages: int, folder: Path) -> Tally:
    """Mutated requests from many clients, one after the other, on one server."""
    tally = Tally()
    with running(market(FIRST_DAY), folder) as sim:
        failures: list[str] = []
        sim.do(lambda: _listen(sim, failures))
        sent, orders, number = 0, 0, 0
        while sent < messages:
            number += 1
            batch = min(PER_CONNECTION, messages - sent)
            orders += _one_client(rng, sim, number, batch)
            sent += batch
            if failures:
                raise Broken(f"the server raised {failures[0]}")
            if number % 20 == 0:
                sim.pass_s(rng.randrange(1, 600))
                _sound(sim, orders)
        _sound(sim, orders)
        if RawClient(sim.port, client_id=0x7FFF).start().heard[0][0] != "15":
            raise Broken("a fresh client is not served any more")
        if failures:
            raise Broken(f"the server raised {failures[0]}")
        tally.accepted = sim.do(lambda: sim.broker.books.orders_placed)
        tally.rejected = messages - tally.accepted
    return tally


def _listen(sim: SimThread, failures: list[str]) -> None:
    sim._loop.set_exception_handler(
        lambda _loop, context: failures.append(f"{context.get('exception')!r} {context['message']}")
    )


def _one_client(rng: random.Random, sim: SimThread, number: int, batch: int) -> int:
    """Speaks `batch` messages in one connection; how many of them name the order message."""
    orders = 0
    greeting = rng.choice(GREETINGS)
    if rng.random() < 0.03:
        greeting = mutations.damaged(rng, greeting)
    stream = [b"API\0" + mutations.framed(greeting), mutations.framed(_body(71, 2, number, ""))]
    for order_id in range(1, batch + 1):
        order = rng.random() < 0.3
        body = _order(rng, order_id) if order else rng.choice(REQUESTS)
        if rng.random() < 0.9:
            body = mutations.fields(rng, body)
        orders += _is_order(body)
        stream.append(mutations.framed(body))
    data = b"".join(stream)
    if rng.random() < 0.1:
        data = mutations.spliced(rng, stream)
        orders += batch  # after a lie about a length anything may be read as anything
    with socket.create_connection(("127.0.0.1", sim.port), timeout=8) as client:
        reset = struct.pack("ii", 1, 0)
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            while client.recv(1 << 16):
                pass
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        except TimeoutError:
            raise Broken(f"the server hangs on {shown(data)}") from None
        except OSError:
            pass  # closed by the server, as it may
    return orders


def _is_order(body: bytes) -> bool:
    try:
        return float(body.split(b"\0", 1)[0]) == 3
    except ValueError:
        return False


def _sound(sim: SimThread, orders: int) -> None:
    """The books of a broker that only took orders."""
    broker = sim.broker
    account = broker.account
    amounts = (account.cash_usd, account.sma_usd, account.smh.shares, account.smh.average_usd)
    if not all(math.isfinite(amount) for amount in amounts):
        raise Broken(f"the books are no numbers any more: {amounts}")
    if broker.books.orders_placed > orders:
        raise Broken(f"{broker.books.orders_placed} orders of {orders} messages that name one")


TARGETS = (Target("sim-client", "clients lie to the simulated TWS", clients, 4000, 0.15),)
