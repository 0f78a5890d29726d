"""The send protocol again, with hypothesis for a nemesis: it searches where chance only walks, and
shrinks what breaks to the few steps that matter. The model of TWS is that of the seeded walk."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from common.core.gateway.state import State
from tests.core.test_outbox_machine import SendProtocol

EXAMPLES, STEPS = 40, 40


class Gateway(RuleBasedStateMachine):
    """One rule for each thing that may happen; the draws within one are hypothesis's as well."""

    world: SendProtocol

    @initialize(chance=st.randoms(use_true_random=False), held=st.booleans())
    def begins(self, chance: random.Random, held: bool) -> None:
        self.world = SendProtocol(chance)
        if held:
            self.world.hold()

    @rule()
    def an_order_is_asked_for(self) -> None:
        self.world.ask()

    @precondition(lambda self: self.world.tws.position)
    @rule()
    def too_much_is_asked_for(self) -> None:
        self.world.ask_too_much()

    @rule()
    def time_passes(self) -> None:
        self.world.wait()

    @precondition(lambda self: self.world.tws.wire)
    @rule()
    def an_order_arrives(self) -> None:
        self.world.arrive()

    @precondition(lambda self: any(placed.live for placed in self.world.tws.orders))
    @rule()
    def an_order_is_filled(self) -> None:
        self.world.fill()

    @precondition(lambda self: self.world.up)
    @rule()
    def the_link_breaks(self) -> None:
        self.world.disconnect()

    @precondition(lambda self: self.world.up)
    @rule()
    def tws_loses_ib_and_finds_it_again(self) -> None:
        self.world.degrade_and_recover()

    @precondition(lambda self: self.world.tws.last_id)
    @rule()
    def tws_restarts_and_its_ids_roll_back(self) -> None:
        self.world.restart_tws()

    @precondition(lambda self: self.world.play.sent)
    @rule()
    def the_gateway_is_killed(self) -> None:
        self.world.kill()

    @rule()
    def the_gateway_is_killed_before_its_record(self) -> None:
        self.world.kill_before_the_record()

    @rule()
    def the_gateway_is_killed_between_record_and_send(self) -> None:
        self.world.kill_between_record_and_send()

    @invariant()
    def every_promise_holds(self) -> None:
        self.world.judge()


def search(examples: int, phases: tuple[Phase, ...] = (Phase.generate, Phase.shrink)) -> None:
    """Runs the machine; AssertionError with the shortest story that breaks a promise.

    Seeded, so that the suite says the same of the same code; the walks of `make simulate` differ.
    """
    run_state_machine_as_test(
        Gateway,
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


def test_no_story_breaks_the_send_protocol() -> None:
    search(EXAMPLES)


def test_the_search_finds_a_protocol_that_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them, and of the loop around it, are in tests/simulation/mutants.py."""
    monkeypatch.setattr(State, "working_sells", lambda *_given: 0)
    with pytest.raises(AssertionError):
        search(10 * EXAMPLES, phases=(Phase.generate,))
