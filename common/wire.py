"""The bytes between processes and in journals: MessagePack tuples, validated as they are decoded.

A fact travels as one frame, `TopicName NUL envelope`, so that a subscription is a plain prefix. A
command and its answer travel as an envelope alone. Size is checked before anything is decoded;
an unknown version, type, field or value is a WireError and nothing else happens.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar, Union

import msgspec
from msgspec import Meta, Struct

from common.messages import ANSWERS, COMMANDS, FACTS, INTERNALS, Answer, Command, Fact, Message, Now

WIRE_VERSION = 1
FRAME_BYTES_MAX = 65_536

Body = TypeVar("Body")
Sequence = Annotated[int, Meta(ge=0, le=1 << 62)]


class WireError(ValueError):
    """A frame that is not a message of this version; the text says why."""


class Envelope(
    Struct, Generic[Body], frozen=True, array_like=True, forbid_unknown_fields=True, gc=False
):
    """Who says it, and which of its words it is.

    `epoch` names the speaker's journal, `seq` counts within it per topic, across restarts. `floor`
    is the smallest sequence number the speaker still keeps of this topic.
    """

    version: int
    speaker: Annotated[str, Meta(max_length=40)]
    epoch: Sequence
    seq: Sequence
    floor: Sequence
    market_ns: Sequence
    body: Body


_encoder = msgspec.msgpack.Encoder()
_fact_decoder = msgspec.msgpack.Decoder(Envelope[Fact])
_command_decoder = msgspec.msgpack.Decoder(Envelope[Command])
_answer_decoder = msgspec.msgpack.Decoder(Envelope[Answer])


_NAMES = {fact: fact.__name__.encode() for fact in FACTS}


def topic_of(fact: type[Message]) -> bytes:
    """The subscription prefix of a fact."""
    return _NAMES[fact] + b"\0"


def encode(envelope: Envelope[Any]) -> bytes:
    """An envelope's bytes; WireError when it would be too large to be heard."""
    frame = _encoder.encode(envelope)
    if len(frame) > FRAME_BYTES_MAX - 64:
        raise WireError(f"{type(envelope.body).__name__} of {len(frame)} bytes is too large")
    return frame


def encode_fact(envelope: Envelope[Any]) -> bytes:
    """A fact's frame, its topic in front."""
    return topic_of(type(envelope.body)) + encode(envelope)


def decode_fact(frame: bytes) -> Envelope[Fact]:
    """The fact in a PUB/SUB frame; WireError."""
    topic, found, rest = frame.partition(b"\0")
    if not found:
        raise WireError("a fact without a topic")
    envelope = _decode(_fact_decoder, rest)
    if _NAMES[type(envelope.body)] != topic:
        raise WireError(f"{type(envelope.body).__name__} under another topic")
    return envelope


def decode_command(frame: bytes) -> Envelope[Command]:
    """The command in a ROUTER frame; WireError."""
    return _decode(_command_decoder, frame)


def decode_answer(frame: bytes) -> Envelope[Answer]:
    """The answer in a DEALER frame; WireError."""
    return _decode(_answer_decoder, frame)


Decoded = TypeVar("Decoded")


def _decode(decoder: msgspec.msgpack.Decoder[Envelope[Decoded]], frame: bytes) -> Envelope[Decoded]:
    if len(frame) > FRAME_BYTES_MAX:
        raise WireError(f"a frame of {len(frame)} bytes is too large")
    try:
        envelope = decoder.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(str(error)) from error
    if envelope.version != WIRE_VERSION:
        raise WireError(f"wire version {envelope.version}, this is {WIRE_VERSION}")
    return envelope


class Record(Struct, Generic[Body], frozen=True, array_like=True):
    """One line of a journal: what was heard, from whom, and everything decided on it.

    `source` is a service's name, "" for the loop itself, "tws" for the service's own edge.
    `outputs`: each message said with its sequence number (0 where it is no fact).
    """

    now: Now
    source: str
    epoch: int
    seq: int
    message: Body
    outputs: tuple[tuple[int, Body], ...]


class LoopState(Struct, frozen=True, array_like=True):
    """What the loop itself must remember over a restart, beside the decider's state.

    `heard`: (speaker, topic, epoch, seq) of the newest fact taken; `next_seq`: per topic;
    `kept`: (session file, seq, message) of the facts that are said again; `asked`: open commands.
    """

    epoch: int
    heard: tuple[tuple[str, str, int, int], ...]
    next_seq: tuple[tuple[str, int], ...]
    kept: tuple[tuple[str, int, msgspec.Raw], ...]
    asked: tuple[tuple[str, msgspec.Raw], ...]


class Header(Struct, frozen=True, array_like=True):
    """The first record of a journal file: everything that came before it, in one State."""

    version: int
    service: str
    build: str
    now: Now
    settings_json: str
    loop: LoopState
    state: msgspec.Raw
    boot: str = ""  # of the machine; empty in journals from before it was kept


def encode_any(value: object) -> bytes:
    """Bytes for a journal: a Record, a Header or a decider's State."""
    return _encoder.encode(value)


@lru_cache
def record_decoder(
    edge_messages: tuple[type[Message], ...] = (),
) -> msgspec.msgpack.Decoder[Record[Any]]:
    """Decoder of the journal of a service whose edge speaks `edge_messages`."""
    types = (*FACTS, *COMMANDS, *ANSWERS, *INTERNALS, *edge_messages)
    any_message: Any = Union[types]  # noqa: UP007  (a union of a tuple made at run time)
    return msgspec.msgpack.Decoder(Record[any_message])


@lru_cache
def message_decoder(
    edge_messages: tuple[type[Message], ...] = (),
) -> msgspec.msgpack.Decoder[Any]:
    """Decoder of one bare message, as LoopState keeps them."""
    types = (*FACTS, *COMMANDS, *ANSWERS, *INTERNALS, *edge_messages)
    return msgspec.msgpack.Decoder(Union[types])  # noqa: UP007  (as above)


header_decoder = msgspec.msgpack.Decoder(Header)
