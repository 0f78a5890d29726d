"""In no state does a line of `trader status` claim protection, freshness or readiness that is not
there."""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

import pytest

from common import messages as m
from common.clock import SECOND_NS
from services.trader import status
from services.trader.status import Known, Row
from tests.trader import facts
from tests.trader.facts import changed
from tests.trader.stage import heartbeat

ARMED = re.compile(r"(?<!not )armed: equity")
READY = re.compile(r"^ready|^ACTIVE|^live|^flat|^none|^at no price")


class Case(NamedTuple):
    held: bool
    alive: bool
    blind: bool
    mode: m.Mode
    silent: tuple[str, ...]

    @property
    def watched(self) -> bool:
        monitor_speaks = not {"risk_monitor", "broker_gateway"} & set(self.silent)
        return self.alive and monitor_speaks and not self.blind and self.mode != "LOCKED"


SILENCES = ((), ("risk_monitor",), ("broker_gateway",), ("market_feed",), tuple(facts.SAID))
MODES: tuple[m.Mode, ...] = ("ACTIVE", "HALTED", "LOCKED")
CASES = [
    Case(*case)
    for case in itertools.product((False, True), (False, True), (False, True), MODES, SILENCES)
]


def said(case: Case) -> dict[str, tuple[m.Message, ...]]:
    """What each service says, or said last before it fell silent."""
    shares = 7355 if case.held else 0
    why = "it is BLIND" if case.blind else "LOCKED" if case.mode == "LOCKED" else ""
    shield = "only a stop at the broker; not the stop monitor" if why else "the stop monitor"
    risk = changed(
        facts.RISK, shares=shares, mode=case.mode, unwatched=why if case.held else "",
        protected_by=shield if case.held else "", resting_usd=404.0 if case.held else None,
    )  # fmt: skip
    # The newest Equity stands as it was said, also when everything was sold since.
    equity = changed(facts.EQUITY, sampled_ns=facts.NOW_NS - (120 if case.blind else 1) * SECOND_NS)
    latch = changed(facts.LATCH, mode=case.mode)
    account = changed(facts.ACCOUNT, shares=shares)
    return {
        **facts.SAID,
        "risk_monitor": (equity, facts.BASELINE, risk),
        "broker_gateway": (facts.LINK, account, facts.BOOK, latch),
    }


def seen(case: Case, *, journals: bool = True) -> Known:
    view = facts.known(without=tuple(facts.SAID))
    for speaker, words in said(case).items():
        if case.alive and speaker not in case.silent:
            view.picture.hear(speaker, heartbeat(), host_ns=view.host_now_ns)
            for fact in words:
                view.picture.hear(speaker, fact, host_ns=view.host_now_ns)
        elif journals:
            for fact in words:
                view.picture.recall(speaker, fact, view.now_ns)
    return Known(view.picture, view.settings, view.now_ns, view.host_now_ns, case.alive)


def by_key(view: Known) -> dict[str, Row]:
    return {row.key: row for row in (*status.rows(view), status.answer(view))}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_line_claims_what_is_not_true_at_this_moment(case: Case) -> None:
    view = seen(case)
    shown = by_key(view)
    texts = {key: row.text for key, row in shown.items()}
    # protection
    armed = case.held and case.watched
    assert bool(ARMED.search(texts["stop"])) == armed
    assert shown["stop"].values["armed"] == armed
    assert (shown["answer"].level == "good") == armed
    assert ("protection: the stop monitor" in texts["orders"]) == armed
    if case.held and not armed:
        assert (shown["stop"].level, shown["answer"].level) == ("bad", "bad")
        assert "watch" in texts["answer"].lower()
    if not case.held:
        assert "not armed: nothing is held" in texts["stop"]
    # freshness
    assert "0.4 s old" not in texts["equity"]
    assert not case.blind or "2 min old" in texts["equity"]
    # readiness: what a silent service said last is past
    for key, speaker in (
        ("position", "broker_gateway"), ("link", "broker_gateway"), ("mode", "broker_gateway"),
        ("orders", "broker_gateway"), ("mode", "risk_monitor"), ("liquidation", "risk_monitor"),
        ("equity", "risk_monitor"), ("data", "market_feed"),
    ):  # fmt: skip
        if speaker in case.silent or not case.alive:
            assert texts[key].startswith("was "), key
            assert shown[key].level != "good"
    assert ("next" in shown) == case.alive
    assert "nothing in its way" not in texts["answer"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_of_who_was_never_heard_nothing_is_claimed(case: Case) -> None:
    view = seen(case, journals=False)
    shown = by_key(view)
    if "broker_gateway" in case.silent or not case.alive:
        for key in ("position", "link", "orders", "stop", "liquidation"):
            assert shown[key].level == "unknown", key
            assert not READY.match(shown[key].text)
        assert shown["answer"].text.startswith("Unknown")
        assert not shown["mode"].text.startswith("ACTIVE")


def test_a_system_that_does_not_run_says_what_it_left_and_that_nothing_watches_it() -> None:
    shown = by_key(seen(Case(held=True, alive=False, blind=False, mode="ACTIVE", silent=())))
    at_broker = "as last heard a stop rests at the broker, at $404.00, until 2025-06-02 16:00:00 ET"
    assert shown["answer"].text == (
        f"7,355 SMH held and NOTHING WATCHES THEM: the system is not running; {at_broker}."
    )
    assert shown["stop"].text == (
        "nobody watches (the system is not running); the level was equity $980,000.00, "
        f"SMH $405.49 (-0.71%); {at_broker}"
    )
    assert shown["link"].text.startswith("was ready")


def test_after_the_close_no_stop_is_known_to_rest_at_the_broker() -> None:
    view = seen(Case(held=True, alive=False, blind=False, mode="ACTIVE", silent=()))
    late = Known(view.picture, view.settings, facts.at(16, 1), view.host_now_ns, alive=False)
    assert "no stop is known to rest at the broker" in status.answer(late).text
