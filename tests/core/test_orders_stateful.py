"""The order machine against a hostile gateway: every status in every order, refusals, repeats and
restarts, searched by hypothesis, with what is promised checked after every step."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from common.core import orders
from common.core.orders import MOVES
from common.messages import (
    Accepted,
    BrokerLink,
    CancelOrder,
    Message,
    Order,
    OrderStatus,
    OrderUpdate,
    Refused,
    SubmitOrder,
)
from tests.core.test_orders import ENTRY, EXIT, LINK, STATUSES, executor, place, update
from tests.playbook import of, one

ORDERS = {order.intent_id: order for order in (ENTRY, EXIT)}
EXAMPLES, STEPS = 60, 40
asked = st.sampled_from((ENTRY, EXIT))


class Executor(RuleBasedStateMachine):
    """An entry and an exit, asked for and reported on in whatever order."""

    @initialize()
    def begins(self) -> None:
        self.play = executor()
        self.status: dict[str, OrderStatus] = {}
        self.filled: dict[str, int] = {}
        self.told: set[str] = set()

    @rule(order=asked)
    def an_order_is_asked_for(self, order: Order) -> None:
        known = order.intent_id in self.told
        said = self.play.hear(place(order))
        one(Accepted, [m for m in said if getattr(m, "key", "") == order.intent_id])
        if known:
            assert not of(SubmitOrder, said), "asked for again although the broker has spoken"
        self.follow(said)

    @rule(order=asked, status=st.sampled_from(STATUSES), filled=st.integers(0, 7500))
    def the_gateway_speaks(self, order: Order, status: OrderStatus, filled: int) -> None:
        if status not in ("PendingSubmit", "UNKNOWN"):
            self.told.add(order.intent_id)
        self.follow(self.play.hear(update(order, status, filled)))

    @rule(order=asked)
    def the_gateway_refuses(self, order: Order) -> None:
        self.follow(self.play.hear(Refused(key=order.intent_id, reason="no")))

    @rule(order=asked)
    def the_gateway_accepts(self, order: Order) -> None:
        self.follow(self.play.hear(Accepted(key=order.intent_id, note="")))

    @rule(link=st.sampled_from((LINK, msgspec.structs.replace(LINK, state="down"))))
    def the_link_changes(self, link: BrokerLink) -> None:
        self.follow(self.play.hear(link))

    @rule(seconds=st.sampled_from((0.2, 6.0, 11.0, 300.0)))
    def time_passes(self, seconds: float) -> None:
        self.follow(self.play.tick(seconds))

    @rule()
    def it_is_killed(self) -> None:
        self.follow(self.play.restart())

    def follow(self, said: list[Message]) -> None:
        """Every move is one of the table's, unless the order was only just asked for."""
        for intent_id, life in self.play.state.lives.items():
            before = self.status.get(intent_id)
            if before is not None and before != life.status:
                assert life.status in MOVES[before], f"{before} became {life.status}"
            self.status[intent_id] = life.status
            assert life.filled >= self.filled.get(intent_id, 0), "a fill was taken back"
            self.filled[intent_id] = life.filled
        for submit in of(SubmitOrder, said):
            assert submit.order == ORDERS[submit.key], "other terms than were asked for"

    @invariant()
    def an_entry_is_cancelled_once_and_an_exit_never(self) -> None:
        cancelled = [command.intent_id for command in self.play.all(CancelOrder)]
        assert EXIT.intent_id not in cancelled
        assert cancelled.count(ENTRY.intent_id) <= 1

    @invariant()
    def what_is_filled_stays_filled(self) -> None:
        for intent_id, life in self.play.state.lives.items():
            assert (self.status[intent_id] != "Filled") or life.status == "Filled"


def search(examples: int, phases: tuple[Phase, ...] = (Phase.generate, Phase.shrink)) -> None:
    """AssertionError with the shortest story that breaks a promise; the same on every run."""
    run_state_machine_as_test(
        Executor,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_story_breaks_the_order_machine() -> None:
    search(EXAMPLES)


@pytest.mark.parametrize("broken", ["done orders come back", "fills shrink", "asked for twice"])
def test_the_search_finds_a_machine_that_is_broken(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    if broken == "done orders come back":
        everything = dict.fromkeys(STATUSES, frozenset(STATUSES))
        monkeypatch.setattr(orders, "MOVES", everything)
    elif broken == "fills shrink":
        take = orders._take_update

        def forget(state: orders.State, news: OrderUpdate) -> None:
            take(state, news)
            life = state.lives.get(news.intent_id)
            if life is not None:
                life.filled = news.filled

        monkeypatch.setattr(orders, "_take_update", forget)
    else:
        monkeypatch.setattr(orders.Life, "acknowledged", property(lambda _life: False, _ignore))
        monkeypatch.setattr(orders, "MOVES", dict.fromkeys(STATUSES, frozenset()))
    with pytest.raises(AssertionError):
        search(EXAMPLES, phases=(Phase.generate,))


def _ignore(_life: orders.Life, _value: bool) -> None:
    """Takes a value and forgets it."""
