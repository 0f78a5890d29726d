"""The oracle reads real bytes: an unmodified client trades on the simulated TWS, which records.

Its figures are compared with what the client library made of the same bytes, and with the
simulator's own books. The only test here that knows the simulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ib_insync
import pytest

from services.sim_tws.market import synthetic
from tests.oracle.judge import judge
from tests.sim_tws.harness import FIRST_DAY, SimThread, eventually, running


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "wire.msgpack"


@pytest.fixture
def sim(tmp_path: Path, record: Path) -> Iterator[SimThread]:
    with running(synthetic(7, FIRST_DAY), tmp_path, at="15:50", record=record) as server:
        yield server


@pytest.fixture
def client(sim: SimThread) -> Iterator[Any]:
    client: Any = ib_insync.IB()  # type: ignore[no-untyped-call]  # it ships no types
    client.connect("127.0.0.1", sim.port, clientId=1)
    yield client
    client.disconnect()


def prepared(client: Any) -> Any:
    """Everything an entry rests on, asked on the same connection; returns the contract."""
    (smh,) = client.qualifyContracts(ib_insync.Stock("SMH", "SMART", "USD"))
    client.reqHistoricalData(smh, "", "5 Y", "1 day", "TRADES", useRTH=True)
    client.reqMktData(smh)
    return smh


def order(action: str, shares: int, client: Any) -> Any:
    (account,) = client.managedAccounts()
    return ib_insync.MarketOrder(
        action, shares, tif="DAY", account=account, orderRef=f"test-{action}"
    )


def traded(client: Any, contract: Any, wanted: Any, sim: SimThread) -> Any:
    """Places the order and waits for every fill and its commission."""
    trade = client.placeOrder(contract, wanted)

    def done() -> bool:
        fills = trade.fills
        charged = [fill for fill in fills if fill.commissionReport.commission]
        filled = sum(fill.execution.shares for fill in fills)
        return bool(filled == wanted.totalQuantity and len(charged) == len(fills))

    def pump() -> None:
        sim.pass_s(0.3)
        client.sleep(0.01)

    eventually(done, pump)
    return trade


def test_an_entry_of_an_unmodified_client_is_read_as_the_client_reads_it(
    client: Any, sim: SimThread, record: Path
) -> None:
    smh = prepared(client)
    sim.go("15:55:01")
    trade = traded(client, smh, order("BUY", 11_000, client), sim)
    sim.go("16:05")
    eventually(client.positions, lambda: client.sleep(0.01))

    found = judge(record)

    assert found.violations == (), found.text()
    assert found.figures.entries == 1
    assert found.figures.shares == client.positions()[0].position == 11_000
    assert {e.exec_id for e in found.executions} == {f.execution.execId for f in trade.fills}
    assert sum(e.shares * e.price_usd for e in found.executions) == pytest.approx(
        sum(f.execution.shares * f.execution.price for f in trade.fills)
    )
    account = sim.broker.account
    assert found.figures.cash_usd == pytest.approx(account.cash_usd, abs=0.005)
    assert found.figures.published_cash_usd == pytest.approx(account.cash_usd, abs=0.005)
    assert found.figures.missed_entries == ()


def test_what_the_client_does_wrong_on_the_real_wire_is_found(
    client: Any, sim: SimThread, record: Path
) -> None:
    smh = prepared(client)
    traded(client, smh, order("BUY", 100, client), sim)
    selling = order("SELL", 100, client)
    selling.tif, selling.orderRef, selling.account = "", "", ""
    traded(client, smh, selling, sim)

    found = judge(record)

    sentences = "\n".join(violation.sentence for violation in found.violations)
    for wrong in (
        "outside the entry window", "no account", "no TIF", "no orderRef",
        "without a breach, a bear signal or a flatten",
    ):  # fmt: skip
        assert wrong in sentences
    assert found.figures.shares == 0


def test_a_client_that_is_cut_off_and_comes_back_is_counted_and_learns_what_happened(
    client: Any, sim: SimThread, record: Path
) -> None:
    smh = prepared(client)
    sim.go("15:55:01")
    client.placeOrder(smh, order("BUY", 11_000, client))
    client.sleep(0.05)
    client.disconnect()
    sim.go("15:56")
    client.connect("127.0.0.1", sim.port, clientId=1)
    sim.go("16:05")

    found = judge(record, gateway_starts=1)

    assert [v.sentence for v in found.violations] == [
        "the order connection was made 2 times by 1 starts"
    ]
    assert found.figures.shares == 11_000
    assert found.figures.cash_usd == pytest.approx(sim.broker.account.cash_usd, abs=0.005)
