"""Protocols that are broken on purpose: a test of the tests.

Each changes one thing that the safety of the whole rests on; the suite must fail on it. Where
several limits guard the same promise (the sizing, and the gateway's own limit on leverage) a mutant
breaks them together: alone, each would be covered by the other, which is what they are for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from common import wire
from common.core import outbox, rules
from common.core.gateway import guard, limits, one_cancels_all, outbound, reconcile
from common.core.gateway.state import Outbound, State
from common.core.monitor import exits, ledger, stop
from common.core.monitor.state import State as RiskState
from common.engine import Engine
from common.journal import Journal
from common.messages import Accepted, Fill, Message, Now, SubmitOrder, Tick

Change = tuple[Any, str, Any]


@dataclass(frozen=True)
class Mutant:
    """`name` says what is wrong with it; `changes` are (owner, attribute, broken); `found_by`: the
    file of tests of which one must fail."""

    name: str
    changes: tuple[Change, ...]
    found_by: str

    def live(self) -> None:
        """Breaks this process for good."""
        for owner, name, broken in self.changes:
            setattr(owner, name, broken)


_send = outbox._send
_answer_submit = outbox._answer_submit
_append = Journal.append
_judge = Engine._judge
_take_fill = ledger.take_fill
_shares_for = rules.shares_for


def _new_id(state: State, now: Now, out: Outbound) -> Any:
    return msgspec.structs.replace(_send(state, now, out), order_id=state.next_order_id())


def _no_dedup(state: State, now: Now, asked: SubmitOrder) -> list[Message]:
    if asked.order.intent_id in state.orders and not limits.link_refusal(state):
        again = Outbound(asked.order)
        return [Accepted(key=asked.key, note=""), _send(state, now, again)]
    return _answer_submit(state, now, asked)


def _prepared_again(state: State) -> None:
    for out in state.open_orders():
        if out.stage == "SENDING":
            out.stage = "PREPARED"


def _one_early_snapshot(
    state: State, now: Now, out: Outbound, _begun_ns: int, _reported: int
) -> None:
    reconcile._resolve(state, now, out, out.position_before)


def _journal_after_send(
    self: Engine, message: Message, source: str, epoch: int, seq: int, peer: bytes
) -> None:
    held: list[bytes] = []
    append = self._journal.append
    self._journal.append = held.append  # type: ignore[method-assign, assignment]  # the mutant's own doing
    try:
        _judge(self, message, source, epoch, seq, peer)
    finally:
        self._journal.append = append  # type: ignore[method-assign]  # as above
    for payload in held:
        append(payload)


_any_record = msgspec.msgpack.Decoder(wire.Record[msgspec.Raw])


def _two_records(self: Journal, payload: bytes) -> None:
    record = _any_record.decode(payload)
    if not record.outputs:
        _append(self, payload)
        return
    alone = msgspec.structs.replace(record, outputs=())
    tick = msgspec.Raw(wire.encode_any(Tick()))
    after = msgspec.structs.replace(record, source="", epoch=0, seq=0, message=tick)
    _append(self, wire.encode_any(alone))
    _append(self, wire.encode_any(after))


def _never_asked_again(_self: Engine, _now_ns: int) -> None:
    return


def _fill_booked_twice(state: RiskState, now: Now, fill: Fill) -> None:
    state.fills.pop(fill.exec_id, None)
    _take_fill(state, now, fill)


def _too_large(equity_usd: float, leverage: float, price_usd: float) -> int:
    return int(1.3 * _shares_for(equity_usd, leverage, price_usd))


def _nothing(*_arguments: Any, **_named: Any) -> None:
    return


def _yes(*_arguments: Any, **_named: Any) -> bool:
    return True


def _no_reason(*_arguments: Any, **_named: Any) -> str:
    return ""


def _none_sold(_state: State, *_arguments: Any, **_named: Any) -> int:
    return 0


def _watches_always(_guard: guard.Guard) -> bool:
    return True


_direct: Callable[..., list[Message]] = exits.decide


def _waits_for_the_executor(state: RiskState, now: Now) -> list[Message]:
    return [m for m in _direct(state, now) if not isinstance(m, SubmitOrder)]


_CRASHES = "tests/core/test_outbox_crashes.py"
_LIMITS = "tests/core/test_outbox_limits.py"
_ENGINE = "tests/test_engine.py"
_EXITS = "tests/core/test_risk_exits.py"
_STOP = "tests/core/test_risk_stop.py"

MUTANTS = (
    Mutant("sends again under a new order id", ((outbox, "_send", _new_id),), _CRASHES),
    Mutant("does not know a repeated order", ((outbox, "_answer_submit", _no_dedup),), _CRASHES),
    Mutant("forgets that a send may have left", ((outbound, "doubt", _prepared_again),), _CRASHES),
    Mutant(
        "takes one early snapshot for proof",
        ((reconcile, "_take_absence", _one_early_snapshot),),
        _CRASHES,
    ),
    Mutant("never sends again", ((outbox, "_again", _nothing),), _CRASHES),
    Mutant(
        "writes its journal after the send", ((Engine, "_judge", _journal_after_send),), _ENGINE
    ),
    Mutant(
        "does not wait for the disk",
        ((outbox, "DURABLE", frozenset()),),
        "tests/simulation/test_simulation.py",
    ),
    Mutant("writes two records an event", ((Journal, "append", _two_records),), _ENGINE),
    Mutant("asks once and never again", ((Engine, "_ask_again", _never_asked_again),), _ENGINE),
    Mutant(
        "books a fill as often as it is told", ((ledger, "take_fill", _fill_booked_twice),), _EXITS
    ),
    Mutant("forgets what is being sold already", ((State, "working_sells", _none_sold),), _LIMITS),
    Mutant(
        "sells beside the stop at the broker",
        (
            (one_cancels_all, "group_of", _no_reason),
            (one_cancels_all, "in_the_way", _no_reason),
            (State, "working_sells", _none_sold),
        ),
        "tests/core/test_outbox_resting.py",
    ),
    Mutant(
        "sells although the stop monitor lives",
        ((guard, "watches", _watches_always),),
        "tests/core/test_outbox_guard.py",
    ),
    Mutant(
        "buys while halted, unknown or unreconciled",
        ((limits, "_entry_state_refusal", _no_reason),),
        _LIMITS,
    ),
    Mutant(
        "buys a third too much",
        ((rules, "shares_for", _too_large), (limits, "_entry_size_refusal", _no_reason)),
        "tests/core/test_risk_entry.py",
    ),
    Mutant("never sees a breach", ((stop, "judge", _nothing),), _STOP),
    Mutant("believes one print", ((stop, "certain", _yes),), _STOP),
    Mutant("waits for a dead executor", ((exits, "decide", _waits_for_the_executor),), _EXITS),
)
