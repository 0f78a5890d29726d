"""Hand-made recordings: an honest day to begin with, and every way to leave it.

Frames are written field by field from the protocol's tables, not with the simulator's encoders.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import msgpack

from tests.oracle.facts import NEW_YORK, PLAIN_ORDER_FIELDS, SECOND_NS

GATEWAY, FEED = 1, 2
ACCOUNT = "DU1234567"
SMH_REQUEST = 3
BARS_REQUEST = 4
CASH_USD = 1_000_000.0


class Traffic:
    """Writes frames in order. `at("15:55")` sets the New York time of what follows."""

    def __init__(self, path: Path, day: date) -> None:
        self.path = path
        self.day = day
        self.ns = 0
        self.owner_of_connection: dict[int, int] = {}
        self._file = path.open("wb")
        self._executions = 0
        self.at("09:25")

    def at(self, clock: str) -> Traffic:
        """HH:MM or HH:MM:SS on the current day."""
        hour, minute, second = (int(part) for part in f"{clock}:00".split(":")[:3])
        local = datetime(
            self.day.year, self.day.month, self.day.day, hour, minute, second, tzinfo=NEW_YORK
        )
        self.ns = int(local.timestamp()) * SECOND_NS
        return self

    def next_day(self, days: int = 1) -> Traffic:
        self.day += timedelta(days=days)
        return self.at("09:25")

    def close(self) -> Path:
        self._file.close()
        return self.path

    def frame(self, connection: int, direction: str, *fields: object) -> Traffic:
        payload = b"".join(f"{field}\0".encode() for field in fields)
        client = self.owner_of_connection.get(connection, -1)
        record = [self.ns, self.ns, connection, client, direction, payload]
        self._file.write(msgpack.packb(record))
        return self

    # Connections

    def connect(self, client: int, connection: int = 0, accounts: str = ACCOUNT) -> Traffic:
        connection = connection or client
        self.frame(connection, "open")
        self.frame(connection, "in", 71, 2, client, "")
        self.owner_of_connection[connection] = client
        self.frame(connection, "out", 15, 1, accounts)
        return self.frame(connection, "out", 9, 1, 1)

    def account(self, net_usd: float = CASH_USD, cash_usd: float = CASH_USD) -> Traffic:
        self.frame(GATEWAY, "out", 6, 2, "TotalCashBalance", f"{cash_usd:.2f}", "USD", ACCOUNT)
        return self.frame(GATEWAY, "out", 6, 2, "NetLiquidation", f"{net_usd:.2f}", "USD", ACCOUNT)

    def position(self, shares: float) -> Traffic:
        contract = [756733, "SMH", "STK", "", 0.0, "", "", "NASDAQ", "USD", "SMH", "NMS"]
        return self.frame(GATEWAY, "out", 61, 3, ACCOUNT, *contract, shares, 100.0)

    # Prices

    def subscribe(self) -> Traffic:
        contract = [756733, "SMH", "STK", "", 0.0, "", "", "SMART", "", "USD", "SMH", "NMS"]
        self.frame(FEED, "in", 1, 11, SMH_REQUEST, *contract, 0, "", 0, 0, "")
        asked = [*contract, 0, "", "1 day", "5 Y", 1, "TRADES", 1, 0, ""]
        return self.frame(FEED, "in", 20, BARS_REQUEST, *asked)

    def quote(self, price: float, last: float | None = None, half_usd: float = 0.01) -> Traffic:
        """A complete quote `half_usd` wide on each side; `last` when it differs."""
        for kind, value in ((1, price - half_usd), (2, price + half_usd), (4, last or price)):
            self.frame(FEED, "out", 1, 6, SMH_REQUEST, kind, f"{value:.2f}", 100, 0)
        return self.frame(FEED, "out", 2, 6, SMH_REQUEST, 5, 100)

    def history(self, closes: Sequence[float], opens: Sequence[float] = ()) -> Traffic:
        """Daily bars ending with the last weekday before today, or with today after its close."""
        days = [self.day] if self._after_close() else []
        day = self.day
        while len(days) < len(closes):
            day -= timedelta(days=1)
            if day.weekday() < 5:
                days.append(day)
        rows: list[object] = []
        for number, (at, close) in enumerate(zip(sorted(days), closes, strict=True)):
            opened = opens[number - len(closes)] if len(closes) - number <= len(opens) else close
            rows += [f"{at:%Y%m%d}", opened, max(opened, close), min(opened, close), close, 1, 1, 1]
        return self.frame(FEED, "out", 17, BARS_REQUEST, "", "", len(closes), *rows)

    # Orders

    def place(
        self, order_id: int, action: str, shares: float, *, ref: str | None = None,
        account: str = ACCOUNT, tif: str = "DAY", kind: str = "MKT", symbol: str = "SMH",
        what_if: bool = False, outside_rth: bool = False, connection: int = GATEWAY,
        group: str = "", stop_usd: float | str = "", trigger: int = 0,
    ) -> Traffic:  # fmt: skip
        fields: list[object] = [""] * PLAIN_ORDER_FIELDS
        fields[0:4] = [3, order_id, 756733, symbol]
        fields[16:19] = [action, shares, kind]
        fields[21], fields[23], fields[26] = tif, account, ref or f"intent-{order_id}"
        fields[20], fields[22], fields[32], fields[47] = stop_usd, group, trigger, int(bool(group))
        fields[33], fields[85] = int(outside_rth), int(what_if)
        if ref == "":
            fields[26] = ""
        return self.frame(connection, "in", *fields)

    def rest(self, order_id: int, shares: float, stop_usd: float, trigger: int = 1) -> Traffic:
        """A resting stop as it should be, known at the broker."""
        name = f"intent-{order_id}"
        self.place(
            order_id, "SELL", shares, kind="STP", group=name, stop_usd=stop_usd, trigger=trigger
        )
        return self.status(order_id, "PreSubmitted")

    def cancel(self, order_id: int) -> Traffic:
        return self.frame(GATEWAY, "in", 4, 1, order_id, "")

    def status(self, order_id: int, status: str, owner: int = GATEWAY) -> Traffic:
        fields = [3, order_id, status, 0, 0, 0, 9000 + order_id, 0, 0, owner, "", 0]
        return self.frame(GATEWAY, "out", *fields)

    def others(self, action: str, shares: float, owner: int = 0) -> Traffic:
        """An order that is not ours, in the answer on open orders; word of it has spread."""
        fields: list[object] = [""] * 96
        fields[0:2], fields[13:15], fields[24:26] = [5, 0], [action, shares], [owner, 77]
        fields[3], fields[93:95] = "SMH", [0, "Submitted"]
        self.frame(GATEWAY, "out", *fields)
        self.ns += 2 * SECOND_NS
        return self

    def error(self, order_id: int, code: int) -> Traffic:
        return self.frame(GATEWAY, "out", 4, 2, order_id, code, "text", "")

    def execute(
        self, order_id: int, side: str, shares: float, price: float, exec_id: str = ""
    ) -> Traffic:
        """An execution and its commission of one dollar."""
        self._executions += 1
        exec_id = exec_id or f"0000.{self._executions:04}.01"
        local = datetime.fromtimestamp(self.ns / SECOND_NS, NEW_YORK)
        self.frame(
            GATEWAY, "out", 11, -1, order_id, 756733, "SMH", "STK", "", 0.0, "", "", "NASDAQ",
            "USD", "SMH", "NMS", exec_id, f"{local:%Y%m%d %H:%M:%S} US/Eastern", ACCOUNT,
            "NASDAQ", side, shares, price, 9000 + order_id, GATEWAY, 0, shares, price, "",
            "", "", "", 2,
        )  # fmt: skip
        return self.frame(GATEWAY, "out", 59, 1, exec_id, 1.0, "USD", 0.0, 0.0, "")

    def buy(self, order_id: int, shares: float, price: float) -> Traffic:
        """A purchase as it should be: placed, filled, ended, told in the position."""
        self.place(order_id, "BUY", shares).execute(order_id, "BOT", shares, price)
        return self.status(order_id, "Filled").position(shares)

    def sell(self, order_id: int, shares: float, price: float) -> Traffic:
        self.place(order_id, "SELL", shares).execute(order_id, "SLD", shares, price)
        return self.status(order_id, "Filled").position(0)

    def _after_close(self) -> bool:
        return datetime.fromtimestamp(self.ns / SECOND_NS, NEW_YORK).hour >= 16
