"""Fixtures of the simulated TWS's tests: one synthetic market, a server, both client libraries."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.sim_tws.market import Market, synthetic
from tests.sim_tws.harness import FIRST_DAY, SimThread, running
from tests.sim_tws.raw_client import RawClient

Connect = Callable[..., Any]


@pytest.fixture(scope="session")
def market() -> Market:
    return synthetic(7, FIRST_DAY)


@pytest.fixture
def sim(market: Market, tmp_path: Path) -> Iterator[SimThread]:
    """10:00 on the first day, portfolio margin, $1,000,000."""
    with running(market, tmp_path) as server:
        yield server


@pytest.fixture
def raw(sim: SimThread) -> Iterator[Callable[..., RawClient]]:
    """Opens raw clients that are closed afterwards."""
    opened: list[RawClient] = []

    def connect(version: str = "v157..176", client_id: int = 1) -> RawClient:
        client = RawClient(sim.port, version, client_id)
        opened.append(client)
        return client

    yield connect
    for client in opened:
        client.close()


@pytest.fixture(params=["ib_insync", "ib_async"])
def library(request: pytest.FixtureRequest) -> Any:
    """The client libraries as they are; quiet, because their logs repeat what tests check."""
    logging.getLogger(request.param).setLevel(logging.CRITICAL)
    for part in ("client", "wrapper", "ib"):
        logging.getLogger(f"{request.param}.{part}").setLevel(logging.CRITICAL)
    return importlib.import_module(request.param)


@pytest.fixture
def connect(library: Any, sim: SimThread) -> Iterator[Connect]:
    """Connects unmodified clients with their defaults, and disconnects them afterwards."""
    opened: list[Any] = []

    def open_client(client_id: int = 1, **options: Any) -> Any:
        client = library.IB()
        opened.append(client)
        client.connect("127.0.0.1", sim.port, clientId=client_id, **options)
        return client

    yield open_client
    for client in opened:
        client.disconnect()
