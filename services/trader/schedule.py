"""What happens next in a session, and when: the daily cycle of spec.md section 2. Pure."""

from __future__ import annotations

from msgspec import Struct

from common.clock import MINUTE_NS, SECOND_NS
from common.messages import Session
from common.settings import Entry


class Event(Struct, frozen=True):
    """An instant of market time (UTC ns) and what then happens."""

    at_ns: int
    what: str


def next_event(session: Session, entry: Entry, now_ns: int) -> Event | None:
    """The first event after `now_ns` of this session or the one after; None when both are over."""
    events = (
        *_cycle(session.open_ns, session.close_ns, entry),
        *_cycle(session.next_open_ns, session.next_close_ns, entry),
    )
    return next((event for event in events if event.at_ns > now_ns), None)


class Window(Struct, frozen=True):
    """From `start_ns` on (market time, UTC ns), not later than `end_ns`."""

    start_ns: int
    end_ns: int


def entry_window(session: Session, entry: Entry, now_ns: int) -> Window | None:
    """The entry window that is open or comes next; None when both sessions' are over."""
    windows = (_window(session.close_ns, entry), _window(session.next_close_ns, entry))
    return next((window for window in windows if now_ns <= window.end_ns), None)


def _window(close_ns: int, entry: Entry) -> Window:
    return Window(
        close_ns - int(entry.minutes_before_close * MINUTE_NS),
        close_ns - int(entry.last_s_before_close * SECOND_NS),
    )


def _cycle(open_ns: int, close_ns: int, entry: Entry) -> tuple[Event, ...]:
    ready_ns = close_ns - int(entry.readiness_minutes_before_close * MINUTE_NS)
    window = _window(close_ns, entry)
    return (
        Event(open_ns, "open: baseline, pending bear exit"),
        Event(ready_ns, "go / no-go line"),
        Event(window.start_ns, "entry time"),
        Event(window.end_ns, "last moment for an entry"),
        Event(close_ns, "close: EMAs, signal, bear check"),
    )
