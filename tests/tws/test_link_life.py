"""What tells a living TWS from a frozen one, and how the clocks are compared: TWS does not answer
every question, and drops those after its time that come too often."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.messages import BrokerLink
from common.tws import connection
from common.tws.connection import CLOCK_QUESTION_S, SIGNS_OF_LIFE
from services.sim_tws.switches import Switches
from tests.tws.test_gateway_on_tws import World, play


def test_the_time_is_asked_for_less_often_than_a_real_tws_refuses_to_tell_it() -> None:
    assert Switches().time_spacing_s < CLOCK_QUESTION_S


def test_one_answer_is_enough_for_a_first_comparison_of_the_clocks(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        w.tws.fault("clock-questions", host_seconds=600.0)
        w.tws.fault("clock-skew", seconds=-40)
        async with w.gateway() as gateway:
            await gateway.until(lambda: gateway.state.link.clock_offset_s, "a comparison")
            assert gateway.state.link.clock_offset_s == pytest.approx(40, abs=1.0)

    play(tmp_path, story)


def test_later_answers_move_the_median(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CLOCK_QUESTION_S", 0.2)

    async def story(w: World) -> None:
        w.tws.fault("clock-questions", host_seconds=0.1)
        async with w.gateway() as gateway:
            await gateway.until(
                lambda: gateway.state.link.clock_offset_s is not None, "a comparison"
            )
            w.tws.fault("clock-skew", seconds=-40)
            await gateway.until(
                lambda: (gateway.state.link.clock_offset_s or 0.0) > 39, "three new ones of five"
            )

    play(tmp_path, story)


@pytest.mark.parametrize("kind", ["managedAccounts", "nextValidId"])
def test_a_silent_tws_that_answers_one_kind_of_question_is_not_frozen(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PROBE_S", 0.1)

    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            for message in ("currentTime", kind):
                w.tws.fault("withhold", message=message)
            w.tws.fault("quotes-stop")
            edge, asked = gateway.edge._connection, 0
            client = edge.ib.client
            send = client.sendMsg

            def counted(text: str | None) -> None:
                nonlocal asked
                asked += (text or "").startswith(("17\0", "8\0"))
                send(text)

            client.sendMsg = counted
            await gateway.until(lambda: asked > 2 * len(SIGNS_OF_LIFE), "questions in a silence")
            assert not [link for link in gateway.all(BrokerLink) if "frozen" in link.reason]
            assert edge.connected

    play(tmp_path, story)
