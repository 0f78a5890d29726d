"""The life of an order of ours is judged whole: every stage there is, every word TWS has for an
order, and every code of the table."""

from __future__ import annotations

from typing import get_args

import pytest

from common.core.gateway.state import Stage
from common.messages import OrderStatus
from common.tws import codes
from tests.core.outbox_play import Play, order
from tests.core.test_outbox_life import EVENTS, STAGES, STAYS, code, ready

OURS = {"DENIED", "REJECTED", "UNKNOWN", "ABANDONED"}
"""Words of our own, which TWS never says."""
ENDS_TOO = {103: "SENDING", 10326: "SENDING"}
"""Notices that end an order just sent: its id, or its group, was used before."""
OF_THE_LINK = {1100, 2110}
"""With the link away an order just sent is UNKNOWN."""


def at(stage: str) -> tuple[Play, str]:
    """One order of ours in that stage, and its intent."""
    play = ready()
    sent = play.send(order())
    for act in STAGES[stage]:
        act(play, sent)
    return play, sent.order.intent_id


def test_the_table_has_every_stage_and_every_word_that_tws_has_for_an_order() -> None:
    """PREPARED is of before the send."""
    reached = set[str]()
    for stage in STAGES:
        play, intent = at(stage)
        reached.add(play.state.orders[intent].stage)
    assert reached == set(get_args(Stage)) - {"PREPARED"}
    assert set(get_args(OrderStatus)) - OURS <= set(EVENTS)


@pytest.mark.parametrize("number", sorted(codes.CODES))
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_meets_every_code(stage: str, number: int) -> None:
    """A reject ends what TWS has not acknowledged; no other code ends anything."""
    play, intent = at(stage)
    code(number)(play, play.sent[0])
    rejects = codes.CODES[number].kind == "reject" and stage in {"SENDING", "UNKNOWN"}
    if rejects or ENDS_TOO.get(number) == stage:
        expected = "REJECTED"
    elif number in OF_THE_LINK and stage == "SENDING":
        expected = "UNKNOWN"
    else:
        expected = STAYS[stage]
    assert play.state.orders[intent].status == expected
    assert len(play.sent) == 1
