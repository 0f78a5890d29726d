"""What any connection to TWS says about itself; the gateway's and the feed's deciders hear it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from common.messages import Message, Ns, Seconds, Text, Word

ORDER_ID_MAX = 1_000_000_000
"""TWS counts orders from 1 on. What is larger is no order's id, and must not become the next one's:
ours would leave the 32 bits that TWS reads."""

Code = Annotated[int, Meta(ge=-(1 << 31), le=1 << 31)]
Port = Annotated[int, Meta(ge=0, le=65535)]


class LinkUp(Message, frozen=True):
    """The API handshake is complete; nothing but the handshake was sent.

    `next_order_id`: the first order id that TWS has not seen from this client id.
    """

    port: Port
    server_version: Code
    accounts: Annotated[tuple[Word, ...], Meta(max_length=200)]
    next_order_id: Annotated[int, Meta(ge=0, le=ORDER_ID_MAX)]


class LinkDown(Message, frozen=True):
    """There is no connection. `reason` is one plain line; said once for as long as it is the same.

    `listening`: something took the connection, so TWS runs but did not let us in.
    """

    reason: Text
    listening: bool


class TwsError(Message, frozen=True):
    """TWS's message 4. `ref_id`: the request or order id it is about, -1 for none."""

    ref_id: Code
    code: Code
    text: Text


class ClockCompared(Message, frozen=True):
    """Our market clock less TWS's, median of the last five comparisons, s (TWS says whole seconds).

    `heard_ns`: market time of the newest of them.
    """

    heard_ns: Ns
    offset_s: Seconds


class Unread(Message, frozen=True):
    """A message of TWS that the library could not read, so that nobody knows what it said.

    `kind`: its number or name, as the library tells it. Once for each kind and connection.
    """

    kind: Word


LinkMessage = LinkUp | LinkDown | TwsError | ClockCompared | Unread
