"""`trader why`: the chain of causes of one order, put together from all services' journals. Pure.

Every record holds what was heard, from whom and with which sequence number, and all that was
decided on it. So a fact heard by one service leads to the record in which another one said it, and
so on back to what TWS or a person said. Decisions that wait for a time of day are made on a tick of
the clock; then the facts that stood at that moment are their causes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from common import messages as m
from common import topology
from common.tws.messages import OwnPrice, SendOrder
from services.trader.journals import Entry

STANDING: dict[m.Reason, tuple[type[m.Message], ...]] = {
    "signal": (m.TargetPosition, m.Signal, m.AccountSnapshot, m.Quote, m.MarginPreview, m.GoNoGo),
    "test": (m.TargetPosition, m.Signal, m.AccountSnapshot, m.Quote, m.MarginPreview),
    "stop": (m.BaselineSet, m.StopHit, m.Quote, m.BrokerPnl),
    "bear": (m.Signal,),
    "flatten": (m.Flatten, m.AccountSnapshot),
    "resting_stop": (m.BaselineSet, m.Entered, m.AccountSnapshot),
}
"""For each reason of an order, the facts that the decision rests on."""

GUARD_STANDING = (m.Silence, m.StopArmed, m.StopHit, OwnPrice)
"""The same for an exit of the gateway's own guard."""

CONSEQUENCES = (m.BaselineSet, m.StopArmed, m.Entered, m.Exited, m.EntryRefused, m.Alert)
"""Said on hearing of an order's life, though the order is not named in them."""


class Step(Struct, frozen=True, kw_only=True):
    """One thing that happened. `verb`: "heard", "said", "asked", "answered" or "told TWS"."""

    at_ns: int
    service: str
    verb: str
    source: str
    message: Any


class Chain(Struct, frozen=True, kw_only=True):
    """An order's story: what it rests on, oldest first, then everything that came of it."""

    order: m.Order
    causes: tuple[Step, ...]
    story: tuple[Step, ...]
    status: str
    filled: int
    average_usd: float
    commission_usd: float
    instead: m.OrderUpdate | None
    """The stop at the broker whose fill ended this exit, none of which filled."""


def intent_of(entries: Iterable[Entry], order_id: int) -> str | None:
    """The intent that the gateway gave IB's `order_id`."""
    for entry in entries:
        for _, output in entry.record.outputs:
            if isinstance(output, m.OrderUpdate) and output.order_id == order_id:
                return output.intent_id or None
    return None


def refusal_of(entries: Iterable[Entry], day: str) -> m.EntryRefused | None:
    """The last word on why there was no entry in the session `day` (YYYYMMDD)."""
    said = [
        output
        for entry in entries
        for _, output in entry.record.outputs
        if isinstance(output, m.EntryRefused) and f"{output.day:%Y%m%d}" == day
    ]
    return said[-1] if said else None


def chain(entries: Sequence[Entry], intent_id: str) -> Chain | None:
    """The story of `intent_id`; None when no service decided it in these records."""
    ordered = sorted(
        entries, key=lambda e: (e.record.now.market_ns, e.record.now.host_ns, e.offset)
    )
    decided = next(_deciding(ordered, intent_id), None)
    if decided is None:
        return None
    entry, order = decided
    names, order_ids = _names(ordered, intent_id)
    story = tuple(step for e in ordered for step in _steps(e, names, order_ids))
    updates = [s.message for s in story if isinstance(s.message, m.OrderUpdate)]
    commissions = [s.message for s in story if isinstance(s.message, m.Commission)]
    return Chain(
        order=order,
        causes=tuple(_causes(ordered, entry, order)),
        story=story,
        status=updates[-1].status if updates else "never sent",
        filled=max((update.filled for update in updates), default=0),
        average_usd=updates[-1].average_usd if updates else 0.0,
        commission_usd=sum({c.exec_id: c.commission_usd for c in commissions}.values()),
        instead=_sold_instead(ordered, order, updates),
    )


def _sold_instead(
    entries: Sequence[Entry], order: m.Order, updates: Sequence[m.OrderUpdate]
) -> m.OrderUpdate | None:
    """The last word on a stop of that session that sold, for an exit that ended without a fill."""
    last = updates[-1] if updates else None
    if order.purpose != "EXIT" or last is None:
        return None
    if last.status not in m.DONE_STATUSES or last.filled:
        return None
    stop = f"{order.day:%Y%m%d}-STOP-"
    sold = [
        output
        for entry in entries
        for _, output in entry.record.outputs
        if isinstance(output, m.OrderUpdate) and output.intent_id.startswith(stop)
        if output.filled
    ]
    return sold[-1] if sold else None


def essential(story: Sequence[Step]) -> list[Step]:
    """The story without repetitions: each status once, the stop as it ended, no raw reports."""
    kept: list[Step] = []
    status = ""
    armed = [step for step in story if isinstance(step.message, m.StopArmed)][-1:]
    for step in story:
        message = step.message
        if isinstance(message, m.OrderUpdate):
            if message.status == status and not message.reason:
                continue
            status = message.status
        elif isinstance(message, m.StopArmed):
            if step not in armed:
                continue
        elif isinstance(message, _TOLD_ELSEWHERE) or step.source == "TWS":
            continue
        kept.append(step)
    return kept


_TOLD_ELSEWHERE = (m.OrderBook, m.OrderState, m.Commission)
"""The gateway's OrderUpdate says the same first; commissions stand in the sum above."""


def _deciding(entries: Iterable[Entry], intent_id: str) -> Iterator[tuple[Entry, m.Order]]:
    """Records in which the risk monitor asked for the order, or the gateway's guard sent it."""
    for entry in entries:
        for _, output in entry.record.outputs:
            asked = entry.service == topology.RISK and _asks_for(output, intent_id)
            guarded = isinstance(output, SendOrder) and m.guards(intent_id)
            if asked or (guarded and output.order.intent_id == intent_id):
                yield entry, output.order


def _asks_for(message: Any, intent_id: str) -> bool:
    return (
        isinstance(message, (m.PlaceOrder, m.SubmitOrder)) and message.order.intent_id == intent_id
    )


def _names(entries: Sequence[Entry], intent_id: str) -> tuple[set[str], set[int]]:
    """Every name the order goes by: its intent, its commands' keys, its fills; and IB's ids."""
    names, order_ids = {intent_id}, set[int]()
    for entry in entries:
        for message in _messages(entry):
            if _asks_for(message, intent_id):
                names.add(message.key)
            elif getattr(message, "intent_id", "") != intent_id:
                continue
            elif isinstance(message, m.CancelOrder):
                names.add(message.key)
            elif isinstance(message, m.Fill):
                names.add(message.exec_id)
            elif isinstance(message, m.OrderUpdate):
                order_ids.add(message.order_id)
    return names, order_ids - {0}


def _messages(entry: Entry) -> Iterator[Any]:
    yield entry.record.message
    for _, output in entry.record.outputs:
        yield output


def _steps(entry: Entry, names: set[str], order_ids: set[int]) -> Iterator[Step]:
    """What this record adds: words from outside, and every word of its own about the order."""
    record = entry.record
    heard = _about(record.message, names, order_ids)
    if heard and record.source in ("tws", topology.TRADER):
        yield _heard(entry)
    for _, output in record.outputs:
        if _about(output, names, order_ids) or (heard and isinstance(output, CONSEQUENCES)):
            yield _said(entry, output)


def _heard(entry: Entry) -> Step:
    return Step(
        at_ns=entry.record.now.market_ns,
        service=entry.service,
        verb="heard",
        source="TWS" if entry.record.source == "tws" else entry.record.source,
        message=entry.record.message,
    )


def _said(entry: Entry, output: Any) -> Step:
    verb = "told TWS"
    if isinstance(output, m.FACTS):
        verb = "said"
    elif isinstance(output, m.COMMANDS):
        verb = "asked"
    elif isinstance(output, m.ANSWERS):
        verb = "answered"
    return Step(
        at_ns=entry.record.now.market_ns,
        service=entry.service,
        verb=verb,
        source="",
        message=output,
    )


def _about(value: Any, names: set[str], order_ids: set[int]) -> bool:
    """Whether a message bears one of the order's names, at any depth."""
    if isinstance(value, Struct):
        return getattr(value, "order_id", 0) in order_ids or any(
            _about(getattr(value, name), names, order_ids) for name in value.__struct_fields__
        )
    if isinstance(value, tuple):
        return any(_about(item, names, order_ids) for item in value)
    return isinstance(value, str) and value in names


def _causes(entries: Sequence[Entry], decided: Entry, order: m.Order) -> list[Step]:
    """The event decided on and the standing facts, each led back to where it came from."""
    said = {
        (entry.service, type(output), number): entry
        for entry in entries
        for number, output in entry.record.outputs
        if number
    }
    before = entries[: next(i for i, entry in enumerate(entries) if entry is decided) + 1]
    ends = [decided]
    for kind in GUARD_STANDING if m.guards(order.intent_id) else STANDING[order.reason]:
        ends.extend(_newest(before, kind, decided))
    steps: dict[tuple[int, str, Any], Step] = {}
    for end in ends:
        for step in _back(said, end):
            steps.setdefault((step.at_ns, step.service, step.message), step)
    return sorted(steps.values(), key=lambda step: step.at_ns)


def _newest(before: Sequence[Entry], kind: type[m.Message], decided: Entry) -> Iterator[Entry]:
    """The last record up to the decision in which `kind` was heard or said where it counts."""
    deciding = (topology.SIGNAL if kind is m.Signal else decided.service,)
    for entry in reversed(before):
        if entry.service in deciding and any(type(word) is kind for word in _messages(entry)):
            yield entry
            return


def _back(said: dict[tuple[str, type[Any], int], Entry], end: Entry) -> Iterator[Step]:
    """From a record back through who said what it heard, to a word from outside or the clock."""
    entry: Entry | None = end
    seen: set[tuple[str, int]] = set()
    while entry is not None and (entry.service, entry.offset) not in seen:
        seen.add((entry.service, entry.offset))
        record = entry.record
        if not isinstance(record.message, m.Tick):
            yield _heard(entry)
        for number, output in record.outputs:
            if number and type(output) in _TOLD:
                yield _said(entry, output)
        entry = said.get((record.source, type(record.message), record.seq))


_TOLD = (m.Signal, m.TargetPosition, m.BaselineSet, m.StopHit, m.GoNoGo, m.EntryClamped)
"""Facts that are decisions themselves, so a cause worth a line."""
