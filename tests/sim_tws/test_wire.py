"""Frames and fields: any cut of the stream, any text in a field."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sim_tws.request_parser import BadRequestError, parse
from services.sim_tws.wire import (
    GREETING,
    FieldError,
    Fields,
    FrameReader,
    ProtocolError,
    frame,
    payload,
)

BODIES = st.lists(st.binary(max_size=60), max_size=6)
TEXTS = st.one_of(
    st.sampled_from(
        ["", "0", "1", "nan", "inf", "-1", "1e308", "2147483647", "SMH", "BAG", "\x00"]
    ),
    st.text(max_size=8),
    st.integers().map(str),
)


@given(bodies=BODIES, cuts=st.lists(st.integers(1, 7), min_size=1))
def test_frames_come_out_whole_however_the_stream_is_cut(
    bodies: list[bytes], cuts: list[int]
) -> None:
    stream = GREETING + b"".join(frame(body) for body in bodies)
    reader, found, at = FrameReader(), [], 0

    while at < len(stream):
        step = cuts[at % len(cuts)]
        found += list(reader.feed(stream[at : at + step]))
        at += step

    assert found == bodies


def test_a_wrong_greeting_or_length_ends_the_stream() -> None:
    with pytest.raises(ProtocolError):
        list(FrameReader().feed(b"GET "))
    with pytest.raises(ProtocolError):
        list(FrameReader().feed(GREETING + struct.pack(">I", 2**31)))


@given(message=st.integers(-5, 230), texts=st.lists(TEXTS, max_size=130))
def test_any_fields_are_a_request_or_a_refusal(message: int, texts: list[str]) -> None:
    body = payload(message, *texts)

    for version in (157, 176):
        with suppress(BadRequestError):
            assert type(parse(body, version)).__module__ == "services.sim_tws.requests"


@pytest.mark.parametrize(
    "text", ["", "1.7976931348623157E308", "1.7976931348623157e+308", "2147483647"]
)
def test_every_spelling_of_unset_reads_as_none(text: str) -> None:
    assert Fields(payload(text)).number() is None
    assert Fields(payload(text)).whole() is None


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "0x10", "1_0", "٣", "--1", "1,5"])
def test_no_field_smuggles_in_an_odd_number(text: str) -> None:
    with pytest.raises(FieldError):
        Fields(payload(text)).number()
    with pytest.raises(FieldError):
        Fields(payload(text)).whole()


def test_numbers_are_written_so_that_they_read_the_same() -> None:
    yes = True
    body = payload(1, 0.1, 1e-7, -3, None, yes, "text", 1.7976931348623157e308)

    assert body == b"1\x000.1\x001e-07\x00-3\x00\x001\x00text\x001.7976931348623157E308\x00"
