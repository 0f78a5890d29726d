"""Regular sessions of the New York exchanges, from the public calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from exchange_calendars.exchange_calendar_xnys import XNYSExchangeCalendar

from tests.oracle.facts import NEW_YORK, SECOND_NS

MARGIN = timedelta(days=14)  # the calendar refuses a range without a session


class Session(NamedTuple):
    """One regular session; open and close in UTC ns."""

    day: date
    open_ns: int
    close_ns: int


@lru_cache(maxsize=8)  # the calendar takes most of a second to build
def sessions_between(first: date, last: date) -> dict[date, Session]:
    """Every session of the days `first` to `last`, both included, in order."""
    calendar = XNYSExchangeCalendar(
        start=(first - MARGIN).isoformat(), end=(last + MARGIN).isoformat()
    )
    opens_ns = calendar.opens.to_numpy(dtype="datetime64[ns]").astype("int64").tolist()
    closes_ns = calendar.closes.to_numpy(dtype="datetime64[ns]").astype("int64").tolist()
    days = calendar.opens.index.date
    return {
        day: Session(day, open_ns, close_ns)
        for day, open_ns, close_ns in zip(days, opens_ns, closes_ns, strict=True)
        if first <= day <= last
    }


def new_york_day(ns: int) -> date:
    return datetime.fromtimestamp(ns // SECOND_NS, UTC).astimezone(NEW_YORK).date()


def new_york_text(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns / SECOND_NS, UTC).astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}"
