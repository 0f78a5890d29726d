"""Every message can be read by a person, and none shows the account whole."""

from __future__ import annotations

import pytest

from common import messages as m
from common.core.gateway.limits import shortened
from common.tws.link_messages import LinkUp
from services.trader.sentences import sentence
from services.trader.wording import named, span, usd
from tests.trader import facts
from tests.trader.facts import at, changed

ORDER = m.Order(
    intent_id="20250602-EXIT-1", day=facts.DAY, purpose="EXIT", reason="stop", action="SELL",
    shares=7355, order_type="MKT", limit_usd=None, outside_rth=False, price_usd=405.4,
    deadline_ns=at(16, 0),
)  # fmt: skip
CHECKS = (
    m.Check(name="link", ok=True, detail="ready"), m.Check(name="vix", ok=False, detail="old"),
)  # fmt: skip
READ = [
    (facts.QUOTE, "SMH $408.39 (bid $408.38, ask $408.40, live)"),
    (facts.TARGET, "3x for 2025-06-02 (VIX 16.2)"),
    (changed(facts.TARGET, leverage=0.0, leverage_why="BEAR"), "flat for 2025-06-02 (BEAR)"),
    (facts.SESSION, "2025-06-02: 09:30:00 ET to 16:00:00 ET; then 2025-06-03"),
    (
        m.PlaceOrder(key="k", deadline_ns=at(16, 0), order=ORDER),
        "20250602-EXIT-1: SELL 7,355 MKT (stop), sized at $405.40, void after 16:00:00 ET",
    ),
    (m.Refused(key="k", reason="a position is held"), "no: a position is held"),
    (
        m.GoNoGo(day=facts.DAY, checks=CHECKS),
        "no-go: vix: old",
    ),
    (m.Unanswered(key="k", command="Halt"), "key=k  command=Halt"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "text"), READ, ids=[type(m).__name__ for m, _ in READ])
def test_a_message_reads_as_a_sentence(message: m.Message, text: str) -> None:
    assert sentence(message) == text


def test_no_sentence_shows_the_account_whole() -> None:
    for said in facts.SAID.values():
        for fact in said:
            assert "DU1234567" not in sentence(fact) + repr(named(fact))


def test_the_accounts_of_a_login_are_shortened_field_by_field() -> None:
    up = LinkUp(port=7497, server_version=176, accounts=("DU1234567",), next_order_id=1)
    assert "DU1234567" not in sentence(up) + repr(named(up))
    assert named(up)["accounts"] == ["DU***67"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (41, "41 s"),
        (117, "1 min 57 s"),
        (11_520, "3 h 12 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_length_of_time_reads_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_negative_dollars_carry_the_sign_first() -> None:
    assert usd(-1234.5) == "-$1,234.50"


def test_an_account_that_is_short_already_stays_as_it_is() -> None:
    assert (shortened("DU***67"), shortened("")) == ("DU***67", "")
