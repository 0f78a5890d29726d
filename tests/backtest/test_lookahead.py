"""The look-ahead check passes on honest data and finds a decision that knew tomorrow."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec import structs

from services.backtest import compiled_path, lookahead
from services.backtest.history import History
from services.backtest.options import Options
from services.backtest.sheet import Sheet, lay_out
from tests.backtest.market import random_history

OPTIONS = Options(ema_fast=3, ema_slow=8, history_slow_multiple=1)


@pytest.mark.parametrize("bear_exit", ["next_open", "close", "next_close"])
def test_no_earlier_decision_changes_wherever_the_data_are_cut(bear_exit: str) -> None:
    history = random_history(5, 60, bars=6)

    found = lookahead.check(history, structs.replace(OPTIONS, bear_exit=bear_exit))

    assert found.first_difference == ""
    assert found.cuts == 59
    assert found.event_cuts >= 20


def test_nor_under_the_rules_of_the_published_figures() -> None:
    options = structs.replace(OPTIONS, decide_at="close", baseline="entry")

    assert lookahead.check(random_history(5, 60), options).first_difference == ""


def test_a_sheet_that_knows_tomorrows_vix_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def knowing(history: History, options: Options) -> Sheet:
        sheet = lay_out(history, options)
        return sheet._replace(vix=np.append(sheet.vix[1:], sheet.vix[-1]))

    monkeypatch.setattr(compiled_path, "lay_out", knowing)

    assert "changes" in lookahead.check(random_history(5, 60), OPTIONS).first_difference
