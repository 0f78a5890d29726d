"""What comes through the door: malformed, oversized, hostile or old messages are a WireError."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import settings as drawn
from hypothesis import strategies as st

from common import topology, wire
from common.messages import (
    ANSWERS,
    COMMANDS,
    FACTS,
    INTERNALS,
    Accepted,
    DailyHistory,
    Halt,
    HaltLatch,
    Message,
    Now,
    Order,
    Quote,
    SubmitOrder,
    Tick,
)
from common.wire import FRAME_BYTES_MAX, Envelope, Record, WireError

QUOTE = Quote(
    tick_ns=5, bid_usd=399.99, ask_usd=400.01, last_usd=400.0, mark_usd=400.0, agree=True,
    kind="live", tick_host_ns=7,
)  # fmt: skip
ORDER = Order(
    intent_id="20260303-ENTRY-1", day=date(2026, 3, 3), purpose="ENTRY", reason="signal",
    action="BUY", shares=7500, order_type="MKT", limit_usd=None, outside_rth=False,
    price_usd=400.0, deadline_ns=9,
)  # fmt: skip
SUBMIT = SubmitOrder(key="20260303-ENTRY-1", deadline_ns=0, order=ORDER)


def envelope(body: Message, **changes: Any) -> Envelope[Any]:
    plain: Envelope[Any] = Envelope(wire.WIRE_VERSION, "market_feed", 1, 2, 1, 3, body)
    return msgspec.structs.replace(plain, **changes)


def raw(*fields: object, topic: bytes = b"Quote\0") -> bytes:
    """A frame written by someone who does not share our types."""
    packed: bytes = msgpack.packb([1, "market_feed", 1, 2, 1, 3, *fields])
    return topic + packed


PLAIN: list[Any] = ["Quote", 5, 399.99, 400.01, 400.0, 400.0, True, "live", 7]


def test_a_fact_comes_out_as_it_went_in() -> None:
    assert wire.decode_fact(wire.encode_fact(envelope(QUOTE))) == envelope(QUOTE)


def test_a_command_and_its_answer_come_out_as_they_went_in() -> None:
    asked = envelope(SUBMIT, speaker="order_executor")
    assert wire.decode_command(wire.encode(asked)) == asked
    answered = envelope(Accepted(key="k", note=""), speaker="broker_gateway")
    assert wire.decode_answer(wire.encode(answered)) == answered


def test_the_bytes_are_plain_messagepack_that_any_reader_understands() -> None:
    frame = wire.encode_fact(envelope(QUOTE))
    topic, _, rest = frame.partition(b"\0")
    assert topic == b"Quote"
    assert msgpack.unpackb(rest) == [1, "market_feed", 1, 2, 1, 3, PLAIN]
    assert raw(PLAIN) == frame


# --- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "price", [math.nan, math.inf, -math.inf, 0.0, -1.0, 1e7, True, "400", None, b"400", [400.0]]
)
def test_what_is_no_price_is_refused_as_a_price(price: object) -> None:
    with pytest.raises(WireError):
        wire.decode_fact(raw([*PLAIN[:5], price, *PLAIN[6:]]))


@pytest.mark.parametrize("amount", [math.nan, math.inf, -math.inf, 1e13, True, "1", None])
def test_what_is_no_amount_is_refused_as_an_amount(amount: object) -> None:
    with pytest.raises(WireError):
        wire.decode_fact(raw(["Commission", "e1", amount], topic=b"Commission\0"))


@pytest.mark.parametrize("shares", [True, 1.0, 1.5, 0, -1, 10_000_001, 1 << 63, "1", None])
def test_what_is_no_number_of_shares_is_refused_in_an_order(shares: object) -> None:
    order = list(msgspec.to_builtins(ORDER))
    order[5] = shares
    with pytest.raises(WireError):
        wire.decode_command(raw(["SubmitOrder", "k", 0, order], topic=b""))


@pytest.mark.parametrize(
    "intent", ["", "20260303-ENTRY-", "20260303-HEDGE-1", "20260303-EXIT-1\n", "x" * 40, 7]
)
def test_an_intent_that_is_none_of_ours_is_refused(intent: object) -> None:
    order = list(msgspec.to_builtins(ORDER))
    order[0] = intent
    with pytest.raises(WireError):
        wire.decode_command(raw(["SubmitOrder", "k", 0, order], topic=b""))


# --- shapes ------------------------------------------------------------------------------------

MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "no topic": wire.encode(envelope(QUOTE)).replace(b"\0", b"\1"),
    "a topic alone": b"Quote\0",
    "not messagepack": b"Quote\0\xc1",
    "a bare number": b"Quote\0\x01",
    "a map": b"Quote\0\x80",
    "cut short": wire.encode_fact(envelope(QUOTE))[:-1],
    "bytes behind it": wire.encode_fact(envelope(QUOTE)) + b"\x00",
    "a field too few": raw(PLAIN[:-2]),
    "a field too many": raw([*PLAIN, 1]),
    "an envelope field too many": raw(PLAIN, 1),
    "an unknown type": raw(["Bribe", 1], topic=b"Bribe\0"),
    "a command on a fact's socket": raw(["Halt", "k", 0, "me", "why"], topic=b"Halt\0"),
    "an internal message": raw(["Tick"], topic=b"Tick\0"),
    "another fact's topic": raw(["Commission", "e1", 1.0]),
    "a negative sequence": b"Quote\0" + msgpack.packb([1, "market_feed", 1, -2, 1, 3, PLAIN]),
    "an endless speaker": b"Quote\0" + msgpack.packb([1, "m" * 41, 1, 2, 1, 3, PLAIN]),
    "text that is no UTF-8": b"Quote\0" + b"\x97\x01\xa2\xff\xfe\x01\x02\x01\x03" + b"\x91\x01",
    "a list of four billion": b"Quote\0\xdd\xff\xff\xff\xff",
    "a text of four billion": b"Quote\0\xdb\xff\xff\xff\xff",
    "a map of four billion": b"Quote\0\xdf\xff\xff\xff\xff",
    "bytes of four billion": b"Quote\0\xc6\xff\xff\xff\xff",
    "an extension": b"Quote\0\xc7\x08\x05" + b"x" * 8,
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_frame_is_a_wire_error(what: str) -> None:
    with pytest.raises(WireError):
        wire.decode_fact(MALFORMED[what])


@pytest.mark.parametrize("depth", [1_000, 10_000, 60_000])
@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1k", b"\xdc\x00\x01"])
@pytest.mark.parametrize("inside", [b"", b"\x97\x01\xa1m\x01\x02\x01\x03", b"Quote\0\x97\x01"])
def test_deep_nesting_is_a_wire_error_and_no_crash(
    depth: int, opening: bytes, inside: bytes
) -> None:
    frame = (inside + opening * depth)[:FRAME_BYTES_MAX]
    for decode in (wire.decode_fact, wire.decode_command, wire.decode_answer):
        with pytest.raises(WireError):
            decode(frame)


def test_a_key_twice_cannot_change_an_order_because_nothing_travels_as_a_map() -> None:
    """Readers differ on which of two equal keys wins; positions cannot be doubled."""
    body = b"\x82\xa6shares\x01\xa6shares\x64"
    with pytest.raises(WireError):
        wire.decode_command(b"\x97\x01\xa1m\x01\x02\x01\x03" + body)


@pytest.mark.parametrize("version", [0, 2, 99, -1])
def test_another_version_of_the_wire_is_refused(version: int) -> None:
    with pytest.raises(WireError, match="version"):
        wire.decode_fact(wire.encode_fact(envelope(QUOTE, version=version)))


def test_a_frame_over_the_limit_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(WireError, match="too large"):
        wire.decode_command(b"\x91" * (FRAME_BYTES_MAX + 1))


def test_what_would_be_too_large_to_be_heard_is_not_sent() -> None:
    history = DailyHistory(days=(date(2026, 3, 3),) * 6000, closes_usd=(400.0,) * 6000)
    with pytest.raises(WireError, match="too large"):
        wire.encode(envelope(history))


def test_the_longest_history_fits() -> None:
    days, closes = (date(2026, 3, 3),) * 3000, (123.456789,) * 3000
    frame = wire.encode_fact(envelope(DailyHistory(days=days, closes_usd=closes)))
    assert wire.decode_fact(frame).body == DailyHistory(days=days, closes_usd=closes)


def test_no_fact_is_read_as_a_command_and_no_command_as_an_answer() -> None:
    with pytest.raises(WireError):
        wire.decode_command(wire.encode(envelope(HaltLatch(mode="ACTIVE", reason="", since_ns=1))))
    with pytest.raises(WireError):
        wire.decode_answer(wire.encode(envelope(SUBMIT)))


def test_a_history_has_one_close_for_each_day() -> None:
    days = ["2026-03-03", "2026-03-04"]
    for closes in ([], [400.0], [400.0, 401.0, 402.0]):
        with pytest.raises(WireError, match="one close for each day"):
            wire.decode_fact(raw(["DailyHistory", days, closes], topic=b"DailyHistory\0"))


# --- anything at all ---------------------------------------------------------------------------

DECODERS: list[Callable[[bytes], Envelope[Any]]] = [
    wire.decode_fact,
    wire.decode_command,
    wire.decode_answer,
]


@drawn(max_examples=500, deadline=None)
@given(st.binary(max_size=300))
@example(b"\0")
def test_any_bytes_are_a_message_or_a_wire_error(frame: bytes) -> None:
    for decode in DECODERS:
        try:
            decoded = decode(frame)
        except WireError:
            continue
        assert isinstance(decoded.body, Message)


@drawn(max_examples=500, deadline=None)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), which=st.sampled_from(["quote", "order"]))
def test_a_flipped_bit_is_refused_or_still_a_valid_message(at: int, bit: int, which: str) -> None:
    fact = which == "quote"
    frame = bytearray(wire.encode_fact(envelope(QUOTE)) if fact else wire.encode(envelope(SUBMIT)))
    frame[at % len(frame)] ^= 1 << bit
    try:
        body = (wire.decode_fact if fact else wire.decode_command)(bytes(frame)).body
    except WireError:
        return
    if isinstance(body, Quote):
        assert math.isfinite(body.mark_usd)
        assert body.mark_usd > 0
    elif isinstance(body, SubmitOrder):
        assert body.order.shares > 0


# --- journals ----------------------------------------------------------------------------------


def test_a_record_comes_back_with_everything_that_was_decided() -> None:
    record: Record[Any] = Record(Now(1, 2), "market_feed", 3, 4, QUOTE, ((7, SUBMIT), (0, Tick())))
    assert wire.record_decoder().decode(wire.encode_any(record)) == record


def test_a_journal_holds_every_kind_of_message_once() -> None:
    kinds = [*FACTS, *COMMANDS, *ANSWERS, *INTERNALS]
    names = [kind.__name__ for kind in kinds]
    assert len(names) == len(set(names)), "two types of one name could not be told apart"


def test_an_edges_own_messages_are_read_only_where_they_are_named() -> None:
    class Rang(Message, frozen=True):
        times: int

    record: Record[Any] = Record(Now(1, 2), "tws", 0, 0, Rang(3), ())
    data = wire.encode_any(record)
    assert wire.record_decoder((Rang,)).decode(data) == record
    with pytest.raises(msgspec.ValidationError):
        wire.record_decoder().decode(data)


def test_every_topic_is_its_facts_name_and_no_prefix_of_another() -> None:
    topics = [wire.topic_of(fact) for fact in topology.FACTS]
    assert not [a for a in topics for b in topics if a != b and b.startswith(a)]


def test_sizes_are_bounded_wherever_a_length_is_claimed() -> None:
    """A text that is whole and well-formed is too long all the same."""
    body = Halt(key="k", deadline_ns=0, by="me", reason="x" * 2001)
    with pytest.raises(WireError):
        wire.decode_command(wire.encode(envelope(body)))
