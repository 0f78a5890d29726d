"""What happens next follows the session's own hours, early closes included."""

from __future__ import annotations

import pytest

from common.settings import Entry
from services.trader.schedule import entry_window, next_event
from tests.trader.facts import SESSION, at, changed

EARLY = changed(SESSION, close_ns=at(13, 0), early=True)


@pytest.mark.parametrize(
    ("now_ns", "what", "at_ns"),
    [
        (at(8, 0), "open: baseline, pending bear exit", at(9, 30)),
        (at(9, 30), "go / no-go line", at(15, 50)),
        (at(15, 50), "entry time", at(15, 55)),
        (at(15, 56), "last moment for an entry", at(15, 59)),
        (at(15, 59, 30), "close: EMAs, signal, bear check", at(16, 0)),
        (at(17, 0), "open: baseline, pending bear exit", at(9, 30, day=3)),
    ],
)
def test_the_next_event_of_a_full_day(now_ns: int, what: str, at_ns: int) -> None:
    event = next_event(SESSION, Entry(), now_ns)
    assert event is not None
    assert (event.what, event.at_ns) == (what, at_ns)


def test_on_an_early_close_the_entry_is_five_minutes_before_it() -> None:
    window = entry_window(EARLY, Entry(), at(12, 0))
    assert window is not None
    assert (window.start_ns, window.end_ns) == (at(12, 55), at(12, 59))


def test_after_the_last_entry_the_next_sessions_window_is_meant() -> None:
    window = entry_window(SESSION, Entry(), at(15, 59, 1))
    assert window is not None
    assert window.start_ns == at(15, 55, day=3)


def test_after_both_sessions_nothing_is_known() -> None:
    assert next_event(SESSION, Entry(), at(17, 0, day=3)) is None
