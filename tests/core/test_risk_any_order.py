"""Promise 1 in any order of events: never two entries at once, never short, never late.

No rule may depend on the order between two speakers, so they are drawn in any order, with restarts
in between.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import settings as drawn
from hypothesis import strategies as st

from common.messages import (
    DONE_STATUSES,
    Accepted,
    Flatten,
    Message,
    OrderStatus,
    PlaceOrder,
    PreviewMargin,
    SubmitOrder,
)
from tests.core.risk_play import TUESDAY, RiskDay
from tests.playbook import instant, of

LAST_ENTRY_NS = instant(TUESDAY, "15:59")
Said = list[Message]


def _answer_preview(day: RiskDay) -> Said:
    asked = of(PreviewMargin, day.said)
    return day.preview(asked[-1]) if asked else []


def _fill(part: float) -> Callable[[RiskDay], Said]:
    def fill(day: RiskDay) -> Said:
        said: Said = []
        for plan in (day.state.entry, day.state.exit):
            if plan is not None and plan.filled < plan.order.shares:
                left = plan.order.shares - plan.filled
                said += day.fill(plan.order, max(1, int(left * part)), day.mark_usd)
        return said

    return fill


def _status(status: OrderStatus) -> Callable[[RiskDay], Said]:
    def update(day: RiskDay) -> Said:
        said: Said = []
        for plan in (day.state.entry, day.state.exit):
            if plan is not None and (status != "Filled" or plan.filled == plan.order.shares):
                said += day.update(plan.order, status, plan.filled)
        return said

    return update


def _executor_accepts(day: RiskDay) -> Said:
    asked = of(PlaceOrder, day.said)
    return day.hear(Accepted(key=asked[-1].key, note="")) if asked else []


EVENTS: dict[str, Callable[[RiskDay], Said]] = {
    "tick": lambda day: day.tick(0.2),
    "some seconds": lambda day: day.tick(5.0),
    "steady price": lambda day: day.quote(400.0, 0.5),
    "low price": lambda day: day.quote(396.0, 0.5),
    "wild print": lambda day: day.quote(300.0, 0.5, agree=False),
    "account": lambda day: day.account(0.5),
    "link down": lambda day: day.hear(day.link(state="down")),
    "link up": lambda day: day.hear(day.link()),
    "unknown order": lambda day: day.hear(day.book(unknown=("20260303-ENTRY-1",))),
    "clean book": lambda day: day.hear(day.book()),
    "preview": _answer_preview,
    "executor accepts": _executor_accepts,
    "Submitted": _status("Submitted"),
    "REJECTED": _status("REJECTED"),
    "Cancelled": _status("Cancelled"),
    "UNKNOWN": _status("UNKNOWN"),
    "Filled": _status("Filled"),
    "a part fills": _fill(0.3),
    "the rest fills": _fill(1.0),
    "flatten": lambda day: day.hear(Flatten(key="f", deadline_ns=0, by="me")),
    "restart": lambda day: day.restart(),
}


def _judge(day: RiskDay, said: Said, held_before: int) -> None:
    """What an order may be at the moment it is asked for."""
    for placed in of(PlaceOrder, said):
        order = placed.order
        if order.purpose == "ENTRY":
            assert day.now.market_ns < LAST_ENTRY_NS
            assert held_before == 0
            assert not day.state.halts
        else:
            assert order.action == "SELL"
            assert order.shares <= max(held_before, day.held)
    for direct in of(SubmitOrder, said):
        assert direct.order in [placed.order for placed in day.all(PlaceOrder)]


def _live(day: RiskDay) -> set[str]:
    plans = (day.state.entry, day.state.exit)
    return {p.order.intent_id for p in plans if p is not None and p.status not in DONE_STATUSES}


@drawn(max_examples=100, deadline=None)
@given(
    events=st.lists(st.sampled_from(sorted(EVENTS)), max_size=30),
    at=st.sampled_from(["15:54:50", "15:55", "15:58:40", "15:58:59"]),
)
def test_never_two_entries_never_more_sold_than_held_never_an_entry_too_late(
    events: list[str], at: str
) -> None:
    day = RiskDay()
    day.open_at()
    day.asked_at(at)
    for event in events:
        live, held = _live(day), day.held
        said = EVENTS[event](day)
        _judge(day, said, held)
        if of(PlaceOrder, said):
            assert not any("ENTRY" in intent for intent in live) or day.held > 0
        assert day.held >= 0
        assert day.state.shares == day.held, "the ledger follows the fills"
    placed = [p.order.intent_id for p in day.all(PlaceOrder)]
    assert len(placed) == len(set(placed)), "an intent is decided once"


def test_the_draw_can_lead_through_an_entry_and_an_exit() -> None:
    """Events that could never lead anywhere would prove nothing."""
    day = RiskDay()
    day.open_at()
    day.asked_at("15:55")
    for event in ("a part fills", "the rest fills", "Filled", "low price", "the rest fills"):
        EVENTS[event](day)
    assert [placed.order.purpose for placed in day.all(PlaceOrder)] == ["ENTRY", "EXIT"]
    assert day.held == 0
