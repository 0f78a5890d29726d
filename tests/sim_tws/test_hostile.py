"""Whatever bytes arrive: an error or a clean close, and the server serves on."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

import pytest

from services.sim_tws.session import QUEUED_REQUESTS_MAX, REQUESTS_PER_S_MAX
from services.sim_tws.wire import FRAME_BYTES_MAX
from tests.sim_tws.harness import SimThread, eventually
from tests.sim_tws.raw_client import SMH, RawClient, order_fields

Raw = Callable[..., RawClient]


def serves(raw: Raw, client_id: int = 50) -> bool:
    """Does a fresh client still get its account?"""
    return raw(client_id=client_id).start().heard[0][0] == "15"


def test_another_protocol_is_closed_at_once(raw: Raw, sim: SimThread) -> None:
    with socket.create_connection(("127.0.0.1", sim.port), timeout=8) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert stranger.recv(100) == b""
    assert serves(raw)


def test_an_oversized_frame_closes_its_connection_only(raw: Raw, sim: SimThread) -> None:
    client = raw().start()

    client.socket.sendall(struct.pack(">I", FRAME_BYTES_MAX + 1) + b"x" * 100)

    assert client.closed()
    assert serves(raw)
    assert any("frame of" in line for line in sim.log)


@pytest.mark.parametrize("message", ["0", "9999", "-1", "banana", "", "1e5", "٣"])
def test_an_unknown_message_gets_320_and_the_socket_stays(raw: Raw, message: str) -> None:
    client = raw().start()

    client.say(message, 1, 2, 3)

    assert client.hear("4", f3="321" if message in {"0", "9999", "1e5"} else "320")
    client.say(17, 1)
    assert client.hear("15")


@pytest.mark.parametrize("end", ["00010101 00:00:00", "19691231 10:00:00 UTC", "99991231 23:59:59"])
def test_a_history_up_to_an_impossible_year_is_answered_and_the_server_serves_on(
    raw: Raw, end: str
) -> None:
    client = raw().start()
    client.say(20, 4, *SMH, 0, end, "1 day", "5 Y", 1, "TRADES", 1, 0, "")
    assert client.hear("17") if end.startswith("9") else client.hear("4", f2="4")
    assert serves(raw)


@pytest.mark.parametrize("duration", ["9" * 4400 + " D", "² D", "0 D", "D", ""])
def test_a_history_of_an_impossible_length_is_answered_and_the_server_serves_on(
    raw: Raw, duration: str
) -> None:
    client = raw().start()
    client.say(20, 4, *SMH, 0, "", "1 day", duration, 1, "TRADES", 1, 0, "")
    assert client.hear("4", f2="4")[3] == "321"
    assert serves(raw)


def test_known_but_unsupported_requests_name_themselves(raw: Raw) -> None:
    client = raw().start()

    client.say(10, 5, 7, *SMH, 5, 0, "")

    wrong = client.hear("4", f2="7")
    assert wrong[3] == "321"
    assert "reqMktDepth" in wrong[4]


@pytest.mark.parametrize("cut", range(1, 115, 6))
def test_a_torn_order_is_an_error_with_its_id_and_never_an_order(
    raw: Raw, sim: SimThread, cut: int
) -> None:
    client = raw().start()

    client.say(*order_fields(9, 176)[:cut])

    wrong = client.hear("4", f3="321")
    assert wrong[2] == ("9" if cut > 1 else "-1")
    assert sim.broker.books.orders == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [("quantity", "nan"), ("quantity", "inf"), ("quantity", -5), ("quantity", 1.5),
     ("quantity", "1e300"), ("limit", "nan"), ("limit", "x"), ("limit", -3), ("limit", 10.001),
     ("action", "HOLD"), ("kind", "NONSENSE"), ("tif", "SOON"), ("transmit", "maybe"),
     ("account", "U999"), ("until", "tomorrow")],
)  # fmt: skip
def test_a_senseless_order_is_refused(raw: Raw, sim: SimThread, field: str, value: object) -> None:
    client = raw().start()
    given: dict[str, object] = {"kind": "LMT", "limit": 10.0, field: value}
    if field == "until":
        given["tif"] = "GTD"

    client.say(*order_fields(1, 176, **given))

    assert client.hear("4", f2="1")[3] in {"321", "110", "387", "10052", "10243", "201"}
    assert sim.do(sim.broker.books.live) == []


def test_random_bytes_never_stop_the_server(raw: Raw, caplog: pytest.LogCaptureFixture) -> None:
    rng = random.Random(1)
    alphabet = [b"\0", b"1", b"2", b"9", b"-", b"nan", b"SMH", b"STK", b"\xff", b"1e400", b""]
    for number in range(60):
        client = raw(client_id=100 + number).start()
        for _ in range(20):
            message = str(rng.randrange(0, 110)).encode()
            body = message + b"\0" + b"".join(rng.choices(alphabet, k=rng.randrange(0, 60)))
            client.say_bytes(body)
        client.socket.sendall(rng.randbytes(200))

        client.closed()

    assert serves(raw)
    assert not [record.getMessage() for record in caplog.records]


def test_requests_before_the_start_are_refused(raw: Raw) -> None:
    client = raw()
    client.shake_hands()

    client.say(61, 1)

    assert client.hear("4")[3] == "503"


def test_more_than_fifty_requests_a_second_get_100_and_the_third_time_the_door(
    raw: Raw,
) -> None:
    client = raw().start()
    with suppress(ConnectionError):  # the door may shut before all is said
        for _ in range(REQUESTS_PER_S_MAX * 4):
            client.say(17, 1)

    assert client.hear("4", f3="100")[4].startswith("Max rate of messages")
    assert client.closed()
    assert serves(raw)


def test_paced_requests_wait_their_turn_and_are_bounded(raw: Raw, sim: SimThread) -> None:
    sim.fault("pace-requests")
    client = raw().start()
    for _ in range(REQUESTS_PER_S_MAX + 20):
        client.say(17, 1)
    for _ in range(REQUESTS_PER_S_MAX + 20):
        client.hear("15")

    for _ in range(QUEUED_REQUESTS_MAX + REQUESTS_PER_S_MAX + 2):
        client.say(17, 1)
    assert client.closed()


def test_duplicate_and_unknown_subscriptions_get_their_codes(raw: Raw) -> None:
    client = raw().start()
    client.say(1, 11, 7, *SMH, 0, "", 0, 0, "")
    client.hear("58")

    client.say(1, 11, 7, *SMH, 0, "", 0, 0, "")
    assert client.hear("4", f2="7")[3] == "322"
    client.say(2, 2, 8)
    assert client.hear("4", f2="8")[3] == "300"
    client.say(25, 1, 9)
    assert client.hear("4", f2="9")[3] == "366"
    client.say(1, 11, 10, *SMH, 0, "99999", 0, 0, "")
    assert client.hear("4", f2="10")[3] == "321"


def test_small_bars_asked_twice_are_a_pacing_violation(raw: Raw) -> None:
    client = raw().start()
    for req_id in (1, 2):
        client.say(20, req_id, *SMH, 0, "", "5 secs", "60 S", 1, "TRADES", 1, 0, "")

    assert client.hear("17")[1] == "1"
    wrong = client.hear("4", f2="2")
    assert wrong[3] == "162"
    assert "pacing violation" in wrong[4]


@pytest.mark.parametrize(
    ("bar", "duration", "show", "end"),
    [("7 secs", "1 D", "TRADES", ""), ("1 day", "0 D", "TRADES", ""), ("1 day", "x", "TRADES", ""),
     ("1 day", "1 D", "GOSSIP", ""), ("1 day", "1 D", "TRADES", "yesterday"),
     ("1 day", "9 Q", "TRADES", "")],
)  # fmt: skip
def test_a_malformed_history_request_gets_321(
    raw: Raw, bar: str, duration: str, show: str, end: str
) -> None:
    client = raw().start()

    client.say(20, 3, *SMH, 0, end, bar, duration, 1, show, 1, 0, "")

    assert client.hear("4", f2="3")[3] == "321"


def test_a_client_that_never_reads_cannot_fill_the_memory(
    raw: Raw, sim: SimThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.sim_tws.session.OUTGOING_BYTES_MAX", 200_000)
    client = raw().start()
    for req_id in range(40):
        client.say(20, req_id, *SMH, 0, "", "1 min", "5 D", 1, "TRADES", 1, 0, "")

    eventually(lambda: any("does not read" in line for line in sim.log))
    assert serves(raw)
